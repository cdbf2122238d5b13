"""The whole graph on a world whose truth is known, and floors that a broken stage cannot meet."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cf_pipeline.models.exporting import export_embeddings
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.tables import ASSET_TABLES
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.end_to_end.planted_run import (
    FLOORS,
    PlantedRun,
    choices,
    scoreboard_names,
)
from cf_pipeline_tests.models.trained_home import empty

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> PlantedRun:
    folder = tmp_path_factory.mktemp("planted")
    world = plant(folder / "world", PlantedConfig())
    home = Home(folder / "home")
    home.create()
    choices(world).write(home.config_path)
    run = PlantedRun(world, home)
    outcome = run.run()
    assert not outcome.failures
    assert set(outcome.computed) == set(ASSET_TABLES)
    return run


@pytest.fixture
def copy(finished: PlantedRun, tmp_path: Path) -> PlantedRun:
    """The finished home and its world, to change; covers stay where they were unless moved."""
    return PlantedRun(finished.world, Home(shutil.copytree(finished.home.path, tmp_path / "home")))


def test_every_floor_is_met(finished: PlantedRun) -> None:
    measured = finished.measured()
    assert finished.broken_floors() == set(), measured


def test_a_network_trained_on_shuffled_factors_breaks_the_floors(copy: PlantedRun) -> None:
    record = copy.warehouse.record("training_set")
    assert record is not None
    table = copy.warehouse.frame("training_set")
    shuffled = table.with_columns(pl.col("factors").shuffle(seed=1))
    draft = Draft(
        asset="training_set",
        code_version=record.code_version,
        config_hash=record.config_hash,
        inputs=record.inputs,
        run_id=record.run_id,
        computed_at=record.computed_at,
        seconds=record.seconds,
        metadata=record.metadata,
    )
    relevances = copy.warehouse.frame("validation_relevances")
    tables = {
        "training_set": shuffled,
        "validation_relevances": relevances,
        **empty("training_vectors"),
    }
    copy.warehouse.publish(draft, Write(tables))
    outcome = copy.run()
    assert "training_set" in outcome.unchanged
    assert "trained_cnn" in outcome.computed
    assert {"cosine_to_truth", "triplets_over_color"} <= copy.broken_floors(), copy.measured()


def test_nothing_new_computes_nothing(finished: PlantedRun) -> None:
    before = {asset: finished.version(asset) for asset in ASSET_TABLES}
    outcome = finished.run()
    assert outcome.computed == ()
    assert set(outcome.unchanged) == set(ASSET_TABLES)
    assert {asset: finished.version(asset) for asset in ASSET_TABLES} == before


def test_embeddings_are_exported_with_ids_split_and_vectors(
    finished: PlantedRun, tmp_path: Path
) -> None:
    given = export_embeddings(finished.home, tmp_path / "embeddings.parquet")
    table = pl.read_parquet(tmp_path / "embeddings.parquet")
    assert table.height == given.n_rows == finished.warehouse.frame("embeddings").height
    chosen = finished.warehouse.frame("exported_forms").filter("exported")
    assert chosen["form"].to_list() == [given.form]
    lengths = np.linalg.norm(table["collaborative"].to_numpy(), axis=1)
    assert lengths == pytest.approx(1, abs=1e-4)
    assert set(table["model_version"]) == {given.model}
    assert set(table["split"]) == {"train", "validation", "test"}


def test_the_scoreboard_holds_every_row_of_the_protocol(finished: PlantedRun) -> None:
    names = scoreboard_names(finished.home)
    assert names == [
        "chance",
        "popularity",
        "random",
        "color",
        "imagenet",
        "imagenet_ridge",
        "imagenet_levels",
        "imagenet_levels_ridge",
        "collaborative",
        "predicted_factors",
        "ensemble",
        "latent_factors",
    ]


def test_no_owner_and_no_look_is_on_two_sides(finished: PlantedRun) -> None:
    warehouse = finished.warehouse
    table = (
        warehouse
        .frame("project_split")
        .join(warehouse.frame("covers"), on="project_id")
        .join(warehouse.frame("raw_projects"), on="project_id")
        .filter(status="ok")
    )
    for column in ("look_component", "sha256"):
        assert table.group_by(column).agg(pl.col("split").n_unique())["split"].max() == 1
    owners = table.explode("owners").drop_nulls("owners")
    assert owners.group_by("owners").agg(pl.col("split").n_unique())["split"].max() == 1


def test_floors_are_stated_for_everything_that_is_measured(finished: PlantedRun) -> None:
    assert set(finished.measured()) == set(FLOORS)
