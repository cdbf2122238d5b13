"""The whole graph on a world whose truth is known; what it recomputes, and when."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.defs.exporting import export_embeddings
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.tables import ASSET_TABLES
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.end_to_end.planted_run import (
    FLOORS,
    PlantedRun,
    choices,
    repaint,
    scoreboard_rows,
)


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
    copy.warehouse.publish(draft, {"training_set": shuffled})
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


def test_one_changed_cover_outside_the_training_set_is_embedded_alone(copy: PlantedRun) -> None:
    covers = copy.warehouse.frame("covers")
    test = copy.warehouse.frame("project_split").filter(split="test")
    alone = covers.filter(pl.len().over("sha256") == 1).join(test, on="project_id")
    path = Path(alone["path"][0])
    original = path.read_bytes()
    before = {asset: copy.version(asset) for asset in ASSET_TABLES}
    try:
        repaint(path)
        outcome = copy.run()
    finally:
        path.write_bytes(original)
    assert not outcome.failures
    assert "covers" in outcome.computed
    assert {"trained_cnn", "latent_factors", "training_set"}.isdisjoint({
        asset for asset in before if copy.version(asset) != before[asset]
    })
    assert "trained_cnn" in outcome.unchanged
    model = copy.version("trained_cnn")
    changed = copy.warehouse.frame("embeddings", where=f"model_version = '{model}'")
    assert changed.join(copy_covers(copy), on="sha256", how="anti").height == 0
    assert copy.computed_covers("embeddings") == 1
    assert copy.computed_covers("imagenet_embeddings") == 1
    assert copy.computed_covers("simple_embeddings") == 2  # random and colour


def copy_covers(run: PlantedRun) -> pl.DataFrame:
    return run.warehouse.frame("covers").select("sha256").drop_nulls()


def test_an_edit_of_epochs_recomputes_the_network_and_what_follows(copy: PlantedRun) -> None:
    edited = choices(copy.world).with_assignments(["vision.epochs=1"])
    edited.write(copy.home.config_path)
    outcome = copy.run()
    assert set(outcome.computed) == {
        "trained_cnn",
        "embeddings",
        "similarity_scores",
        "promoted_model",
        "task_embeddings",
        "benchmark_scores",
    }
    models = copy.warehouse.frame("trained_cnn")
    assert models.height == 2  # the earlier model's rows stay


def test_embeddings_are_exported_with_ids_split_and_vectors(
    finished: PlantedRun, tmp_path: Path
) -> None:
    rows, model = export_embeddings(finished.home, tmp_path / "embeddings.parquet")
    table = pl.read_parquet(tmp_path / "embeddings.parquet")
    assert table.height == rows == finished.warehouse.frame("embeddings").height
    assert table.columns == [
        "project_id",
        "split",
        "model_version",
        "features",
        "predicted_factors",
    ]
    assert set(table["model_version"]) == {model}
    assert set(table["split"]) == {"train", "validation", "test"}


def test_the_scoreboard_holds_every_row_of_the_protocol(finished: PlantedRun) -> None:
    names = [row[0].removesuffix(" *") for row in scoreboard_rows(finished.home)]
    assert names == [
        "chance",
        "popularity",
        "owner",
        "random",
        "color",
        "imagenet",
        "imagenet_ridge",
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
