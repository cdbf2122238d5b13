"""When files that changed on disk are read again; nobody sleeps, the clock is handed in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cf_pipeline.defs.automation import STARTED_BY_TAG, stages_in_order, watch_sources
from cf_pipeline.defs.processes import PROCESS_TAG, process_name
from cf_pipeline.recompute import due, watching
from cf_pipeline.recompute.due import Situation, due_assets
from cf_pipeline.recompute.watching import Cursor, Watched, describe, look_at_sources
from cf_pipeline.storage.home import HOME_VARIABLE
from cf_pipeline_tests.defs.lab import Lab

NOON = 2_000_000_000.0
SETTLE = 10.0
"""`automation.settle_seconds` by default."""


class Watch:
    """The sensor's look at the sources of a lab, and what it remembers."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cursor = Cursor()
        self.now = NOON

    def look(self, after: float = 0.0) -> Watched:
        """Look some seconds later; the cursor is stored and read as Dagster does it."""
        self.now += after
        situation = Situation.of(self.lab.home)
        watched = look_at_sources(
            situation, self.lab.warehouse, stages_in_order(), self.cursor, self.now
        )
        self.cursor = Cursor.model_validate_json(watched.cursor.model_dump_json())
        return watched

    def changed(self, after: float = 0.0) -> list[str]:
        return self.look(after).changed

    def settle(self) -> None:
        """Everything is looked at and found to be as recorded."""
        self.look()
        watched = self.look(SETTLE)
        assert (watched.changed, watched.waiting) == ([], {})
        assert all(seen.settled for seen in self.cursor.seen.values())


@pytest.fixture
def complete(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab, as if its `covers` were all that a home needs to be complete."""
    for module in (due, watching):
        monkeypatch.setattr(module, "COMPLETE", "covers")
    return lab


@pytest.fixture
def watch(complete: Lab) -> Watch:
    watch = Watch(complete)
    watch.settle()
    return watch


@pytest.fixture
def interactions(complete: Lab) -> Path:
    return complete.world / "interactions.parquet"


def one_more(interactions: Path) -> None:
    """A known user views a project."""
    events = pl.read_parquet(interactions)
    new = events.filter(kind="view").head(1).with_columns(count=pl.col("count") + 5)
    pl.concat([events, new]).write_parquet(interactions)


def some_cover(lab: Lab) -> Path:
    return next(iter(sorted(lab.world.glob("covers/*/*.png"))))


def test_touch_alone_is_no_change(watch: Watch) -> None:
    for file in (*watch.lab.world.glob("*.parquet"), some_cover(watch.lab)):
        os.utime(file, (NOON, NOON))
    first = watch.look(1)
    assert first.changed == []
    assert set(first.waiting) == {"raw_interactions", "raw_projects", "covers"}
    last = watch.look(SETTLE)
    assert (last.changed, last.waiting) == ([], {})
    assert watch.changed(1) == []


def test_a_new_interaction_is_read_once_the_file_is_quiet(watch: Watch, interactions: Path) -> None:
    one_more(interactions)
    first = watch.look(1)
    assert first.changed == []
    assert first.waiting == {"raw_interactions": "files changed 0 s ago; read after 10 s of quiet"}
    assert watch.changed(SETTLE - 0.1) == []
    assert watch.changed(0.1) == ["raw_interactions"]
    # Asked for again until it was read.
    assert watch.changed(1) == ["raw_interactions"]
    assert watch.lab.run("raw_interactions").computed == ("raw_interactions",)
    assert watch.look(1) == Watched(watch.cursor)
    due = due_assets(Situation.of(watch.lab.home), stages_in_order())
    assert due.reasons["pruned_matrix"] == "changed upstream: raw_interactions"


def test_a_second_change_begins_the_wait_anew(watch: Watch, interactions: Path) -> None:
    one_more(interactions)
    assert watch.changed(1) == []
    one_more(interactions)
    assert watch.changed(SETTLE - 1) == []
    assert watch.changed(SETTLE - 1) == []
    assert watch.changed(1) == ["raw_interactions"]


def test_half_a_file_is_not_read(watch: Watch, interactions: Path) -> None:
    """However long the writer pauses."""
    whole = interactions.read_bytes()
    interactions.write_bytes(whole[: len(whole) // 2])
    watch.look(1)
    watched = watch.look(100 * SETTLE)
    assert watched.changed == []
    assert list(watched.waiting) == ["raw_interactions"]
    assert "was cut off" in describe(watched.waiting)
    interactions.write_bytes(whole)
    watch.look(1)
    assert watch.look(SETTLE) == Watched(watch.cursor)


def test_a_file_that_is_gone_is_said(watch: Watch, interactions: Path) -> None:
    interactions.unlink()
    watched = watch.look(1)
    assert watched.changed == []
    assert "No file matches 'interactions.parquet'" in watched.waiting["raw_interactions"]


def test_a_file_dated_in_the_future_is_read(watch: Watch, interactions: Path) -> None:
    """Another machine's clock is ahead."""
    one_more(interactions)
    os.utime(interactions, (NOON + 1e6, NOON + 1e6))
    watch.look(1)
    assert watch.changed(SETTLE) == ["raw_interactions"]


def test_a_cover_that_was_missing(complete: Lab) -> None:
    cover = some_cover(complete)
    kept = cover.rename(complete.world / "kept.png")
    complete.run("covers")
    watch = Watch(complete)
    watch.settle()
    kept.rename(cover)
    watch.look(1)
    assert watch.changed(SETTLE) == ["covers"]


def test_a_picture_that_nobody_names(watch: Watch) -> None:
    cover = some_cover(watch.lab)
    shutil.copy(cover, cover.with_name("of_nobody.png"))
    assert watch.look(1) == Watched(watch.cursor)


@pytest.mark.slow
def test_a_broken_source_is_read_once(watch: Watch, interactions: Path) -> None:
    whole = interactions.read_bytes()
    pl.read_parquet(interactions).drop("user_id").write_parquet(interactions)
    watch.look(1)
    assert watch.changed(SETTLE) == ["raw_interactions"]
    assert list(watch.lab.run("raw_interactions").failures) == ["raw_interactions"]
    for after in (1, SETTLE):
        watched = watch.look(after)
        assert watched.changed == []
        assert "nothing it reads has changed since" in watched.waiting["raw_interactions"]
    # The condition leaves it to this sensor.
    assert "raw_interactions" not in judged(watch.lab)
    # What is there again is what was recorded: one run, which computes nothing, says so.
    interactions.write_bytes(whole)
    watch.look(1)
    assert watch.changed(SETTLE) == ["raw_interactions"]
    assert watch.lab.run("raw_interactions").unchanged == ("raw_interactions",)
    assert watch.look(1) == Watched(watch.cursor)
    assert "raw_interactions" not in judged(watch.lab)


def judged(lab: Lab) -> set[str]:
    due = due_assets(Situation.of(lab.home), stages_in_order())
    return {*due.reasons, *due.waiting}


@pytest.mark.slow
def test_files_of_an_asset_that_never_succeeded(complete: Lab) -> None:
    labelled = complete.world / "tasks"
    complete.choose(benchmark__tasks__noto_emoji=str(labelled))
    assert list(complete.run("benchmark_tasks").failures) == ["benchmark_tasks"]
    watch = Watch(complete)
    watch.look()
    assert "benchmark_tasks" in watch.look(SETTLE).waiting
    labelled.mkdir()
    shutil.copy(some_cover(complete), labelled / "1.png")
    (labelled / "labels.csv").write_text("path,label\n1.png,x\n")
    watch.look(1)
    assert watch.changed(SETTLE) == ["benchmark_tasks"]


def test_held_assets_are_left_alone(watch: Watch, interactions: Path) -> None:
    watch.lab.choose(automation__hold=["raw_interactions"])
    one_more(interactions)
    watch.look(1)
    assert watch.look(SETTLE) == Watched(watch.cursor)
    watch.lab.choose()
    watch.look(1)
    assert watch.changed(SETTLE) == ["raw_interactions"]


def test_a_home_that_is_not_complete_is_left_alone(lab: Lab) -> None:
    one_more(lab.world / "interactions.parquet")
    watch = Watch(lab)
    watch.look()
    assert watch.look(SETTLE) == Watched(Cursor())


@pytest.fixture
def instance(complete: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster's, for the sensor itself; files need not be quiet."""
    monkeypatch.setenv(HOME_VARIABLE, str(complete.home.path))
    complete.choose(automation__settle_seconds=0.0)
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    return watch_sources.evaluate_tick(dg.build_sensor_context(instance, cursor=cursor))


def skipped(instance: dg.DagsterInstance) -> str:
    """Why the sensor asks for nothing."""
    data = tick(instance)
    assert not data.run_requests
    return data.skip_message or ""


def test_the_sensor_asks_for_what_changed(instance: dg.DagsterInstance, interactions: Path) -> None:
    first = tick(instance)
    assert (first.run_requests, first.skip_message) == ([], "no source changed")
    one_more(interactions)
    second = tick(instance, first.cursor)
    (request,) = second.run_requests or []
    assert request.asset_selection == [dg.AssetKey("raw_interactions")]
    assert request.tags[STARTED_BY_TAG] == "watch_sources"
    interactions.write_bytes(b"PAR1")
    third = tick(instance, second.cursor)
    assert third.run_requests == []
    assert (third.skip_message or "").startswith("raw_interactions: ")


def test_the_sensor_says_why_it_does_not_look(
    complete: Lab,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = complete.definitions.resolve_job_def("full_pipeline")
    run = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: process_name()}
    )
    assert f"run {run.run_id} is started; sources are looked at when" in skipped(instance)
    instance.report_run_canceled(run)
    assert skipped(instance) == "no source changed"
    complete.edit_dataset("[covers]", "[cove")
    assert "until this is mended: " in skipped(instance)
    assert "dataset.toml" in skipped(instance)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    assert "the home is empty" in skipped(instance)
