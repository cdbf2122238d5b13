"""When an asset is computed and when it is not: real assets over a small world."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cf_pipeline.defs.running import instance_of
from cf_pipeline.storage.home import Home
from cf_pipeline_tests.defs.lab import INTERACTIONS, Lab


def metadata_of(lab: Lab, asset: str) -> dict[str, object]:
    """What the latest materialization says."""
    with instance_of(lab.home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


def tags_of(lab: Lab, asset: str) -> dict[str, str]:
    with instance_of(lab.home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return dict(event.asset_materialization.tags or {})


def test_a_second_run_computes_nothing_and_says_so(lab: Lab) -> None:
    records, first = lab.warehouse.records(), metadata_of(lab, "pruned_matrix")
    outcome = lab.run()
    assert outcome.computed == ()
    assert set(outcome.unchanged) == set(INTERACTIONS)
    assert lab.warehouse.records() == records
    again = metadata_of(lab, "pruned_matrix")
    assert first["unchanged"] is False
    assert again["unchanged"] is True
    assert again["computed_in_run"] == records["pruned_matrix"].run_id != outcome.run_id
    for kept in ("degrees", "rounds", "seconds", "data_version", "dagster/row_count"):
        assert again[kept] == first[kept]
    assert first["dagster/row_count"] == lab.rows("pruned_matrix").height


def test_pictures_and_tables_are_drawn_rather_than_read(lab: Lab) -> None:
    with instance_of(lab.home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("pruned_matrix"))
    assert event is not None
    assert event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    for name, begins in {"degrees": "![", "rounds": "| cut |"}.items():
        entry = shown[name]
        assert isinstance(entry, dg.MarkdownMetadataValue)
        assert str(entry.value).startswith(begins)


def test_what_a_materialization_is_tagged_with(lab: Lab) -> None:
    record = lab.warehouse.record("pruned_matrix")
    assert record is not None
    tags = tags_of(lab, "pruned_matrix")
    assert tags["dagster/data_version"] == record.data_version
    assert tags["dagster/code_version"] == record.code_version
    assert tags["cf_pipeline/config_hash"] == record.config_hash
    parents = {"raw_interactions", "raw_projects", "covers"}
    assert record.inputs == {
        parent: tags[f"dagster/input_data_version/{parent}"] for parent in parents
    }


def test_an_edit_reaches_the_assets_that_read_it_and_no_other(lab: Lab) -> None:
    lab.choose(pruning__min_user_degree=3, vision__epochs=7, resources__memory_limit="1GB")
    assert lab.stale() == {"pruned_matrix": "configuration changed: pruning"}
    outcome = lab.run("project_split", "pruned_matrix")
    assert (outcome.computed, outcome.unchanged) == (("pruned_matrix",), ("project_split",))


def test_an_edit_of_the_data_set_acts_where_it_is_for(lab: Lab) -> None:
    lab.edit_dataset("min_degree = 1", "min_degree = 2")
    lab.edit_dataset('description = "Factors', 'description = "Some factors')
    lab.edit_dataset("exclude_users = []", 'exclude_users = ["u1"]')
    assert lab.stale() == {"pruned_matrix": "configuration changed: dataset.matrix"}
    lab.edit_dataset('exclude_users = ["u1"]', "exclude_users = []")
    lab.edit_dataset("weight = 2.0", "weight = 3.0")
    lab.edit_dataset("component_share = 0.05", "component_share = 0.06")
    lab.edit_dataset('title = "title"', "title = \"'x' || title\"")
    lab.edit_dataset('count = "count"', "")
    assert lab.stale() == {
        "pruned_matrix": "configuration changed: dataset.matrix",
        "project_split": "configuration changed: dataset.split",
        "raw_projects": "configuration changed: dataset.projects",
        "raw_interactions": "configuration changed: dataset.interactions",
    }


def test_touching_files_changes_nothing(lab: Lab) -> None:
    for file in (*lab.world.glob("*.parquet"), *lab.world.glob("covers/*/*.png")):
        os.utime(file)
    assert lab.stale() == {}


def test_other_bytes_with_equal_rows_stop_at_the_first_asset(lab: Lab) -> None:
    file = lab.world / "interactions.parquet"
    pl.read_parquet(file).write_parquet(file, compression="uncompressed")
    before = lab.warehouse.record("raw_interactions")
    assert lab.stale() == {"raw_interactions": "changed upstream: files"}
    outcome = lab.run("raw_interactions", "pruned_matrix")
    after = lab.warehouse.record("raw_interactions")
    assert outcome.computed == ("raw_interactions",)
    assert before is not None
    assert after is not None
    assert after.data_version == before.data_version


def test_another_interaction_goes_on_to_the_matrix(lab: Lab) -> None:
    file = lab.world / "interactions.parquet"
    events = pl.read_parquet(file)
    new = events.filter(kind="view").head(1).with_columns(count=pl.col("count") + 5)
    pl.concat([events, new]).write_parquet(file)
    outcome = lab.run("raw_interactions", "pruned_matrix")
    assert set(outcome.computed) == {"raw_interactions", "pruned_matrix"}


def test_a_moved_data_set_is_read_again_and_stops_there(lab: Lab, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(lab.world, moved)
    there = Lab(moved, lab.home, lab.definitions)
    there.choose()
    assert there.stale() == {"covers": "changed upstream: files"}
    outcome = there.run("covers", "project_split")
    assert (outcome.computed, outcome.unchanged) == (("covers",), ("project_split",))
    assert Path(there.rows("covers")["path"][0]).is_relative_to(moved)


def test_one_changed_cover_among_files_of_one_name_is_seen(lab: Lab) -> None:
    """Swapping two covers changes no name and no content, only which project has which."""
    one, other = sorted(lab.world.glob("covers/*/*.png"))[:2]
    one.rename(lab.world / "spare")
    other.rename(one)
    (lab.world / "spare").rename(other)
    assert lab.stale() == {"covers": "changed upstream: files"}


@pytest.mark.slow
def test_a_home_whose_name_is_awkward(
    lab: Lab, tmp_path: Path, make_home: Callable[[Path], Home]
) -> None:
    there = Lab(lab.world, make_home(tmp_path / "it's [1] home"), lab.definitions)
    there.choose()
    assert not there.run(*INTERACTIONS).failures
    assert there.rows("pruned_matrix").equals(lab.rows("pruned_matrix"))
