"""The world on disk: its layout, its ids, its copies, and that pruning leaves most of it."""

import hashlib
import tomllib

import numpy as np
import polars as pl
import pytest
from PIL import Image
from pydantic import ValidationError

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.config import PruningConfig
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import PlantedWorld, plant

SMALL = PlantedConfig(n_users=40, n_projects=60, events_per_user=8, n_task_images=16)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted") / "world", PlantedConfig())


@pytest.fixture(scope="module")
def events(world):
    return pl.read_parquet(world.folder / "interactions.parquet")


@pytest.fixture(scope="module")
def projects(world):
    return pl.read_parquet(world.folder / "projects.parquet")


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_equal_configurations_give_equal_bytes_and_another_seed_gives_others(tmp_path):
    plant(tmp_path / "one", SMALL)
    plant(tmp_path / "two", SMALL)
    plant(tmp_path / "other", SMALL.model_copy(update={"seed": 1}))

    one, other = digests(tmp_path / "one"), digests(tmp_path / "other")
    assert one == digests(tmp_path / "two")
    assert len(one) == 5 + 60 + 16  # tables, description, truth, labels; covers; task images
    assert one["interactions.parquet"] != other["interactions.parquet"]
    assert set(one.values()) & set(other.values()) == {one["dataset.toml"], one["task/labels.csv"]}


def test_more_task_images_leave_the_data_set_as_it_is(tmp_path):
    plant(tmp_path / "one", SMALL)
    plant(tmp_path / "more", SMALL.model_copy(update={"n_task_images": 24}))

    one, more = digests(tmp_path / "one"), digests(tmp_path / "more")
    assert {name: one[name] for name in one if not name.startswith("task/")} == {
        name: more[name] for name in more if not name.startswith("task/")
    }


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(DataError, match="empty folder"):
        plant(tmp_path, SMALL)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_truth_reads_back_from_disk(world):
    read = PlantedWorld.load(world.folder)

    assert read.users.ids == world.users.ids
    np.testing.assert_array_equal(read.projects.vectors, world.projects.vectors)
    np.testing.assert_allclose(np.linalg.norm(read.projects.vectors, axis=1), 1, atol=1e-5)
    assert len(read.users.ids) == 300
    assert len(read.projects.ids) == len(read.popularity) == len(read.cluster) == 600


def test_no_truth_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(DataError, match=r"truth\.npz"):
        PlantedWorld.load(tmp_path)


def test_ids_are_text_with_leading_zeros_and_all_rows_refer_to_them(world, events, projects):
    assert events.schema == {
        "user_id": pl.String,
        "project_id": pl.String,
        "kind": pl.String,
        "occurred_at": pl.Datetime("us"),
        "count": pl.Int64,
    }
    assert all(id_.startswith("0") for id_ in (*world.users.ids, *world.projects.ids))
    assert set(events["user_id"]) <= set(world.users.ids)
    assert set(events["project_id"]) <= set(world.projects.ids)
    assert projects["project_id"].to_list() == list(world.projects.ids)
    assert set(events["kind"]) == {"view", "appreciation", "ownership"}
    assert events["count"].min() == 1 < events["count"].max()
    assert events["occurred_at"].is_sorted()


def test_ownership_is_what_the_project_table_says_and_likes_are_of_views(events, projects):
    owned = events.filter(pl.col("kind") == "ownership").select("project_id", owner="user_id")
    said = projects.filter(pl.col("owner").is_not_null()).select("project_id", "owner")
    assert owned.sort("project_id").equals(said.sort("project_id"))
    assert 0 < projects["owner"].null_count() < 0.1 * projects.height
    assert said["owner"].value_counts()["count"].median() >= 2

    pairs = ["user_id", "project_id"]
    views = events.filter(pl.col("kind") == "view")
    likes = events.filter(pl.col("kind") == "appreciation")
    assert views.height == views.select(pairs).unique().height
    assert likes.join(views, on=pairs, how="anti").is_empty()
    assert 0.2 < likes.height / views.height < 0.4


def test_the_description_names_files_and_columns_that_exist(world, events, projects):
    described = tomllib.loads(world.dataset_file.read_text())

    for table, columns in (("interactions", events.columns), ("projects", projects.columns)):
        assert all((world.folder / file).is_file() for file in described[table]["files"])
        assert set(described[table]["columns"].values()) == set(columns)
    assert set(described["kinds"]) == set(events["kind"])
    covers = world.folder / described["covers"]["folder"]
    assert all((covers / cover).is_file() for cover in projects["cover"])
    with Image.open(covers / projects["cover"][0]) as cover:
        assert (cover.size, cover.mode) == ((48, 48), "RGB")


def test_copies_share_bytes_factor_and_cluster_but_not_the_owner(world, projects):
    files = [world.folder / "covers" / cover for cover in projects["cover"]]
    digest = np.array([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    copies = np.flatnonzero(world.original != np.arange(600))
    exact = copies[digest[copies] == digest[world.original[copies]]]

    assert len(copies) == 12 + 18  # 2 and 3 percent of 600
    assert len(exact) == 12
    assert len(set(digest)) == 600 - 12
    np.testing.assert_array_equal(
        world.projects.vectors[copies], world.projects.vectors[world.original[copies]]
    )
    owner = np.array(projects["owner"].to_list(), dtype=object)
    assert (owner[exact] != owner[world.original[exact]]).mean() > 0.8
    near = np.setdiff1d(copies, exact)
    assert (owner[near] == owner[world.original[near]]).all()


def test_groups_joined_by_owners_and_copies_stay_small_enough_to_be_held_out(world, projects):
    parent = list(range(600))

    def root(row):
        while parent[row] != row:
            row = parent[row]
        return row

    first = {}
    for row, owner in enumerate(projects["owner"]):
        if owner is not None:
            parent[root(row)] = root(first.setdefault(owner, row))
        parent[root(row)] = root(int(world.original[row]))

    sizes = np.unique([root(row) for row in range(600)], return_counts=True)[1]
    assert sizes.max() <= 0.05 * 600
    assert len(sizes) > 100


def test_default_pruning_leaves_most_of_the_world(world, events):
    pruning = PruningConfig()
    pairs = events.select("user_id", "project_id").unique()
    user, project = pl.len().over("user_id"), pl.len().over("project_id")
    kept = pairs.filter(
        (user <= pruning.max_user_share * 600) & (project <= pruning.max_project_share * 300)
    )
    assert kept.height < pairs.height  # the upper cuts find somebody
    before = 0
    while before != kept.height:
        before = kept.height
        kept = kept.filter(
            (user >= pruning.min_user_degree) & (project >= pruning.min_project_degree)
        )
    assert kept.height > 0.85 * pairs.height
    assert kept["user_id"].n_unique() > 0.95 * 300
    assert kept["project_id"].n_unique() > 0.95 * 600


def test_degrees_are_heavy_tailed(events):
    views = events.filter(pl.col("kind") == "view")
    for key in ("user_id", "project_id"):
        degree = views[key].value_counts()["count"]
        assert degree.max() > 2.5 * degree.median()


@pytest.mark.parametrize(
    "wrong",
    [{"n_owners": 3}, {"n_users": 50, "n_owners": 60}, {"n_task_classes": 9}, {"n_user": 5}],
)
def test_counts_that_do_not_fit_each_other_are_refused(wrong):
    with pytest.raises(ValidationError):
        PlantedConfig(**wrong)


def test_a_world_without_task_images_has_an_empty_task(tmp_path):
    world = plant(tmp_path / "w", SMALL.model_copy(update={"n_task_images": 0}))

    assert (world.task_folder / "labels.csv").read_text() == "path,label\n"
