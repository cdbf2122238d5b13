"""Runs whose process is gone: found and marked as failed, so that nothing waits for them.

Dagster's default launcher cannot see that a process was killed. Every run of this project says
which process it is, before it waits for the home; a process is known by its number and by when it
started, since numbers are given out again.
"""

import os
from pathlib import Path

import dagster as dg

PROCESS_TAG = "cf_pipeline/process"
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def process_name(pid: int | None = None) -> str:
    """`PID@START`: a process, by default this one; START in clock ticks since the machine's boot.

    Where the system does not tell when processes start, it is 0 for all of them.
    """
    number = os.getpid() if pid is None else pid
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except OSError:
        return f"{number}@0"
    # The second field is the command in parentheses and may hold anything; field 22 is the start.
    return f"{number}@{text.rpartition(')')[2].split()[19]}"


def is_alive(name: str) -> bool:
    """Whether the process of this name still runs on this machine."""
    pid = int(name.partition("@")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return process_name(pid) == name and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] == "Z"


def say_which_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tag a run with this process."""
    if instance.has_run(run_id):
        instance.add_run_tags(run_id, {PROCESS_TAG: process_name()})


def clear_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone; returns their ids."""
    cleared = []
    for run in unfinished_runs(instance):
        name = run.tags.get(PROCESS_TAG)
        if name is not None and not is_alive(name):
            instance.report_run_failed(
                run,
                message=f"Its process ({name}) is gone without having finished it. What the run "
                "had published stays; the next one goes on from there.",
            )
            cleared.append(run.run_id)
    return cleared


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that are queued or going on."""
    return list(instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))))
