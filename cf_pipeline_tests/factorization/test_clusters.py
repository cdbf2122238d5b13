"""Clusters of latent space and their words, on places whose clusters are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.cluster_examples import cluster_examples
from cf_pipeline.factorization.cluster_words import (
    WORDS_SCHEMA,
    cluster_words,
    words_of_projects,
)
from cf_pipeline.factorization.clusters import (
    CLUSTERS_SCHEMA,
    Clusters,
    cluster_table,
    number_of_clusters,
)
from cf_pipeline.vectors import unit_norm

SIZES = (40, 30, 20)


@pytest.fixture(scope="module")
def factors() -> pl.DataFrame:
    """Projects around three axes, of lengths that say nothing; a user on each; one folded in."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), SIZES)
    places = np.eye(3)[kinds] + rng.normal(0, 0.05, (len(kinds), 3))
    places *= rng.uniform(0.1, 9, (len(kinds), 1))
    rows = [("project", f"p{kind}-{i}", place, False) for i, (kind, place) in enumerate(
        zip(kinds, places, strict=True)
    )]  # fmt: skip
    rows += [("user", f"u{kind}", 3 * np.eye(3)[kind], False) for kind in range(3)]
    rows.append(("project", "p2-later", np.array([0.0, 0.1, 9.0]), True))
    return pl.DataFrame(
        [(side, id_, place.tolist(), folded) for side, id_, place, folded in rows],
        schema={
            "side": pl.String,
            "id": pl.String,
            "factors": pl.Array(pl.Float32, 3),
            "folded_in": pl.Boolean,
        },
        orient="row",
    )


def test_what_lies_together_is_together_the_largest_first(factors: pl.DataFrame) -> None:
    table = cluster_table(factors, 3, seed=0)
    assert dict(table.schema) == CLUSTERS_SCHEMA
    assert table.height == factors.height
    kind = pl.col("id").str.slice(1, 1).cast(pl.Int32)
    # Kinds are numbered by size, as clusters are; users and the one folded in lie with their kind.
    assert table.filter(pl.col("cluster") != kind).is_empty()
    later = table.filter(id="p2-later")["distance"].item()
    fitted = factors.filter(pl.col("id").str.starts_with("p2"), ~pl.col("folded_in"))
    centre = unit_norm(fitted["factors"].to_numpy()).mean(axis=0)
    place = unit_norm(np.array([[0.0, 0.1, 9.0]], dtype=np.float32))[0]
    assert later == pytest.approx(np.linalg.norm(place - centre), abs=1e-4)
    assert (
        cluster_table(factors.sample(fraction=1, shuffle=True, seed=1), 3, seed=0)
        .sort("side", "id")
        .equals(table.sort("side", "id"))
    )


def test_what_is_shown_of_a_cluster() -> None:
    clusters = pl.DataFrame({
        "cluster": [0, 0, 0, 0, 1],
        "side": ["project", "project", "project", "user", "project"],
        "id": ["far", "near", "twin", "u", "alone"],
        "distance": [0.9, 0.1, 0.1, 0.0, 0.2],
    })
    words = pl.DataFrame({
        "cluster": [0, 0, 0],
        "word": ["Flag", "flag", "sea"],
        "z": [9.0, 8.0, 8.5],
    })
    covers = pl.DataFrame({
        "project_id": ["far", "near", "twin"],
        "path": ["f.png", "n.png", "t.png"],
        "look_group": ["f", "same", "same"],
    })
    first, second = cluster_examples(clusters, words, covers)
    assert first.caption == "3 projects: Flag, sea"
    # One of each look, the nearest first; which of twins is the seed's to say.
    assert first.project_ids in {("near", "far"), ("twin", "far")}
    assert [path.name[0] for path in first.covers] == [id_[0] for id_ in first.project_ids]
    assert (second.caption, second.covers) == ("1 project: no word tells it apart", ())


def test_how_many_there_are() -> None:
    assert [number_of_clusters(n) for n in (2, 50, 4289, 10**6)] == [2, 5, 46, 64]
    few = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    assert len(Clusters.of(few, 5, seed=0).centres) == 3
    with pytest.raises(DataError, match="6 train projects have 1 different factors"):
        Clusters.of(np.ones((6, 3), dtype=np.float32), None, seed=0)


def test_words_tell_clusters_apart(factors: pl.DataFrame) -> None:
    table = cluster_table(factors, 3, seed=0)
    ids = table.filter(side="project")["id"].sort().to_list()
    projects = pl.DataFrame({
        "project_id": ids,
        "title": [f"A Vector of { {'0': 'cats', '1': 'Cars', '2': 'boats'}[i[1]]} 7" for i in ids],
        "field": ["drawing"] * len(ids),
        "subfield": [None] * len(ids),
        "tags": [["line", "fur"] if i[1] == "0" else ["line"] for i in ids],
    }, schema_overrides={"subfield": pl.String})  # fmt: skip
    events = pl.DataFrame(
        [("board:zoo!", i) for i in ids if i[1] == "0"] * 2
        + [("board:garage!", i) for i in ids if i[1] == "1"],
        schema=["user_id", "project_id"],
        orient="row",
    )
    words = words_of_projects(projects, events, "board:{board}!")
    told = cluster_words(table, words, k=2)
    assert dict(told.schema) == WORDS_SCHEMA
    said = {c: set(told.filter(cluster=c)["word"]) for c in range(3)}
    assert said[0] == {"cats", "zoo", "fur"}
    assert said[1] == {"cars", "garage"} | (said[1] & {"line"})
    assert "boats" in said[2]
    # What is said of everything is said of none.
    assert not {"vector", "drawing"} & {word for of in said.values() for word in of}
    cats = told.filter(word="cats").row(0, named=True)
    assert (cats["source"], cats["n_projects"], cats["share"]) == ("title", 40, 1.0)
    assert words_of_projects(projects, events, None).filter(source="board").is_empty()
