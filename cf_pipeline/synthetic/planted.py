"""A complete data set on disk whose truth is known.

The folder looks like a user's own: Parquet tables, covers, a `dataset.toml`, and a labelled task
with `labels.csv`. Beside them `truth.npz` holds what the pipeline is to find again. Equal
configurations give equal bytes.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from cf_pipeline.errors import DataError
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.events import draw_events
from cf_pipeline.synthetic.population import Population, populate, scatter
from cf_pipeline.synthetic.rendering import Images, compose, render
from cf_pipeline.vectors import IndexedVectors, Indices, Matrix, Vector

logger = logging.getLogger(__name__)

DATASET_TOML = """\
name = "planted"
description = "Factors drawn, interactions sampled from them, covers drawn from them."

[interactions]
files = ["interactions.parquet"]

[interactions.columns]
user_id = "user_id"
project_id = "project_id"
kind = "kind"
occurred_at = "occurred_at"
count = "count"

[kinds.view]
weight = 1.0
matrix = true
truth = true

[kinds.appreciation]
weight = 2.0
matrix = true
truth = true

[kinds.ownership]
weight = 1.0
matrix = true
truth = false

[projects]
files = ["projects.parquet"]

[projects.columns]
project_id = "project_id"
title = "title"
owners = "owner"
field = "field"
tags = "tags"
cover = "cover"

[covers]
folder = "covers"

[users]
owner_user = "{owner}"
exclude_users = []

[split]
max_component_share = 0.05

[truth]
min_degree = 1
"""


@dataclass(frozen=True)
class PlantedWorld:
    """A planted data set and its truth.

    Attributes:
        folder: holds `dataset.toml`, `task/` and all else.
        users: true factors of all users, unit length, k dimensions.
        projects: true factors of all projects, unit length, k dimensions.
        popularity: float32 log-odds of each project, shape (n_projects,), independent of factors.
        cluster: cluster number of each project, shape (n_projects,).
        original: row of the project whose cover each project shows, its own where it is no copy.
        affinity: log-odds of a view per unit of cosine.
    """

    folder: Path
    users: IndexedVectors
    projects: IndexedVectors
    popularity: Vector
    cluster: Indices
    original: Indices
    affinity: float

    @property
    def dataset_file(self) -> Path:
        """The data set's description."""
        return self.folder / "dataset.toml"

    @property
    def task_folder(self) -> Path:
        """The labelled task: `labels.csv` with columns `path, label`, and `images/`."""
        return self.folder / "task"

    def scores(
        self, user_ids: Sequence[str], project_ids: Sequence[str], *, with_popularity: bool = True
    ) -> Matrix:
        """What these users think of these projects, in truth.

        Args:
            user_ids: n users.
            project_ids: m projects.
            with_popularity: as events were drawn: the ranking that no model beats in expectation.
                Without it, the cosine of true factors alone.

        Returns:
            float32, shape (n, m): log-odds of a view up to a constant of each user, or cosines.

        Raises:
            DataError: an id is not of this world.
        """
        cosine = self.users.rows(user_ids) @ self.projects.rows(project_ids).T
        if not with_popularity:
            return cosine
        popularity = IndexedVectors(self.projects.ids, self.popularity[:, None]).rows(project_ids)
        return np.asarray(self.affinity * cosine + popularity.T, dtype=np.float32)

    @classmethod
    def load(cls, folder: Path) -> PlantedWorld:
        """Reads the truth of a world that `plant` wrote.

        Raises:
            DataError: there is no `truth.npz`.
        """
        path = folder / "truth.npz"
        if not path.is_file():
            raise DataError(f"expected the truth of a planted world at {path}. Plant one there.")
        with np.load(path) as truth:
            return cls(
                folder=folder,
                users=IndexedVectors(tuple(truth["user_ids"].tolist()), truth["user_factors"]),
                projects=IndexedVectors(
                    tuple(truth["project_ids"].tolist()), truth["project_factors"]
                ),
                popularity=truth["popularity"],
                cluster=truth["cluster"],
                original=truth["original"],
                affinity=float(truth["affinity"]),
            )


def plant(folder: Path, config: PlantedConfig) -> PlantedWorld:
    """Writes a complete data set and its truth.

    Args:
        folder: made where it is missing; must be empty.
        config: size, noise and seed.

    Raises:
        DataError: the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"expected an empty folder to plant a world in, {folder} holds something.")
    folder.mkdir(parents=True, exist_ok=True)
    # One generator per part: more task images, say, leave the interactions as they are.
    people, doings, looks, task = np.random.default_rng(config.seed).spawn(4)
    population = populate(config, people)
    (folder / "dataset.toml").write_text(DATASET_TOML, encoding="utf-8")
    draw_events(population, config, doings).write_parquet(folder / "interactions.parquet")
    _project_table(population).write_parquet(folder / "projects.parquet")
    _write_covers(folder / "covers", population, config, looks)
    _write_task(folder / "task", population.centres, config, task)
    np.savez(
        folder / "truth.npz",
        user_ids=population.user_ids,
        user_factors=population.user_factors,
        project_ids=population.project_ids,
        project_factors=population.project_factors,
        popularity=population.popularity,
        cluster=population.cluster,
        original=population.original,
        affinity=np.float64(config.affinity),
    )
    logger.info("planted %d users and %d projects", config.n_users, config.n_projects)
    return PlantedWorld.load(folder)


def _project_table(population: Population) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "project_id": population.project_ids,
            "title": [f"Project {id_}" for id_ in population.project_ids],
            "owner": [
                str(population.user_ids[owner]) if owner >= 0 else None
                for owner in population.owner
            ],
            "field": [f"field {number}" for number in population.cluster],
            "tags": [
                [f"style {number}", f"shelf {id_[-1]}"]
                for number, id_ in zip(population.cluster, population.project_ids, strict=True)
            ],
            "cover": [_cover_name(id_) for id_ in population.project_ids],
        },
        schema_overrides={"project_id": pl.String, "owner": pl.String},
    )


def _cover_name(project_id: str) -> str:
    return f"{project_id[-2:]}/{project_id}.png"


def _write_covers(
    folder: Path, population: Population, config: PlantedConfig, rng: np.random.Generator
) -> None:
    """Draws every cover, then puts the original's file in the place of each exact copy."""
    scenes = compose(population.project_factors, rng).take(population.original)
    paths = [folder / _cover_name(id_) for id_ in population.project_ids]
    for parent in {path.parent for path in paths}:
        parent.mkdir(parents=True)
    for start, images in render(scenes, config.cover_size, config.noise, rng):
        _save(images, paths[start : start + len(images)])
    for copy in np.flatnonzero(population.is_exact_copy):
        shutil.copyfile(paths[population.original[copy]], paths[copy])


def _write_task(
    folder: Path, centres: Matrix, config: PlantedConfig, rng: np.random.Generator
) -> None:
    """Images of fresh projects that nobody has seen, labelled by their cluster."""
    label = np.arange(config.n_task_images) % config.n_task_classes
    scenes = compose(scatter(centres[label], config.spread, rng), rng)
    names = [f"images/{number:05d}.png" for number in range(config.n_task_images)]
    (folder / "images").mkdir(parents=True)
    for start, images in render(scenes, config.cover_size, config.noise, rng):
        _save(images, [folder / name for name in names[start : start + len(images)]])
    table = pl.DataFrame(
        {"path": names, "label": [f"style {number}" for number in label]},
        schema={"path": pl.String, "label": pl.String},
    )
    table.write_csv(folder / "labels.csv")


def _save(images: Images, paths: Sequence[Path]) -> None:
    for image, path in zip(images, paths, strict=True):
        # Level 1: noise does not compress, and a world of 10,000 covers is to take seconds.
        Image.fromarray(image).save(path, compress_level=1)
