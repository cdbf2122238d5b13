"""A data set without pictures: vectors take their place, the network is skipped, all is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cf_pipeline
from cf_pipeline.definitions import defs
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.errors import ConfigError
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.models.scoreboards import scores_of
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.home import Home
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import PlantedWorld, plant
from cf_pipeline_tests.end_to_end.planted_run import small_choices

WORLD = PlantedConfig(n_users=300, n_projects=400, cover_size=16, n_task_images=16)
N_WITHOUT = 5
NOISE = 0.1


def without_pictures(world: PlantedWorld) -> list[str]:
    """Noisy true factors, mixed into eight dimensions, in the place of covers."""
    rng = np.random.default_rng(0)
    mixed = world.projects.vectors @ rng.normal(size=(world.projects.n_dimensions, 8))
    mixed += rng.normal(scale=NOISE, size=mixed.shape)
    ids = list(world.projects.ids[N_WITHOUT:])
    np.save(world.folder / "vectors.npy", mixed[N_WITHOUT:].astype(np.float32))
    # A second set, of other length, without some, and first by name.
    few = slice(N_WITHOUT, None, 2)
    np.save(world.folder / "few.npy", rng.normal(size=(len(ids[::2]), 6)).astype(np.float32))
    (world.folder / "few.txt").write_text("\n".join(world.projects.ids[few]) + "\n")
    (world.folder / "ids.txt").write_text("\n".join(ids) + "\n")
    text = world.dataset_file.read_text()
    text = text.replace('cover = "cover"\n', "").replace(
        '[covers]\nfolder = "covers"\n',
        '[[features]]\nname = "mixed"\nfiles = ["vectors.npy"]\nids = "ids.txt"\n'
        '[[features]]\nname = "few"\nfiles = ["few.npy"]\nids = "few.txt"\n',
    )
    world.dataset_file.write_text(text)
    return ids


@pytest.mark.slow
def test_a_linear_head_learns_and_everything_else_runs(place: Path) -> None:
    world = plant(place / "world", WORLD)
    ids = without_pictures(world)
    home = Home(place / "home")
    home.create()
    small_choices(world).write(home.config_path)
    outcome = run_pipeline(home, defs())
    assert not outcome.failures
    assert run_pipeline(home, defs()).computed == ()
    warehouse = warehouse_of(home)
    covers = warehouse.frame("covers")
    assert covers.filter(status="missing")["reason"].to_list() == ["no vector"] * N_WITHOUT
    assert set(covers["path"]) == {None}
    for table in (
        "imagenet_embeddings",
        "simple_embeddings",
        "task_baseline_embeddings",
        "task_embeddings",
        "gallery",
    ):
        assert warehouse.frame(table).is_empty(), table
    embeddings = warehouse.frame("embeddings")
    assert sorted(embeddings["project_id"]) == sorted(ids)
    split = dict(warehouse.frame("project_split").iter_rows())
    assert all(split[id_] == "train" for id_ in world.projects.ids[:N_WITHOUT])
    scores = warehouse.frame("similarity_scores").filter(split="test", measure="triplet_accuracy")
    value = {row["feature_set"]: row for row in scores.to_dicts()}
    assert {"user:mixed", "user:mixed_ridge", "predicted_factors", "latent_factors"} <= set(value)
    assert {"user:few", "user:few_ridge"} <= set(value)
    told = scores_of(home).filter(benchmark="similarity")["reference"].drop_nulls().unique()
    assert told.to_list() == ["user:mixed"]
    assert not {"imagenet", "color", "random", "ensemble"} & set(value)
    assert value["predicted_factors"]["low"] > 0.6
    placed = warehouse.frame("cold_start_scores").filter(split="test", metric="auc")
    aucs = dict(placed.select("feature_set", "value").iter_rows())
    assert aucs["predicted_factors"] > aucs["chance"] + 0.1
    assert {"user:mixed", "user:mixed_ridge"} <= set(aucs)
    assert not {"user:few", "user:few_ridge"} & set(aucs)
    near = warehouse.frame("similar_projects")
    assert set(near["feature_set"]) == {"latent_factors", "collaborative"}
    model = cf_pipeline.load(home.path)
    assert model.similar(ids[0], k=3).height == 3
    picture = next((world.folder / "covers").rglob("*.png"))
    with pytest.raises(ConfigError, match="this model reads vectors from outside"):
        model.similar(str(picture))
    # One vector more is one more that is embedded, and nothing is read that did not change.
    matrix = np.load(world.folder / "vectors.npy")
    np.save(world.folder / "vectors.npy", np.vstack([matrix, matrix[:1] + 0.1]))
    with (world.folder / "ids.txt").open("a") as file:
        file.write(f"{world.projects.ids[0]}\n")
    again = run_pipeline(home, defs())
    assert not again.failures
    assert {"user_embeddings", "covers", "embeddings"} <= set(again.computed)
    assert "raw_interactions" not in again.computed
    assert warehouse.frame("covers").filter(status="missing").height == N_WITHOUT - 1


def test_of_pictures_and_vectors_there_has_to_be_one(tmp_path: Path) -> None:
    small = PlantedConfig(
        n_users=20, n_projects=20, n_clusters=4, n_task_images=4, n_task_classes=2
    )
    world = plant(tmp_path / "world", small)
    text = world.dataset_file.read_text()
    both = ('[covers]\nfolder = "covers"\n', 'cover = "cover"\n')
    for cut, said in ((both, "neither"), (both[:1], "go together"), (both[1:], "go together")):
        left = text
        for part in cut:
            left = left.replace(part, "")
        if len(cut) == 1:
            left += '\n[[features]]\nname = "v"\nfiles = ["v.parquet"]\n'
        world.dataset_file.write_text(left)
        with pytest.raises(ConfigError, match=said):
            load_dataset(world.dataset_file)
