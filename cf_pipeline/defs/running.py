"""Starting a run from a shell: in this process, against the home's own Dagster instance."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import dagster as dg

from cf_pipeline.defs.processes import PROCESS_TAG, clear_dead_runs, process_name
from cf_pipeline.errors import ConfigError, did_you_mean
from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline.storage.lock import Holder, HomeLock

JOB = "full_pipeline"
WORKSPACE = """\
load_from:
  - python_module:
      module_name: cf_pipeline.definitions
      location_name: cf_pipeline
"""


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        run_id: Dagster's.
        computed: assets whose body ran.
        found_again: assets whose rows of an earlier time came back.
        unchanged: assets that had nothing new.
        failures: asset to its message.
        not_run: assets below one that failed.
    """

    run_id: str
    computed: tuple[str, ...]
    found_again: tuple[str, ...]
    unchanged: tuple[str, ...]
    failures: Mapping[str, str]
    not_run: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What a run is to do.

    Attributes:
        select: asset names, none: all of them.
        force: compute what did not change, too.
        wait: queue behind a run that is going on.
        on_start: called once the home is held, before anything is read.
        tags: of the run, beside the one that says who started it.
        log_level: of what the console hears.
    """

    select: Sequence[str] = ()
    force: bool = False
    wait: bool = False
    on_start: Callable[[], None] = lambda: None
    tags: Mapping[str, str] = field(default_factory=dict)
    log_level: str = "INFO"


def dagster_environment(home: Home) -> dict[str, str]:
    """What Dagster's processes need to know about a home; telemetry is off."""
    return {
        "DAGSTER_HOME": str(home.dagster_path),
        HOME_VARIABLE: str(home.path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def write_workspace(home: Home) -> Path:
    """The workspace file of the repository, written where an installed package finds it, too.

    Named here as there, so that runs and schedules belong to one code location however the
    webserver was started.
    """
    path = home.dagster_path / "workspace.yaml"
    path.write_text(WORKSPACE, encoding="utf-8")
    return path


@contextmanager
def instance_of(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster instance, persistent; the environment names this home meanwhile."""
    before = os.environ.copy()
    os.environ.update(dagster_environment(home))
    try:
        with dg.DagsterInstance.from_config(str(home.dagster_path)) as instance:
            yield instance
    finally:
        for name in dagster_environment(home):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def asset_names(definitions: dg.Definitions) -> list[str]:
    """Every asset in the order of the graph."""
    graph = definitions.resolve_asset_graph()
    return [key.to_user_string() for key in graph.toposorted_asset_keys]


def run_pipeline(
    home: Home, definitions: dg.Definitions, wanted: Wanted | None = None
) -> RunOutcome:
    """Materialize assets in this process.

    Args:
        home: where; its lock is taken for as long as the run lasts.
        definitions: the project's.
        wanted: what; None: everything that is stale.

    Raises:
        HomeBusyError: another run holds the home, and it is not to be waited for.
        ConfigError: a name that is no asset.
    """
    wanted = wanted or Wanted()
    chosen = _chosen(asset_names(definitions), wanted.select)
    with held(home, wanted.wait) as instance:
        wanted.on_start()
        return _outcome(chosen, _execute(definitions, instance, chosen, wanted))


@contextmanager
def held(home: Home, wait: bool) -> Iterator[dg.DagsterInstance]:
    """The instance of a home that this process holds; runs of dead processes are failed."""
    with instance_of(home) as instance, HomeLock(home).acquire(Holder.current(), wait=wait):
        clear_dead_runs(instance)
        yield instance


def _execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    chosen: Sequence[str],
    wanted: Wanted,
) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def(JOB).execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(name) for name in chosen],
        run_config={
            "ops": {name: {"config": {"force": wanted.force}} for name in chosen},
            "loggers": {"console": {"config": {"log_level": wanted.log_level}}},
        },
        # Named from the start, so that a run killed before it holds the home is found, too.
        tags={
            "cf_pipeline/started_by": "cf-pipeline run",
            PROCESS_TAG: process_name(),
            **wanted.tags,
        },
        raise_on_error=False,
    )


def _chosen(names: Sequence[str], select: Sequence[str]) -> list[str]:
    unknown = sorted(set(select) - set(names))
    if unknown:
        hint = did_you_mean(unknown[0], names)
        raise ConfigError(f"no asset {unknown[0]!r}. {hint}The assets are {', '.join(names)}.")
    return [name for name in names if not select or name in select]


def _outcome(chosen: Sequence[str], result: dg.ExecuteInProcessResult) -> RunOutcome:
    made: dict[str, list[str]] = {"computed": [], "found again": [], "unchanged": []}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        how = str(materialization.metadata["how"].value)
        made[how].append(materialization.asset_key.to_user_string())
    checks = _failed_checks(result)
    failures = {
        event.step_key or JOB: failure_message(event)
        for event in result.all_events
        # The step of a blocking check fails as well; what the check says is worth more.
        if event.is_step_failure and event.step_key not in checks
    }
    for check in checks.values():
        name = f"{check.asset_key.to_user_string()} ({check.check_name})"
        failures[name] = str(check.description)
    if not result.success and not failures:
        failures = {JOB: "the run failed before its first asset; see `cf-pipeline ui`."}
    ended = {*chain.from_iterable(made.values()), *(name.split(" ")[0] for name in failures)}
    not_run = tuple(name for name in chosen if name not in ended) if failures else ()
    computed, found_again, unchanged = map(tuple, made.values())
    return RunOutcome(result.run_id, computed, found_again, unchanged, failures, not_run)


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


def _failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Step to the evaluation of its check, of those that failed and are no mere warning."""
    evaluations = {
        str(event.step_key): event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    }
    return {
        step: check
        for step, check in evaluations.items()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    }
