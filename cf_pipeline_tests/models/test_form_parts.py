"""Tensors that travel give the form that a home computes from all of its vectors."""

from __future__ import annotations

from typing import get_args

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.features import Form
from cf_pipeline.models.form_parts import form_parts
from cf_pipeline.models.spaces import space_of
from cf_pipeline.vectors import Matrix
from cf_pipeline_tests.models.trained_home import TrainedHome

N, TRAIN = 12, 8


@pytest.fixture
def embedded(trained: TrainedHome) -> tuple[str, dict[str, Matrix]]:
    """A model of a dozen covers, two thirds of them train ones, and its vectors."""
    model = trained.train(1)
    rng = np.random.default_rng(0)
    shift = {"features": 5.0, "predicted_factors": 0.0, "imagenet": 2.0}
    widths = {"features": 3, "predicted_factors": 2, "imagenet": 4}
    vectors = {
        name: (rng.normal(size=(N, width)) + shift[name]).astype(np.float32)
        for name, width in widths.items()
    }
    ids = [f"{row:02}" for row in range(N)]
    known = {"project_id": ids, "sha256": ids}
    layers = {name: vectors[name] for name in ("features", "predicted_factors")}
    rows = pl.DataFrame({**known, "model_version": model, **layers})
    trained.publish("embeddings", model, inputs={"trained_cnn": model}, embeddings=rows)
    frozen = {"feature_set": "imagenet", "features": list(vectors["imagenet"])}
    trained.publish("imagenet_embeddings", imagenet_embeddings=pl.DataFrame({**known, **frozen}))
    trained.train_on(*ids[:TRAIN])
    return model, vectors


@pytest.mark.parametrize("layer", ["collaborative", "predicted_factors"])
@pytest.mark.slow
def test_every_form(
    trained: TrainedHome, embedded: tuple[str, dict[str, Matrix]], layer: str
) -> None:
    model, vectors = embedded
    own = vectors["features" if layer == "collaborative" else layer]
    for beside in ("", " beside imagenet"):
        name = f"{layer}{beside}"
        trained.score(model, 0.5, form=name)
        for imagenet_form in get_args(Form):
            parts = form_parts(trained.warehouse, model, imagenet_form)
            assert parts is not None
            assert (parts.form.name, parts.scored) == (name, True)
            names = {"mean"} | ({"imagenet_mean"} if beside else set())
            if beside and imagenet_form == "whitened":
                names.add("imagenet_matrix")
            assert parts.tensors().keys() == names
            assert {tensor.dtype for tensor in parts.tensors().values()} == {np.dtype(np.float32)}
            given = parts.of(own, vectors["imagenet"] if beside else None)
            places = space_of(trained.warehouse, "collaborative", model, imagenet_form).places()
            assert given == pytest.approx(places.vectors, abs=1e-5)


def test_a_model_that_was_not_scored_has_its_features_layer(
    trained: TrainedHome, embedded: tuple[str, dict[str, Matrix]]
) -> None:
    model, vectors = embedded
    parts = form_parts(trained.warehouse, model, "centred")
    assert parts is not None
    assert (parts.form.name, parts.scored) == ("collaborative", False)
    assert parts.mean == pytest.approx(vectors["features"][:TRAIN].mean(axis=0), abs=1e-5)


def test_projects_that_came_since_are_no_part_of_the_mean(
    trained: TrainedHome, embedded: tuple[str, dict[str, Matrix]]
) -> None:
    model, vectors = embedded
    trained.train_on(*(f"{row:02}" for row in range(TRAIN)), "new")
    parts = form_parts(trained.warehouse, model, "centred")
    assert parts is not None
    assert parts.mean == pytest.approx(vectors["features"][:TRAIN].mean(axis=0), abs=1e-5)


def test_a_model_without_embeddings_has_no_form(
    trained: TrainedHome, embedded: tuple[str, dict[str, Matrix]]
) -> None:
    assert form_parts(trained.warehouse, trained.train(2), "centred") is None
