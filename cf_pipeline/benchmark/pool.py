"""The projects of one split that similarity is judged on, and which of them may be compared.

One project per look group, with a readable cover, enough events and folded-in factors. Two are
comparable when they look different, share no owner and, where a measure says so, a stratum. A pool
is bounded: beyond so many projects some are candidates only, and beyond many more left out.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from cf_pipeline.benchmark.truth import Truth, bootstrap_groups, require_columns
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.metrics.ranking import Flags
from cf_pipeline.metrics.similarity import CoEngagement
from cf_pipeline.vectors import IndexedVectors, Indices

READABLE = "ok"
"""Value of `covers.status` for a cover that was opened and checked."""

_PROJECT_COLUMNS = ("project_id", "owners", "split_group", "stratum", "field")
_COVER_COLUMNS = ("project_id", "status", "look_group", "look_component")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoolRules:
    """Who may enter a pool, and how large it may get.

    Attributes:
        min_degree: events a project needs, at least 1.
        max_queries: most projects that are queried.
        max_candidates: most projects that there are, queried or not.
        seed: with a project's id it decides who is left out where there are too many.

    Raises:
        DataError: min_degree is below 1.
    """

    min_degree: int = 1
    max_queries: int = 5_000
    max_candidates: int = 50_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.min_degree < 1:
            raise DataError(
                f"min_degree must be at least 1, got {self.min_degree}. Correct dataset.toml."
            )


@dataclass(frozen=True)
class Pool:
    """Projects of one split, in order of their ids; n of them.

    Attributes:
        split: its name.
        project_ids: n ids, sorted.
        engagement: relevance and popularity, n rows.
        look_components: int64, shape (n,).
        owners: CSR, shape (n, n_owners), 1 where known.
        split_groups: what the control `split_group` goes by, CSR, shape (n, n_values); without
            columns where somebody in the pool has a known owner.
        strata: int64, shape (n,), -1 where unknown.
        fields: likewise.
        groups: bootstrap group, int64, shape (n,).
        queries: row numbers of those that are queried, int64, ascending; all are candidates.
        counts: how many projects each condition left out, in order, and what is left.
    """

    split: str
    project_ids: tuple[str, ...]
    engagement: CoEngagement
    look_components: Indices
    owners: sparse.csr_matrix
    split_groups: sparse.csr_matrix
    strata: Indices
    fields: Indices
    groups: Indices
    queries: Indices
    counts: Mapping[str, int]

    @property
    def popularity(self) -> Indices:
        """d_i, users of each project in the truth, shape (n,)."""
        return self.engagement.degrees

    def comparable(self, queries: Indices, candidates: Indices) -> Flags:
        """Different look components and no common owner, shape (n_queries, n_candidates).

        A project is of its own look component, so never comparable to itself.
        """
        different = self.look_components[queries, np.newaxis] != self.look_components[candidates]
        shared = (self.owners[queries] @ self.owners[candidates].T).toarray() > 0
        return np.asarray(different & ~shared, dtype=np.bool_)


def build_catalog(
    projects: pl.DataFrame,
    covers: pl.DataFrame,
    splits: pl.DataFrame,
    factor_ids: Collection[str],
) -> pl.DataFrame:
    """Everything the pools ask of a project in one table, with its bootstrap group.

    Args:
        projects: `project_id, owners, split_group, stratum, field`, exact duplicates united.
        covers: `project_id, status, look_group, look_component`.
        splits: `project_id, split`.
        factor_ids: projects with a row in `latent_factors`.

    Raises:
        DataError: a column is missing, or a readable cover has no look group or component.
    """
    require_columns(projects, _PROJECT_COLUMNS, "projects")
    require_columns(covers, _COVER_COLUMNS, "covers")
    require_columns(splits, ("project_id", "split"), "splits")
    factors = pl.DataFrame(
        {"project_id": sorted(factor_ids)}, schema={"project_id": pl.String}
    ).with_columns(has_factors=pl.lit(True))
    catalog = (
        projects
        .select(_PROJECT_COLUMNS)
        .with_columns(group=bootstrap_groups(projects))
        .join(covers.select(_COVER_COLUMNS), on="project_id", how="left")
        .join(splits.select("project_id", "split"), on="project_id", how="left")
        .join(factors, on="project_id", how="left")
        .with_columns(
            pl.col("has_factors").fill_null(False),
            readable=(pl.col("status") == READABLE).fill_null(False),
        )
        .sort("project_id")
    )
    unlooked = catalog.filter(
        pl.col("readable") & pl.any_horizontal(pl.col("look_group", "look_component").is_null())
    )
    if unlooked.height:
        raise DataError(
            f"covers: {unlooked.height} readable covers have no look_group or look_component, the "
            f"first is {unlooked['project_id'][0]!r}. Materialize covers again."
        )
    return catalog


def with_vectors(catalog: pl.DataFrame, *vectors: IndexedVectors) -> pl.DataFrame:
    """The catalog with those counted as unreadable that lack a vector of one of these.

    A comparison asks every feature set the same queries.
    """
    for each in vectors:
        has = pl.col("project_id").is_in(pl.Series(each.ids, dtype=pl.String).implode())
        catalog = catalog.with_columns(readable=pl.col("readable") & has)
    return catalog


def build_pool(truth: Truth, catalog: pl.DataFrame, split: str, rules: PoolRules) -> Pool:
    """The pool of one split.

    Args:
        truth: over all projects that have an event, not only those of the pool.
        catalog: what build_catalog returns.
        split: `validation` or `test`.
        rules: who may enter, and how many.

    Raises:
        DataError: fewer than two projects are left.
    """
    pool = find_pool(truth, catalog, split, rules)
    if len(pool.project_ids) < 2:
        raise DataError(
            f"similarity needs at least two {split} projects to compare, {len(pool.project_ids)} "
            f"are left: {dict(pool.counts)}. Lower min_degree in dataset.toml or raise "
            f"split.{split}."
        )
    return pool


def find_pool(truth: Truth, catalog: pl.DataFrame, split: str, rules: PoolRules) -> Pool:
    """The pool of one split as build_pool makes it, which may be too small to compare anything."""
    degrees = pl.DataFrame({
        "project_id": truth.project_ids,
        "degree": truth.engagement.degrees,
    }).with_row_index("truth_row")
    table = catalog.filter(pl.col("split") == split).join(degrees, on="project_id", how="left")
    counts = {"projects": table.height}
    for reason, condition in (
        ("without readable cover or vector", pl.col("readable")),
        ("below min_degree", pl.col("degree").fill_null(0) >= rules.min_degree),
        ("without latent_factors", pl.col("has_factors")),
    ):
        kept = table.filter(condition)
        counts[reason] = table.height - kept.height
        table = kept
    kept = (
        table
        .sort("degree", "project_id", descending=[True, False])
        .unique("look_group", keep="first", maintain_order=True)
        .sort("project_id")
    )
    counts["same look group as another"] = table.height - kept.height
    bounded = kept[_first_by_key(kept["project_id"], rules.max_candidates, rules.seed)]
    counts["beyond max_candidates"] = kept.height - bounded.height
    counts["pool"] = bounded.height
    # By the same keys, so that with a lower bound fewer of the same projects are queried.
    queries = _first_by_key(bounded["project_id"], rules.max_queries, rules.seed)
    counts["candidates only, beyond max_queries"] = bounded.height - len(queries)
    if len(queries) < kept.height:
        _logger.info(
            "%s: of %d projects %d are candidates (benchmark.max_candidates) and %d are queried "
            "(benchmark.max_queries)",
            split,
            kept.height,
            bounded.height,
            len(queries),
        )
    return _pool(truth, bounded, queries, split, counts)


def _first_by_key(ids: pl.Series, limit: int, seed: int) -> Indices:
    """Row numbers of at most so many ids, those with the smallest keys, in their order."""
    if len(ids) <= limit:
        return np.arange(len(ids), dtype=np.int64)
    keys = id_keys(ids.to_list(), seed)
    return np.sort(np.argsort(keys, kind="stable")[:limit]).astype(np.int64)


def _pool(
    truth: Truth, table: pl.DataFrame, queries: Indices, split: str, counts: Mapping[str, int]
) -> Pool:
    owners = _memberships(table["owners"])
    split_groups = _memberships(table["split_group"])
    return Pool(
        split=split,
        project_ids=tuple(table["project_id"].to_list()),
        engagement=truth.engagement.take(table["truth_row"].to_numpy().astype(np.int64)),
        look_components=_codes(table["look_component"]),
        owners=owners,
        # A shared owner rules a pair out, so where owners are known a group would tell little.
        split_groups=split_groups[:, :0] if owners.nnz else split_groups,
        strata=_codes(table["stratum"]),
        fields=_codes(table["field"]),
        groups=table["group"].to_numpy(),
        queries=queries,
        counts=counts,
    )


def _codes(values: pl.Series) -> Indices:
    """Numbers of the different values, -1 for null, shape (n,)."""
    ranks = values.rank("dense").cast(pl.Int64) - 1
    return ranks.fill_null(-1).to_numpy().astype(np.int64)


def _memberships(values: pl.Series) -> sparse.csr_matrix:
    """Rows x different values, 1 where the row has the value; a row may have a list of them."""
    pairs = pl.DataFrame({"value": values}).with_row_index("row")
    if isinstance(values.dtype, pl.List):
        pairs = pairs.explode("value", empty_as_null=True, keep_nulls=True)
    pairs = pairs.drop_nulls("value").unique()
    columns = _codes(pairs["value"])
    ones = np.ones(pairs.height, dtype=np.int32)
    shape = (len(values), int(columns.max(initial=-1)) + 1)
    return sparse.csr_matrix((ones, (pairs["row"].to_numpy(), columns)), shape=shape)
