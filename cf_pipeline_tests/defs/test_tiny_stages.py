"""What surrounds a body: its scratch folder, its failures, its death, the lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cf_pipeline.defs.conditions import stages_in_order
from cf_pipeline.defs.running import RunOutcome, Wanted, instance_of, run_pipeline
from cf_pipeline.errors import ConfigError
from cf_pipeline.recompute.attempts import begin
from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline.recompute.status import pipeline_status
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder, HomeLock
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline_tests.defs import tiny


class Bench:
    """The tiny graph on an empty home."""

    def __init__(self, home: Home, definitions: dg.Definitions) -> None:
        self.home, self.definitions = home, definitions

    def run(self, *select: str, force: bool = False) -> RunOutcome:
        return run_pipeline(self.home, self.definitions, Wanted(select=select, force=force))

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.home.warehouse_path, threads=1)


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_home: Callable[[Path], Home]
) -> Iterator[Bench]:
    home = make_home(tmp_path / "home")
    monkeypatch.setattr(tiny, "during", lambda _: None)
    with tiny.tiny_definitions() as definitions:
        yield Bench(home, definitions)


def test_what_a_body_is_given(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Stage] = []

    def look(stage: Stage) -> None:
        assert stage.scratch.is_dir()
        assert stage.scratch.parent == bench.home.path
        (stage.scratch / "half_written").touch()
        assert tiny.is_locked(bench.home)
        seen.append(stage)

    monkeypatch.setattr(tiny, "during", look)
    first = bench.run("project_split")
    before = bench.warehouse.record("project_split")
    assert bench.run("project_split", force=True).computed == ("project_split",)
    after = bench.warehouse.record("project_split")
    assert before is not None
    assert after is not None
    assert after.data_version == before.data_version
    assert seen[0].run.run_id == first.run_id
    assert [stage.previous is None for stage in seen] == [True, False]
    assert [stage.previous_rows("project_id") for stage in seen] == [None, None]
    assert not seen[0].scratch.exists()
    assert not tiny.is_locked(bench.home)
    assert not bench.home.holder_path.exists()


def test_rows_by_the_same_maker_can_be_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an asset whose parent changed; not of one whose configuration did."""
    kept = []
    monkeypatch.setattr(tiny, "during", lambda stage: kept.append(stage.previous_rows()))
    bench.run("project_split")
    rows = tiny.SPLIT
    with bench.warehouse.write() as con:
        con.execute('update asset_records set inputs = \'{"gone": "v1"}\'')
    bench.run("project_split")
    bench.home.config_path.write_text("[split]\nseed = 1\n")
    bench.run("project_split")
    assert kept[0] is None
    assert kept[1].equals(rows)
    assert kept[2] is None


def test_other_code_computes_again(bench: Bench) -> None:
    bench.run()
    with bench.warehouse.write() as con:
        con.execute("update asset_records set code_version = 'other' where inputs <> '{}'")
    statuses = pipeline_status(bench.home, stages_in_order())
    assert [(status.state, status.why) for status in statuses] == [
        ("fresh", ""),
        ("stale", "code changed"),
    ]
    assert bench.run().computed == ("factor_scores",)


def test_what_was_not_foreseen_leaves_the_old_rows(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()
    before = bench.warehouse.records()
    monkeypatch.setattr(tiny, "during", lambda stage: Output({"project_split": tiny.SPLIT / 0}))
    outcome = bench.run(force=True)
    assert list(outcome.failures) == ["project_split"]
    assert outcome.computed == ()
    assert bench.warehouse.records() == before
    assert bench.warehouse.frame("project_split").equals(tiny.SPLIT)


def test_a_table_that_is_gone_is_missed_and_made_again(bench: Bench) -> None:
    bench.run()
    with bench.warehouse.write() as con:
        con.execute("drop table project_split")
    failure = bench.run("factor_scores").failures["factor_scores"]
    assert "factor_scores reads project_split, which is not there" in failure
    assert "cf-pipeline run --select project_split" in failure
    outcome = bench.run()
    assert (outcome.computed, outcome.unchanged) == (("project_split",), ("factor_scores",))
    assert bench.warehouse.frame("project_split").equals(tiny.SPLIT)


def test_an_interrupted_run_lets_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C."""
    monkeypatch.setattr(tiny, "during", lambda _: signal.raise_signal(signal.SIGINT))
    outcome = bench.run()
    assert outcome.failures == {"project_split": "was interrupted while it was computed"}
    assert not tiny.is_locked(bench.home)
    assert not list(bench.home.path.glob("scratch-*"))


def test_rows_that_break_a_rule_are_refused_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()
    twice = tiny.SPLIT.with_columns(project_id=pl.lit("a"))
    monkeypatch.setattr(tiny, "during", lambda _: Output({"project_split": twice}))
    outcome = bench.run("project_split", force=True)
    assert "project_id" in outcome.failures["project_split"]
    assert bench.warehouse.frame("project_split").equals(tiny.SPLIT)


@pytest.mark.slow
def test_killed_between_commit_and_event(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record decides: the rows are there, so they are not computed again."""
    rows = {"project_split": tiny.SPLIT}
    monkeypatch.setattr(tiny, "during", lambda _: Output(rows, {"shown": "of the first rows"}))
    bench.run("project_split")
    with bench.warehouse.write() as con:
        con.execute("update asset_records set code_version = 'other'")
    died = subprocess.run(
        [sys.executable, "-m", "cf_pipeline_tests.defs.tiny", str(bench.home.path)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert bench.home.holder_path.exists()
    record = bench.warehouse.record("project_split")
    assert record is not None

    outcome = bench.run("project_split")
    assert outcome.computed == ()
    assert bench.warehouse.record("project_split") == record
    with instance_of(bench.home) as instance:
        dead = instance.get_run_by_id(record.run_id)
        event = instance.get_latest_materialization_event(dg.AssetKey("project_split"))
    assert dead is not None
    assert dead.status == dg.DagsterRunStatus.FAILURE
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["computed_in_run"].value == record.run_id
    assert metadata["dagster/row_count"].value == 1
    # What the materialization before it showed was of other rows.
    assert "shown" not in metadata
    statuses = pipeline_status(bench.home, stages_in_order())
    assert [status.state for status in statuses] == ["fresh", "missing"]


def test_killed_before_the_commit(bench: Bench) -> None:
    """The attempt was begun and never ended: nobody holds the home, so it was killed."""
    bench.run("factor_scores")
    spec = stages_in_order()[0]
    begin(bench.warehouse, spec.asset, "of something", "the run")
    status, _ = pipeline_status(bench.home, stages_in_order())
    assert (status.asset, status.state) == ("project_split", "failed")
    assert status.why.startswith("was killed while it was computed (begun ")
    assert "the run" in status.why
    with HomeLock(bench.home).acquire(Holder.current(), wait=False):
        going_on, _ = pipeline_status(bench.home, stages_in_order())
    assert going_on.state == "missing"


def test_what_a_dead_process_left_is_swept_away(bench: Bench) -> None:
    left = bench.home.path / "scratch-dead"
    staged = bench.home.artifacts_path / ".staging" / "dead"
    for folder in (left, staged):
        folder.mkdir(parents=True)
        (folder / "half_written").touch()
    bench.run("project_split")
    assert not left.exists()
    assert not staged.exists()


def test_a_result_does_not_depend_on_who_calls(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BLAS has one thread in a body, whatever the environment says."""
    seen: list[int] = []

    def look(_: Stage) -> None:
        pools = threadpool_info()
        seen.extend(pool["num_threads"] for pool in pools if pool["user_api"] == "blas")

    monkeypatch.setattr(tiny, "during", look)
    with threadpool_limits(limits=2, user_api="blas"):
        bench.run("project_split")
    assert seen
    assert set(seen) == {1}


def test_a_selection_that_is_no_asset(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"no asset 'covers'. The assets are project_split, "):
        bench.run("covers")


def test_the_environment_is_as_it_was(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CF_PIPELINE_HOME", "/elsewhere")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    before = dict(os.environ)
    with instance_of(bench.home):
        assert os.environ["CF_PIPELINE_HOME"] == str(bench.home.path)
        assert os.environ["DAGSTER_HOME"] == str(bench.home.dagster_path)
    assert dict(os.environ) == before
