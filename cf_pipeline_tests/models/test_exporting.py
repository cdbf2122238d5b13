"""Embeddings of one model out of a home, as Parquet and as a matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.models.exporting import export_embeddings, format_of
from cf_pipeline_tests.models.searchable_home import PROJECTS, SPLITS, SearchableHome
from cf_pipeline_tests.models.trained_home import TrainedHome


@pytest.fixture
def described(trained: TrainedHome) -> TrainedHome:
    """A home that knows two projects, their covers and their halves; nothing is trained yet."""
    trained.describe()
    trained.cover()
    trained.split()
    trained.train_on("1")
    return trained


def values(file: Path) -> set[tuple[str, float]]:
    """Model and first feature of every row."""
    rows = pl.read_parquet(file)
    return set(zip(rows["model_version"], rows["features"].to_numpy()[:, 0].tolist(), strict=True))


def test_what_is_known_of_a_cover_stands_beside_its_vectors(
    searchable: SearchableHome, tmp_path: Path
) -> None:
    file = tmp_path / "embeddings.parquet"
    given = export_embeddings(searchable.home, file)
    assert (given.n_rows, given.model, given.files) == (12, searchable.version, (file,))
    rows = pl.read_parquet(file)
    assert rows.columns == [
        *("project_id", "path", "title", "owners", "field", "subfield", "tags"),
        *("split", "look_group", "model_version"),
        *("collaborative", "features", "predicted_factors"),
    ]
    assert rows["project_id"].to_list() == list(PROJECTS)
    assert rows["split"].to_list() == list(SPLITS)
    assert rows["path"].to_list() == [str(searchable.pictures[p]) for p in PROJECTS]
    assert rows["title"][3] == "Title of p03"
    assert rows["owners"].to_list()[0] == ["anna", "ben"]
    assert rows["tags"].to_list()[0] == ["red", "old"]
    assert rows["look_group"].to_list() == list(PROJECTS)
    assert rows["predicted_factors"].to_numpy() == pytest.approx(searchable.predicted)


def test_a_matrix_has_a_table_of_its_rows_beside_it(
    searchable: SearchableHome, tmp_path: Path
) -> None:
    file, whole = tmp_path / "embeddings.npy", tmp_path / "embeddings.parquet"
    export_embeddings(searchable.home, whole)
    given = export_embeddings(searchable.home, file)
    assert given.files == (file, tmp_path / "embeddings.rows.csv")
    matrix, rows = np.load(file), pl.read_csv(given.files[1])
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, pl.read_parquet(whole)["collaborative"].to_numpy())
    assert rows["project_id"].to_list() == list(PROJECTS)
    assert rows["tags"][0] == "red; old"
    assert "features" not in rows.columns


@pytest.mark.parametrize(
    ("name", "chosen", "expected"),
    [
        ("a.parquet", None, "parquet"),
        ("a.NPY", None, "npy"),
        ("a.npy", "npy", "npy"),
        ("a", "npy", "npy"),
        ("a", None, "a: expected a name that ends with .parquet or .npy, got no suffix"),
        ("a.csv", None, "got .csv"),
        ("a.csv", "npy", "got .csv"),
        ("a.npy", "parquet", "ends with .npy, and --format says parquet"),
    ],
)
def test_the_suffix_decides_or_is_refused(name: str, chosen: str | None, expected: str) -> None:
    if expected in {"parquet", "npy"}:
        assert format_of(Path(name), chosen) == expected
    else:
        with pytest.raises(ConfigError, match=expected):
            format_of(Path(name), chosen)


def exported(home: TrainedHome, file: Path, model: str | None = None) -> tuple[int, str]:
    given = export_embeddings(home.home, file, model)
    return given.n_rows, given.model


def test_the_champion_is_exported_and_another_model_where_one_is_named(
    described: TrainedHome, tmp_path: Path
) -> None:
    old, new = described.train(1), described.train(2)
    for model, value in ((old, 1.0), (new, 2.0)):
        described.embed(model, value)
    file = tmp_path / "embeddings.parquet"
    # Nothing was promoted yet.
    assert exported(described, file) == (2, new)
    described.appoint(challenger=new, champion=old, best=new)
    assert exported(described, file) == (2, old)
    assert values(file) == {(old, 1.0)}
    assert exported(described, file, new[:6]) == (2, new)
    assert values(file) == {(new, 2.0)}
    with pytest.raises(DataError, match=f"no version begins with 'xyz'; there are .*{new}"):
        export_embeddings(described.home, file, "xyz")


def test_collaborative_has_the_form_that_validation_chose(
    described: TrainedHome, tmp_path: Path
) -> None:
    model = described.train(1)
    rng = np.random.default_rng(0)
    features, factors, imagenet = (rng.normal(size=(2, d)).astype(np.float32) for d in (3, 2, 4))
    ids = {"project_id": ["01398047", "1"], "sha256": "00"}
    rows = pl.DataFrame({
        **ids, "model_version": model, "features": features, "predicted_factors": factors
    })  # fmt: skip
    described.publish("embeddings", model, inputs={"trained_cnn": model}, embeddings=rows)
    frozen = pl.DataFrame({**ids, "feature_set": "imagenet", "features": list(imagenet)})
    described.publish("imagenet_embeddings", imagenet_embeddings=frozen)
    file = tmp_path / "x.parquet"

    def in_form(form: str) -> np.ndarray:
        described.score(model, 0.5, form=form)
        assert export_embeddings(described.home, file).form == form
        return pl.read_parquet(file).sort("project_id")["collaborative"].to_numpy()

    def unit(matrix: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        return matrix / np.where(norms == 0, 1, norms)

    # The train project is the mean that features are centred on; predicted factors have none.
    away, imagenet_away = features - features[1], imagenet - imagenet[1]
    assert in_form("collaborative") == pytest.approx(unit(away), abs=1e-6)
    assert in_form("predicted_factors") == pytest.approx(unit(factors), abs=1e-6)
    beside = in_form("predicted_factors beside imagenet")
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
    with pytest.raises(DataError, match=f"no collaborative of model {new} in .* promote"):
        export_embeddings(trained.home, file)
    assert not file.exists()


@pytest.mark.parametrize("name", ["absent/x.parquet", "folder.npy"])
def test_a_place_that_cannot_be_written(described: TrainedHome, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.npy").mkdir()
    described.embed(described.train(1), 1.0)
    with pytest.raises(DataError, match=r"cannot be written: .* Choose another place"):
        export_embeddings(described.home, tmp_path / name)
