"""What an edit computes, and what it leaves alone, on a planted home and without a daemon."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from cf_pipeline.defs.conditions import stages_in_order
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.errors import CfPipelineError
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.tables import ASSET_TABLES
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.end_to_end import edits
from cf_pipeline_tests.end_to_end.edits import Place
from cf_pipeline_tests.end_to_end.planted_run import small_choices

pytestmark = pytest.mark.slow

WORLD = PlantedConfig(n_users=160, n_projects=240, cover_size=32, n_task_images=64)
BELOW_THE_NETWORK = {
    "trained_cnn",
    "embeddings",
    "task_embeddings",
    "similarity_scores",
    "cold_start_scores",
    "benchmark_scores",
    "promoted_model",
    "similar_projects",
    "gallery",
}


@pytest.fixture(scope="module")
def finished(place: Path) -> Path:
    """A folder with `world`, `home`, and both `as_it_was`."""
    home = Home(place / "home")
    home.create()
    small_choices(plant(place / "world", WORLD)).write(home.config_path)
    outcome = run_pipeline(home, edits.DEFINITIONS)
    assert set(outcome.computed) == set(ASSET_TABLES)
    for part in ("world", "home"):
        shutil.copytree(place / part, place / "as_it_was" / part)
    return place


@pytest.fixture
def there(finished: Path) -> Place:
    """The finished home and its world, at their place since tables hold paths."""
    for part in ("world", "home"):
        shutil.rmtree(finished / part)
        shutil.copytree(finished / "as_it_was" / part, finished / part)
    return Place(Home(finished / "home"))


def assert_each_once_and_in_order(computed: Sequence[str]) -> None:
    assert len(computed) == len(set(computed)), computed
    for spec in stages_in_order():
        for parent in {spec.asset, *spec.parents}.intersection(computed):
            if spec.asset in computed:
                assert computed.index(parent) <= computed.index(spec.asset)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {asset for asset in after if after[asset] != before[asset]}


def test_touching_every_source_computes_nothing(there: Place) -> None:
    edits.touch_sources(there)
    assert there.settle() == []


def test_an_interaction_reaches_what_is_made_of_interactions(there: Place) -> None:
    before = there.versions()
    edits.add_interaction(there)
    computed = there.settle()
    assert_each_once_and_in_order(computed)
    reached = {
        "raw_interactions",
        "pruned_matrix",
        "latent_factors",
        "factor_scores",
        "latent_clusters",
        "ridge_embeddings",
        "training_set",
        *BELOW_THE_NETWORK,
    }
    assert set(computed) == reached
    assert changed(before, there.versions()) == reached
    n_covers = there.warehouse.frame("covers", ("sha256",)).n_unique()
    assert there.covers_embedded()["embeddings"] == n_covers
    assert there.settle() == []


def test_a_cover_outside_the_training_set_is_embedded_and_scored(there: Place) -> None:
    before = there.versions()
    project = edits.change_cover(there)
    trained_on = there.warehouse.frame("training_set", ("project_id",))
    assert project not in trained_on["project_id"]
    computed = there.settle()
    assert_each_once_and_in_order(computed)
    scores = {"similarity_scores", "cold_start_scores", "similar_projects", "gallery"}
    reached = {"covers", *edits.EMBEDDERS, "ridge_embeddings", *scores}
    # Who reads covers looks; what the split, the matrix and the training set take of them stayed,
    # clusters show covers but are made of factors, and no labelled image is one of them.
    stopped = {"project_split", "pruned_matrix", "training_set", "latent_clusters"}
    stopped |= {"benchmark_tasks", "task_baseline_embeddings"}
    assert set(computed) == reached | stopped | {"promoted_model"}
    assert reached <= changed(before, there.versions()) <= reached | {"promoted_model"}
    assert there.covers_embedded() == {
        "embeddings": 1,
        "imagenet_embeddings": 1,
        "simple_embeddings": 2,  # two feature sets
    }
    assert there.settle() == []


def test_epochs_reach_the_network_and_what_follows(there: Place) -> None:
    edits.train_longer(there)
    computed = there.settle()
    assert_each_once_and_in_order(computed)
    assert set(computed) == BELOW_THE_NETWORK
    assert there.warehouse.frame("trained_cnn").height == 2  # the earlier model's rows stay


def test_a_comment_computes_nothing_and_code_does(there: Place, tmp_path: Path) -> None:
    package = edits.edited_package(tmp_path / "commented", edits.commented)
    assert there.settle_with(package) == []

    def with_code(file: Path, text: str) -> str:
        reached = file == Path("benchmark/probing.py")
        return text.replace('_C"', '_strength"') if reached else f"{text}MORE = 1\n"

    package = edits.edited_package(tmp_path / "changed", with_code)
    assert there.settle_with(package) == ["benchmark_scores"]


def test_what_cannot_be_computed_is_told(there: Place) -> None:
    file = there.home.path.parent / "world" / "interactions.parquet"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CfPipelineError, match=r"interactions\.parquet"):
        there.settle()
