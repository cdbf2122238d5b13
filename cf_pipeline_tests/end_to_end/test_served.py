"""The automation that a person gets: `dg dev`, its daemon, its sensors, driven through GraphQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.definitions import defs
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import PlantedWorld, plant
from cf_pipeline_tests.end_to_end.planted_run import choices, repaint
from cf_pipeline_tests.end_to_end.served import HEALTH, INSTIGATORS, UNFINISHED, Run, Served, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> PlantedWorld:
    return plant(tmp_path_factory.mktemp("served") / "world", PlantedConfig())


@pytest.fixture(scope="module")
def home(world: PlantedWorld) -> Home:
    place = Home(world.dataset_file.parents[1] / "home")
    place.create()
    asked = ["vision.epochs=3", "automation.interval_seconds=2", "automation.settle_seconds=3"]
    choices(world).with_assignments(asked).write(place.config_path)
    assert not run_pipeline(place, defs()).failures
    return place


@pytest.fixture(scope="module")
def server(home: Home) -> Iterator[Served]:
    with served(home, home.path / "served.log", ["dg", "dev", "-p", "PORT"]) as server:
        yield server


def automatic_runs(server: Served) -> list[Run]:
    """Oldest first."""
    return [run for run in reversed(server.runs()) if run.started_by != "cf-pipeline run"]


def settled(server: Served, home: Home, before: int) -> list[Run]:
    """Runs since there were `before`, once three looks in a row found nothing more to do."""
    quiet = 0

    def is_quiet() -> bool:
        nonlocal quiet
        runs = automatic_runs(server)
        done = len(runs) > before and not any(run.status in UNFINISHED for run in runs)
        quiet = quiet + 1 if done else 0
        return quiet > 12  # seconds: more than an interval and a tick of the daemon

    server.wait_for("the wave to end", is_quiet, 300)
    return automatic_runs(server)[before:]


def test_sensors_schedule_and_daemons_run(server: Served) -> None:
    [repository] = server.ask(INSTIGATORS)["repositoriesOrError"]["nodes"]
    sensors = {s["name"]: s["sensorState"]["status"] for s in repository["sensors"]}
    assert sensors == {"recompute_when_stale": "RUNNING", "watch_sources": "RUNNING"}
    [schedule] = repository["schedules"]
    assert (schedule["name"], schedule["cronSchedule"]) == ("weekly_refresh", "0 3 * * 1")
    assert schedule["scheduleState"]["status"] == "RUNNING"

    def are_healthy() -> bool:
        health = server.ask(HEALTH)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return all(daemon["healthy"] for daemon in health if daemon["required"])

    server.wait_for("healthy daemons", are_healthy, 120)


def test_a_changed_cover_and_an_edit_lead_to_exactly_what_is_due(
    server: Served, home: Home, world: PlantedWorld
) -> None:
    warehouse = Warehouse(home.warehouse_path)
    split = warehouse.frame("project_split").filter(split="test")
    covers = warehouse.frame("covers", ("project_id", "path")).join(split, on="project_id")
    model = warehouse.record("trained_cnn")
    repaint(Path(covers["path"][0]))
    runs = settled(server, home, before=0)
    assert {run.status for run in runs} == {"SUCCESS"}
    assert runs[0].started_by == "watch_sources"
    assert runs[0].assets == ("covers",)
    assert {run.started_by for run in runs[1:]} == {"recompute_when_stale"}
    computed = [asset for run in runs for asset in run.assets]
    assert len(computed) == len(set(computed)), "an asset was computed twice"
    assert "trained_cnn" not in computed
    assert {"covers", "embeddings", "imagenet_embeddings", "simple_embeddings"} <= set(computed)
    assert "promoted_model" in computed
    assert computed[-1] == "gallery"
    assert warehouse.record("trained_cnn") == model
    chosen = Choices.read(home.config_path).with_assignments(["factorization.holdout=0.3"])
    chosen.write(home.config_path)
    again = settled(server, home, before=len(runs))
    assert [run.assets for run in again] == [("factor_scores",), ("gallery",)]
