"""Pruning against a slow twin, its laws, and what it says when nothing is left."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.config import KindWeight, PruningConfig
from cf_pipeline.interactions.pruning import PruningReport, prune, representatives
from cf_pipeline.interactions.weighting import weigh

LOOSE = PruningConfig(
    max_user_share=1.0, max_project_share=1.0, min_user_degree=1, min_project_degree=1
)
NO_DUPLICATES = pl.DataFrame(schema={"project_id": pl.String, "representative": pl.String})


def run(
    events: list[tuple[str, str, str, int]],
    config: PruningConfig = LOOSE,
    kinds: dict[str, KindWeight] | None = None,
    exclude: tuple[str, ...] = (),
    representative_of: pl.DataFrame = NO_DUPLICATES,
) -> tuple[PruningReport, dict[tuple[str, str], float]]:
    con = duckdb.connect()
    frame = pl.DataFrame(
        events, schema=["user_id", "project_id", "kind", "count"], orient="row"
    ).cast({"user_id": pl.String, "project_id": pl.String, "kind": pl.String, "count": pl.Int64})
    frame = frame.with_columns(occurred_at=pl.lit(None, dtype=pl.Datetime("us")))
    con.register("raw_interactions", frame)
    weigh(
        con,
        kinds=kinds or {"view": KindWeight()},
        exclude_users=exclude,
        representative_of=representative_of,
        owner_users=pl.DataFrame(schema={"project_id": pl.String, "user_id": pl.String}),
        config=config,
    )
    report = prune(con, config)
    rows = con.execute("select user_id, project_id, confidence from kept_pairs").fetchall()
    return report, {(u, p): c for u, p, c in rows}


def test_kinds_outside_the_matrix_and_excluded_users_stay_out() -> None:
    _, pairs = run(
        [("u", "p", "view", 1), ("u", "q", "owns", 1), ("bot", "p", "view", 1)], exclude=("bot",)
    )
    assert set(pairs) == {("u", "p")}


def test_exact_duplicates_are_united_under_the_smallest_id() -> None:
    covers = pl.DataFrame({"project_id": ["b", "a", "c"], "sha256": ["x", "x", None]})
    _, pairs = run(
        [
            ("u", "a", "view", 1),
            ("u", "b", "view", 1),
            ("v", "b", "view", 1),
            ("v", "c", "view", 1),
        ],
        representative_of=representatives(covers),
    )
    assert pairs == {("u", "a"): 3.0, ("v", "a"): 2.0, ("v", "c"): 2.0}


def test_the_upper_cut_looks_at_raw_degrees_once() -> None:
    # u0 has all 4 projects; the others one each. Above half of 4 projects: u0 alone is cut, and
    # the degrees that this leaves are not looked at again.
    events = [("u0", f"p{i}", "view", 1) for i in range(4)]
    events += [(f"u{i + 1}", f"p{i}", "view", 1) for i in range(4)]
    report, pairs = run(events, LOOSE.model_copy(update={"max_user_share": 0.5}))
    assert {user for user, _ in pairs} == {"u1", "u2", "u3", "u4"}
    assert report.rounds[0].users_removed == 1
    assert report.density == 4 / 16


def test_the_lower_cut_goes_on_to_a_fixed_point() -> None:
    # A chain: cutting the end takes the next one below two, and so on until nothing is left but
    # the square, where everyone has two.
    square = [(u, p, "view", 1) for u in ("a", "b") for p in ("p", "q")]
    chain = [("c", "q", "view", 1), ("c", "r", "view", 1), ("d", "r", "view", 1)]
    config = LOOSE.model_copy(update={"min_user_degree": 2, "min_project_degree": 2})
    report, pairs = run(square + chain, config)
    assert set(pairs) == {(u, p) for u, p, _, _ in square}
    assert len(report.rounds) == 3


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40, unique=True),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_it_equals_the_slow_twin_and_is_idempotent(
    cells: list[tuple[int, int]], min_user: int, min_project: int
) -> None:
    expected = {(f"u{u}", f"p{p}") for u, p in cells}
    while True:
        users = [u for u, _ in expected]
        kept = {(u, p) for u, p in expected if users.count(u) >= min_user}
        projects = [p for _, p in kept]
        kept = {(u, p) for u, p in kept if projects.count(p) >= min_project}
        if kept == expected:
            break
        expected = kept
    config = LOOSE.model_copy(
        update={"min_user_degree": min_user, "min_project_degree": min_project}
    )
    events = [(f"u{u}", f"p{p}", "view", 1) for u, p in cells]
    if not expected:
        with pytest.raises(DataError, match="pruned_matrix has nothing left"):
            run(events, config)
        return
    _, pairs = run(events, config)
    assert set(pairs) == expected
    _, again = run([(u, p, "view", 1) for u, p in pairs], config)
    assert set(again) == expected


def test_nothing_left_says_which_cut_and_what_to_do() -> None:
    config = LOOSE.model_copy(update={"min_user_degree": 50})
    with pytest.raises(DataError, match="nothing left of 1 pairs") as error:
        run([("u", "p", "view", 1)], config)
    assert "pruning.min_user_degree (50)" in str(error.value)


def test_no_event_that_enters_is_an_error() -> None:
    with pytest.raises(DataError, match="no interaction enters the matrix"):
        run([("u", "p", "view", 1)], kinds={"like": KindWeight()})
