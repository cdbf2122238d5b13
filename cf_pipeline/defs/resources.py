"""The home as a Dagster resource, what its configuration says at load, and a readable console."""

import functools
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from cf_pipeline.configuration.choices import Choices, Configuration, resolve
from cf_pipeline.defs.processes import clear_dead_runs, say_which_process
from cf_pipeline.errors import ConfigError
from cf_pipeline.recompute.making import SCRATCH
from cf_pipeline.recompute.stage import OpenHome
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder, HomeLock, holder_of

WARM_TAG = "cf_pipeline/warm"
"""On runs of the schedule where `automation.warm` is set."""
REFRESH_TAG = "cf_pipeline/refresh"
"""On runs that go through what they select although nothing differs, and keep what they can."""

_logger = logging.getLogger(__name__)


class HomeResource(dg.ConfigurableResource[Any]):
    """The folder that a run works in; holding it is holding the lock.

    One run at a time: whoever starts it, the run's own process takes the lock here. A run that the
    daemon launched waits for its turn. Whoever gets the lock marks runs whose process died as
    failed, which nobody else would.
    """

    path: str | None = None
    """None: $CF_PIPELINE_HOME, else data/home of the repository."""

    _opened: OpenHome = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["HomeResource"]:
        """Hold the home's lock for as long as the run lasts."""
        home = Home.locate(Path(self.path) if self.path else None)
        home.create()
        if context.instance is not None and context.run_id:
            say_which_process(context.instance, context.run_id)
        _say_who_is_waited_for(home, context)
        with HomeLock(home).acquire(Holder.current(run_id=context.run_id), wait=True) as lease:
            if context.instance is not None:
                clear_dead_runs(context.instance)
            if context.run_id:
                lease.update(run_id=context.run_id)
            self._opened = OpenHome(home, resolve(Choices.read(home.config_path)))
            _clear_leftovers(self._opened)
            yield self

    @property
    def opened(self) -> OpenHome:
        """The home and what this run reads, resolved when it took the lock."""
        return self._opened


def _say_who_is_waited_for(home: Home, context: dg.InitResourceContext) -> None:
    """In the run's own log, where its owner looks."""
    holder = holder_of(home)
    if holder is not None and holder.pid != os.getpid() and context.log is not None:
        context.log.info(f"waiting: {home.path} is held by {holder}")


def _clear_leftovers(opened: OpenHome) -> None:
    """Remove what killed runs left: while the lock is held, nobody else writes here."""
    opened.artifacts.clear_drafts()
    for folder in opened.home.path.glob(f"{SCRATCH}*"):
        shutil.rmtree(folder)


@functools.cache
def configuration_at_load() -> Configuration:
    """What this process's home says when the code location is loaded.

    Where it cannot be read, the defaults stand in, since the UI must load for somebody to see what
    is wrong: runs and sensors read it again and say so.
    """
    try:
        return resolve(Choices.read(Home.locate().config_path))
    except ConfigError as error:
        _logger.warning("until this is mended, intervals and schedule are the defaults: %s", error)
        return resolve(Choices())


class _ConsoleFormatter(logging.Formatter):
    """`12:03:11  trained_cnn  message`, and what failed in full."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", None) or {}
        step = meta.get("step_key") or meta.get("job_name") or record.name
        event = meta.get("dagster_event")
        message = str(meta.get("orig_message") or record.getMessage())
        if event is not None and getattr(event, "is_step_failure", False):
            message = "failed"
        clock = datetime.now().strftime("%H:%M:%S")
        return f"{clock}  {step:<24} {message}"


class _OurLinesOnly(logging.Filter):
    """Progress and warnings; not Dagster's own bookkeeping events.

    Nor its line per asset below one that failed: the end of the run names them in one.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        meta = getattr(record, "dagster_meta", None) or {}
        if str(meta.get("orig_message", "")).startswith("Dependencies for step"):
            return False
        return meta.get("dagster_event") is None or record.levelno >= logging.WARNING


@dg.logger
def console(_context: dg.InitLoggerContext) -> logging.Logger:
    """The logger that replaces Dagster's forty lines of DEBUG."""
    logger = logging.Logger("cf_pipeline.console", level=logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ConsoleFormatter())
    handler.addFilter(_OurLinesOnly())
    logger.addHandler(handler)
    return logger


defs = dg.Definitions(resources={"home": HomeResource()}, loggers={"console": console})
