"""What is computed when nobody asks, without daemon and without sleeping: see `chain`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import dagster as dg
import pytest

from cf_pipeline.configuration.config import AutomationConfig
from cf_pipeline.defs import automation
from cf_pipeline.defs.automation import STARTED_BY_TAG, weekly_schedule
from cf_pipeline.defs.conditions import stages_in_order
from cf_pipeline.defs.processes import PROCESS_TAG, process_name, unfinished_runs
from cf_pipeline.defs.resources import WARM_TAG, configuration_at_load
from cf_pipeline.defs.running import instance_of
from cf_pipeline.errors import ConfigError
from cf_pipeline.recompute.due import Situation, due_assets
from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline.storage.lock import Holder, HomeLock
from cf_pipeline_tests.defs import chain
from cf_pipeline_tests.defs.chain import MID, UP, World, script
from cf_pipeline_tests.defs.changes import CHAIN, DIAMOND, KILLED, goes_wrong

MakeHome = Callable[[Path], Home]
OpenWorld = Callable[..., AbstractContextManager[World]]


@pytest.fixture(autouse=True)
def own_stages() -> Iterator[None]:
    script.reset()
    with chain.own_stages():
        yield


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory, make_home: MakeHome) -> Mapping[str, Home]:
    """Homes in which everything was computed once, by graph."""
    homes = {}
    with chain.own_stages(), pytest.MonkeyPatch.context() as environment:
        for graph in ("chain", "diamond"):
            homes[graph] = home = make_home(tmp_path_factory.mktemp("complete") / "home")
            environment.setenv(HOME_VARIABLE, str(home.path))
            chain.write_bodies(home)
            with dg.DagsterInstance.ephemeral() as instance:
                world = World(home, instance, diamond=graph == "diamond")
                world.choose()
                assert world.run()
    return homes


@pytest.fixture
def open_world(
    complete: Mapping[str, Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> OpenWorld:
    """A copy of a complete home; its Dagster instance is on disk where a process is to die."""

    @contextmanager
    def copied(graph: str = "chain", *, on_disk: bool = False) -> Iterator[World]:
        home = Home(shutil.copytree(complete[graph].path, tmp_path / "home"))
        monkeypatch.setenv(HOME_VARIABLE, str(home.path))
        with instance_of(home) if on_disk else dg.DagsterInstance.ephemeral() as instance:
            world = World(home, instance, diamond=graph == "diamond")
            world.choose()
            yield world

    return copied


@pytest.fixture
def world(open_world: OpenWorld) -> Iterator[World]:
    with open_world() as world:
        yield world


MATRIX = {
    **{name: ("chain", steps) for name, steps in CHAIN.items()},
    **{name: ("diamond", steps) for name, steps in DIAMOND.items()},
    **{name: ("chain", steps) for name, steps in KILLED.items()},
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in CHAIN)) for n in MATRIX]
)
def test_what_follows_a_change(open_world: OpenWorld, name: str) -> None:
    graph, steps = MATRIX[name]
    with open_world(graph, on_disk=name in KILLED) as world:
        for step in steps:
            step.change(world)
            script.ran.clear()
            assert world.settle() == step.asked
            expected = [asset for run in step.asked for asset in run]
            assert sorted(script.ran) == sorted(expected if step.ran is None else step.ran)
        assert unfinished_runs(world.instance) == []


def test_an_empty_home_is_left_alone(
    tmp_path: Path, make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while its first full run is on the way, or has failed."""
    home = make_home(tmp_path / "home")
    monkeypatch.setenv(HOME_VARIABLE, str(home.path))
    chain.write_bodies(home)
    refresh = weekly_schedule(AutomationConfig())
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(home, instance, diamond=False)
        world.choose()
        for _ in range(2):
            assert world.settle() == []
            assert "no full run yet" in str(refresh(dg.build_schedule_context()))
            assert world.run(UP)


def test_nothing_is_asked_for_beside_a_run(world: World) -> None:
    """Whoever started it, and also where Dagster does not know of it."""
    world.choose(pruning__alpha=2.0)
    job = world.definitions.resolve_job_def("full_pipeline")
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED):
        tags = {PROCESS_TAG: process_name()}
        run = world.instance.create_run_for_job(job, status=status, tags=tags)
        assert world.look() == []
        world.instance.report_run_canceled(run)
    with HomeLock(world.home).acquire(Holder.current(), wait=False):
        assert world.look() == []
    assert world.settle() == [{MID}]


def test_a_wrong_name_in_hold_is_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.choose(automation__hold=["latent_factor"])
    with pytest.raises(ConfigError, match=r"names 'latent_factor', which is no asset; .*pruned_m"):
        due_assets(Situation.of(world.home), stages_in_order())
    assert world.look() == []
    assert "'latent_factor', which is no asset" in caplog.text


def test_what_is_due_and_what_waits_say_why(world: World) -> None:
    def judged() -> tuple[dict[str, str], dict[str, str]]:
        due = due_assets(Situation.of(world.home), stages_in_order())
        return due.reasons, due.waiting

    assert judged() == ({}, {})
    world.choose(pruning__alpha=2.0, split__seed=1)
    assert judged() == (
        {UP: "configuration changed: split"},
        {MID: f"waits for {UP}"},
    )
    world.choose(split__seed=0)
    assert judged() == ({MID: "configuration changed: pruning"}, {})
    script.during[MID] = goes_wrong
    assert not world.run(MID)
    reasons, waiting = judged()
    assert reasons == {}
    assert "nothing it reads has changed since: expected nothing, this came" in waiting[MID]
    world.choose(automation__hold=[MID])
    assert judged() == ({}, {MID: "held: left to the schedule and to cf-pipeline run"})


def test_what_ships_is_running() -> None:
    sensors = {sensor.name: sensor for sensor in automation.defs.sensors or []}
    (schedule,) = automation.defs.schedules or []
    assert set(sensors) == {"recompute_when_stale", "watch_sources"}
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.name == "weekly_refresh"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    for sensor in sensors.values():
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        assert (sensor.minimum_interval_seconds or 0) <= 60
    assert automation.recompute_when_stale.asset_selection == dg.AssetSelection.all()


def test_the_schedule_is_what_config_toml_says(world: World) -> None:
    world.choose(automation__cron="30 4 * * 5", automation__timezone="Europe/Berlin")
    at_load = configuration_at_load.__wrapped__
    schedule = weekly_schedule(at_load().automation)
    assert schedule.cron_schedule == "30 4 * * 5"
    assert schedule.execution_timezone == "Europe/Berlin"
    assert schedule.job_name == "full_pipeline"


def test_a_cron_that_dagster_does_not_take() -> None:
    with pytest.raises(ConfigError, match=r"automation.cron is '61 3 \* \* 1'.*five cron fields"):
        weekly_schedule(AutomationConfig(cron="61 3 * * 1"))


def test_the_schedule_asks_for_everything_and_warm_only_if_chosen(world: World) -> None:
    refresh = weekly_schedule(AutomationConfig())
    for warm in (False, True):
        world.choose(automation__warm=warm, automation__hold=[MID])
        request = refresh(dg.build_schedule_context())
        assert isinstance(request, dg.RunRequest)
        assert request.asset_selection is None
        expected = {STARTED_BY_TAG: "weekly_refresh"} | ({WARM_TAG: "true"} if warm else {})
        assert request.tags.items() >= expected.items()
        assert (WARM_TAG in request.tags) == warm
    world.home.config_path.write_text("[automation]\nnothing = 1\n")
    assert "automation.nothing" in str(refresh(dg.build_schedule_context()))
