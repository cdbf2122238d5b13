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
    is_dead,
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
    pid, start, _ = name.split("@")
    assert int(pid) == child.pid
    assert int(start) > 0
    assert process_name(child.pid) == name
    assert process_name() == process_name(os.getpid()) != name


def test_alive_until_it_is_killed(child: Child) -> None:
    name = process_name(child.pid)
    assert not is_dead(name)
    assert not is_dead(process_name())
    child.kill()
    # Nobody has asked how it ended: it has a number, and does nothing any more.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_name(child.pid) == name
    assert is_dead(name)
    child.wait()
    assert is_dead(name)


def test_a_number_that_was_given_out_again(child: Child) -> None:
    pid, start, space = process_name(child.pid).split("@")
    assert is_dead(f"{pid}@{int(start) - 1}@{space}")
    # A run of an earlier release did not say where its process is.
    assert is_dead(f"{pid}@{int(start) - 1}")
    assert not is_dead(f"{pid}@{start}")


def test_a_process_of_another_namespace_cannot_be_looked_for() -> None:
    """A run on the host, the user interface in a container: the number may be anybody's here."""
    assert not is_dead("999999@1@elsewhere/pid:[4026531836]")


def test_a_process_of_somebody_else() -> None:
    """The first process of the machine."""
    assert not is_dead(process_name(1))


def test_a_name_that_looks_like_fields(tmp_path: Path) -> None:
    """The command stands in /proc in parentheses, unquoted."""
    script = tmp_path / "a) Z 1 (b"
    script.write_text("#!/bin/sh\nread line\n")
    script.chmod(0o755)
    with subprocess.Popen([str(script)], stdin=subprocess.PIPE) as process:
        assert f"({script.name})" in Path(f"/proc/{process.pid}/stat").read_text()
        assert int(process_name(process.pid).split("@")[1]) > 0
        assert not is_dead(process_name(process.pid))
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


def test_a_run_that_is_executed_again_is_not_its_parent(child: Child) -> None:
    """Re-execute copies the tags: the new run has the dead process's until it starts."""
    dead = process_name(child.pid)
    child.kill()
    child.wait()
    with dg.DagsterInstance.ephemeral() as instance:
        failure, started = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED
        parent = instance.create_run_for_job(any_job, status=failure, tags={PROCESS_TAG: dead})
        again = instance.create_run_for_job(
            any_job,
            status=started,
            tags={PROCESS_TAG: dead},
            parent_run_id=parent.run_id,
            root_run_id=parent.run_id,
        )
        assert clear_dead_runs(instance) == []
        # It says who it is when it starts, and is found if that process goes.
        say_which_process(instance, again.run_id)
        (found,) = unfinished_runs(instance)
        assert found.tags[PROCESS_TAG] == process_name()


def test_a_run_says_which_process_it_is() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(any_job, status=dg.DagsterRunStatus.STARTED)
        say_which_process(instance, run.run_id)
        (found,) = unfinished_runs(instance)
        assert found.tags[PROCESS_TAG] == process_name()
        say_which_process(instance, "no-such-run")
        assert clear_dead_runs(instance) == []
