"""Which projects are held out: by group, by hash, so that nothing leaks and nothing moves.

Projects that look alike or share provenance belong together: the unit of the split is a connected
component of look component and split group. A component goes where the hash of its smallest group
value sends it, so another project changes nothing for those already there unless two components
merge. Shares of groups are held out, or one of K folds, so that over K homes each is tested once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from cf_pipeline.interactions.config import SplitConfig
from cf_pipeline.vectors import Indices


@dataclass(frozen=True)
class Split:
    """The split of every project and how it came about.

    Attributes:
        assignment: `project_id, split`.
        n_components: connected components.
        oversized: components above the share that always trains: their size in projects.
    """

    assignment: pl.DataFrame
    n_components: int
    oversized: tuple[int, ...]


def split_projects(
    projects: pl.DataFrame,
    covers: pl.DataFrame,
    *,
    config: SplitConfig,
    max_component_share: float,
) -> Split:
    """Assign every project to train, validation or test.

    Args:
        projects: `project_id, owners LIST, split_group`; split_group null: its owners take its
            place; no owners either: the project alone.
        covers: `project_id, status, look_component`.
        config: seed, and shares or folds of what is hashed.
        max_component_share: a component with more than this share of all projects trains.

    Returns:
        A row for every project; without a readable cover it is `train`.
    """
    table = projects.select("project_id", "owners", "split_group").join(
        covers.select("project_id", "status", "look_component"), on="project_id", how="left"
    )
    table = table.sort("project_id")
    memberships = _memberships(table)
    component = components(memberships, table.height)
    # One name per component that does not depend on how many projects there are.
    smallest = (
        memberships
        .with_columns(component=component[memberships["row"].to_numpy()])
        .group_by("component")
        .agg(pl.col("group").min())
        .sort("component")["group"]
        .to_list()
    )
    sizes = np.bincount(component, minlength=len(smallest))
    too_large = sizes > max_component_share * table.height
    names = [
        "train" if too_large[index] else _hashed_split(group, config)
        for index, group in enumerate(smallest)
    ]
    readable = (table["status"] == "ok").fill_null(False).to_list()
    split = [names[c] if ok else "train" for c, ok in zip(component, readable, strict=True)]
    assignment = table.select("project_id").with_columns(split=pl.Series(split, dtype=pl.String))
    oversized = tuple(sorted((int(s) for s in sizes[too_large]), reverse=True))
    return Split(assignment, len(smallest), oversized)


def count_moves(before: pl.DataFrame, after: pl.DataFrame) -> int:
    """How many projects that both tables know changed their split."""
    both = before.join(after, on="project_id", suffix="_after")
    return both.filter(pl.col("split") != pl.col("split_after")).height


def summarize(split: Split, before: pl.DataFrame | None) -> dict[str, float]:
    """Figures about a split, and about how it differs from an earlier one."""
    counts = dict(split.assignment.group_by("split").len().sort("split").iter_rows())
    return {
        **{name: int(n) for name, n in counts.items()},
        "components": split.n_components,
        "oversized_components": len(split.oversized),
        "projects_in_oversized_components": sum(split.oversized),
        "moved_projects": 0 if before is None else count_moves(before, split.assignment),
    }


def provenance(projects: pl.DataFrame) -> pl.DataFrame:
    """What each project comes from: its split group or, where none is given, its owners.

    Args:
        projects: `owners LIST, split_group`.

    Returns:
        Rows `row, group`: numbers of rows, and values prefixed by their sort. A project of which
        nothing is known has no row.
    """
    rows = projects.select(
        "owners", pl.col("split_group").cast(pl.String), row=pl.int_range(pl.len())
    )
    given = rows.drop_nulls("split_group").select(
        "row", group=pl.lit("group:") + pl.col("split_group")
    )
    owned = (
        rows
        .filter(pl.col("split_group").is_null())
        .explode("owners", empty_as_null=True, keep_nulls=True)
        .drop_nulls("owners")
        .select("row", group=pl.lit("owner:") + pl.col("owners"))
    )
    return pl.concat([given, owned])


def components(memberships: pl.DataFrame, n_rows: int) -> Indices:
    """Connected components of rows that share a group.

    Args:
        memberships: `row, group`; a row that is not in it is a component of its own.
        n_rows: how many rows there are.

    Returns:
        Component numbers 0..n_components - 1, int64, shape (n_rows,).
    """
    from scipy.sparse.csgraph import connected_components  # slow to import, and seldom run

    # Rows and group values are the nodes of one graph: an edge for every membership.
    value = memberships["group"].rank("dense").to_numpy().astype(np.int64) - 1
    rows = memberships["row"].to_numpy().astype(np.int64)
    n_nodes = n_rows + int(value.max(initial=-1)) + 1
    graph = sparse.coo_matrix(
        (np.ones(len(rows), dtype=np.int8), (rows, n_rows + value)), shape=(n_nodes, n_nodes)
    )
    _, labels = connected_components(graph, directed=False)
    _, component = np.unique(labels[:n_rows], return_inverse=True)
    return np.asarray(component, dtype=np.int64)


def _memberships(table: pl.DataFrame) -> pl.DataFrame:
    """Rows `row, group`: provenance, look component, and the project itself."""
    rows = table.select("project_id", "look_component", row=pl.int_range(pl.len()))
    look = rows.drop_nulls("look_component").select(
        "row", group=pl.lit("look:") + pl.col("look_component")
    )
    # Nothing shares it: it is the value to hash where there is no other.
    alone = rows.select("row", group=pl.lit("project:") + pl.col("project_id"))
    return pl.concat([look, provenance(table), alone])


def _hashed_split(group: str, config: SplitConfig) -> str:
    digest = hashlib.sha256(f"{config.seed}\x1f{group}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    if config.folds is not None:
        # The place is the same in every home, the names move: fold 0 tests place 0, and so on.
        place = number * config.folds >> 64
        held_out = {config.fold: "test", (config.fold + 1) % config.folds: "validation"}
        return held_out.get(place, "train")
    position = number / 2**64
    if position < config.validation:
        return "validation"
    return "test" if position < config.validation + config.test else "train"
