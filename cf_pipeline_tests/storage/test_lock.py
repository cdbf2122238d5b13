"""The home's lock, between real processes."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cf_pipeline.errors import ConfigError, HomeBusyError
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder, HomeLock, holder_of

HOLD = """
import os, subprocess, sys
from pathlib import Path
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder, HomeLock
with HomeLock(Home(Path(sys.argv[1]))).acquire(Holder.current("cf-pipeline run"), False) as lease:
    lease.update(run_id="run-7")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    fork = os.fork()
    if fork == 0:
        sys.stdin.readline()
        os._exit(0)
    print(child.pid, fork, flush=True)
    sys.stdin.readline()
    child.kill()
    child.wait()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.locate(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def other(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the home and has children, one of them forked."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    children = [int(pid) for pid in process.stdout.readline().split()]
    assert len(children) == 2
    yield process
    for pid in [*children, process.pid]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


def is_free(home: Home) -> bool:
    """Whether somebody else could take the lock; another open of the file is somebody else."""
    descriptor = os.open(home.lock_path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def test_a_held_home_is_refused_at_once_and_the_holder_named(
    home: Home, other: subprocess.Popen[str]
) -> None:
    began = time.monotonic()
    with (
        pytest.raises(HomeBusyError) as caught,
        HomeLock(home).acquire(Holder.current("mine"), wait=False),
    ):
        pass
    assert time.monotonic() - began < 1
    message = str(caught.value)
    since = json.loads(home.holder_path.read_text())["since"]
    for part in (f"process {other.pid}", "cf-pipeline run", "run-7", since, "--wait"):
        assert part in message


def test_a_killed_holder_frees_the_home(
    home: Home, other: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its children live on: they must not have the lock."""
    timer = threading.Timer(0.3, other.kill)
    timer.start()
    with (
        caplog.at_level(logging.WARNING),
        HomeLock(home).acquire(Holder.current("mine"), wait=True) as lease,
    ):
        assert (lease.holder.pid, lease.holder.command) == (os.getpid(), "mine")
        assert json.loads(home.holder_path.read_text())["pid"] == os.getpid()
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"waiting for {home.path}, held by process {other.pid}" in line
    timer.join()


def test_asking_names_a_holder_of_another_process_and_one_that_died(
    home: Home, other: subprocess.Popen[str]
) -> None:
    note = home.holder_path.read_bytes()
    holder = holder_of(home)
    assert holder is not None
    assert (holder.pid, holder.run_id) == (other.pid, "run-7")
    other.kill()
    other.wait()
    end = time.monotonic() + 10  # its forked child lets go of the lock as soon as it runs
    while holder_of(home) is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert holder_of(home) is None
    assert home.holder_path.read_bytes() == note


def test_asking_a_free_home_writes_nothing_and_asking_a_held_one_names_this_process(
    home: Home,
) -> None:
    before = sorted(home.path.iterdir())
    assert holder_of(home) is None
    assert sorted(home.path.iterdir()) == before
    mine = Holder.current("mine", run_id="run-1")
    with HomeLock(home).acquire(mine, wait=False):
        assert holder_of(home) == mine
        assert not is_free(home)
    assert holder_of(home) is None
    assert is_free(home)


def test_a_holder_that_has_not_said_who_it_is_is_one(home: Home) -> None:
    with HomeLock(home).acquire(Holder.current("mine"), wait=False):
        home.holder_path.unlink()
        found = holder_of(home)
        assert found is not None
        assert (found.pid, found.command) == (0, "a process that has not said yet who it is")


def test_who_only_asks_does_not_turn_away_who_takes_the_home(home: Home) -> None:
    """Nor does one who asks take another for a holder."""
    home.lock_path.touch()
    asking = os.open(home.lock_path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    try:
        assert holder_of(home) is None
        timer = threading.Timer(0.1, fcntl.flock, (asking, fcntl.LOCK_UN))
        timer.start()
        with HomeLock(home).acquire(Holder.current("mine"), wait=False):
            assert not is_free(home)
        timer.join()
    finally:
        os.close(asking)


def test_a_failure_is_a_clean_release_too(home: Home) -> None:
    def fail() -> None:
        with HomeLock(home).acquire(Holder.current("mine"), wait=False):
            assert home.holder_path.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not home.holder_path.exists()
    assert is_free(home)


def test_the_holder_says_who_it_is(home: Home) -> None:
    holder = Holder.current("cf-pipeline run", run_id="run-1")
    with HomeLock(home).acquire(holder, wait=False) as lease:
        assert json.loads(home.holder_path.read_text()) == {
            "pid": os.getpid(),
            "run_id": "run-1",
            "command": "cf-pipeline run",
            "since": holder.since,
        }
        lease.update(run_id="run-2")
        assert json.loads(home.holder_path.read_text())["run_id"] == "run-2"
    assert holder.since.endswith("+00:00")
    assert Holder.current().command


def test_the_same_process_may_take_it_again(home: Home) -> None:
    with HomeLock(home).acquire(Holder.current("outer"), wait=False):
        same = HomeLock(Home(home.path / ".." / home.path.name))
        with same.acquire(Holder.current("inner"), wait=False) as inner:
            inner.update(run_id="run-3")
        assert not is_free(home)
        found = json.loads(home.holder_path.read_text())
        assert (found["command"], found["run_id"]) == ("outer", "run-3")
    assert is_free(home)


def test_the_last_of_several_threads_releases_it(home: Home) -> None:
    leave = [threading.Event() for _ in range(3)]
    inside = threading.Semaphore(0)

    def work(number: int) -> None:
        with HomeLock(home).acquire(Holder.current("mine"), wait=True):
            inside.release()
            leave[number].wait(10)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    assert all(inside.acquire(timeout=10) for _ in threads)
    free = []
    for number, thread in enumerate(threads):
        free.append(is_free(home))
        leave[number].set()
        thread.join()
    assert free == [False, False, False]
    assert is_free(home)


def test_a_forked_child_neither_holds_nor_releases(home: Home) -> None:
    with HomeLock(home).acquire(Holder.current("mine"), wait=False):
        child = os.fork()
        if child == 0:
            try:
                with HomeLock(home).acquire(Holder.current("child"), wait=False):
                    os._exit(1)
            except HomeBusyError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert not is_free(home)
        assert home.holder_path.exists()


def test_a_note_that_cannot_be_read_names_nobody(home: Home) -> None:
    with HomeLock(home).acquire(Holder.current("mine"), wait=False):
        home.holder_path.write_text("{}")
        found = holder_of(home)
        assert found is not None
        assert found.pid == 0


def test_a_home_that_is_not_there_is_named(tmp_path: Path) -> None:
    lock = HomeLock(Home(tmp_path / "no"))
    with (
        pytest.raises(ConfigError, match="Create the home first"),
        lock.acquire(Holder.current("mine"), wait=True),
    ):
        pass
