"""Whether the join to projects, the matrix and the split can be built upon.

Each check looks at tables as they are stored and shares no code with what wrote them, so that a
mistake there does not hide itself here.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy import sparse

from cf_pipeline.interactions.matrix import build_matrix
from cf_pipeline.vectors import Indices
from cf_pipeline.verdict import Verdict, check

MIN_JOIN_SHARE = 0.1
"""Of the projects in interactions, the share that the project table has to know. Logs may name
many projects that are gone or have no cover; ids written in another form are all unknown."""
MAX_ALIKE_SHARE = 0.5
"""Of users, the share that may have one and the same set of projects, and the other way round:
rows that are alike get the same factors."""
MIN_CONNECTED_SHARE = 0.5
"""Of projects, the share in the largest connected component. Between components a factorization
says nothing: no user has been in both, so their places relative to each other are arbitrary."""
SEED = 0


@check(
    interactions="select distinct project_id from raw_interactions",
    projects="select project_id from covers",
)
def interactions_join_projects(interactions: pl.DataFrame, projects: pl.DataFrame) -> Verdict:
    """Interactions and projects write ids in the same way: most that are named are known.

    Args:
        interactions: `project_id` of interactions.
        projects: `project_id` of the project table.
    """
    named, known = (ids["project_id"].drop_nulls().unique() for ids in (interactions, projects))
    is_known = named.is_in(known.implode())
    n_known = int(is_known.sum())
    share = n_known / max(1, len(named))
    facts = {
        "projects_in_interactions": len(named),
        "known": n_known,
        "unknown": len(named) - n_known,
        "known_share": share,
        "projects_without_interactions": len(known) - n_known,
    }
    found = f"raw_projects knows {n_known:,} of {len(named):,} projects in interactions"
    if share >= MIN_JOIN_SHARE:
        return Verdict(True, f"{found} ({share:.1%}).", facts)
    stranger, own = named.filter(~is_known).sort(), known.sort()
    return Verdict(
        False,
        f"{found} ({share:.1%}), at least {MIN_JOIN_SHARE:.0%} are expected. Write ids the same "
        f"way in both: interactions have {_first(stranger)}, raw_projects {_first(own)}.",
        facts,
    )


@check(matrix="select user_id, project_id, confidence from pruned_matrix")
def matrix_is_not_degenerate(matrix: pl.DataFrame) -> Verdict:
    """Users and projects can be told apart by who has what.

    With every entry filled, all users are alike and so are all projects: preference is whether a
    pair occurs (Hu, Koren, Volinsky 2008, equation 1).

    Args:
        matrix: `user_id, project_id, confidence`.

    Raises:
        DataError: a pair occurs twice.
    """
    users, projects = matrix["user_id"].n_unique(), matrix["project_id"].n_unique()
    confidence = matrix["confidence"]
    n_bad = matrix.height - int(((confidence > 0) & confidence.is_finite()).sum())
    facts = {"users": users, "projects": projects, "pairs": matrix.height, "bad_confidences": n_bad}
    problems = []
    if n_bad:
        problems.append(
            f"Expected finite confidences above 0, {n_bad:,} of {matrix.height:,} are not. Check "
            "pruning.alpha and the weights of kinds in dataset.toml."
        )
    if min(users, projects) < 2:
        problems.append(
            f"Expected at least 2 users and 2 projects, got {users} and {projects}. Loosen "
            "pruning, or mark more kinds with matrix = true in dataset.toml."
        )
        return Verdict.of(problems, "", facts)
    shape = _shape(matrix)
    problems += _shape_problems(shape)
    sound = (
        f"{users:,} users and {projects:,} projects differ: density {shape['density']:.3%}, "
        f"{shape['connected_share']:.1%} of projects are connected."
    )
    return Verdict.of(problems, sound, {**facts, **shape})


@check(
    split="select project_id, split from project_split",
    covers="select project_id, status, look_component from covers",
    projects="select project_id, owners, split_group from raw_projects",
)
def held_out_is_held_out(
    split: pl.DataFrame, covers: pl.DataFrame, projects: pl.DataFrame
) -> Verdict:
    """Every project is on one side, and nothing that belongs together on two.

    What belongs together are readable covers of one look component, and projects of one
    split_group; where that is null, of one owner. Without a readable cover a project trains.

    Args:
        split: `project_id, split`.
        covers: `project_id, status, look_component`.
        projects: `project_id, owners, split_group`, every project.
    """
    ids = projects.select("project_id").unique()
    per_project = split.group_by("project_id").len()
    table = (
        split
        .join(covers.select("project_id", "status", "look_component"), "project_id", how="left")
        .join(projects.select("project_id", "owners", "split_group"), "project_id", how="left")
        .with_columns(readable=(pl.col("status") == "ok").fill_null(False))
    )
    readable = table.filter("readable")
    ungrouped = readable.filter(pl.col("split_group").is_null())
    owned = ungrouped.explode("owners", empty_as_null=True, keep_nulls=True)
    faults = {
        "projects_repeated": per_project.filter(pl.col("len") > 1).height,
        "projects_without_split": ids.join(split, "project_id", how="anti").height,
        "unknown_projects": per_project.join(ids, "project_id", how="anti").height,
        "held_out_without_cover": table.filter(~pl.col("readable") & (pl.col("split") != "train"))[
            "project_id"
        ].n_unique(),
        "look_components_across": _across(readable, "look_component"),
        "split_groups_across": _across(readable, "split_group"),
        "owners_across": _across(owned, "owners"),
    }
    sides = {side: int((split["split"] == side).sum()) for side in ("train", "validation", "test")}
    wrong = ", ".join(f"{name} {count:,}" for name, count in faults.items() if count)
    problems = [f"Expected no project, look or group in two splits, got: {wrong}."] if wrong else []
    if wrong:
        problems.append("Materialize covers, raw_projects and project_split again.")
    sound = f"Each of {ids.height:,} projects is in one split, and no look or group in two."
    return Verdict.of(problems, sound, {**sides, **faults})


def _shape(matrix: pl.DataFrame) -> dict[str, float]:
    """Density, the largest share of users and of projects that are alike, connected projects."""
    from scipy.sparse.csgraph import connected_components  # slow to import, and seldom run

    pairs = build_matrix(matrix).user_items.tocoo()
    users, projects = pairs.shape
    rows, columns = pairs.row.astype(np.int64), pairs.col.astype(np.int64)
    edges = np.ones(pairs.nnz, dtype=np.int8)
    graph = sparse.coo_matrix((edges, (rows, users + columns)), shape=(users + projects,) * 2)
    _, component = connected_components(graph, directed=False)
    return {
        "density": pairs.nnz / (users * projects),
        "alike_users_share": _alike_share(rows, columns),
        "alike_projects_share": _alike_share(columns, rows),
        "connected_share": float(np.bincount(component[users:]).max() / projects),
    }


def _alike_share(rows: Indices, columns: Indices) -> float:
    """Share of rows that have the commonest set of columns, from the indices of stored pairs."""
    # A set is told by the sum of random 64-bit numbers, one per column, which wraps around.
    drawn = np.random.default_rng(SEED).integers(0, 2**64, columns.max() + 1, dtype=np.uint64)
    sums = np.zeros(rows.max() + 1, dtype=np.uint64)
    np.add.at(sums, rows, drawn[columns])
    _, sizes = np.unique(sums, return_counts=True)
    return float(sizes.max() / sizes.sum())


def _shape_problems(shape: dict[str, float]) -> list[str]:
    if shape["density"] >= 1:
        return [
            "Every user has every project, so nothing tells them apart. Mark only kinds that say "
            "what somebody likes with matrix = true in dataset.toml."
        ]
    problems = []
    for side, other in (("users", "projects"), ("projects", "users")):
        share = shape[f"alike_{side}_share"]
        if share > MAX_ALIKE_SHARE:
            problems.append(
                f"{share:.1%} of {side} have the very same {other}, at most "
                f"{MAX_ALIKE_SHARE:.0%} are expected. Look for repeated or automatic events, or "
                "raise pruning.min_user_degree and pruning.min_project_degree."
            )
    if shape["connected_share"] < MIN_CONNECTED_SHARE:
        problems.append(
            f"The largest connected part holds {shape['connected_share']:.1%} of projects, at "
            f"least {MIN_CONNECTED_SHARE:.0%} are expected: parts that share no user cannot be "
            "placed relative to each other. Loosen pruning, or take one part at a time."
        )
    return problems


def _across(table: pl.DataFrame, group: str) -> int:
    """How many values of a column are in more than one split."""
    splits = table.drop_nulls(group).group_by(group).agg(pl.col("split").n_unique())
    return splits.filter(pl.col("split") > 1).height


def _first(ids: pl.Series) -> str:
    return repr(ids[0]) if len(ids) else "none"
