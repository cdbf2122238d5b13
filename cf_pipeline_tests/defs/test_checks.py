"""Checks run with their asset: what fails is not written, what was there stays."""

from __future__ import annotations

import dagster as dg
import polars as pl
import pytest

from cf_pipeline.defs import assets
from cf_pipeline.defs.running import instance_of
from cf_pipeline.interactions import soundness
from cf_pipeline.verdict import CheckFailedError, Verdict, Verdicts, check
from cf_pipeline.vision.soundness import no_look_group_is_too_large
from cf_pipeline_tests.defs.lab import INTERACTIONS, Lab


def evaluations(lab: Lab, run_id: str) -> dict[str, dg.AssetCheckEvaluation]:
    """What Dagster recorded of the checks in a run."""
    with instance_of(lab.home) as instance:
        kinds = {dg.DagsterEventType.ASSET_CHECK_EVALUATION}
        return {
            entry.get_dagster_event().asset_check_evaluation_data.check_name: (
                entry.get_dagster_event().asset_check_evaluation_data
            )
            for entry in instance.all_logs(run_id, of_type=kinds)
        }


def test_what_was_planted_passes(lab: Lab) -> None:
    checks = [
        no_look_group_is_too_large,
        soundness.interactions_join_projects,
        soundness.matrix_is_not_degenerate,
        soundness.held_out_is_held_out,
    ]
    with lab.warehouse.read() as connection:
        verdicts = [one.look(connection, None) for one in checks]
    assert all(verdict.passed for verdict in verdicts), verdicts


@check(rows="select project_id from covers")
def judged(rows: pl.DataFrame) -> Verdict:
    """There are rows."""
    return Verdict(rows.height > 0, "as told", {"n": rows.height})


@check(blocking=False, rows="select project_id from covers where $scope = 'm'")
def mild(rows: pl.DataFrame) -> Verdict:
    """There are none."""
    return Verdict(rows.is_empty(), "mind this", {})


@check(rows="select project_id from covers")
def strict(rows: pl.DataFrame) -> Verdict:
    """Never."""
    return Verdict(False, "never", {})


def test_a_blocking_check_raises_and_a_warning_is_told(lab: Lab) -> None:
    told: list[str] = []

    class Log:
        def warning(self, message: str) -> None:
            told.append(message)

    verdicts = Verdicts([judged, mild])
    with lab.warehouse.read() as connection:
        verdicts.look("covers", connection, "m")
        results = {
            r.check_name: r
            for r in assets._check_results("covers", verdicts, Log())
            if isinstance(r, dg.AssetCheckResult)
        }
        assert told == ["mild: mind this"]
        assert results["judged"].passed
        assert results["mild"].severity == dg.AssetCheckSeverity.WARN
        with pytest.raises(CheckFailedError, match=r"covers was not written.*strict: never"):
            Verdicts([strict]).look("covers", connection, None)
    # What was said goes with the rows, and is said again of them.
    again = Verdicts([judged, mild])
    assert again.remember(verdicts.written)
    assert again.said == verdicts.said
    assert not Verdicts([judged, strict]).remember(verdicts.written)


def test_what_is_unchanged_is_not_looked_at_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster hears of each check in every run, and none is asked about rows that stand."""

    def look(*_: object) -> Verdict:
        raise AssertionError("asked again")

    monkeypatch.setattr("cf_pipeline.verdict.Check.look", look)
    outcome = lab.run()
    assert set(outcome.unchanged) == set(INTERACTIONS)
    assert evaluations(lab, outcome.run_id).keys() >= {"held_out_is_held_out"}


def test_ids_written_in_two_ways_do_not_join(lab: Lab) -> None:
    file = lab.world / "interactions.parquet"
    before = lab.rows("pruned_matrix")
    renamed = pl.format("x{}", "project_id").alias("project_id")
    pl.read_parquet(file).with_columns(renamed).write_parquet(file)
    outcome = lab.run("raw_interactions", "pruned_matrix")
    assert outcome.computed == ("raw_interactions",)
    assert set(outcome.failures) == {"pruned_matrix (interactions_join_projects)"} or set(
        outcome.failures
    ) == {"pruned_matrix"}
    assert lab.rows("pruned_matrix").equals(before)
    with lab.warehouse.read() as connection:
        verdict = soundness.interactions_join_projects.look(connection, None)
    assert not verdict.passed
    assert "raw_projects" in verdict.message


def test_a_failed_check_is_told_and_stops_what_is_below(lab: Lab) -> None:
    before = lab.rows("covers")
    files = sorted(lab.world.glob("covers/*/*.png"))
    originals = {file: file.read_bytes() for file in files[:10]}
    for file in originals:
        file.write_bytes(files[0].read_bytes())
    outcome = lab.run("covers", "project_split")
    assert outcome.computed == outcome.unchanged == ()
    assert lab.rows("covers").equals(before)
    [(name, message)] = outcome.failures.items()
    assert name == "covers (no_look_group_is_too_large)"
    assert "covers.max_hash_distance" in message
    said = evaluations(lab, outcome.run_id)["no_look_group_is_too_large"]
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.ERROR)
    for file, content in originals.items():
        file.write_bytes(content)
    mended = lab.run("covers", "project_split")
    assert mended.unchanged == ("covers", "project_split")
    assert evaluations(lab, mended.run_id)["no_look_group_is_too_large"].passed
