"""Checks run with their asset: what fails is not written, what was there stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import polars as pl
import pytest

from cf_pipeline.defs import checks
from cf_pipeline.defs.asset_checks import Check, Checked, CheckFailedError, Verdicts
from cf_pipeline.defs.running import instance_of
from cf_pipeline.recipes.configuration import Choices, resolve
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.verdict import Verdict
from cf_pipeline_tests.defs.lab import Lab

GROUPS = (
    checks.RAW_INTERACTIONS,
    checks.RAW_PROJECTS,
    checks.COVERS,
    checks.PRUNED_MATRIX,
    checks.PROJECT_SPLIT,
)


@contextmanager
def checked(lab: Lab, asset: str) -> Iterator[Checked]:
    configuration = resolve(Choices.read(lab.home.config_path))
    with lab.warehouse.read() as connection:
        yield Checked(asset, connection, None, configuration, load_dataset(configuration.dataset))


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


@pytest.mark.parametrize("group", GROUPS)
def test_what_was_planted_passes(lab: Lab, group: tuple[Check, ...]) -> None:
    with checked(lab, "covers") as given:
        verdicts = [check.look(given) for check in group]
    assert all(verdict.passed for verdict in verdicts), verdicts


def verdict_of(passed: bool) -> Check:
    return Check("judged", lambda _: Verdict(passed, "as told", {"n": 1}))


def test_a_blocking_check_raises_and_a_warning_is_told(lab: Lab) -> None:
    told: list[str] = []

    class Log:
        def warning(self, message: str) -> None:
            told.append(message)

    mild = Check("mild", lambda _: Verdict(False, "mind this", {}), blocking=False)
    verdicts = Verdicts([verdict_of(True), mild])
    with checked(lab, "covers") as given:
        verdicts.look(given)
        results = {r.check_name: r for r in verdicts.results("covers", Log())}
        assert told == ["mild: mind this"]
        assert results["judged"].passed
        assert results["mild"].severity == dg.AssetCheckSeverity.WARN
        with pytest.raises(CheckFailedError, match=r"covers was not written.*judged: as told"):
            Verdicts([verdict_of(False)]).look(given)


def test_ids_written_in_two_ways_do_not_join(lab: Lab) -> None:
    file = lab.world / "interactions.parquet"
    before = lab.rows("pruned_matrix")
    renamed = pl.format("x{}", "project_id").alias("project_id")
    pl.read_parquet(file).with_columns(renamed).write_parquet(file)
    outcome = lab.run("raw_interactions", "pruned_matrix")
    assert outcome.computed == ("raw_interactions",)
    assert set(outcome.failures) == {"pruned_matrix"}
    assert lab.rows("pruned_matrix").equals(before)
    with checked(lab, "pruned_matrix") as given:
        verdict = checks.interactions_join_projects(given)
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
    [(check, message)] = outcome.failures.items()
    assert check == "covers (no_look_group_is_too_large)"
    assert "covers.max_hash_distance" in message
    said = evaluations(lab, outcome.run_id)["no_look_group_is_too_large"]
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.ERROR)
    for file, content in originals.items():
        file.write_bytes(content)
    mended = lab.run("covers", "project_split")
    assert mended.unchanged == ("covers", "project_split")
    assert evaluations(lab, mended.run_id)["no_look_group_is_too_large"].passed
