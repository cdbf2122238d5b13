"""The words that tell a cluster of projects apart: tags, titles, boards, fields."""

from __future__ import annotations

import numpy as np
import polars as pl

from cf_pipeline.metrics.log_odds import log_odds_scores

WORDS_SCHEMA = {
    "cluster": pl.Int32,
    "source": pl.String,
    "word": pl.String,
    "z": pl.Float64,
    "n_projects": pl.Int64,
    "share": pl.Float64,
}
BELIEVED = 1.96
"""Standard deviations below which a word is not told."""
_LETTERS = r"\p{L}{3,}"
_RARE = 3
"""Projects that a word must be of, or it tells one of them apart and not a cluster."""


def words_of_projects(
    projects: pl.DataFrame, boards: pl.DataFrame, board_user: str | None
) -> pl.DataFrame:
    """Every word of every project, once for each source.

    Args:
        projects: `project_id, title, field, subfield, tags`.
        boards: `user_id, project_id`, events of users that are boards.
        board_user: how they are written, with `{board}` for the name; None: no user is one.

    Returns:
        `project_id, source, word`. Words of titles are runs of three letters and more.
    """
    given = {
        "tag": projects.select("project_id", word="tags").explode("word"),
        "title": projects.select(
            "project_id", word=pl.col("title").str.to_lowercase().str.extract_all(_LETTERS)
        ).explode("word"),
        "field": projects.select("project_id", word="field"),
        "subfield": projects.select("project_id", word="subfield"),
    }
    if board_user is not None:
        before, _, after = board_user.partition("{board}")
        name = pl.col("user_id").str.strip_prefix(before).str.strip_suffix(after)
        given["board"] = boards.select("project_id", word=name)
    return pl.concat([
        rows.drop_nulls().unique().select("project_id", pl.lit(source).alias("source"), "word")
        for source, rows in given.items()
    ])


def cluster_words(clusters: pl.DataFrame, words: pl.DataFrame, k: int) -> pl.DataFrame:
    """The words of each cluster that are above their odds elsewhere, the surest first.

    Args:
        clusters: `cluster, side, id`.
        words: `project_id, source, word`.
        k: at most so many for each cluster and source.

    Returns:
        Rows of WORDS_SCHEMA: `n_projects` of the cluster have the word, `share` of its projects.
    """
    members = clusters.filter(side="project").select("cluster", project_id="id")
    told = words.join(members, on="project_id")
    tables = [_of_source(rows, members) for rows in told.sort("source").partition_by("source")]
    table = pl.concat([pl.DataFrame(schema=WORDS_SCHEMA), *(t for t in tables if t is not None)])
    ordered = table.sort("cluster", "source", -pl.col("z"), "word")
    return ordered.group_by("cluster", "source", maintain_order=True).head(k)


def _of_source(told: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame | None:
    """z-scores of one source's words, those that are believed; None where it has none."""
    told = told.filter(pl.len().over("word") >= _RARE)
    counted = told.group_by("cluster", "word").len("n_projects").sort("cluster", "word")
    names = counted["word"].unique().sort()
    sizes = dict(members.group_by("cluster").len().iter_rows())
    if len(sizes) < 2 or len(names) < 2:
        return None
    numbers = sorted(sizes)
    row = counted["cluster"].replace_strict({c: i for i, c in enumerate(numbers)}).to_numpy()
    column = names.search_sorted(counted["word"]).to_numpy()
    counts = np.zeros((len(numbers), len(names)))
    counts[row, column] = counted["n_projects"].to_numpy()
    # The prior weighs as much as an average cluster.
    z = log_odds_scores(counts, counts.sum() / len(numbers))
    return (
        counted
        .with_columns(
            source=pl.lit(told["source"][0]),
            z=pl.Series(z[row, column]),
            share=pl.col("n_projects") / pl.col("cluster").replace_strict(sizes),
        )
        .filter(pl.col("z") >= BELIEVED)
        .select(pl.col(name).cast(type_) for name, type_ in WORDS_SCHEMA.items())
    )
