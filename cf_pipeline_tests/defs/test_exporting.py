"""Results out of a home: embeddings to Parquet, scores as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cf_pipeline.defs.exporting import export_embeddings, scoreboards
from cf_pipeline.errors import DataError
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse

OLD, NEW = "0" * 16, "f" * 16


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def publish(home: Home, asset: str, scope: str | None = None, **tables: pl.DataFrame) -> None:
    draft = Draft(
        asset, "code", "config", {}, "run", datetime.now(UTC), 1.0, data_version=scope or "v1"
    )
    Warehouse(home.warehouse_path, threads=1).publish(draft, tables, scope=scope)


def publish_model(home: Home, version: str) -> None:
    model = pl.DataFrame({
        "model_version": version,
        "artifact": "a",
        "manifest": "{}",
        "trained_at": datetime(2026, 1, 2),
    })
    schema = {"model_version": str, "epoch": pl.Int32, "name": str, "value": float}
    curve = pl.DataFrame(schema=schema)
    publish(home, "trained_cnn", version, trained_cnn=model, training_history=curve)


def publish_embeddings(home: Home, version: str, value: float) -> None:
    rows = pl.DataFrame({
        "project_id": ["1", "01398047"],
        "model_version": version,
        "sha256": "00",
        "features": np.full((2, 3), value, dtype=np.float32),
        "predicted_factors": np.full((2, 2), -value, dtype=np.float32),
    })
    publish(home, "embeddings", version, embeddings=rows)


def test_embeddings_of_the_current_model_with_their_split(home: Home, tmp_path: Path) -> None:
    for version, value in ((OLD, 1.0), (NEW, 2.0)):
        publish_model(home, version)
        publish_embeddings(home, version, value)
    split = pl.DataFrame({"project_id": ["01398047", "1"], "split": ["test", "train"]})
    publish(home, "project_split", project_split=split)
    file = tmp_path / "embeddings.parquet"
    assert export_embeddings(home, file) == (2, NEW)
    rows = pl.read_parquet(file).sort("project_id")
    assert rows.columns == [
        "project_id",
        "split",
        "model_version",
        "features",
        "predicted_factors",
    ]
    assert rows["project_id"].to_list() == ["01398047", "1"]
    assert rows["split"].to_list() == ["test", "train"]
    assert set(rows["model_version"]) == {NEW}
    assert rows["features"].to_numpy().tolist() == [[2.0] * 3] * 2
    assert rows["predicted_factors"].to_numpy().tolist() == [[-2.0] * 2] * 2


def test_nothing_to_export_says_what_to_run(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no trained model in .* Run cf-pipeline run first"):
        export_embeddings(home, tmp_path / "x.parquet")
    publish_model(home, NEW)
    with pytest.raises(DataError, match="Materialize the asset embeddings first"):
        export_embeddings(home, tmp_path / "x.parquet")
    publish_embeddings(home, OLD, 1.0)
    publish(home, "project_split", project_split=pl.DataFrame({"project_id": [], "split": []}))
    with pytest.raises(DataError, match=f"no embeddings of model {NEW}"):
        export_embeddings(home, tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("name", ["absent/x.parquet", "."])
def test_a_place_that_cannot_be_written(home: Home, tmp_path: Path, name: str) -> None:
    publish_model(home, NEW)
    publish_embeddings(home, NEW, 1.0)
    publish(home, "project_split", project_split=pl.DataFrame({"project_id": [], "split": []}))
    with pytest.raises(DataError, match=r"cannot be written: .* Choose another place"):
        export_embeddings(home, tmp_path / name)


def test_scoreboards_show_what_is_there(home: Home) -> None:
    publish_model(home, NEW)
    assert scoreboards(home) == []
    score = {"split": "test", "measure": "triplet_accuracy", "value": 0.6, "low": 0.5, "high": 0.7}
    scores = pl.DataFrame([
        {**score, "feature_set": name, "n_queries": 9, "n_groups": 8, "chosen": name == "color"}
        for name in ("chance", "color", "imagenet")
    ]).with_columns(model_version=pl.lit(NEW))
    difference = {"split": "test", "feature_set": "color", "reference": "imagenet"}
    figures = {"measure": "triplet_accuracy", "difference": 0.1, "low": -0.1, "high": 0.3}
    apart = pl.DataFrame([{**difference, **figures, "model_version": NEW}])
    publish(home, "similarity_scores", NEW, similarity_scores=scores, similarity_differences=apart)
    titles = [title for title, _, _ in scoreboards(home)]
    assert titles[1] == "Image similarity, test (triplet_accuracy: 9 queries of 8 groups)"
    rows = {row[0]: row[1:] for row in scoreboards(home)[1][2]}
    assert rows["color *"] == ["0.600 [0.500, 0.700]", "+0.100 [-0.100, +0.300]"]
    assert len(titles) == 2
