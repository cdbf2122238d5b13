"""What can be known in the planted world, and from what: neither trivial nor hopeless."""

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression, Ridge

from cf_pipeline.errors import DataError
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline.vectors import unit_norm

TRAIN = np.arange(600) < 400


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    # Without copies, so that no row of the test part has its twin in the train part.
    config = PlantedConfig(exact_duplicates=0, near_duplicates=0)
    return plant(tmp_path_factory.mktemp("planted") / "world", config)


@pytest.fixture(scope="module")
def views(world):
    """1 where a user viewed a project, shape (300, 600)."""
    table = pl.read_parquet(world.folder / "interactions.parquet")
    table = table.filter(pl.col("kind") == "view")
    user = {id_: row for row, id_ in enumerate(world.users.ids)}
    project = {id_: row for row, id_ in enumerate(world.projects.ids)}
    seen = np.zeros((300, 600), dtype=np.float32)
    seen[[user[id_] for id_ in table["user_id"]], [project[id_] for id_ in table["project_id"]]] = 1
    return seen


@pytest.fixture(scope="module")
def pixels(world):
    """Covers at 24 x 24, float32 in [0, 1], shape (600, 24, 24, 3)."""
    covers = pl.read_parquet(world.folder / "projects.parquet")["cover"]
    images = []
    for cover in covers:
        with Image.open(world.folder / "covers" / cover) as image:
            images.append(np.asarray(image.resize((24, 24), Image.Resampling.BOX)))
    return np.stack(images).astype(np.float32) / 255


def color_histogram(pixels):
    bins = (pixels * 3.999).astype(np.int64) @ np.array([16, 4, 1])
    return np.stack([np.sqrt(np.bincount(image.ravel(), minlength=64)) for image in bins])


def r_squared(features, factors, strength):
    model = Ridge(alpha=strength).fit(features[TRAIN], factors[TRAIN])
    error = ((model.predict(features[~TRAIN]) - factors[~TRAIN]) ** 2).mean(axis=0)
    return 1 - error / factors[~TRAIN].var(axis=0)


def probe(features, cluster):
    features = (features - features[TRAIN].mean(axis=0)) / (features[TRAIN].std(axis=0) + 1e-6)
    model = LogisticRegression(C=0.05, max_iter=500).fit(features[TRAIN], cluster[TRAIN])
    return model.score(features[~TRAIN], cluster[~TRAIN])


def recall_at_20(scores, views):
    top = np.argsort(-np.asarray(np.asarray(scores, dtype=np.float32)), axis=1, kind="stable")[
        :, :20
    ]
    return (np.take_along_axis(views, top, axis=1).sum(axis=1) / views.sum(axis=1)).mean()


def test_the_nearest_project_by_true_factors_is_of_the_same_cluster(world):
    cosine = world.projects.vectors @ world.projects.vectors.T
    np.fill_diagonal(cosine, -1)

    assert (world.cluster[cosine.argmax(axis=1)] == world.cluster).mean() > 0.95
    # Clusters are not points: within one, projects differ.
    same = world.cluster[:, None] == world.cluster[None, :]
    assert 0.6 < cosine[same].mean() < 0.9


def test_true_scores_rank_what_users_viewed_far_above_popularity_and_chance(world, views):
    users, projects = world.users.ids, world.projects.ids
    truth = recall_at_20(world.scores(users, projects), views)
    taste = recall_at_20(world.scores(users, projects, with_popularity=False), views)
    popular = recall_at_20(np.tile(views.sum(axis=0), (300, 1)), views)
    chance = 20 / 600

    assert truth > 0.4  # at most 0.8: 20 of 24 views on average
    # Popularity is a real nuisance: without it the truth ranks worse, alone it says little.
    assert popular < taste < truth
    assert chance < popular < 0.3 * truth


def test_popularity_is_independent_of_factors(world):
    assert r_squared(world.projects.vectors, world.popularity[:, None], 1.0)[0] < 0.02


def test_scores_follow_the_ids_asked_for(world):
    users, projects = world.users.ids[5:8], world.projects.ids[::-1][:4]
    scores = world.scores(users, projects)
    whole = world.scores(world.users.ids, world.projects.ids)

    assert (scores.shape, scores.dtype) == ((3, 4), np.float32)
    np.testing.assert_allclose(scores, whole[5:8, ::-1][:, :4], rtol=1e-5)
    with pytest.raises(DataError, match="no vector"):
        world.scores(["nobody"], projects)


def test_interactions_alone_give_the_clusters_away(world, views):
    weighted = views * np.log(600 / views.sum(axis=1, keepdims=True))
    similarity = unit_norm(weighted.T)
    cosine = similarity @ similarity.T
    np.fill_diagonal(cosine, -1)

    assert (world.cluster[cosine.argmax(axis=1)] == world.cluster).mean() > 0.75


def test_pixels_and_colors_know_a_part_of_the_factors(world, pixels):
    from_pixels = r_squared(pixels.reshape(600, -1), world.projects.vectors, 300)
    from_colors = r_squared(color_histogram(pixels), world.projects.vectors, 10)

    assert 0.35 < from_pixels.mean() < 0.75
    assert 0.2 < from_colors.mean() < 0.5
    # One dimension is a hue; the angle of the stripes is out of reach of either.
    assert from_colors[2] > 0.8
    assert max(from_pixels[0], from_colors[0]) < 0.45


def test_clusters_show_in_pixels_but_not_fully_in_anything_simple(world, pixels):
    accuracy = {
        "colors": probe(color_histogram(pixels), world.cluster),
        "pixels": probe(pixels.reshape(600, -1), world.cluster),
        "truth": probe(world.projects.vectors, world.cluster),
    }
    chance = 1 / 8

    assert 2.5 * chance < accuracy["colors"] < accuracy["pixels"] < 0.85
    assert accuracy["truth"] > 0.97


def test_task_labels_are_balanced_and_show_in_pixels(world):
    labels = pl.read_csv(world.task_folder / "labels.csv")
    images = []
    for path in labels["path"]:
        with Image.open(world.task_folder / path) as image:
            images.append(np.asarray(image.resize((24, 24), Image.Resampling.BOX)).ravel())
    features = np.stack(images).astype(np.float32) / 255
    label = labels["label"].to_numpy()
    train = np.arange(len(label)) < 160
    centred = features - features[train].mean(axis=0)
    model = LogisticRegression(C=0.01, max_iter=500).fit(centred[train], label[train])

    assert set(labels["label"].value_counts()["count"]) == {30}
    assert 0.4 < model.score(centred[~train], label[~train]) < 0.95
