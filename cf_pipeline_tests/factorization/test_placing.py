"""Everyone's place: train projects by factorization, held-out ones by folding in, and no leak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.factorizer import Factorizer, Factors, Fitting, Fixed
from cf_pipeline.factorization.placing import place_all, summarize, train_matrix
from cf_pipeline.interactions.matrix import build_matrix
from cf_pipeline.vectors import Matrix
from cf_pipeline_tests.factorization.dense_als import exact

CONFIG = Als(regularization=0.5, n_iterations=5)
FITTING = Fitting(4, threads=1)
SPLIT = pl.DataFrame({
    "project_id": [f"p{i:02}" for i in range(20)],
    "split": ["train"] * 14 + ["validation"] * 3 + ["test"] * 3,
})
HELD_OUT = SPLIT.filter(pl.col("split") != "train")["project_id"].to_list()


def events(seed: int = 0) -> pl.DataFrame:
    """Thirty users, twenty projects; every user has an event with a train project."""
    rng = np.random.default_rng(seed)
    met = rng.random((30, 20)) < 0.3
    met[np.arange(30), rng.integers(0, 14, 30)] = True
    users, projects = np.nonzero(met)
    return pl.DataFrame({
        "user_id": [f"u{u:02}" for u in users],
        "project_id": [f"p{p:02}" for p in projects],
        "confidence": rng.uniform(1.5, 5, len(users)),
    })


def held_out(pairs: pl.DataFrame) -> pl.Expr:
    return pl.col("project_id").is_in(HELD_OUT)


def placed(pairs: pl.DataFrame, split: pl.DataFrame = SPLIT) -> pl.DataFrame:
    return place_all(pairs, split, CONFIG, FITTING).table


def factorized(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(~pl.col("folded_in"))


class TestHeldOut:
    def test_a_flag_says_who_was_folded_in(self) -> None:
        table = placed(events())
        assert table.schema == pl.Schema({
            "side": pl.String,
            "id": pl.String,
            "factors": pl.Array(pl.Float32, 4),
            "folded_in": pl.Boolean,
        })
        folded = table.filter("folded_in")
        assert sorted(folded["id"]) == HELD_OUT
        assert set(folded["side"]) == {"project"}
        assert table.filter(side="user").height == 30
        assert table.filter(side="project").height == 20
        assert not table.select("side", "id").is_duplicated().any()

    @pytest.mark.parametrize("change", ["confidence", "users", "more users", "none"])
    def test_their_events_move_nobody_else_by_a_bit(self, change: str) -> None:
        pairs = events()
        train, rest = pairs.filter(~held_out(pairs)), pairs.filter(held_out(pairs))
        strangers = [f"x{i}" for i in range(rest.height)]
        changed = {
            "confidence": rest.with_columns(pl.col("confidence") * 100),
            "users": events(7).filter(held_out(pairs)),
            "more users": pl.concat([rest, rest.with_columns(user_id=pl.Series(strangers))]),
            "none": rest.clear(),
        }[change]
        before, after = placed(pairs), placed(pl.concat([changed, train]))
        assert factorized(after).equals(factorized(before))
        # Strangers have no factors; every other change moved what is folded in.
        assert after.equals(before) == (change == "more users")

    def test_a_change_of_a_train_project_moves_users(self) -> None:
        pairs = events()
        raised = pl.when(project_id="p03").then(9.0).otherwise("confidence").alias("confidence")
        assert not factorized(placed(pairs.with_columns(raised))).equals(factorized(placed(pairs)))

    def test_factors_are_those_of_train_alone_and_of_one_half_step(self) -> None:
        pairs = events()
        table = placed(pairs)
        matrix = train_matrix(pairs, SPLIT)
        assert matrix.project_ids == tuple(SPLIT.filter(split="train")["project_id"])
        factors = CONFIG.fit(matrix.user_items, FITTING)
        users = table.filter(side="user")
        assert tuple(users["id"]) == matrix.user_ids
        assert np.array_equal(users["factors"].to_numpy(), factors.user_factors)
        new = build_matrix(pairs.filter(held_out(pairs)), user_ids=matrix.user_ids)
        confidence = new.user_items.T.toarray().astype(np.float64)
        expected = exact(CONFIG, confidence, factors.user_factors)
        folded = table.filter("folded_in")
        assert tuple(folded["id"]) == new.project_ids
        np.testing.assert_allclose(folded["factors"].to_numpy(), expected, atol=1e-5)

    def test_the_order_of_rows_does_not_matter(self) -> None:
        pairs = events()
        assert placed(pairs.reverse(), SPLIT.reverse()).equals(placed(pairs))


class TestUnplaced:
    def test_a_held_out_project_of_strangers_alone_is_counted_and_has_no_row(self) -> None:
        pairs = events().filter(pl.col("project_id") != "p19")
        strangers = pl.DataFrame({
            "user_id": ["x1", "x2"], "project_id": ["p19", "p19"], "confidence": [2.0, 2.0]
        })  # fmt: skip
        result = place_all(pl.concat([pairs, strangers]), SPLIT, CONFIG, FITTING)
        assert result.n_unplaced == 1
        assert "p19" not in result.table["id"]
        assert not {"x1", "x2"} & set(result.table["id"])
        assert summarize(result) == {
            "users": 30,
            "projects": 19,
            "projects_folded_in": 5,
            "held_out_without_known_users": 1,
            "started_from_earlier_factors": 0,
            "final_objective": result.objective[-1],
        }

    def test_held_out_projects_without_events_are_not_unplaced(self) -> None:
        # Pruning cut them; they are not this asset's to place.
        pairs = events()
        result = place_all(pairs.filter(~held_out(pairs)), SPLIT, CONFIG, FITTING)
        assert result.n_unplaced == 0
        assert not result.table["folded_in"].any()
        assert result.table["factors"].dtype == pl.Array(pl.Float32, 4)

    def test_a_project_that_the_split_does_not_know_trains(self) -> None:
        known = SPLIT.filter(~pl.col("project_id").is_in(["p02", "p05"]))
        assert placed(events(), known).equals(placed(events()))

    def test_nothing_to_train_on(self) -> None:
        pairs = events()
        with pytest.raises(DataError, match=r"none of the 6 projects .* trains.*split\.validation"):
            place_all(pairs.filter(held_out(pairs)), SPLIT, CONFIG, FITTING)

    def test_progress_hears_every_iteration(self) -> None:
        heard: list[tuple[int, int, float]] = []
        told = replace(FITTING, on_iteration=lambda *step: heard.append(step))
        result = place_all(events(), SPLIT, CONFIG, told)
        assert [(done, total) for done, total, _ in heard] == [(i, 5) for i in range(1, 6)]
        assert tuple(value for _, _, value in heard) == result.objective


class Fresh(Factorizer):
    """As short as a factorizer from outside can be."""

    name: str = "fresh"

    def fit(self, user_items: sparse.csr_matrix, fitting: Fitting) -> Factors:
        users, items = (np.ones((n, fitting.n_factors), np.float32) for n in user_items.shape)
        return Factors(users, items, (0.0,))

    def place(self, fixed: Fixed, rows: sparse.csr_matrix) -> Matrix:
        return np.full((rows.shape[0], fixed.factors.shape[1]), 2.0, np.float32)


class TestWarm:
    LONG = CONFIG.model_copy(update={"n_iterations": 300})
    ONCE = CONFIG.model_copy(update={"n_iterations": 1})
    OTHER = replace(FITTING, seed=5)

    def test_more_events_leave_the_axes_where_they_were(self) -> None:
        pairs = events()
        earlier = place_all(pairs, SPLIT, self.LONG, FITTING)
        raised = pl.when(project_id="p03").then(pl.col("confidence") + 0.5).otherwise("confidence")
        more = pl.concat([
            pairs.with_columns(confidence=raised),
            pl.DataFrame({"user_id": ["new"], "project_id": ["p04"], "confidence": [2.0]}),
        ])
        warm = place_all(more, SPLIT, self.ONCE, self.OTHER, start=earlier.table)
        both = warm.table.join(earlier.table, on=["side", "id"], suffix="_before")
        assert both.height == earlier.table.height
        now, before = both["factors"].to_numpy(), both["factors_before"].to_numpy()
        norms = np.linalg.norm(now, axis=1) * np.linalg.norm(before, axis=1)
        cosines = (now * before).sum(axis=1) / norms
        assert np.median(cosines) > 0.999
        assert cosines.min() > 0.99
        cold = place_all(more, SPLIT, self.ONCE, self.OTHER)
        assert warm.objective[0] < cold.objective[0]
        # 30 users and 14 train projects are known; the new user and held-out projects are not.
        assert (warm.n_started, cold.n_started) == (44, 0)
        assert summarize(warm)["started_from_earlier_factors"] == 44

    def test_the_solution_converges_at_once(self) -> None:
        earlier = place_all(events(), SPLIT, self.LONG, FITTING)
        warm = place_all(events(), SPLIT, self.ONCE, self.OTHER, start=earlier.table)
        assert warm.objective[0] == pytest.approx(earlier.objective[-1], rel=1e-4)

    def test_a_folded_in_project_that_trains_now_begins_where_it_was_placed(self) -> None:
        earlier = placed(events())
        trains = SPLIT.with_columns(
            split=pl.when(project_id="p14").then(pl.lit("train")).otherwise("split")
        )
        assert earlier.filter("folded_in", id="p14").height == 1
        result = place_all(events(), trains, CONFIG, FITTING, start=earlier)
        assert result.n_started == 30 + 15

    def test_a_table_that_knows_nobody_is_a_cold_start(self) -> None:
        strangers = placed(events()).with_columns(id=pl.lit("x") + pl.col("id"))
        for start in (strangers, strangers.clear()):
            result = place_all(events(), SPLIT, CONFIG, FITTING, start=start)
            assert result.n_started == 0
            assert result.table.equals(placed(events()))

    def test_lists_are_read_as_arrays_are(self) -> None:
        earlier = placed(events(3))
        lists = earlier.with_columns(pl.col("factors").arr.to_list())
        first, second = (
            place_all(events(), SPLIT, CONFIG, FITTING, start=start) for start in (earlier, lists)
        )
        assert first.table.equals(second.table)

    def test_another_number_of_factors_is_announced_and_cold(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        earlier = place_all(events(), SPLIT, CONFIG, replace(FITTING, n_factors=3)).table
        result = place_all(events(), SPLIT, CONFIG, FITTING, start=earlier)
        assert result.n_started == 0
        assert result.table.equals(placed(events()))
        assert "earlier factors have length 3, factorization.n_factors is 4" in caplog.text

    def test_a_method_that_cannot_start_anywhere_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        result = place_all(events(), SPLIT, Fresh(), FITTING, start=placed(events()))
        assert result.n_started == 0
        assert "fresh cannot start from earlier factors: it starts cold" in caplog.text
        # A method from outside is handed everything, and its placing is what held-out projects get.
        assert result.objective == (0.0,)
        assert result.table.filter("folded_in")["factors"].to_numpy().max() == 2.0
