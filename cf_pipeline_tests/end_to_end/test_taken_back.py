"""An edit and its taking back: what is dear is found again by what made it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cf_pipeline.configuration import choices as choosing
from cf_pipeline.configuration.choices import Choices
from cf_pipeline.definitions import defs
from cf_pipeline.defs.running import RunOutcome, Wanted, run_pipeline
from cf_pipeline.models.catalogue import champion_of, models, warehouse_of
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.end_to_end.planted_run import small_choices

pytestmark = pytest.mark.slow

WORLD = PlantedConfig(n_users=160, n_projects=240, cover_size=32, n_task_images=64)
DEAR = {
    "trained_cnn",
    "embeddings",
    "task_embeddings",
    "similarity_scores",
    "cold_start_scores",
    "benchmark_scores",
    "similar_projects",
}


@pytest.fixture(scope="module")
def finished(place: Path) -> Home:
    home = Home(place / "home")
    home.create()
    small_choices(plant(place / "world", WORLD)).write(home.config_path)
    assert not run_pipeline(home, defs()).failures
    return home


@pytest.fixture
def home(finished: Home, place: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(finished.path, tmp_path / "home"))


def choose(home: Home, *, recipe: str | None = None, **fields: object) -> None:
    before = Choices.read(home.config_path)
    chosen = {**before.set, **{key.replace("__", "."): v for key, v in fields.items()}}
    update = {"set": chosen, "recipe": recipe or before.recipe}
    before.model_copy(update=update).write(home.config_path)


def run(home: Home, **wanted: object) -> RunOutcome:
    outcome = run_pipeline(home, defs(), Wanted(**wanted))  # type: ignore[arg-type]
    assert not outcome.failures
    return outcome


def versions(home: Home) -> dict[str, str]:
    return {name: record.data_version for name, record in warehouse_of(home).records().items()}


EDITS = {
    "pruning": {"pruning__min_user_degree": 4},
    "factorization": {"factorization__n_factors": 6},
    "vision": {"vision__epochs": 1},
    "method": {"vision__objective": "contrastive"},
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_taken_back_trains_and_embeds_nothing(home: Home, edit: str) -> None:
    chosen, before = Choices.read(home.config_path), versions(home)
    choose(home, **EDITS[edit])
    there = run(home)
    assert "trained_cnn" in there.computed
    chosen.write(home.config_path)
    back = run(home)
    assert set(back.found_again) == DEAR
    assert not DEAR & set(back.computed)
    after = versions(home)
    # Which model serves is decided anew, on what has come since.
    assert {name for name in after if after[name] != before[name]} <= {"promoted_model"}
    again = run(home)
    assert (again.computed, again.found_again) == ((), ())


def test_a_recipe_chosen_again(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = tmp_path / "recipes"
    shutil.copytree(choosing.RECIPES, recipes)
    (recipes / "other.toml").write_text(
        'description = "another"\n[factorization]\nmax_users = 77\n[vision]\ndropout = 0.4\n'
        "[budget.demo.vision]\nepochs = 1\n"
    )
    monkeypatch.setattr(choosing, "RECIPES", recipes)
    choose(home, recipe="other")
    assert "trained_cnn" in run(home).computed
    choose(home, recipe="modern")
    back = run(home)
    assert set(back.found_again) == DEAR
    # The page is one for a home, and written anew.
    written = {"factor_scores", "gallery"}
    assert written <= set(back.computed) <= {*written, "promoted_model"}


def test_what_was_collected_is_trained_again(home: Home) -> None:
    """A checkpoint that is gone is not believed in."""
    model = warehouse_of(home).record("trained_cnn")
    assert model is not None
    choose(home, vision__epochs=1)
    run(home)
    artifacts = Artifacts(home.artifacts_path)
    artifacts.remove(artifacts.find("checkpoint", model.data_version))
    choose(home, vision__epochs=2)
    back = run(home, select=["trained_cnn"])
    assert back.computed == ("trained_cnn",)


def test_force_computes_what_could_be_found(home: Home) -> None:
    choose(home, vision__epochs=1)
    run(home, select=["trained_cnn"])
    choose(home, vision__epochs=2)
    assert run(home, select=["trained_cnn"], force=True).computed == ("trained_cnn",)


def test_the_serving_model_may_be_an_older_one(home: Home) -> None:
    """Taken back, the first model is current again, and both are listed."""
    first = champion_of(warehouse_of(home))
    choose(home, vision__epochs=1)
    run(home)
    choose(home, vision__epochs=2)
    run(home)
    record = warehouse_of(home).record("trained_cnn")
    assert record is not None
    assert record.data_version == first
    assert len(models(home)) == 2
