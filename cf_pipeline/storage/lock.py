"""The home's lock: one run at a time, whoever started it.

An operating-system lock (flock) on a file, so that it is free the moment its holder dies. Beside
it a JSON file says who holds it; where that file is still there when the lock is obtained, its
holder died without releasing. The lock belongs to the process: taken again within it, by any
thread, it is shared and released by the last. Child processes never inherit it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cf_pipeline.errors import ConfigError, HomeBusyError
from cf_pipeline.storage.home import Home, write_whole

logger = logging.getLogger(__name__)

_UNNAMED = "a process that has not said yet who it is"
_POLL_SECONDS = 0.2
_PROBE_SECONDS = 0.25
"""How long somebody who only asks who holds the home may be in the way of somebody who takes it."""
_PROBE_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Holder:
    """Who holds a home.

    Attributes:
        pid: the process.
        run_id: the run it executes, as soon as that is known.
        command: what the user started.
        since: when the lock was asked for, ISO 8601 in UTC.
    """

    pid: int
    run_id: str | None
    command: str
    since: str

    @classmethod
    def current(cls, command: str | None = None, run_id: str | None = None) -> Holder:
        """This process, now; the command as it was started unless another is given."""
        started = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if command is None else command
        return cls(os.getpid(), run_id, started, datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        run = f", run {self.run_id}" if self.run_id else ""
        return f"process {self.pid} ({self.command}{run}) since {self.since}"


@dataclass
class _Hold:
    """The one lock that this process has on a home, and how many share it."""

    descriptor: int
    holder: Holder
    n_users: int = 1


@dataclass(frozen=True)
class Lease:
    """A held lock.

    Attributes:
        home: what is held.
        previous: who died holding it, for whoever obtained the lock; None otherwise, so that a
            dead run is marked as failed once.
    """

    home: Home
    previous: Holder | None

    def update(self, run_id: str) -> None:
        """Say which run the holder executes."""
        with _holds_lock:
            hold = _holds[_name(self.home)]
            hold.holder = dataclasses.replace(hold.holder, run_id=run_id)
            _write(self.home, hold.holder)


_holds: dict[str, _Hold] = {}
_holds_lock = threading.Lock()


def _forget_holds() -> None:
    """In a forked child: let go of the parent's descriptors, which would keep its lock alive."""
    global _holds_lock
    for hold in _holds.values():
        os.close(hold.descriptor)
    _holds.clear()
    _holds_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_holds)


class HomeLock:
    """The lock of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @contextlib.contextmanager
    def acquire(self, holder: Holder, wait: bool) -> Iterator[Lease]:
        """Hold the home for the length of the block.

        Args:
            holder: who asks; written beside the lock.
            wait: queue behind another holder instead of failing at once.

        Raises:
            HomeBusyError: another process holds it, and `wait` is false.
            ConfigError: the home's folder is not there or cannot be written.
        """
        lease = self._obtain_past_probes(holder)
        if lease is None and wait:
            logger.info("waiting for %s, held by %s", self._home.path, self._who())
        while lease is None:
            if not wait:
                raise HomeBusyError(
                    f"{self._home.path} is held by {self._who()}. One run at a time: wait for it "
                    "to end, or run with --wait to queue behind it."
                )
            time.sleep(_POLL_SECONDS)
            lease = self._obtain(holder)
        owner = os.getpid()
        try:
            yield lease
        finally:
            if os.getpid() == owner:  # a forked child that unwinds has nothing to release
                self._release()

    def _obtain_past_probes(self, holder: Holder) -> Lease | None:
        """The lock, tried again for as long as `holder_of` in another process may keep it."""
        end = time.monotonic() + _PROBE_SECONDS
        lease = self._obtain(holder)
        while lease is None and time.monotonic() < end:
            time.sleep(_PROBE_POLL_SECONDS)
            lease = self._obtain(holder)
        return lease

    def _obtain(self, holder: Holder) -> Lease | None:
        """The lock if it is free or this process has it already."""
        with _holds_lock:
            hold = _holds.get(_name(self._home))
            if hold is not None:
                hold.n_users += 1
                return Lease(self._home, previous=None)
            try:
                descriptor = os.open(self._home.lock_path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise ConfigError(
                    f"{self._home.lock_path} cannot be opened: {error}. Create the home first, "
                    "in a folder in which this user may write."
                ) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                previous = _read(self._home)
                _write(self._home, holder)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            _holds[_name(self._home)] = _Hold(descriptor, holder)
            return Lease(self._home, previous)

    def _release(self) -> None:
        with _holds_lock:
            hold = _holds[_name(self._home)]
            hold.n_users -= 1
            if hold.n_users == 0:
                del _holds[_name(self._home)]
                self._home.holder_path.unlink(missing_ok=True)
                fcntl.flock(hold.descriptor, fcntl.LOCK_UN)
                os.close(hold.descriptor)

    def _who(self) -> str:
        holder = _read(self._home)
        return str(holder) if holder else _UNNAMED


def holder_of(home: Home) -> Holder | None:
    """Who holds a home now, this process included; None while it is free. Nothing is written.

    A holder that has not said yet who it is has the process number 0.
    """
    end = time.monotonic() + _PROBE_SECONDS
    while True:
        with _probed(home) as free:
            if free:
                return None
        holder = _read(home)
        if holder is not None or time.monotonic() >= end:
            return holder or Holder(pid=0, run_id=None, command=_UNNAMED, since="just now")
        time.sleep(_PROBE_POLL_SECONDS)


@contextlib.contextmanager
def _probed(home: Home) -> Iterator[bool]:
    """Whether the lock is free; if so, nobody can take it until the block ends: keep it short.

    The lock is shared between those who ask, so that they never take each other for a holder.
    """
    try:
        descriptor = os.open(home.lock_path, os.O_RDONLY)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:  # not left to close(): a child forked meanwhile has the descriptor, too
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _name(home: Home) -> str:
    return os.path.realpath(home.path)


def _write(home: Home, holder: Holder) -> None:
    write_whole(home.holder_path, json.dumps(dataclasses.asdict(holder)))


def _read(home: Home) -> Holder | None:
    """Who the file beside the lock names; None where there is no such file."""
    try:
        return Holder(**json.loads(home.holder_path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError):
        logger.warning("%s does not name a holder and is not used", home.holder_path)
        return None
