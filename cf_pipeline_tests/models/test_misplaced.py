"""Where a model is wrong, against the obvious loop; and when that cannot be said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cf_pipeline.models import misplaced as module
from cf_pipeline.models.lineage import lineage_of
from cf_pipeline.models.misplaced import Misplaced, misplaced
from cf_pipeline_tests.models.exported_home import N_TEST, ExportedHome, filled
from cf_pipeline_tests.models.trained_home import TrainedHome


@pytest.fixture
def held(trained: TrainedHome, tmp_path: Path) -> ExportedHome:
    return filled(trained, tmp_path, backbone="resnet_small", image_size=16, epochs=0)


def found(held: ExportedHome, mean: list[float]) -> Misplaced | None:
    lineage = lineage_of(held.home.home, "trained_cnn", held.model)
    return misplaced(held.home.warehouse, held.model, mean, lineage)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_distances_of_held_out_covers(held: ExportedHome) -> None:
    mean = [0.1, 0.2, 0.3, 0.4]
    given = found(held, mean)
    assert given is not None
    rows = held.home.warehouse.frame("latent_factors").sort("id")
    wanted = rows["factors"].to_numpy()[-N_TEST:] - np.array(mean)
    predicted = held.predicted[-N_TEST:]
    apart = {
        (i, j): 1 - cosine(predicted[i], wanted[j]) for i in range(N_TEST) for j in range(N_TEST)
    }
    names = [path.stem for path in held.paths[-N_TEST:]]
    own = {name: apart[i, i] for i, name in enumerate(names)}
    table = given.covers
    assert table["project_id"].to_list() == sorted(names, key=own.__getitem__, reverse=True)
    assert table["distance"].to_list() == pytest.approx(sorted(own.values(), reverse=True))
    assert set(table["n_users"]) == {1}
    others = [value for (i, j), value in apart.items() if i != j]
    assert (given.mean, given.others) == pytest.approx((np.mean([*own.values()]), np.mean(others)))


def test_only_fields_of_enough_covers_are_told(
    held: ExportedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = found(held, [0.0] * 4)
    assert given is not None
    assert given.by("field").is_empty()
    assert given.by("cluster").is_empty()
    monkeypatch.setattr(module, "MIN_COVERS", 3)
    rows = given.by("field")
    assert sorted(rows["field"]) == ["field0", "field1"]
    assert rows["n_covers"].to_list() == [3, 3]
    assert rows["distance"].is_sorted(descending=True)


def test_factors_that_were_fitted_anew_are_others(held: ExportedHome) -> None:
    factors = held.home.warehouse.frame("latent_factors")
    held.home.publish("latent_factors", version="factors2", latent_factors=factors)
    assert found(held, [0.0] * 4) is None
