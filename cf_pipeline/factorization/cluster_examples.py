"""What of a cluster a person looks at: its words, and the covers nearest to its centre."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.metrics.keyed import id_keys


@dataclass(frozen=True)
class ClusterExample:
    """A cluster as it is shown.

    Attributes:
        cluster: its number.
        n_projects: how many lie in it.
        words: that tell it apart, the surest first, each once whatever its case.
        project_ids: those with a cover that are nearest to its centre, one of each look.
        covers: their files.
    """

    cluster: int
    n_projects: int
    words: tuple[str, ...]
    project_ids: tuple[str, ...]
    covers: tuple[Path, ...]

    @property
    def caption(self) -> str:
        """`214 projects: beauty, portrait, woman`; the last words may be cut."""
        said = ", ".join(self.words) or "no word tells it apart"
        return f"{self.n_projects:,} project{'' if self.n_projects == 1 else 's'}: {said}"


def cluster_examples(
    clusters: pl.DataFrame,
    words: pl.DataFrame,
    covers: pl.DataFrame,
    *,
    n_covers: int = 10,
    n_words: int = 7,
    seed: int = 0,
) -> Iterator[ClusterExample]:
    """Every cluster that holds a project, in the order of their numbers.

    Args:
        clusters: `cluster, side, id, distance`.
        words: `cluster, word, z`.
        covers: `project_id, path, look_group`, readable ones.
        n_covers: at most so many of each; those that are equally near by a key of seed and id.
        n_words: at most so many.
        seed: of the keys.
    """
    members = clusters.filter(side="project").rename({"id": "project_id"})
    pictured = members.join(covers, on="project_id")
    keys = id_keys(pictured["project_id"].to_list(), seed)
    nearest = pictured.with_columns(key=pl.Series(keys)).sort("cluster", "distance", "key")
    nearest = nearest.unique(["cluster", "look_group"], keep="first", maintain_order=True)
    surest = surest_words(words)
    for number, size in members.group_by("cluster").len().sort("cluster").iter_rows():
        shown = nearest.filter(cluster=number).head(n_covers)
        yield ClusterExample(
            cluster=number,
            n_projects=size,
            words=tuple(surest.filter(cluster=number)["word"].head(n_words)),
            project_ids=tuple(shown["project_id"]),
            covers=tuple(map(Path, shown["path"])),
        )


def surest_words(words: pl.DataFrame) -> pl.DataFrame:
    """Words of each cluster, those that tell it apart most first, each once whatever its case.

    Args:
        words: `cluster, word, z`.
    """
    surest = words.sort("cluster", -pl.col("z"), "word")
    surest = surest.with_columns(folded=pl.col("word").str.to_lowercase())
    return surest.unique(["cluster", "folded"], keep="first", maintain_order=True).drop("folded")
