"""The tables that a pool and its truth are built from, whoever is scored on it.

The scoreboard, the ridge and the comparison of models differ in the vectors that they bring, never
in who is judged or by what: all go through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import (
    EMBEDDED,
    IMAGENET,
    LAYERS,
    OUTSIDE_TABLE,
    PREDICTED_FACTORS,
    RIDGES,
    SHIPPED,
    USER_TABLE,
    FeatureSet,
    brought,
    feature_set,
)
from cf_pipeline.benchmark.features import Form, as_compared
from cf_pipeline.benchmark.pool import PoolRules, build_catalog
from cf_pipeline.benchmark.truth import truth_events, united_projects
from cf_pipeline.errors import DataError
from cf_pipeline.interactions.owners import owner_users
from cf_pipeline.interactions.pruning import representatives
from cf_pipeline.sql import equals
from cf_pipeline.vectors import IndexedVectors, indexed

_PLACING = (IMAGENET, *RIDGES, PREDICTED_FACTORS)
"""What places a project that nobody came for."""


class ReadTable(Protocol):
    """Rows of a table of the warehouse: these columns, where an SQL condition holds."""

    def __call__(self, table: str, *columns: str, where: str | None = None) -> pl.DataFrame:
        """A frame with these columns, in this order."""
        ...


@dataclass(frozen=True)
class TruthRules:
    """What a data set says about whom and what to judge by.

    Attributes:
        kinds: kinds of interaction that count as truth.
        excluded_users: users whose events do not.
        owner_user: how an owner is written as a user, with `{owner}` for the owner's key.
        min_degree: events a project needs to be in a pool.
    """

    kinds: tuple[str, ...]
    excluded_users: tuple[str, ...] = ()
    owner_user: str = "{owner}"
    min_degree: int = 1

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> TruthRules:
        """From `dataset.truth`, as `Dataset.sections` gives it."""
        return cls(
            kinds=tuple(sorted(kind for kind, counts in section["kinds"].items() if counts)),
            excluded_users=tuple(section["exclude_users"]),
            owner_user=section["owner_user"],
            min_degree=section["min_degree"],
        )


@dataclass(frozen=True)
class PoolInputs:
    """What decides who is judged, and by what.

    Attributes:
        events: `user_id, project_id`, what truth_events returns.
        projects: `project_id, owners, split_group, stratum, field`, duplicates included.
        covers: `project_id, status, look_group, look_component`.
        splits: `project_id, split`.
        representatives: `project_id, representative` of exact duplicates.
        factors: latent factors of projects, of train and folded in.
        min_degree: events a project needs to be in a pool.
    """

    events: pl.DataFrame
    projects: pl.DataFrame
    covers: pl.DataFrame
    splits: pl.DataFrame
    representatives: pl.DataFrame
    factors: IndexedVectors
    min_degree: int = 1

    @classmethod
    def read(cls, frame: ReadTable, rules: TruthRules) -> PoolInputs:
        """Gather them from the tables of a warehouse.

        Raises:
            DataError: a table or column is missing, or no event is left to judge by.
        """
        projects = frame("raw_projects", "project_id", "owners", "split_group", "stratum", "field")
        covers = frame("covers", "project_id", "sha256", "status", "look_group", "look_component")
        stands_for = representatives(covers)
        events = truth_events(
            frame("raw_interactions", "user_id", "project_id", "kind"),
            truth_kinds=rules.kinds,
            excluded_users=rules.excluded_users,
            representatives=stands_for,
            owner_users=owner_users(projects, rules.owner_user),
        )
        factors = frame("latent_factors", "id", "factors", where=equals("side", "project"))
        return cls(
            events=events,
            projects=projects,
            covers=covers,
            splits=frame("project_split", "project_id", "split"),
            representatives=stands_for,
            factors=indexed(factors, "id", "factors"),
            min_degree=rules.min_degree,
        )

    def catalog(self) -> pl.DataFrame:
        """Everything the pools ask of a project, see build_catalog."""
        united = united_projects(self.projects, self.representatives)
        return build_catalog(united, self.covers, self.splits, self.factors.ids)

    def pool_rules(self, config: BenchmarkConfig) -> PoolRules:
        """Who may enter a pool, by the data set and by the configuration."""
        return PoolRules(self.min_degree, config.max_queries, config.max_candidates, config.seed)


@dataclass(frozen=True)
class SimilarityInputs:
    """What the scoreboard reads.

    Attributes:
        judged: who is judged, and by what.
        features: feature set to its vectors as their table holds them, for every readable cover;
            at least the embedded ones that ship.
        frozen: what nothing here was learned in: `imagenet`, or vectors in the place of covers.

    Raises:
        DataError: one of these is missing.
    """

    judged: PoolInputs
    features: Mapping[str, IndexedVectors]
    frozen: str = IMAGENET

    def __post_init__(self) -> None:
        needed = [row.name for row in EMBEDDED]
        required = needed if self.frozen == IMAGENET else [self.frozen, *LAYERS]
        missing = [name for name in required if name not in self.features]
        if missing:
            raise DataError(
                f"similarity needs the feature sets {required}, {missing} are missing. "
                "Materialize the assets that make them."
            )

    @classmethod
    def read(cls, frame: ReadTable, rules: TruthRules, model: str) -> SimilarityInputs:
        """Gather them from the tables of a warehouse.

        Args:
            frame: reads a table.
            rules: of the data set.
            model: version of the network whose layers are scored.

        Raises:
            DataError: a table, column or feature set is missing, or no event is left.
        """
        frozen = frozen_set(frame)
        rows = (*_embedded(frozen), *_from_outside(frame))
        features = {row.name: _vectors(frame, row, model) for row in rows}
        return cls(PoolInputs.read(frame, rules), features, frozen)


@dataclass(frozen=True)
class ColdStartInputs:
    """What cold start is judged by.

    Attributes:
        judged: who is judged, and by what.
        users: latent factors of users.
        features: the frozen ones as they are compared, and whatever predicts factors less their
            mean.
        frozen: whose neighbours are asked: `imagenet`, or vectors in the place of covers.
    """

    judged: PoolInputs
    users: IndexedVectors
    features: Mapping[str, IndexedVectors]
    frozen: str = IMAGENET

    @classmethod
    def read(
        cls, frame: ReadTable, rules: TruthRules, model: str, imagenet_form: Form
    ) -> ColdStartInputs:
        """Gather them from the tables of a warehouse.

        Args:
            frame: reads a table.
            rules: of the data set.
            model: version of the network that predicts.
            imagenet_form: `benchmark.imagenet_form`.

        Raises:
            DataError: a table, column or feature set is missing, or no event is left.
        """
        judged, frozen = PoolInputs.read(frame, rules), frozen_set(frame)
        users = frame("latent_factors", "id", "factors", where=equals("side", "user"))
        rows = [row for row in _embedded(frozen) if row.name in _PLACING]
        if frozen != IMAGENET:
            rows = [*brought(frozen), *rows]
        features = {row.name: _vectors(frame, row, model) for row in rows}
        train = train_ids(judged.catalog())
        features[frozen] = as_compared(frozen, features[frozen], train, imagenet_form)
        return cls(judged, indexed(users, "id", "factors"), features, frozen)


def train_ids(catalog: pl.DataFrame) -> tuple[str, ...]:
    """Train projects with factors and a readable cover: what the network learned from, too.

    Raises:
        DataError: there are none.
    """
    rows = catalog.filter((pl.col("split") == "train") & pl.col("readable") & pl.col("has_factors"))
    if rows.height == 0:
        raise DataError(
            "similarity needs train projects with latent factors and a readable cover to centre "
            "features on, there are none. Materialize project_split and latent_factors."
        )
    return tuple(rows["project_id"].to_list())


def frozen_set(frame: ReadTable) -> str:
    """What nothing here was learned in: ImageNet's features, or vectors in the place of covers."""
    stand_in = frame(USER_TABLE, "feature_set", where="in_place_of_covers")["feature_set"].unique()
    return stand_in.item() if len(stand_in) else IMAGENET


def _embedded(frozen: str) -> list[FeatureSet]:
    """The rows that ship and have vectors: without covers our layers alone."""
    return [row for row in EMBEDDED if frozen == IMAGENET or row.is_layer]


def _own(frame: ReadTable) -> list[str]:
    return frame(USER_TABLE, "feature_set")["feature_set"].unique().sort().to_list()


def _from_outside(frame: ReadTable) -> list[FeatureSet]:
    """The feature sets beside those that ship, found where such are written."""
    written = frame(OUTSIDE_TABLE, "feature_set")["feature_set"].unique().sort()
    own = _own(frame)
    twice = sorted(set(own) & set(written))
    if twice:
        raise DataError(
            f"the feature sets {twice} are vectors of [[features]] in dataset.toml and classes of "
            "baselines.extra, too. Give one of them another name."
        )
    rows = [feature_set(name) for name in written]
    taken = [row.name for row in rows if row in SHIPPED and row.table != OUTSIDE_TABLE]
    if taken:
        raise DataError(
            f"{OUTSIDE_TABLE} holds the feature sets {taken}, which are rows of the scoreboard "
            "that come from elsewhere. Give yours a name of its own, as user:<name>."
        )
    theirs = [row for name in own for row in brought(name)]
    return [*(row for row in rows if row not in SHIPPED), *theirs]


def _vectors(frame: ReadTable, row: FeatureSet, model: str) -> IndexedVectors:
    assert row.table is not None, row.name
    # Layers are told apart by their column, the sets that share a table by their name.
    where = equals("model_version", model) if row.is_layer else equals("feature_set", row.name)
    vectors = frame(row.table, "project_id", row.column, where=where)
    if vectors.is_empty():
        raise DataError(
            f"{row.table} holds no vectors of {row.name}. Materialize {row.table} again."
        )
    return indexed(vectors, "project_id", row.column)
