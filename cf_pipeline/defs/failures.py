"""What went wrong, in the words that a person needs, out of Dagster's event log."""

from datetime import UTC, datetime

import dagster as dg

_RUNS = 25
"""Failed runs that are looked back over."""
_ENDS = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}


def failure_message(event: dg.DagsterEvent) -> str:
    """Our own message; else the type and text of what was not foreseen, where it arose."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
        return "was interrupted while it was computed"
    return error.message.strip() if error is not None else "failed without a message"


def latest_failures(instance: dg.DagsterInstance) -> dict[str, str]:
    """Why and when each asset failed, for those that failed since they were materialized last.

    Dagster's own list of failed materializations is empty outside Dagster+, so the events of
    failed steps are read. A step that began and never ended belongs to a run that was killed.
    """
    failures: dict[str, str] = {}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    for record in instance.get_run_records(failed, limit=_RUNS):
        run_id = record.dagster_run.run_id
        for step, (timestamp, message) in _failed_steps(instance, run_id).items():
            latest = instance.get_latest_materialization_event(dg.AssetKey(step))
            if step in failures or (latest is not None and latest.timestamp > timestamp):
                continue
            at = datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
            failures[step] = f"{message} (at {at}, run {run_id})"
    return failures


def _failed_steps(instance: dg.DagsterInstance, run_id: str) -> dict[str, tuple[float, str]]:
    """Steps of one run that did not end well: when, and why."""
    steps: dict[str, tuple[float, str]] = {}
    kinds = {dg.DagsterEventType.STEP_START, *_ENDS}
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.is_step_failure:
            steps[event.step_key] = (entry.timestamp, failure_message(event))
        elif event.event_type in _ENDS:
            del steps[event.step_key]
        else:
            steps[event.step_key] = (entry.timestamp, "was killed while it was computed")
    return steps
