"""Which projects are held out: by group, by hash, so that nothing leaks and nothing moves.

Projects that look alike or share provenance belong together: the unit of the split is a connected
component of look component and split group. A component goes where the hash of its smallest group
value sends it, so another project changes nothing for those already there unless two components
merge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from cf_pipeline.interactions.config import SplitConfig


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
        config: seed and shares of what is hashed.
        max_component_share: a component with more than this share of all projects trains.

    Returns:
        A row for every project; without a readable cover it is `train`.
    """
    table = projects.select("project_id", "owners", "split_group").join(
        covers.select("project_id", "status", "look_component"), on="project_id", how="left"
    )
    table = table.sort("project_id")
    memberships = _memberships(table)
    component = _components(memberships, table.height)
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


def _memberships(table: pl.DataFrame) -> pl.DataFrame:
    """Rows `row, group`: every group value a project belongs to, prefixed by its sort."""
    rows = table.with_row_index("row")
    look = rows.filter(pl.col("look_component").is_not_null()).select(
        "row", group=pl.lit("look:") + pl.col("look_component")
    )
    given = rows.filter(pl.col("split_group").is_not_null()).select(
        "row", group=pl.lit("group:") + pl.col("split_group")
    )
    owned = (
        rows
        .filter(pl.col("split_group").is_null())
        .select("row", "owners")
        .explode("owners", empty_as_null=True, keep_nulls=True)
        .filter(pl.col("owners").is_not_null())
        .select("row", group=pl.lit("owner:") + pl.col("owners"))
    )
    alone = rows.select("row", group=pl.lit("project:") + pl.col("project_id"))
    return pl.concat([look, given, owned, alone])


def _components(memberships: pl.DataFrame, n_projects: int) -> npt.NDArray[np.int64]:
    group_index = memberships["group"].rank("dense").to_numpy().astype(np.int64) - 1
    rows = memberships["row"].to_numpy().astype(np.int64)
    n_nodes = n_projects + int(group_index.max(initial=-1)) + 1
    graph = sparse.coo_matrix(
        (np.ones(len(rows), dtype=np.int8), (rows, n_projects + group_index)),
        shape=(n_nodes, n_nodes),
    )
    _, labels = connected_components(graph, directed=False)
    _, component = np.unique(labels[:n_projects], return_inverse=True)
    return np.asarray(component, dtype=np.int64)


def _hashed_split(group: str, config: SplitConfig) -> str:
    digest = hashlib.sha256(f"{config.seed}\x1f{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < config.validation:
        return "validation"
    return "test" if position < config.validation + config.test else "train"
