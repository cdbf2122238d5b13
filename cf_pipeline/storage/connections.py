"""Opening the DuckDB file: patiently between processes, in turns within one process.

DuckDB lets either one process write a file or several read it, and one process cannot have it
open in both modes at once. Between processes the file's lock is retried until it is free; within
a process a gate per file lets readers share and writers alternate. Memory and threads are set
after opening, since settings given at opening would have to be equal on every connection.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from cf_pipeline.errors import DataError

logger = logging.getLogger(__name__)

_SHORTEST_SLEEP_SECONDS, _LONGEST_SLEEP_SECONDS = 0.02, 0.2
_FIRST_WORD_SECONDS, _NEXT_WORD_SECONDS = 1.5, 30.0
"""After how long a wait is told, and after how long again."""
_LONGEST_COMMAND = 200
"""Characters of a command line that a message quotes."""


class _Gate:
    """Readers of one file in this process share it; a writer has it alone."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._turn = threading.Condition()
        self._readers: Counter[int] = Counter()  # how often each thread reads, nested reads counted
        self._writer: int | None = None

    @contextlib.contextmanager
    def shared(self, timeout_seconds: float) -> Iterator[None]:
        """Pass as a reader; a thread that reads already passes at once."""
        thread = threading.get_ident()
        with self._turn:
            if thread not in self._readers:
                self._wait("read", lambda: self._writer is None, timeout_seconds)
            self._readers[thread] += 1
        try:
            yield
        finally:
            with self._turn:
                self._readers -= Counter([thread])  # threads that do not read are not kept
                self._turn.notify_all()

    @contextlib.contextmanager
    def exclusive(self, timeout_seconds: float) -> Iterator[None]:
        """Pass as the one writer, once every reader and writer has left."""
        with self._turn:
            self._wait("write", lambda: self._writer is None and not self._readers, timeout_seconds)
            self._writer = threading.get_ident()
        try:
            yield
        finally:
            with self._turn:
                self._writer = None
                self._turn.notify_all()

    def _wait(self, wanted: str, free: Callable[[], bool], timeout_seconds: float) -> None:
        thread = threading.get_ident()
        if self._writer == thread or thread in self._readers:
            raise RuntimeError(
                f"{wanted}() of {self._path} inside {'write' if self._writer else 'read'}() in the "
                "same thread would wait for itself. Use the connection at hand, or leave the outer "
                "block first."
            )
        if not self._turn.wait_for(free, timeout_seconds):
            raise DataError(
                f"{self._path} was in use by another thread of this process for more than "
                f"{timeout_seconds:g} s. Keep read() and write() blocks short: compute first."
            )


_gates: dict[str, _Gate] = {}
# A forked child has neither the parent's threads nor its connections.
os.register_at_fork(after_in_child=_gates.clear)


def _gate(path: Path) -> _Gate:
    name = os.path.realpath(path)
    return _gates.setdefault(name, _Gate(name))  # one step for the interpreter: no lock


@contextlib.contextmanager
def reading(path: Path, timeout_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection; a file that does not exist yet reads as an empty database.

    Raises:
        DataError: the file is no DuckDB database, or its lock was not free in time.
        RuntimeError: this thread is writing the file.
    """
    with _gate(path).shared(timeout_seconds):
        there = path.exists()
        connection = _connect(path, True, timeout_seconds) if there else duckdb.connect(":memory:")
        with contextlib.closing(connection):
            yield connection


@contextlib.contextmanager
def writing(path: Path, timeout_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """The one writing connection, not in a transaction; makes the file where there is none.

    Raises:
        DataError: the file is no DuckDB database, cannot be made, or its lock was not free in time.
        RuntimeError: this thread is reading or writing the file.
    """
    with _gate(path).exclusive(timeout_seconds):
        if not path.exists():
            _create(path)
        with contextlib.closing(_connect(path, False, timeout_seconds)) as connection:
            yield connection


@contextlib.contextmanager
def kept_still(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Nobody writes the file until the block ends, so that another connection can attach it.

    Its own threads are kept away, too: a process that closes one of two descriptors of a file loses
    the lock of both.

    Raises:
        DataError: the file is no DuckDB database, or its lock was not free in time.
        RuntimeError: this thread is reading or writing the file.
    """
    with (
        _gate(path).exclusive(timeout_seconds),
        contextlib.closing(_connect(path, True, timeout_seconds)),
    ):
        yield


def _create(path: Path) -> None:
    """Make an empty database whole, then link it into place.

    DuckDB makes a file of no bytes first: another process that opens it in that moment would take
    it for something that is no database. A link appears at once and never replaces a file.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        duckdb.connect(str(beside)).close()
        with contextlib.suppress(FileExistsError):  # another process was first: its file it is
            os.link(beside, path)
    except (OSError, duckdb.Error) as error:
        raise DataError(
            f"{path} could not be made: {error}. The folder must exist, be writable, and lie on a "
            "local disk that knows file locks and hard links."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _connect(path: Path, read_only: bool, timeout_seconds: float) -> duckdb.DuckDBPyConnection:
    began = time.monotonic()
    next_word = _FIRST_WORD_SECONDS
    while True:
        try:
            return duckdb.connect(os.path.realpath(path), read_only=read_only)
        except duckdb.ConnectionException as error:
            raise RuntimeError(
                f"this process has {path} open by a connection of its own: {error}. Close it, or "
                "read through the Warehouse."
            ) from error
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise DataError(
                    f"{path} cannot be opened as a DuckDB database: {error}. Move the file away "
                    "to begin a new one, or restore it from a copy."
                ) from error
            waited, holder = time.monotonic() - began, _holder(str(error))
            if waited >= timeout_seconds:
                raise DataError(
                    f"{path} is locked by {holder} and was not free within {timeout_seconds:g} s. "
                    "Close the notebook, DuckDB UI or program that has it open, then run again."
                ) from error
        if waited >= next_word:  # our own processes take turns faster than that, and silently
            logger.warning("waiting for %s for %.0f s: %s has it open", path, waited, holder)
            next_word = waited + _NEXT_WORD_SECONDS
        time.sleep(random.uniform(_SHORTEST_SLEEP_SECONDS, _LONGEST_SLEEP_SECONDS))


def _holder(message: str) -> str:
    """The process that holds the lock, as DuckDB's message numbers it, with its command line."""
    found = re.search(r"\(PID (\d+)\)", message)
    pid = int(found.group(1)) if found else 0
    if pid == 0:  # the system has no number here for a process of another container
        return "another process"
    command = _command_line(pid)
    return f"process {pid} ({command})" if command else f"process {pid}"


def _command_line(pid: int) -> str:
    """What a process was started with, in one line; empty where the system does not tell."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    words = arguments.replace(b"\0", b" ").decode(errors="replace").split()
    command = " ".join(words)
    if len(command) <= _LONGEST_COMMAND:
        return command
    return f"{command[: _LONGEST_COMMAND // 2]} ... {command[-_LONGEST_COMMAND // 2 :]}"
