"""Runs whose process is gone, with real processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cf_pipeline.defs.processes import (
    PROCESS_TAG,
    clear_dead_runs,
    is_alive,
    process_name,
    say_which_process,
    unfinished_runs,
)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the system does not tell when processes started"
)
Child = subprocess.Popen[bytes]


@pytest.fixture
def child() -> Iterator[Child]:
    """A process that waits until it is killed."""
    with subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_its_number_and_its_start(child: Child) -> None:
    name = process_name(child.pid)
    pid, start = name.split("@")
    assert int(pid) == child.pid
    assert int(start) > 0
    assert process_name(child.pid) == name
    assert process_name() == process_name(os.getpid()) != name


def test_alive_until_it_is_killed(child: Child) -> None:
    name = process_name(child.pid)
    assert is_alive(name)
    assert is_alive(process_name())
    child.kill()
    # Nobody has asked how it ended: it has a number, and does nothing any more.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_name(child.pid) == name
    assert not is_alive(name)
    child.wait()
    assert not is_alive(name)


def test_a_number_that_was_given_out_again(child: Child) -> None:
    pid, start = process_name(child.pid).split("@")
    assert not is_alive(f"{pid}@{int(start) - 1}")


def test_a_process_of_somebody_else() -> None:
    """The first process of the machine."""
    assert is_alive(process_name(1))


def test_a_name_that_looks_like_fields(tmp_path: Path) -> None:
    """The command stands in /proc in parentheses, unquoted."""
    script = tmp_path / "a) Z 1 (b"
    script.write_text("#!/bin/sh\nread line\n")
    script.chmod(0o755)
    with subprocess.Popen([str(script)], stdin=subprocess.PIPE) as process:
        assert f"({script.name})" in Path(f"/proc/{process.pid}/stat").read_text()
        assert int(process_name(process.pid).partition("@")[2]) > 0
        assert is_alive(process_name(process.pid))
        process.kill()


@dg.op
def nothing() -> None: ...


@dg.job
def any_job() -> None:
    nothing()


def test_the_run_of_a_dead_process_is_failed_and_no_other(child: Child) -> None:
    dead = process_name(child.pid)
    child.kill()
    child.wait()
    started, success = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS
    with dg.DagsterInstance.ephemeral() as instance:

        def run(status: dg.DagsterRunStatus, process: str | None) -> str:
            tags = {PROCESS_TAG: process} if process else {}
            return instance.create_run_for_job(any_job, status=status, tags=tags).run_id

        killed = run(started, dead)
        going_on, unnamed, ended = (
            run(started, process_name()),
            run(started, None),
            run(success, dead),
        )
        assert clear_dead_runs(instance) == [killed]
        expected = {killed: dg.DagsterRunStatus.FAILURE, going_on: started, unnamed: started}
        for run_id, status in {**expected, ended: success}.items():
            found = instance.get_run_by_id(run_id)
            assert found is not None
            assert found.status is status
        assert {run.run_id for run in unfinished_runs(instance)} == {going_on, unnamed}
        assert any(f"({dead}) is gone" in entry.message for entry in instance.all_logs(killed))
        assert clear_dead_runs(instance) == []


def test_a_run_says_which_process_it_is() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(any_job, status=dg.DagsterRunStatus.STARTED)
        say_which_process(instance, run.run_id)
        (found,) = unfinished_runs(instance)
        assert found.tags[PROCESS_TAG] == process_name()
        say_which_process(instance, "no-such-run")
        assert clear_dead_runs(instance) == []
