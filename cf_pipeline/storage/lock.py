"""The home's lock: one run at a time, whoever started it.

An operating-system lock (flock) on a file, so that it is free the moment its holder dies. Beside
it a JSON file says who holds it; while nobody has the lock, what stands there does not count. The
lock belongs to the process: taken again within it, by any thread, it is shared and released by the
last. Child processes never inherit it.
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
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.whole import write_whole

logger = logging.getLogger(__name__)

_UNNAMED = "a process that has not said yet who it is"
_POLL_SECONDS = 0.05
_PROBE_SECONDS = 0.25
"""How long somebody who only asks who holds the home may be in the way of somebody who takes it."""


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
class Lease:
    """The lock that this process has on a home; blocks that hold it at the same time share it.

    Attributes:
        home: what is held.
        holder: who says so; the first of those that share it.
    """

    home: Home
    holder: Holder
    _descriptor: int
    _n_users: int = 1

    def update(self, run_id: str) -> None:
        """Say which run the holder executes."""
        with _leases_lock:
            self.holder = dataclasses.replace(self.holder, run_id=run_id)
            _write(self.home, self.holder)


_leases: dict[str, Lease] = {}
_leases_lock = threading.Lock()


def _forget_leases() -> None:
    """In a forked child: let go of the parent's descriptors, which would keep its lock alive."""
    global _leases_lock
    for lease in _leases.values():
        os.close(lease._descriptor)
    _leases.clear()
    _leases_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_leases)


class HomeLock:
    """The lock of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._name = os.path.realpath(home.path)

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
        past_probes = time.monotonic() + _PROBE_SECONDS
        told = False
        while (lease := self._obtain(holder)) is None:
            if time.monotonic() >= past_probes and not told:
                told = True
                who = _read(self._home) or _UNNAMED
                if not wait:
                    raise HomeBusyError(
                        f"{self._home.path} is held by {who}. One run at a time: wait for it to "
                        "end, or run with --wait to queue behind it."
                    )
                logger.warning("waiting for %s, held by %s", self._home.path, who)
            time.sleep(_POLL_SECONDS)
        try:
            yield lease
        finally:
            self._release(lease)

    def _obtain(self, holder: Holder) -> Lease | None:
        """The lock if it is free or this process has it already."""
        with _leases_lock:
            lease = _leases.get(self._name)
            if lease is not None:
                lease._n_users += 1
                return lease
            try:
                descriptor = os.open(self._home.lock_path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise ConfigError(
                    f"{self._home.lock_path} cannot be opened: {error}. Create the home first, "
                    "in a folder in which this user may write."
                ) from error
            with contextlib.ExitStack() as undo:
                undo.callback(os.close, descriptor)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return None
                _write(self._home, holder)
                undo.pop_all()
            lease = _leases[self._name] = Lease(self._home, holder, descriptor)
            return lease

    def _release(self, lease: Lease) -> None:
        with _leases_lock:
            if _leases.get(self._name) is not lease:
                return  # a forked child unwinds: it has nothing to release
            lease._n_users -= 1
            if lease._n_users == 0:
                del _leases[self._name]
                self._home.holder_path.unlink(missing_ok=True)
                # Not left to close(): a child that is being forked has the descriptor, too.
                fcntl.flock(lease._descriptor, fcntl.LOCK_UN)
                os.close(lease._descriptor)


def holder_of(home: Home) -> Holder | None:
    """Who holds a home now, this process included; None while it is free. Nothing is written.

    A holder that has not said yet who it is has the process number 0.
    """
    end = time.monotonic() + _PROBE_SECONDS
    while not _is_free(home):
        holder = _read(home)
        if holder is not None or time.monotonic() >= end:
            return holder or Holder(pid=0, run_id=None, command=_UNNAMED, since="just now")
        time.sleep(_POLL_SECONDS)
    return None


def _is_free(home: Home) -> bool:
    """Whether nobody has the lock; for a moment nobody can take it, but others can ask, too."""
    try:
        with home.lock_path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)  # likewise not left to close()
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _write(home: Home, holder: Holder) -> None:
    write_whole(home.holder_path, json.dumps(dataclasses.asdict(holder)))


def _read(home: Home) -> Holder | None:
    """Who the file beside the lock names; None where it names nobody yet."""
    try:
        return Holder(**json.loads(home.holder_path.read_text(encoding="utf-8")))
    except (FileNotFoundError, TypeError, ValueError):
        return None
