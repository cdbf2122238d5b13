"""Starting a run from a shell: in this process, against the home's own Dagster instance."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from cf_pipeline.defs.resources import fail_dead_run
from cf_pipeline.errors import ConfigError
from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline.storage.lock import Holder, HomeLock

JOB = "full_pipeline"


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        run_id: Dagster's.
        computed: assets whose body ran.
        unchanged: assets that had nothing new.
        failures: asset to its message.
    """

    run_id: str
    computed: tuple[str, ...]
    unchanged: tuple[str, ...]
    failures: Mapping[str, str]


def dagster_environment(home: Home) -> dict[str, str]:
    """What Dagster's processes need to know about a home; telemetry is off."""
    return {
        "DAGSTER_HOME": str(home.dagster_path),
        HOME_VARIABLE: str(home.path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


@contextmanager
def instance_of(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster instance, persistent."""
    os.environ.update(dagster_environment(home))
    with dg.DagsterInstance.from_config(str(home.dagster_path)) as instance:
        yield instance


def asset_names(definitions: dg.Definitions) -> list[str]:
    """Every asset in the order of the graph."""
    graph = definitions.resolve_asset_graph()
    return [key.to_user_string() for key in graph.toposorted_asset_keys]


def run_pipeline(
    home: Home,
    definitions: dg.Definitions,
    *,
    select: Sequence[str] = (),
    force: bool = False,
    wait: bool = False,
) -> RunOutcome:
    """Materialize assets in this process.

    Args:
        home: where; its lock is taken for as long as the run lasts.
        definitions: the project's, resolved.
        select: asset names, none: all of them.
        force: compute what did not change, too.
        wait: queue behind a run that is going on.

    Raises:
        HomeBusyError: another run holds the home and `wait` is false.
        ConfigError: a name that is no asset.
    """
    names = asset_names(definitions)
    unknown = sorted(set(select) - set(names))
    if unknown:
        raise ConfigError(f"no asset {unknown[0]!r}; the assets are {', '.join(names)}.")
    chosen = [name for name in names if not select or name in select]
    with (
        instance_of(home) as instance,
        HomeLock(home).acquire(Holder.current(), wait=wait) as lease,
    ):
        if lease.previous is not None:
            fail_dead_run(instance, lease.previous)
        result = definitions.resolve_job_def(JOB).execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in chosen],
            run_config={
                "ops": {name: {"config": {"force": force}} for name in chosen},
                "loggers": {"console": {"config": {}}},
            },
            tags={"cf_pipeline/started_by": "cf-pipeline run"},
            raise_on_error=False,
        )
    return _outcome(result)


def _outcome(result: dg.ExecuteInProcessResult) -> RunOutcome:
    computed: list[str] = []
    unchanged: list[str] = []
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        flag = materialization.metadata.get("unchanged")
        where = unchanged if flag is not None and flag.value else computed
        where.append(materialization.asset_key.to_user_string())
    failures = {
        event.step_key or JOB: _message(event)
        for event in result.all_events
        if event.is_step_failure
    }
    failed_checks = {
        f"{e.asset_check_evaluation_data.asset_key.to_user_string()} "
        f"({e.asset_check_evaluation_data.check_name})": str(
            e.asset_check_evaluation_data.description
        )
        for e in result.all_events
        if e.event_type_value == "ASSET_CHECK_EVALUATION"
        and not e.asset_check_evaluation_data.passed
        and e.asset_check_evaluation_data.severity == dg.AssetCheckSeverity.ERROR
    }
    if not result.success and not failures and not failed_checks:
        failures = {JOB: "the run failed before its first asset; see `cf-pipeline ui`."}
    return RunOutcome(
        result.run_id, tuple(computed), tuple(unchanged), {**failures, **failed_checks}
    )


def _message(event: dg.DagsterEvent) -> str:
    """What a person needs: our own message, or the type and text of what was not foreseen."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "failed without a message"
