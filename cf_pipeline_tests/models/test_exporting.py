"""Results out of a home: embeddings to Parquet, scores as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.models.exporting import export_embeddings, scoreboards
from cf_pipeline_tests.models.trained_home import LEAKS, QUERIES, TrainedHome


def values(file: Path) -> set[tuple[str, float]]:
    """Model and first feature of every row."""
    rows = pl.read_parquet(file)
    return set(zip(rows["model_version"], rows["features"].to_numpy()[:, 0].tolist(), strict=True))


def test_embeddings_of_the_newest_model_with_their_split(
    trained: TrainedHome, tmp_path: Path
) -> None:
    _, new = trained.train(1), trained.train(2)
    trained.embed(new, 2.0)
    trained.split()
    trained.train_on("1")
    file = tmp_path / "embeddings.parquet"
    assert export_embeddings(trained.home, file) == (2, new, None)
    rows = pl.read_parquet(file).sort("project_id")
    assert rows.columns == [
        "project_id",
        "split",
        "model_version",
        "collaborative",
        "features",
        "predicted_factors",
    ]
    assert rows["project_id"].to_list() == ["01398047", "1"]
    assert rows["split"].to_list() == ["test", "train"]
    assert set(rows["model_version"]) == {new}
    assert rows["features"].to_numpy().tolist() == [[2.0] * 3] * 2
    assert rows["predicted_factors"].to_numpy().tolist() == [[-2.0] * 2] * 2


def test_the_champion_is_exported_and_another_model_where_one_is_named(
    trained: TrainedHome, tmp_path: Path
) -> None:
    old, new = trained.train(1), trained.train(2)
    for model, value in ((old, 1.0), (new, 2.0)):
        trained.embed(model, value)
    trained.split()
    trained.train_on("1")
    file = tmp_path / "embeddings.parquet"
    # Nothing was promoted yet.
    assert export_embeddings(trained.home, file)[:2] == (2, new)
    trained.appoint(challenger=new, champion=old, best=new)
    assert export_embeddings(trained.home, file)[:2] == (2, old)
    assert values(file) == {(old, 1.0)}
    assert export_embeddings(trained.home, file, new[:6])[:2] == (2, new)
    assert values(file) == {(new, 2.0)}
    with pytest.raises(DataError, match=f"no version begins with 'xyz'; there are .*{new}"):
        export_embeddings(trained.home, file, "xyz")


def test_collaborative_has_the_form_that_validation_chose(
    trained: TrainedHome, tmp_path: Path
) -> None:
    model = trained.train(1)
    rng = np.random.default_rng(0)
    features, factors, imagenet = (rng.normal(size=(2, d)).astype(np.float32) for d in (3, 2, 4))
    ids = {"project_id": ["01398047", "1"], "sha256": "00"}
    rows = pl.DataFrame({
        **ids, "model_version": model, "features": features, "predicted_factors": factors
    })  # fmt: skip
    trained.publish("embeddings", model, inputs={"trained_cnn": model}, embeddings=rows)
    frozen = pl.DataFrame({**ids, "feature_set": "imagenet", "features": list(imagenet)})
    trained.publish("imagenet_embeddings", imagenet_embeddings=frozen)
    trained.split()
    trained.train_on("1")
    file = tmp_path / "x.parquet"

    def exported(form: str) -> np.ndarray:
        trained.score(model, 0.5, form=form)
        assert export_embeddings(trained.home, file) == (2, model, form)
        return pl.read_parquet(file).sort("project_id")["collaborative"].to_numpy()

    def unit(matrix: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        return matrix / np.where(norms == 0, 1, norms)

    # The train project is the mean that features are centred on; predicted factors have none.
    away, imagenet_away = features - features[1], imagenet - imagenet[1]
    assert exported("collaborative") == pytest.approx(unit(away), abs=1e-6)
    assert exported("predicted_factors") == pytest.approx(unit(factors), abs=1e-6)
    beside = exported("predicted_factors beside imagenet")
    expected = unit(np.hstack([unit(factors), unit(imagenet_away)]))
    assert beside == pytest.approx(expected, abs=1e-6)


def test_nothing_to_export_says_what_to_run(trained: TrainedHome, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    with pytest.raises(DataError, match=r"no trained model in .* Run cf-pipeline run first"):
        export_embeddings(trained.home, file)
    old, new = trained.train(1), trained.train(2)
    with pytest.raises(DataError, match="Materialize the asset embeddings first"):
        export_embeddings(trained.home, file)
    trained.embed(old, 1.0)
    trained.split()
    with pytest.raises(DataError, match=f"no embeddings of model {new} .* promote {new}"):
        export_embeddings(trained.home, file)
    assert not file.exists()


@pytest.mark.parametrize("name", ["absent/x.parquet", "."])
def test_a_place_that_cannot_be_written(trained: TrainedHome, tmp_path: Path, name: str) -> None:
    trained.embed(trained.train(1), 1.0)
    trained.split()
    trained.train_on("1")
    with pytest.raises(DataError, match=r"cannot be written: .* Choose another place"):
        export_embeddings(trained.home, tmp_path / name)


def test_scoreboards_show_what_is_there(trained: TrainedHome) -> None:
    new = trained.train(1)
    assert scoreboards(trained.home) == []
    score = {"split": "test", "measure": "triplet_accuracy", "value": 0.6, "low": 0.5, "high": 0.7}
    scores = pl.DataFrame([
        {**score, "feature_set": name, "n_queries": 9, "n_groups": 8, "chosen": name == "color"}
        for name in ("chance", "color", "imagenet")
    ]).with_columns(model_version=pl.lit(new))
    difference = {"split": "test", "feature_set": "color", "reference": "imagenet"}
    figures = {"measure": "triplet_accuracy", "difference": 0.1, "low": -0.1, "high": 0.3}
    apart = pl.DataFrame([{**difference, **figures, "model_version": new}])
    queries = pl.DataFrame(schema={"model_version": pl.String, **QUERIES})
    leaks = pl.DataFrame(schema={"model_version": pl.String, **LEAKS})
    form = {"form": "collaborative", "measure": "ndcg_at_10", "value": 0.5, "n_queries": 9}
    forms = pl.DataFrame([{**form, "exported": True, "model_version": new}])
    trained.publish(
        "similarity_scores",
        new,
        similarity_scores=scores,
        similarity_differences=apart,
        similarity_queries=queries,
        exported_forms=forms,
        popularity_leaks=leaks,
    )
    titles = [title for title, _, _ in scoreboards(trained.home)]
    assert titles[1] == "Image similarity, test (triplet_accuracy: 9 queries of 8 groups)"
    rows = {row[0]: row[1:] for row in scoreboards(trained.home)[1][2]}
    assert rows["color *"] == ["0.600 [0.500, 0.700]", "+0.100 [-0.100, +0.300]"]
    assert len(titles) == 2
