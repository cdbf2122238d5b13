"""A model of a home, ready to be used: embed pictures, search, recommend. No Dagster.

Tables are read when they are asked for, and torch is imported when a picture is looked at, so that
asking for the neighbours of a known project costs neither.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, LATENT_FACTORS, PREDICTED_FACTORS
from cf_pipeline.errors import ConfigError, DataError, did_you_mean
from cf_pipeline.models.catalogue import model_meant, warehouse_of
from cf_pipeline.models.embedder import Embedder
from cf_pipeline.models.recommending import Recommender
from cf_pipeline.models.spaces import SPACES, exported_form
from cf_pipeline.retrieval.exact import ExactSearch
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.near_ids import near_ids
from cf_pipeline.vectors import Matrix, Progress, silent

Covers = Sequence[Path | str]


class LoadedModel:
    """One model version of a home.

    Attributes:
        home: where it lies.
        version: the model version.
        form: in which validation chose to hand its features out; None: it was not scored yet, and
            `embed` gives its features layer.
        embedder: its network, and the spaces that it searches.
    """

    def __init__(self, home: Home, model: str | None = None) -> None:
        """A model version, or how it begins; None: the champion, else the newest.

        Raises:
            ConfigError: the home's configuration cannot be read.
            DataError: nothing was trained in this home yet, or there is no such model.
        """
        self.home = home
        warehouse = warehouse_of(home)
        self.version = model_meant(warehouse, home, model)
        self.form = exported_form(warehouse, self.version)
        self.embedder = Embedder(home, self.version)
        self._warehouse = warehouse
        self._searches: dict[str, ExactSearch] = {}

    def __repr__(self) -> str:
        return f"<model {self.version} of {self.home.path}, {self.form or 'not scored yet'}>"

    @cached_property
    def projects(self) -> pl.DataFrame:
        """`project_id, title, path` of every project, in the order of ids; no cover, no path."""
        titles = self._warehouse.frame("raw_projects", ("project_id", "title"))
        paths = self._warehouse.frame("covers", ("project_id", "path"))
        return titles.join(paths, on="project_id", how="left", maintain_order="left")

    def embed(self, covers: Covers, progress: Progress = silent) -> Matrix:
        """Features of pictures, known or new, in the form that validation chose.

        Args:
            covers: n picture files.
            progress: hears of pictures done.

        Returns:
            float32, shape (n, d), rows of unit norm: the dot product of two is their cosine.

        Raises:
            DataError: a picture cannot be read (named).
        """
        return self.embedder.place(COLLABORATIVE, _paths(covers), progress)

    def predict_factors(self, covers: Covers, progress: Progress = silent) -> Matrix:
        """Where pictures belong in latent space, in the coordinates of table `latent_factors`.

        That is the mean of the train factors plus what the network predicts (the column
        `predicted_factors` of `embeddings`) at the length that fits held-out projects best.

        Returns:
            float32, shape (n, k); its product with a user's factors says how much they would
            like it.

        Raises:
            DataError: a picture cannot be read, or the factors of this model are gone.
        """
        predicted = self.embedder.layers(_paths(covers), progress)[PREDICTED_FACTORS]
        return self.embedder.placement.of(predicted)

    def similar(self, query: Path | str, k: int = 10, by: str = COLLABORATIVE) -> pl.DataFrame:
        """The projects nearest to a picture or to a project, nearest first.

        Args:
            query: a project id, or the path of a picture file. A project is not its own neighbour.
            k: how many.
            by: `collaborative`, `predicted_factors`, `imagenet`, `latent_factors` (a picture is
                where `predict_factors` puts it) or `color`.

        Returns:
            `rank, project_id, cosine, title, path`.

        Raises:
            ConfigError: there is no such space.
            DataError: no such project, it has no place there, or the picture cannot be read.
        """
        if by not in SPACES:
            hint = did_you_mean(by, SPACES)
            raise ConfigError(f"no space {by!r}. {hint}Expected one of {', '.join(SPACES)}.")
        search = self._search(by)
        if isinstance(query, Path) or os.path.isfile(query):
            places, own = self.embedder.place(by, [Path(query)]), None
        else:
            row = self._row_of(query, search, by)
            places, own = search.unit[row : row + 1], np.array([row], dtype=np.int64)
        found = search.nearest(places, k, own=own)
        there = found.rows[0] >= 0
        table = pl.DataFrame({
            "rank": np.arange(1, int(there.sum()) + 1, dtype=np.int32),
            "project_id": [search.ids[row] for row in found.rows[0][there]],
            "cosine": found.cosines[0][there],
        })
        return self._described(table)

    def recommend(
        self,
        user: str | None = None,
        *,
        projects: Sequence[str] | None = None,
        cover: Path | str | None = None,
        k: int = 10,
    ) -> pl.DataFrame:
        """Projects for a user or for a list of projects; or users for a picture nobody has seen.

        Args:
            user: a user id.
            projects: ids of projects that somebody came for, who need not be known.
            cover: a picture file; the other two are None then.
            k: how many.

        Returns:
            `rank, project_id, score, title, path`, without what the user has; for a picture `rank,
            user_id, score`. A score is the inner product of factors.

        Raises:
            ConfigError: none of the three was given, or several.
            DataError: a user or project is not known, or the picture cannot be read.
        """
        if sum(given is not None for given in (user, projects, cover)) != 1:
            raise ConfigError(
                "recommend takes one of three: a user, a list of projects, or a picture."
            )
        if cover is not None:
            return self._recommender.users_for(self.predict_factors([cover])[0], k)
        if projects is not None:
            return self._described(self._recommender.projects_for_list(projects, k))
        return self._described(self._recommender.projects_for_user(str(user), k))

    @cached_property
    def _recommender(self) -> Recommender:
        return Recommender.of(self._warehouse, self.embedder.configuration.factorization.method)

    def _search(self, name: str) -> ExactSearch:
        if name not in self._searches:
            self._searches[name] = ExactSearch.of(self.embedder.space(name).places())
        return self._searches[name]

    def _row_of(self, project_id: str, search: ExactSearch, by: str) -> int:
        """Row of a project in a search, or why it is not there.

        Raises:
            DataError: no such project, or it has no place there.
        """
        if project_id in search.ids:
            return search.ids.index(project_id)
        known = self._warehouse.frame(
            "raw_projects", ("project_id",), where="project_id = ?", parameters=[project_id]
        )
        if known.height:
            lacks = "latent factors" if by == LATENT_FACTORS else "a readable cover"
            raise DataError(
                f"project {project_id!r} has no place by {by}: it lacks {lacks}. Try another "
                f"--by of {', '.join(SPACES)}; cf-pipeline lineage {project_id} says more."
            )
        raise DataError(
            f"{project_id!r} is neither a picture file nor a project of {self.home.path}."
            f"{near_ids(self._warehouse, 'raw_projects', 'project_id', project_id)}"
        )

    def _described(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of projects with title and path."""
        return rows.join(self.projects, on="project_id", how="left", maintain_order="left")


def home_of(home_or_model: Path | str | None) -> tuple[Home, str | None]:
    """The home that somebody means, and the version where that was named instead.

    Args:
        home_or_model: the folder of a home, or the version of a model of the default home.

    Raises:
        ConfigError: there is no such home.
    """
    named = Path(home_or_model) if home_or_model is not None else None
    is_version = isinstance(home_or_model, str) and os.sep not in home_or_model
    version = None
    if named is not None and is_version and not named.is_dir():
        named, version = None, str(home_or_model)
    place = Home.locate(named)
    if not place.warehouse_path.is_file():
        raise ConfigError(
            f"{place.path} is no home: expected a folder that cf-pipeline run has written. Name "
            "one with --home DIR or CF_PIPELINE_HOME, or run cf-pipeline run first."
        )
    return place, version


def _paths(covers: Covers) -> list[Path]:
    return [Path(cover) for cover in covers]
