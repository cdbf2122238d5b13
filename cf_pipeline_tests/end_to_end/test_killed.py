"""Runs that are killed or cancelled: nothing is lost or left behind, and the next one works."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.defs.processes import unfinished_runs
from cf_pipeline.defs.running import RunOutcome, instance_of
from cf_pipeline.recompute import attempts
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.tables import ASSET_TABLES
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.defs.tiny import is_locked
from cf_pipeline_tests.end_to_end.dying import (
    MOMENTS,
    TRAINED,
    TRAINING,
    Fault,
    Runners,
    wait_for,
    workers_of,
)
from cf_pipeline_tests.end_to_end.planted_run import small_choices

pytestmark = pytest.mark.slow

WORLD = PlantedConfig(n_users=160, n_projects=240, cover_size=32, n_task_images=64)


@pytest.fixture(scope="module")
def runners() -> Iterator[Runners]:
    """One thread each: equal sums in equal order, and a server that can be forked."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "1")
        there = Runners()
        yield there
        there.close()


class Undisturbed:
    """A home in which one run goes through, beside whatever the test does meanwhile."""

    def __init__(self, runners: Runners, home: Home) -> None:
        self._home, self._runner = home, runners.start(home)
        self._is_finished = False

    @property
    def home(self) -> Home:
        """The finished home."""
        if not self._is_finished:
            outcome: RunOutcome = self._runner.last_word()
            assert not outcome.failures
            assert set(outcome.computed) == set(ASSET_TABLES)
            self._is_finished = True
        return self._home


@pytest.fixture(scope="module")
def chosen(place: Path) -> Choices:
    """Training takes place in the run's own process unless a test says otherwise."""
    return small_choices(plant(place / "world", WORLD))


@pytest.fixture(scope="module")
def undisturbed(runners: Runners, place: Path, chosen: Choices) -> Undisturbed:
    return Undisturbed(runners, home_at(place / "undisturbed", chosen))


def home_at(path: Path, choices: Choices) -> Home:
    home = Home(path)
    home.create()
    choices.write(home.config_path)
    return home


def with_child(choices: Choices, *further: str) -> Choices:
    return choices.with_assignments(["resources.training=child", *further])


def warehouse_of(home: Home) -> Warehouse:
    return Warehouse(home.warehouse_path, threads=1)


def records(home: Home) -> dict[str, AssetRecord]:
    return warehouse_of(home).records()


def versions(home: Home) -> dict[str, str]:
    return {asset: record.data_version for asset, record in records(home).items()}


def unfinished(home: Home) -> list[dg.DagsterRun]:
    with instance_of(home) as instance:
        return unfinished_runs(instance)


def test_a_run_killed_during_each_asset_in_turn(
    runners: Runners, place: Path, chosen: Choices, undisturbed: Undisturbed
) -> None:
    """Each run goes on where the one before was killed, to the next asset, and dies there."""
    home = home_at(place / "killed", with_child(chosen))
    killed: list[str] = []
    while len(killed) < len(ASSET_TABLES):
        before = records(home)
        rest = [asset for asset in ASSET_TABLES if asset not in before or asset == killed[-1]]
        fault = Fault(MOMENTS[len(killed) % len(MOMENTS)], frozenset(killed))
        runner = runners.start(home, *rest, fault=fault)
        died_in = runner.last_word()
        assert runner.process.exitcode == -signal.SIGKILL
        assert died_in in set(ASSET_TABLES).difference(killed)
        assert_what_a_kill_leaves(home, before)
        committed = fault.moment == "committed" and died_in != TRAINED
        assert (died_in in records(home)) == committed
        killed.append(died_in)

    before = records(home)
    outcome: RunOutcome = runners.start(home).last_word()
    assert not outcome.failures
    assert set(outcome.unchanged) == set(before)
    assert set(outcome.computed) == set(ASSET_TABLES).difference(before)
    assert versions(home) == versions(undisturbed.home)
    assert_everybody_knows(home, n_killed=len(killed))


def assert_what_a_kill_leaves(home: Home, before: dict[str, AssetRecord]) -> None:
    assert not is_locked(home)
    wait_for(lambda: not workers_of(home))
    assert len(unfinished(home)) == 1, "runs killed earlier were marked by those after them"
    now = records(home)
    assert now.items() >= before.items()
    with warehouse_of(home).read() as connection:  # one connection: tables() and frame() open each
        there = {str(name) for (name,) in connection.execute("show tables").fetchall()}
        for table in there:
            connection.sql(f'from "{table}"').pl()
    of_assets = {table for tables in ASSET_TABLES.values() for table in tables}
    assert of_assets & there == {table for asset in now for table in ASSET_TABLES[asset]}


def assert_everybody_knows(home: Home, n_killed: int) -> None:
    """Killed runs have failed, the last one succeeded, and Dagster has every asset."""
    with instance_of(home) as instance:
        statuses = [run.status for run in instance.get_runs()]
        told = {
            asset: instance.get_latest_materialization_event(dg.AssetKey(asset))
            for asset in ASSET_TABLES
        }
    assert statuses == [dg.DagsterRunStatus.SUCCESS, *[dg.DagsterRunStatus.FAILURE] * n_killed]
    assert [asset for asset, event in told.items() if event is None] == []
    assert list(home.path.glob("scratch-*")) == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=lambda sign: sign.name)
def test_a_run_cancelled_while_it_trains(
    runners: Runners,
    place: Path,
    chosen: Choices,
    undisturbed: Undisturbed,
    sign: signal.Signals,
) -> None:
    home = Home(Path(shutil.copytree(undisturbed.home.path, place / sign.name)))
    before = versions(home)
    endless = ("vision.epochs=100000",)
    with_child(chosen, *endless).write(home.config_path)
    runner = runners.start(home, TRAINED)
    assert runner.next_word() == TRAINING
    os.kill(runner.pid, sign)
    outcome: RunOutcome = runner.last_word(60)
    assert outcome.failures == {TRAINED: "was interrupted while it was computed"}
    assert workers_of(home) == []
    assert not is_locked(home)
    assert not home.holder_path.exists()
    assert unfinished(home) == []
    assert versions(home) == before
    assert attempts.attempts(warehouse_of(home))[TRAINED].outcome == "interrupted"

    chosen.with_assignments(["vision.epochs=1"]).write(home.config_path)
    outcome = runners.start(home, TRAINED).last_word()
    assert (outcome.computed, dict(outcome.failures)) == ((TRAINED,), {})
    assert versions(home)[TRAINED] != before[TRAINED]
