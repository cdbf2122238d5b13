"""Runs in processes of their own, some of which kill themselves at a planned moment.

Processes are forked from a server that has loaded the heavy libraries. The server has one thread,
so nothing that starts threads on import (polars, pyarrow) is loaded there, nor what imports it:
that is left to the processes, of which one is always being made ready ahead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cf_pipeline.storage.home import Home

if TYPE_CHECKING:
    from cf_pipeline.storage.publishing import Write
    from cf_pipeline.storage.records import Draft
    from cf_pipeline.vision.job import TrainingSpec
    from cf_pipeline.vision.training import Listeners

Moment = Literal["computed", "written", "committed"]
"""After the body and before anything is written; after rows and record are written, before the
transaction ends; after that, before Dagster hears of it."""
MOMENTS: tuple[Moment, ...] = ("computed", "written", "committed")
TRAINED = "trained_cnn"
TRAINING = "it trains"
"""What a process says at the first batch of its training child."""

PRELOADED = [
    "duckdb",
    "torch",
    "torch._dynamo",
    "torchvision",
    "timm",
    "scipy.stats",
    "sklearn.linear_model",
    "matplotlib.backends.backend_agg",
    "implicit.als",
    "dagster",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
]


@dataclass(frozen=True)
class Fault:
    """A process kills itself during the first asset that it computes and that is not spared.

    Attributes:
        moment: when, for every asset but the training, which dies in its first batch.
        spared: assets during which it lives on.
    """

    moment: Moment
    spared: frozenset[str]


@dataclass(frozen=True)
class Task:
    """What a process is to run.

    Attributes:
        home: the home's folder.
        select: assets, none named: all of them.
        fault: where it kills itself.
    """

    home: Path
    select: tuple[str, ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True)
class Runner:
    """A process that runs the pipeline once."""

    process: ForkServerProcess
    line: Connection

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    def next_word(self, seconds: float = 300) -> Any:
        """What it says next.

        Raises:
            EOFError: it has ended.
        """
        assert self.line.poll(seconds), "the process says nothing"
        return self.line.recv()

    def last_word(self, seconds: float = 300) -> Any:
        """How its run ended, or the asset that it died in; waits for its end."""
        word = None
        with contextlib.suppress(EOFError):
            while True:
                word = self.next_word(seconds)
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the process goes on and on"
        return word


class Runners:
    """Where they come from."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._spare = self._fork()

    def start(self, home: Home, *select: str, fault: Fault | None = None) -> Runner:
        """Have assets of a home run, none named: all of them."""
        runner, self._spare = self._spare, self._fork()
        runner.line.send(Task(home.path, select, fault))
        return runner

    def close(self) -> None:
        """End the one that was made ready in vain."""
        self._spare.process.kill()
        self._spare.process.join()
        self._spare.line.close()

    def _fork(self) -> Runner:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there,))
        process.start()
        there.close()
        return Runner(process, here)


def workers_of(home: Home) -> list[int]:
    """Process ids of the training children that write into a home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_text(errors="replace").split("\0")
            if "cf_pipeline.worker" in words and any(w.startswith(str(home.path)) for w in words):
                found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Returns as soon as a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def _work(line: Connection) -> None:
    """What such a process does."""
    from tqdm import tqdm

    from cf_pipeline.definitions import defs
    from cf_pipeline.defs.running import Wanted, run_pipeline

    definitions = defs()
    tqdm.set_lock(threading.RLock())  # its own is a semaphore that a killed process leaves behind
    task: Task = line.recv()
    home = Home(task.home)
    if task.fault is not None:
        _plant(task.fault, line)
    _listen_to_training(line, home, task.fault)
    line.send(run_pipeline(home, definitions, Wanted(task.select)))


def _die(line: Connection, asset: str) -> None:
    line.send(asset)
    os.kill(os.getpid(), signal.SIGKILL)


def _plant(fault: Fault, line: Connection) -> None:
    from cf_pipeline.storage.warehouse import Warehouse

    publish = Warehouse.publish

    def dying(self: Warehouse, draft: Draft, write: Write) -> Any:
        if draft.asset in fault.spared or draft.asset == TRAINED:
            return publish(self, draft, write)
        if fault.moment == "computed":
            _die(line, draft.asset)

        def verified(connection: Any) -> None:
            assert write.verify is not None
            write.verify(connection)
            if fault.moment == "written":
                _die(line, draft.asset)

        publish(self, draft, dataclasses.replace(write, verify=verified))
        return _die(line, draft.asset)

    Warehouse.publish = dying  # type: ignore[assignment,method-assign]


def _listen_to_training(line: Connection, home: Home, fault: Fault | None) -> None:
    """Say so at the first batch of a training child, or die there."""
    from cf_pipeline.defs import training

    train_in_child = vars(training)["train_in_child"]

    def heard(spec: TrainingSpec, out: Path, listeners: Listeners, **further: Any) -> Any:
        said: list[str] = []

        def on_batch(done: int, total: int, figures: dict[str, float]) -> None:
            assert workers_of(home)
            if fault is not None and TRAINED not in fault.spared:
                _die(line, TRAINED)
            if not said:
                said.append(TRAINING)
                line.send(TRAINING)
            listeners.on_batch(done, total, figures)

        told = dataclasses.replace(listeners, on_batch=on_batch)
        return train_in_child(spec, out, told, **further)

    vars(training)["train_in_child"] = heard
