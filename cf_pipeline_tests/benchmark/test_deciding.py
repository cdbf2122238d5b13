"""Every branch of the decision, on comparisons by hand."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cf_pipeline.benchmark.config import PromotionConfig
from cf_pipeline.benchmark.deciding import Decision, decide
from cf_pipeline.benchmark.promotion import COMPARISON_SCHEMA, Comparison

MEASURES = ("triplet_accuracy", "ndcg_at_10")
NOISE = (-0.1, 0.1)
BETTER, WORSE = (0.01, 0.2), (-0.2, -0.01)


def compared(
    *rows: tuple[str, str, float | None, float | None],
    champion: str = "old",
    best: str = "old",
    split: str = "validation",
) -> Comparison:
    """Rows of (role, measure, low, high)."""
    table = pl.DataFrame(
        [
            {
                "model_version": "new",
                "split": split,
                "reference_role": role,
                "reference_version": {"champion": champion, "best": best}[role],
                "measure": measure,
                "difference": None if low is None else (low + high) / 2,
                "low": low,
                "high": high,
                "n_queries": 50,
            }
            for role, measure, low, high in rows
        ],
        schema=COMPARISON_SCHEMA,
    )
    return Comparison("new", champion, best, table, n_pool=9, n_trained_on=0)


def with_one(role: str, measure: str, bounds: tuple[float, float]) -> Comparison:
    """Everything within noise but one row; the best is another than the champion."""
    rows = [
        (r, m, *(bounds if (r, m) == (role, measure) else NOISE))
        for r in ("champion", "best")
        for m in MEASURES
    ]
    return compared(*rows, best="top")


@pytest.mark.parametrize(
    ("bounds", "promoted"),
    [
        ((-0.3, 0.0), True),
        ((-0.3, -0.0001), False),
        (NOISE, True),
        (BETTER, True),
    ],
)
@pytest.mark.parametrize("role", ["champion", "best"])
@pytest.mark.parametrize("measure", MEASURES)
def test_one_interval_below_zero_is_enough(role, measure, bounds, promoted) -> None:
    decision = decide(with_one(role, measure, bounds))
    assert decision.promoted is promoted
    if promoted:
        assert decision.reason.startswith("no interval below zero; ")
    else:
        name = "old" if role == "champion" else "top"
        assert decision.reason == (
            f"{measure} is {-sum(bounds) / 2:.4f} [{-bounds[1]:.4f}, {-bounds[0]:.4f}] "
            f"lower than the {role}'s {name}"
        )


@pytest.mark.parametrize(
    ("triplets", "ndcg", "best"),
    [
        (NOISE, NOISE, "top"),
        (BETTER, NOISE, "new"),
        (NOISE, BETTER, "new"),
        (BETTER, BETTER, "new"),
        (BETTER, WORSE, "top"),
        (WORSE, NOISE, "top"),
        ((0.0, 0.2), NOISE, "top"),
    ],
)
def test_the_best_gives_way_to_what_is_shown_to_be_better(triplets, ndcg, best) -> None:
    rows = (
        ("champion", MEASURES[0], *BETTER),
        ("champion", MEASURES[1], *BETTER),
        ("best", MEASURES[0], *triplets),
        ("best", MEASURES[1], *ndcg),
    )
    assert decide(compared(*rows, best="top")).best_version == best
    # A champion that is the best, too.
    own = (("champion", MEASURES[0], *triplets), ("champion", MEASURES[1], *ndcg))
    assert decide(compared(*own)).best_version == ("new" if best == "new" else "old")


def test_a_model_may_become_the_best_without_serving() -> None:
    rows = (
        ("champion", MEASURES[0], *WORSE),
        ("champion", MEASURES[1], *NOISE),
        ("best", MEASURES[0], *NOISE),
        ("best", MEASURES[1], *BETTER),
    )
    decision = decide(compared(*rows, best="top"))
    assert (decision.promoted, decision.best_version) == (False, "new")


def test_every_loss_is_told_and_the_champion_once() -> None:
    rows = (
        ("champion", "ndcg_at_10", -0.032, -0.010),
        ("champion", "triplet_accuracy", -0.04, 0.02),
        ("best", "ndcg_at_10", -0.07, -0.01),
    )
    assert decide(compared(*rows, best="top")).reason == (
        "ndcg_at_10 is 0.0210 [0.0100, 0.0320] lower than the champion's old; "
        "ndcg_at_10 is 0.0400 [0.0100, 0.0700] lower than the best's top"
    )
    assert decide(compared(*rows)).reason == (
        "ndcg_at_10 is 0.0210 [0.0100, 0.0320] lower than the champion's old"
    )


def test_a_measure_without_an_interval_is_named_and_decides_nothing() -> None:
    rows = (
        ("champion", "triplet_accuracy", None, None),
        ("champion", "ndcg_at_10", -0.01, 0.03),
    )
    decision = decide(compared(*rows))
    assert decision.promoted
    assert decision.reason == (
        "no interval below zero; ndcg_at_10 +0.0100 [-0.0100, +0.0300] against the champion's "
        "old; triplet_accuracy decides nothing: too few queries or groups"
    )


def test_without_any_interval_everybody_stays() -> None:
    decision = decide(compared(("champion", "triplet_accuracy", None, None)))
    assert (decision.promoted, decision.best_version) == (False, "old")
    assert decision.reason.startswith("new cannot be judged")


def test_rows_of_test_decide_nothing() -> None:
    rows = [("champion", measure, *WORSE) for measure in MEASURES]
    assert decide(compared(*rows, split="test")).reason.startswith("new cannot be judged")


def test_the_first_model_serves_and_the_champion_meets_nobody() -> None:
    empty = pl.DataFrame(schema=COMPARISON_SCHEMA)
    first = Comparison("new", None, None, empty, n_pool=0, n_trained_on=0)
    assert decide(first) == Decision(True, "new", "the first model")
    itself = Comparison("old", "old", "top", empty, n_pool=0, n_trained_on=0)
    decision = decide(itself)
    assert (decision.promoted, decision.best_version) == (False, "top")
    assert "nothing to compare it with" in decision.reason


@given(st.lists(st.tuples(st.floats(-0.2, 0.2), st.floats(0, 0.2)), min_size=2, max_size=4))
def test_it_is_refused_exactly_where_an_interval_lies_below_zero(
    bounds: list[tuple[float, float]],
) -> None:
    rows = [
        (role, f"m{i}", low, low + width)
        for i, (low, width) in enumerate(bounds)
        for role in ("champion", "best")
    ]
    decision = decide(compared(*rows, best="top"))
    assert decision.promoted == all(low + width >= 0 for low, width in bounds)
    is_better = any(low > 0 for low, _ in bounds)
    assert (decision.best_version == "new") == (decision.promoted and is_better)


def test_configuration() -> None:
    assert PromotionConfig().model_dump() == {"keep": 5, "keep_bytes": 10_000_000_000}
    for bad in ({"tolerance": 0.005}, {"keep": 0}, {"keep_bytes": -1}):
        with pytest.raises(ValidationError):
            PromotionConfig(**bad)
