"""Each check of the group vision: what is sound passes, what collapsed is told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.vectors import Matrix
from cf_pipeline.verdict import Check, Verdict
from cf_pipeline.vision.soundness import (
    embeddings_are_not_alike,
    loss_fell,
    neighbours_are_not_the_same,
    no_look_group_is_too_large,
)


def features(n: int = 300, d: int = 48, seed: int = 0) -> Matrix:
    """Like those of a ReLU layer: never negative, and far from zero on average."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(12, d))[rng.integers(0, 12, n)]
    return np.maximum(looks + 0.7 * rng.normal(size=(n, d)) + 0.5, 0).astype(np.float32)


def table(vectors: Matrix) -> pl.DataFrame:
    """Vectors as the column of a table."""
    dtype = pl.Array(pl.Float32, vectors.shape[1])
    return pl.DataFrame({"features": pl.Series(vectors, dtype=dtype)})


def embeddings_differ(vectors: Matrix) -> Verdict:
    return embeddings_are_not_alike(table(vectors))


def neighbours_differ(vectors: Matrix) -> Verdict:
    return neighbours_are_not_the_same(table(vectors))


class TestLookGroups:
    @pytest.mark.parametrize(
        ("sizes", "passed"),
        [
            ([5, *[1] * 95], True),
            ([6, *[1] * 94], False),
            # Small sets: a pair of thirty is a fifteenth, and no reason to stop.
            ([2, *[1] * 28], True),
            ([4, 1], True),
            ([5, 1], False),
            ([1] * 5, True),
            ([], True),
        ],
    )
    def test_limits(self, sizes: list[int], passed: bool) -> None:
        groups = [f"g{row}" for row, size in enumerate(sizes) for _ in range(size)]
        covers = pl.DataFrame({"look_group": [*groups, None]}, schema={"look_group": pl.String})
        verdict = no_look_group_is_too_large(covers)
        assert verdict.passed is passed
        assert verdict.facts["largest_group"] == max(sizes, default=0)
        assert verdict.facts["largest_share"] == max(sizes, default=0) / max(1, len(groups))
        assert ("covers.max_hash_distance" in verdict.message) is not passed


class TestEmbeddings:
    def test_features_differ_copies_included(self) -> None:
        verdict = embeddings_differ(np.concatenate([features(), features()[:200]]))
        assert verdict.passed, verdict.message
        assert verdict.facts["distinct_share"] == 300 / 500
        assert verdict.facts["effective_dimensions"] > 4

    @settings(max_examples=20, deadline=None)
    @given(st.integers(8, 60), st.integers(2, 40), st.integers(0, 99))
    def test_the_order_of_rows_does_not_matter(self, n: int, d: int, seed: int) -> None:
        vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
        there, back = embeddings_differ(vectors), embeddings_differ(vectors[::-1])
        assert there.passed
        assert back.facts == pytest.approx(there.facts)

    def test_one_number_that_is_none(self) -> None:
        broken = features()
        broken[3, 5] = np.nan
        verdict = embeddings_differ(broken)
        assert not verdict.passed
        assert verdict.facts["not_finite"] == 1
        assert not neighbours_differ(broken).passed

    @pytest.mark.parametrize("n", [0, 1])
    def test_too_few_to_differ(self, n: int) -> None:
        assert not embeddings_differ(features()[:n]).passed

    @pytest.mark.parametrize("value", [0.0, 0.3])
    def test_one_vector_for_all(self, value: float) -> None:
        verdict = embeddings_differ(np.full((300, 48), value, dtype=np.float32))
        assert not verdict.passed
        assert verdict.facts["distinct_share"] == 1 / 300

    @pytest.mark.parametrize(("n_distinct", "passed"), [(15, True), (14, False)])
    def test_a_few_vectors_for_all(self, n_distinct: int, passed: bool) -> None:
        rows = np.arange(300) % n_distinct
        verdict = embeddings_differ(features()[rows])
        assert verdict.passed is passed
        assert verdict.facts["distinct_share"] == n_distinct / 300

    def test_zeros_of_both_signs_are_one_vector(self) -> None:
        zeros = np.zeros((300, 4), dtype=np.float32)
        zeros[::2] *= -1
        assert embeddings_differ(zeros).facts["distinct_share"] == 1 / 300

    @pytest.mark.parametrize("size", [1e-2, 1e-6])
    def test_all_nearly_alike(self, size: float) -> None:
        verdict = embeddings_differ(np.float32(1) + np.float32(size) * features())
        assert not verdict.passed
        assert "mean cosine" in verdict.message

    def test_lists_are_judged_as_arrays_are(self) -> None:
        # So they are stored where models of several lengths share the table.
        lists = table(features()).with_columns(pl.col("features").cast(pl.List(pl.Float32)))
        assert embeddings_are_not_alike(lists) == embeddings_differ(features())

    def test_all_on_a_line(self) -> None:
        along = np.random.default_rng(0).normal(size=300)[:, None]
        noise = 0.02 * np.random.default_rng(1).normal(size=(300, 48))
        verdict = embeddings_differ((along + noise).astype(np.float32))
        assert not verdict.passed
        assert "lie on a line" in verdict.message


class TestNeighbours:
    def test_features_have_many_neighbours(self) -> None:
        verdict = neighbours_differ(features())
        assert verdict.passed
        assert verdict.facts["hub_share"] < 0.1

    def test_a_hub(self) -> None:
        """Where all share a direction, the one that is nothing else is everybody's neighbour."""
        hub = (1 + 2 * np.random.default_rng(0).normal(size=(300, 400))).astype(np.float32)
        hub[7] = 1
        assert embeddings_differ(hub).passed
        verdict = neighbours_differ(hub)
        assert not verdict.passed
        assert verdict.facts["hub_share"] > 0.9
        # Less their mean they are ordinary.
        assert neighbours_differ(hub - hub.mean(axis=0)).passed

    def test_copies_are_no_neighbours(self) -> None:
        """A cover that stands for two thirds of all rows is one look."""
        many = np.concatenate([np.repeat(features()[:1], 600, axis=0), features()])
        assert neighbours_differ(many).facts == {
            **neighbours_differ(features()).facts,
            "rows": 900,
        }

    def test_too_few_to_judge(self) -> None:
        verdict = neighbours_differ(features()[:19])
        assert verdict.passed
        assert "too few" in verdict.message
        assert not neighbours_differ(np.repeat(features()[:19], 60, axis=0)).passed
        assert not neighbours_differ(features()[:0]).passed

    def test_the_same_vectors_the_same_answer(self) -> None:
        many = features(2_500, 16)
        assert neighbours_differ(many) == neighbours_differ(many.copy())
        assert neighbours_differ(many).facts["rows_sampled"] == 2_000


def test_large_tables_are_judged_quickly() -> None:
    vectors = features(10_000, 1280)
    started = time.process_time()
    assert embeddings_differ(vectors).passed
    assert neighbours_differ(vectors).passed
    # About half a second; sorting the rows or comparing all pairs takes ten times as long.
    assert time.process_time() - started < 5


def history(*losses: float | None) -> pl.DataFrame:
    rows = [
        {"epoch": epoch, "name": name, "value": value}
        for epoch, loss in enumerate(losses, 1)
        for name, value in (("train_loss", loss), ("learning_rate", 0.1))
    ]
    schema = {"epoch": pl.Int32, "name": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


class TestLoss:
    def test_it_fell_whatever_the_order_of_rows(self) -> None:
        verdict = loss_fell(history(3.0, 3.5, 1.0).reverse())
        assert verdict.passed
        assert verdict.facts["first_loss"] == 3.0
        assert verdict.facts["last_loss"] == 1.0

    @pytest.mark.parametrize("losses", [(1.0, 3.0), (1.0, 0.5, 1.0)])
    def test_it_did_not_fall(self, losses: tuple[float, ...]) -> None:
        verdict = loss_fell(history(*losses))
        assert not verdict.passed
        assert "vision.learning_rate" in verdict.message

    def test_one_epoch_says_nothing(self) -> None:
        verdict = loss_fell(history(3.0))
        assert verdict.passed
        assert "cannot be judged from one epoch" in verdict.message

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
    def test_a_loss_that_is_none(self, bad: float | None) -> None:
        verdict = loss_fell(history(3.0, bad, 1.0))
        assert not verdict.passed
        assert verdict.facts["not_finite"] == 1

    def test_no_loss_at_all(self) -> None:
        assert not loss_fell(history()).passed


class TestDeclared:
    """Each check names the rows that it is handed."""

    @pytest.fixture
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as connection:
            yield connection

    def test_look_groups(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("create table covers as select 'a' as look_group from range(9)")
        assert no_look_group_is_too_large.blocking
        assert not no_look_group_is_too_large.look(connection, None).passed

    def test_the_loss_of_the_model_that_was_written(
        self, connection: duckdb.DuckDBPyConnection
    ) -> None:
        fell, rose = history(3.0, 1.0), history(1.0, 3.0)
        rows = pl.concat([
            fell.with_columns(model_version=pl.lit("a")),
            rose.with_columns(model_version=pl.lit("b")),
        ])
        connection.execute("create table training_history as select * from rows")
        assert not loss_fell.blocking
        assert loss_fell.look(connection, "a").passed
        assert not loss_fell.look(connection, "b").passed
        assert len(rows)

    @pytest.mark.parametrize("judge", [embeddings_are_not_alike, neighbours_are_not_the_same])
    def test_the_features_of_the_model_in_the_order_of_projects(
        self, connection: duckdb.DuckDBPyConnection, judge: Check
    ) -> None:
        ids = pl.DataFrame({"project_id": [f"p{row:03}" for row in range(300)]})
        good, flat = features(300, 16), np.zeros((300, 8), dtype=np.float32)
        rows = pl.concat([
            ids.hstack(table(vectors).cast(pl.List(pl.Float32))).with_columns(
                model_version=pl.lit(version)
            )
            for version, vectors in (("a", good), ("b", flat))
        ]).reverse()
        connection.execute("create table embeddings as select * from rows")
        assert judge.blocking
        assert judge.look(connection, "a") == judge(table(good))
        assert judge.look(connection, "a").passed
        assert not judge.look(connection, "b").passed
        assert len(rows)
