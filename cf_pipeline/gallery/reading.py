"""The page's content out of the warehouse, as the current model's tables say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import (
    COLLABORATIVE,
    IMAGENET,
    LATENT_FACTORS,
    PREDICTED_FACTORS,
)
from cf_pipeline.benchmark.scoreboard import BENCHMARKS, score_rows
from cf_pipeline.benchmark.talk import beside_the_talk
from cf_pipeline.factorization.cluster_examples import cluster_examples
from cf_pipeline.gallery.boards import all_boards, headlines_of
from cf_pipeline.gallery.choosing import (
    judged_splits,
    misplacements,
    nearest_of,
    picked_queries,
    primary_measure,
    split_sizes,
)
from cf_pipeline.gallery.content import (
    ClusterCard,
    CoverMap,
    Facts,
    Gallery,
    Label,
    Misplacements,
    QueryPanel,
    Retrieval,
)
from cf_pipeline.models.spaces import exported_form, space_of
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.retrieval.layout import laid_out
from cf_pipeline.sql import equals
from cf_pipeline.vectors import IndexedVectors

_COVERS_OF_A_CLUSTER = 12


def read_gallery(stage: Stage, model: str) -> Gallery:
    """Everything that the page shows.

    Args:
        stage: declares to read `benchmark.imagenet_form`.
        model: a model version.

    Raises:
        DataError: a cover or train project has no vector.
    """
    of_model = equals("model_version", model)
    tables = {
        name: stage.frame(name, where=None if name == "factor_scores" else of_model)
        for name in chain.from_iterable(BENCHMARKS.values())
    }
    primary = primary_measure(tables["similarity_scores"].filter(split="test"))
    probes = tables["benchmark_scores"]
    classes = stage.frame("benchmark_classes", where=of_model)
    boards = all_boards(score_rows(tables), primary, classes)
    labels = _labels(stage)
    splits = judged_splits(
        stage.frame("project_split", "project_id", "split"),
        stage.frame("trained_on", "project_id", where=of_model),
    )
    neighbours = stage.frame("similar_projects", where=of_model)
    return Gallery(
        facts=_facts(stage, model, len(labels), splits),
        headlines=headlines_of(boards),
        boards=boards,
        clusters=_cluster_cards(stage),
        retrieval=_retrieval(stage, tables["similarity_scores"], primary, neighbours, labels),
        wrong=_misplacements(stage, model, splits),
        map=_cover_map(stage, model, neighbours),
        labels=labels,
        talk=beside_the_talk(probes) if probes.height else None,
    )


def _facts(stage: Stage, model: str, n_covers: int, splits: Mapping[str, str]) -> Facts:
    factors = stage.frame("latent_factors", "side", "id")
    return Facts(
        name=stage.dataset.name,
        model=model,
        form=exported_form(stage.warehouse, model) or COLLABORATIVE,
        n_covers=n_covers,
        n_users=factors.filter(side="user").height,
        n_projects=split_sizes(factors.filter(side="project")["id"], splits),
    )


def _labels(stage: Stage) -> dict[str, Label]:
    """Words and file of every readable cover."""
    covers = stage.frame("covers", "project_id", "path", where="status = 'ok'")
    projects = stage.frame("raw_projects", "project_id", "title", "field")
    rows = covers.join(projects, on="project_id", how="left").sort("project_id")
    return {
        project: Label((title or "").strip() or project, field, Path(path))
        for project, path, title, field in rows.iter_rows()
    }


def _cluster_cards(stage: Stage) -> tuple[ClusterCard, ...]:
    words = stage.frame("cluster_words")
    covers = stage.frame("covers", "project_id", "path", "look_group", where="status = 'ok'")
    examples = cluster_examples(
        stage.frame("latent_clusters"), words, covers, n_covers=_COVERS_OF_A_CLUSTER
    )
    return tuple(
        ClusterCard(
            cluster=each.cluster,
            n_projects=each.n_projects,
            words=each.words,
            by_source=_by_source(words.filter(cluster=each.cluster)),
            covers=each.project_ids,
        )
        for each in examples
    )


def _by_source(words: pl.DataFrame) -> dict[str, tuple[tuple[str, float], ...]]:
    surest = words.sort("source", -pl.col("z"), "word")
    return {
        str(source): tuple(rows.select("word", "share").iter_rows())
        for (source,), rows in surest.group_by("source", maintain_order=True)
    }


def _retrieval(
    stage: Stage,
    scores: pl.DataFrame,
    primary: str,
    neighbours: pl.DataFrame,
    labels: Mapping[str, Label],
) -> Retrieval:
    layer = str(scores.filter("chosen")["feature_set"][0])
    where = f"{equals('model_version', str(scores['model_version'][0]))} AND split = 'test'"
    asked = stage.frame("similarity_queries", where=where).filter(measure=primary)
    ours = asked.filter(feature_set=layer).select("project_id", "value")
    theirs = dict(asked.filter(feature_set=IMAGENET).select("project_id", "value").iter_rows())
    values = dict(ours.iter_rows())
    picked = picked_queries(ours)
    ids = [query for some in picked.values() for query in some]
    near = {
        space: nearest_of(neighbours, space, ids, labels) for space in (COLLABORATIVE, IMAGENET)
    }
    return Retrieval(
        measure=primary,
        layer=layer,
        n_queries=ours.height,
        groups={
            name: tuple(
                QueryPanel(
                    query,
                    values[query],
                    theirs[query],
                    near[COLLABORATIVE][query],
                    near[IMAGENET][query],
                )
                for query in some
            )
            for name, some in picked.items()
        },
    )


def _misplacements(stage: Stage, model: str, splits: Mapping[str, str]) -> Misplacements:
    form = stage.configuration.benchmark.imagenet_form
    predicted, actual = (
        space_of(stage.warehouse, name, model, form).places()
        for name in (PREDICTED_FACTORS, LATENT_FACTORS)
    )
    placed = sorted(set(predicted.ids).intersection(actual.ids))
    held_out, train = (
        [project for project in placed if splits[project] == split] for split in ("test", "train")
    )
    return misplacements(_some(predicted, held_out), _some(actual, held_out), _some(actual, train))


def _cover_map(stage: Stage, model: str, neighbours: pl.DataFrame) -> CoverMap:
    form = stage.configuration.benchmark.imagenet_form
    places = laid_out(space_of(stage.warehouse, COLLABORATIVE, model, form).places())
    rows = stage.frame("latent_clusters", "id", "cluster", where="side = 'project'")
    clusters = dict(rows.iter_rows())
    known = dict.fromkeys(places.ids)
    return CoverMap(
        project_ids=places.ids,
        places=places.vectors,
        clusters=tuple(clusters.get(project) for project in places.ids),
        ours=nearest_of(neighbours, COLLABORATIVE, places.ids, known),
        imagenet=nearest_of(neighbours, IMAGENET, places.ids, known),
    )


def _some(vectors: IndexedVectors, ids: Sequence[str]) -> IndexedVectors:
    return IndexedVectors(tuple(ids), np.ascontiguousarray(vectors.rows(ids)))
