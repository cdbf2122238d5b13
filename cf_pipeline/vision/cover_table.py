"""The table of covers: each one opened and checked, and who looks like whom."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Progress, silent
from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.covers import inspect_covers
from cf_pipeline.vision.looks import assign_looks


def build_cover_table(
    projects: pl.DataFrame,
    files: pl.DataFrame,
    config: CoversConfig,
    *,
    threads: int,
    progress: Progress = silent,
) -> pl.DataFrame:
    """Open every cover once.

    Args:
        projects: `project_id`, everyone.
        files: `project_id, path, sha256` of those that name a cover; sha256 null where there is
            no file.
        config: limits and thresholds.
        threads: for decoding.
        progress: hears covers done.

    Returns:
        `project_id, path, sha256, width, height, format, status, reason, look_group,
        look_component`, one row per project, sorted by project_id.

    Raises:
        DataError: not one cover can be read.
    """
    table = (
        projects.select("project_id").join(files, on="project_id", how="left").sort("project_id")
    )
    paths = [Path(path) if path is not None else None for path in table["path"]]
    found = inspect_covers(paths, config.max_pixels, n_threads=threads, progress=progress)
    if not any(inspection.status == "ok" for inspection in found):
        reasons = sorted({inspection.reason or "" for inspection in found})
        raise DataError(
            f"none of {len(found):,} covers can be read; reasons: {'; '.join(reasons[:3])}. Check "
            "covers.folder and the column cover in dataset.toml."
        )
    ids = table["project_id"].to_list()
    groups, components = assign_looks(ids, [i.signature for i in found], config)
    return table.with_columns(
        width=pl.Series([i.width for i in found], dtype=pl.Int32),
        height=pl.Series([i.height for i in found], dtype=pl.Int32),
        format=pl.Series([i.format for i in found], dtype=pl.String),
        status=pl.Series([i.status for i in found], dtype=pl.String),
        reason=pl.Series([i.reason for i in found], dtype=pl.String),
        look_group=pl.Series(groups, dtype=pl.String),
        look_component=pl.Series(components, dtype=pl.String),
    )


def table_of_vectors(projects: pl.DataFrame, vectors: pl.DataFrame) -> pl.DataFrame:
    """Where a data set has no covers: a vector counts as a readable one, equal ones look alike.

    Args:
        projects: `project_id`, everyone.
        vectors: `project_id, sha256` of those that have one.

    Returns:
        What build_cover_table returns, without paths and sizes.
    """
    table = projects.select("project_id").join(vectors, on="project_id", how="left")
    look = pl.col("project_id").min().over("sha256")
    alike = pl.when(pl.col("sha256").is_not_null()).then(look)
    return table.sort("project_id").select(
        "project_id",
        path=pl.lit(None, pl.String),
        sha256="sha256",
        width=pl.lit(None, pl.Int32),
        height=pl.lit(None, pl.Int32),
        format=pl.when(pl.col("sha256").is_not_null()).then(pl.lit("vector")),
        status=pl.when(pl.col("sha256").is_null()).then(pl.lit("missing")).otherwise(pl.lit("ok")),
        reason=pl.when(pl.col("sha256").is_null()).then(pl.lit("no vector")),
        look_group=alike,
        look_component=alike,
    )


def summarize(covers: pl.DataFrame) -> dict[str, float]:
    """Counts by status, and number and largest size of look groups and components."""
    statuses = dict(covers.group_by("status").len().iter_rows())
    figures: dict[str, float] = {
        f"covers_{name}": int(statuses.get(name, 0)) for name in ("ok", "missing", "unreadable")
    }
    for column in ("look_group", "look_component"):
        sizes = covers.drop_nulls(column).group_by(column).len()["len"]
        figures[f"{column}s"] = len(sizes)
        figures[f"largest_{column}"] = int(sizes.max() or 0)  # type: ignore[arg-type]
    return figures


def largest_look_groups(
    covers: pl.DataFrame, *, n_groups: int = 8, n_covers: int = 10
) -> tuple[list[list[Path]], list[str]]:
    """Cover files of the largest look groups, some of each, and a caption per group."""
    groups = (
        covers
        .drop_nulls("look_group")
        .unique("sha256", keep="first", maintain_order=True)
        .group_by("look_group")
        .agg(pl.col("path").sort_by("project_id").head(n_covers), size=pl.len())
        .sort("size", "look_group", descending=[True, False])
        .head(n_groups)
    )
    captions = [f"{size} different files" for size in groups["size"]]
    return [[Path(path) for path in paths] for paths in groups["path"]], captions
