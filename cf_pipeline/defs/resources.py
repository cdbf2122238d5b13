"""The home as a Dagster resource, and a console that a person can read."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from cf_pipeline.defs.processes import clear_dead_runs, say_which_process
from cf_pipeline.recipes.configuration import Choices, Configuration, resolve
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder, HomeLock, holder_of
from cf_pipeline.storage.warehouse import Warehouse

_SCRATCH = "scratch-"


class HomeResource(dg.ConfigurableResource[Any]):
    """The folder that a run works in; holding it is holding the lock.

    One run at a time: whoever starts it, the run's own process takes the lock here. A run that the
    daemon launched waits for its turn. Whoever gets the lock after a holder that died marks the
    dead run as failed, which nobody else would.
    """

    path: str | None = None
    """None: $CF_PIPELINE_HOME, else data/home of the repository."""

    _home: Home = PrivateAttr()
    _configuration: Configuration = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["HomeResource"]:
        """Hold the home's lock for as long as the run lasts."""
        self._home = Home.locate(Path(self.path) if self.path else None)
        self._home.create()
        if context.instance is not None and context.run_id:
            say_which_process(context.instance, context.run_id)
        self._say_who_is_waited_for(context)
        holder = Holder.current(run_id=context.run_id)
        with HomeLock(self._home).acquire(holder, wait=True) as lease:
            if context.instance is not None:
                clear_dead_runs(context.instance)
                if lease.previous is not None:
                    fail_dead_run(context.instance, lease.previous)
            if context.run_id:
                lease.update(run_id=context.run_id)
            self._clear_leftovers()
            self._configuration = resolve(Choices.read(self._home.config_path))
            yield self

    @property
    def home(self) -> Home:
        """The folder."""
        return self._home

    @property
    def configuration(self) -> Configuration:
        """What this run reads, resolved when it took the lock."""
        return self._configuration

    @property
    def warehouse(self) -> Warehouse:
        """The DuckDB file of this home."""
        return open_warehouse(self._home, self._configuration)

    @property
    def artifacts(self) -> Artifacts:
        """The content-addressed files of this home."""
        return Artifacts(self._home.artifacts_path)

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        """A folder in the home that is gone afterwards."""
        return tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self._home.path)

    def _say_who_is_waited_for(self, context: dg.InitResourceContext) -> None:
        """In the run's own log, where its owner looks."""
        holder = holder_of(self._home)
        if holder is not None and holder.pid != os.getpid() and context.log is not None:
            context.log.info(f"waiting: {self._home.path} is held by {holder}")

    def _clear_leftovers(self) -> None:
        """Remove what killed runs left: while the lock is held, nobody else writes here."""
        self.artifacts.clear_staging()
        for folder in self._home.path.glob(f"{_SCRATCH}*"):
            shutil.rmtree(folder)


def open_warehouse(home: Home, configuration: Configuration) -> Warehouse:
    """The warehouse of a home with the memory and threads that the configuration grants."""
    resources = configuration.resources
    return Warehouse(
        home.warehouse_path,
        memory_limit=resources.memory_limit,
        threads=resources.threads or None,
    )


def warehouse_of(home: Home) -> Warehouse:
    """The warehouse of a home, as its own configuration says.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    return open_warehouse(home, resolve(Choices.read(home.config_path)))


def fail_dead_run(instance: dg.DagsterInstance, holder: Holder) -> None:
    """Mark the run of a process that died with the lock as failed."""
    run = instance.get_run_by_id(holder.run_id) if holder.run_id else None
    if run is not None and not run.is_finished:
        instance.report_run_failed(
            run,
            message=f"The process that ran it (pid {holder.pid}) died without finishing. What it "
            "had published stays; run again for the rest.",
        )


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
