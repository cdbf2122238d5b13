"""A model as a program uses it: what comes back is what plain NumPy makes of the same tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import cf_pipeline
from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.factorization.als import Als
from cf_pipeline.models.loaded import LoadedModel
from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline_tests.factorization.dense_als import exact
from cf_pipeline_tests.models.searchable_home import (
    PROJECTS,
    UNPLACED,
    USERS,
    SearchableHome,
)

NOTEBOOK = Path(__file__).parents[2] / "docs" / "using_a_model.ipynb"


@pytest.fixture(scope="module")
def model(searchable: SearchableHome) -> LoadedModel:
    return cf_pipeline.load(searchable.home.path)


def unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)


def nearest(vectors: np.ndarray, query: np.ndarray, without: int | None, k: int) -> list[int]:
    """By Python's own sort, of cosines computed one by one."""
    cosines = [float(unit(query) @ unit(vector)) for vector in vectors]
    order = sorted(range(len(vectors)), key=lambda row: -cosines[row])
    return [row for row in order if row != without][:k]


def column(home: SearchableHome, table: str, name: str, where: str = "true") -> np.ndarray:
    rows = home.warehouse.frame(table, (name,), where=where)[name]
    return np.stack([np.asarray(vector, dtype=np.float64) for vector in rows.to_list()])


@pytest.mark.parametrize("by", ["predicted_factors", "color", "imagenet", "latent_factors"])
def test_neighbours_are_those_of_a_brute_force(
    searchable: SearchableHome, model: LoadedModel, by: str
) -> None:
    vectors = {
        "predicted_factors": lambda: column(searchable, "embeddings", by),
        "color": lambda: column(searchable, "simple_embeddings", "features"),
        "imagenet": lambda: column(searchable, "imagenet_embeddings", "features"),
        "latent_factors": lambda: column(searchable, by, "factors", "side = 'project'"),
    }[by]()
    if by in {"imagenet", "latent_factors"}:
        vectors = vectors - vectors[:8].mean(axis=0)
    found = model.similar("p03", 4, by)
    rows = nearest(vectors, vectors[3], 3, 4)
    assert found["project_id"].to_list() == [PROJECTS[row] for row in rows]
    cosines = [float(unit(vectors[3]) @ unit(vectors[row])) for row in rows]
    assert found["cosine"].to_numpy() == pytest.approx(cosines, abs=1e-5)
    assert found["rank"].to_list() == [1, 2, 3, 4]
    assert found["title"][0] == f"Title of {PROJECTS[rows[0]]}"
    assert found["path"][0] == str(searchable.pictures[PROJECTS[rows[0]]])


def test_a_known_picture_has_the_place_of_its_project_in_every_space(
    searchable: SearchableHome, model: LoadedModel
) -> None:
    picture = searchable.pictures["p03"]
    for by in ("collaborative", "predicted_factors", "imagenet", "color"):
        found = model.similar(picture, 3, by)
        assert found["project_id"][0] == "p03"
        assert found["cosine"][0] == pytest.approx(1, abs=1e-5)
        assert (
            found["project_id"][1:].to_list() == model.similar("p03", 2, by)["project_id"].to_list()
        )
    assert model.similar(str(picture), 1)["project_id"][0] == "p03"


def test_features_have_the_exported_form(searchable: SearchableHome, model: LoadedModel) -> None:
    paths = [searchable.pictures[project] for project in ("p01", "p10")]
    given = model.embed(paths)
    assert given.dtype == np.float32
    assert np.linalg.norm(given, axis=1) == pytest.approx([1, 1], abs=1e-6)
    imagenet = column(searchable, "imagenet_embeddings", "features")
    predicted = searchable.predicted.astype(np.float64)
    beside = unit(imagenet - imagenet[:8].mean(axis=0))
    expected = unit(np.hstack([unit(predicted), beside]))[[1, 10]]
    assert given == pytest.approx(expected, abs=1e-5)
    assert model.form == "predicted_factors beside imagenet"
    assert repr(model).startswith(f"<model {searchable.version} of ")


def test_predictions_become_places_at_the_length_that_validation_fits(
    searchable: SearchableHome, model: LoadedModel
) -> None:
    factors = searchable.factors["project"].astype(np.float64)
    mean = factors[:8].mean(axis=0)
    p, f = searchable.predicted[8:10].astype(np.float64), factors[8:10] - mean
    # The slope of a line through the origin, by another's least squares.
    (length,), *_ = np.linalg.lstsq(p.reshape(-1, 1), f.reshape(-1), rcond=None)
    given = model.predict_factors([searchable.pictures["p11"]])
    assert given[0] == pytest.approx(mean + length * searchable.predicted[11], abs=1e-5)


def test_users_for_a_picture_rank_as_the_inner_product_does(
    searchable: SearchableHome, model: LoadedModel
) -> None:
    picture = searchable.pictures["p11"]
    found = model.recommend(cover=picture, k=len(USERS))
    scores = searchable.factors["user"] @ model.predict_factors([picture])[0]
    order = np.argsort(-scores)
    assert found["user_id"].to_list() == [USERS[row] for row in order]
    assert found["score"].to_numpy() == pytest.approx(scores[order], abs=1e-5)


def test_projects_for_a_user_leave_out_what_they_have(
    searchable: SearchableHome, model: LoadedModel
) -> None:
    found = model.recommend("u2", k=100)
    scores = searchable.factors["project"] @ searchable.factors["user"][2]
    order = [PROJECTS[row] for row in np.argsort(-scores)]
    expected = [project for project in order if project not in searchable.came_for["u2"]]
    assert found["project_id"].to_list() == expected
    assert found.columns == ["rank", "project_id", "score", "title", "path"]


def test_a_list_of_projects_places_somebody_by_one_half_step(
    searchable: SearchableHome, model: LoadedModel
) -> None:
    found = model.recommend(projects=["p01", "p09"], k=100)
    assert not {"p01", "p09"} & set(found["project_id"])
    # The dense twin: least squares over all train projects and the one that was folded in.
    rows = [*range(8), 9]
    y = searchable.factors["project"][rows].astype(np.float64)
    wanted = np.isin(rows, [1, 9])
    came_for = np.where(wanted, 2.0, 0.0)[np.newaxis]  # the median confidence of the matrix
    user = exact(Als(), came_for, y)[0]
    scores = searchable.factors["project"] @ user
    order = [PROJECTS[row] for row in np.argsort(-scores) if row not in {1, 9}]
    assert found["project_id"].to_list() == order


def test_what_is_not_there_is_told_with_what_is_near(model: LoadedModel) -> None:
    with pytest.raises(DataError, match=r"'p3' is neither a picture file nor a project of"):
        model.similar("p3")
    with pytest.raises(DataError, match=r"'p033' is neither .* Did you mean 'p03'"):
        model.similar("p033")
    with pytest.raises(DataError, match=r"'p11' has no place by latent_factors: it lacks latent"):
        model.similar(UNPLACED, by="latent_factors")
    with pytest.raises(ConfigError, match=r"no space 'imagnet'. Did you mean 'imagenet'\?"):
        model.similar("p03", by="imagnet")
    with pytest.raises(DataError, match=r"user 'x' has no latent factors.* --projects ID,ID"):
        model.recommend("x")
    with pytest.raises(DataError, match=r"1 of 2 projects have no latent factors.* 'p11'"):
        model.recommend(projects=["p01", UNPLACED])
    with pytest.raises(DataError, match="at least one project"):
        model.recommend(projects=[])
    with pytest.raises(ConfigError, match="one of three"):
        model.recommend("u1", projects=["p01"])


def test_factors_of_other_axes_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.mktemp("other") / "home")
    home.create()
    other = SearchableHome(home).build()
    rows = other.warehouse.frame("latent_factors")
    other.publish("latent_factors", version="fitted anew", latent_factors=rows)
    model = cf_pipeline.load(home.path)
    with pytest.raises(DataError, match=r"trained on other latent factors .* axes are others"):
        model.recommend(cover=other.pictures["p01"])
    # What needs no factors goes on.
    assert model.similar(other.pictures["p01"], 1)["project_id"][0] == "p01"


def test_what_may_be_loaded(
    searchable: SearchableHome, monkeypatch: pytest.MonkeyPatch, tmp_path_factory
) -> None:
    version, path = searchable.version, searchable.home.path
    monkeypatch.setenv(HOME_VARIABLE, str(path))
    for given in (None, path, str(path), version, version[:6]):
        assert cf_pipeline.load(given).version == version
    assert cf_pipeline.load(path, version[:4]).version == version
    with pytest.raises(DataError, match="no version begins with 'xyz'"):
        cf_pipeline.load("xyz")
    nowhere = tmp_path_factory.mktemp("nowhere")
    with pytest.raises(ConfigError, match=r"is no home: expected a folder that cf-pipeline run"):
        cf_pipeline.load(nowhere)


@pytest.mark.slow
def test_nothing_of_dagster_is_loaded_and_torch_only_for_pictures(
    searchable: SearchableHome,
) -> None:
    code = (
        "import sys, cf_pipeline\n"
        f"model = cf_pipeline.load({str(searchable.home.path)!r})\n"
        "model.similar('p03'); model.recommend('u1')\n"
        "print(sorted({'dagster', 'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_notebook_runs(
    searchable: SearchableHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(searchable.home.path))
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert names["model"].version == searchable.version
    assert names["vectors"].shape[0] == len(names["places"]) == 3
    assert searchable.version in capsys.readouterr().out


def test_no_picture_has_no_place(searchable: SearchableHome, model: LoadedModel) -> None:
    for method in (model.embed, model.predict_factors):
        n_dimensions = method([searchable.pictures["p01"]]).shape[1]
        assert method([]).shape == (0, n_dimensions)


def test_ids_are_texts(model: LoadedModel) -> None:
    assert model.similar("p03", 1).schema["project_id"] == pl.String
