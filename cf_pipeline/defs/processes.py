"""Runs whose process is gone: found and marked as failed, so that nothing waits for them.

Dagster's default launcher cannot see that a process was killed. Every run of this project says
which process it is, before it waits for the home; a process is known by its machine and process
namespace, its number and when it started, since numbers are given out again. One of another
namespace, as in a container, cannot be looked for and is left alone. A run that was re-executed
copies the tags of its parent: a process that is gone from before the run was made is the parent's.
"""

import os
import socket
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
    """`PID@START@NAMESPACE`: a process, by default this one; START in ticks since the boot.

    Where the system does not tell when processes start, START is 0 for all of them.
    """
    number = os.getpid() if pid is None else pid
    start = "0"
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
        # The second field is the command in parentheses and may hold anything; field 22 is START.
        start = text.rpartition(")")[2].split()[19]
    except OSError:
        pass  # not a Linux machine, or gone: START stays 0
    return f"{number}@{start}@{_namespace()}"


def _namespace() -> str:
    """The host and its process namespace, in which a process number means something."""
    try:
        return f"{socket.gethostname()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def is_dead(name: str) -> bool:
    """Whether a process is known to be gone; one of another machine or namespace never is."""
    number, _, rest = name.partition("@")
    namespace = rest.partition("@")[2]
    if namespace and namespace != _namespace():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is there, and somebody else's
    now = process_name(int(number))
    same = now == name or (not namespace and now.startswith(f"{name}@"))
    return not same or _is_zombie(int(number))


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
        if name is not None and not _is_copied(instance, run) and is_dead(name):
            instance.report_run_failed(
                run,
                message=f"Its process ({name}) is gone without having finished it. What the run "
                "had published stays; the next one goes on from there.",
            )
            cleared.append(run.run_id)
    return cleared


def _is_copied(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the tag is the parent's: Re-execute copies it, and the run overwrites it on start."""
    if run.parent_run_id is None:
        return False
    parent = instance.get_run_by_id(run.parent_run_id)
    return parent is not None and parent.tags.get(PROCESS_TAG) == run.tags[PROCESS_TAG]


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that are queued or going on."""
    return list(instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))))
