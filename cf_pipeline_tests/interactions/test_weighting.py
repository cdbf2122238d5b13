"""Confidences against a slow twin, what ages, whose own events count, and the guard."""

from __future__ import annotations

import itertools
import math
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.config import KindWeight, PruningConfig
from cf_pipeline.interactions.weighting import weigh

NEWEST = datetime(2026, 1, 31)
NOBODY = pl.DataFrame(schema={"project_id": pl.String, "user_id": pl.String})
Event = tuple[str, str, str, int, datetime | None]


def run(
    events: list[Event],
    kinds: dict[str, KindWeight],
    owner_users: pl.DataFrame = NOBODY,
    **config: Any,
) -> tuple[int, dict[tuple[str, str], float]]:
    con = duckdb.connect()
    schema = {
        "user_id": pl.String,
        "project_id": pl.String,
        "kind": pl.String,
        "count": pl.Int64,
        "occurred_at": pl.Datetime("us"),
    }
    con.register("raw_interactions", pl.DataFrame(events, schema=schema, orient="row"))
    n_limited = weigh(
        con,
        kinds=kinds,
        exclude_users=(),
        representative_of=pl.DataFrame(
            schema={"project_id": pl.String, "representative": pl.String}
        ),
        owner_users=owner_users,
        config=PruningConfig(**config),
    )
    rows = con.execute("select user_id, project_id, confidence from kept_pairs").fetchall()
    return n_limited, {(u, p): c for u, p, c in rows}


def twin(
    events: list[Event], kinds: dict[str, KindWeight], alpha: float
) -> dict[tuple[str, str], float]:
    """Event by event, as the formula says."""
    newest = max(when for *_, when in events if when is not None)
    counts: dict[tuple[str, str, str], float] = {}
    for user, project, name, count, when in events:
        kind = kinds[name]
        share = 1.0
        if kind.half_life_days is not None:
            assert when is not None
            days = (newest - when) / timedelta(days=1)
            share = 0.5 ** (days / kind.half_life_days)
        key = (user, project, name)
        counts[key] = counts.get(key, 0.0) + count * share
    found: dict[tuple[str, str], float] = {}
    for (user, project, name), n in counts.items():
        kind = kinds[name]
        comes_to = {"none": n, "log1p": math.log1p(n), "cap": min(n, kind.cap or 0)}
        reached = found.get((user, project), 1.0)
        found[user, project] = reached + alpha * kind.weight * comes_to[kind.saturation]
    return found


def test_it_is_what_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    saturations: list[dict[str, Any]] = [
        {"saturation": "none"},
        {"saturation": "log1p"},
        {"saturation": "cap", "cap": 2.5},
    ]
    lives = (None, 7.0)
    kinds = {
        f"k{number}": KindWeight(weight=0.5 + number, half_life_days=life, **saturation)
        for number, (saturation, life) in enumerate(itertools.product(saturations, lives))
    }
    events: list[Event] = [
        (
            f"u{rng.integers(4)}",
            f"p{rng.integers(5)}",
            str(rng.choice([*kinds])),
            int(rng.integers(1, 9)),
            NEWEST - timedelta(hours=float(rng.integers(0, 900))),
        )
        for _ in range(400)
    ]
    n_limited, found = run(events, kinds, alpha=0.3)
    expected = twin(events, kinds, 0.3)
    assert n_limited == 0
    assert found.keys() == expected.keys()
    for pair, value in expected.items():
        assert found[pair] == pytest.approx(value, rel=1e-6)


def test_without_a_word_counts_add_up() -> None:
    # c = 1 + 0.5 * (1 * 3 + 2 * 1) = 3.5
    events: list[Event] = [("u", "p", "view", 3, None), ("u", "p", "like", 1, None)]
    _, found = run(events, {"view": KindWeight(), "like": KindWeight(weight=2.0)}, alpha=0.5)
    assert found == {("u", "p"): 3.5}


def test_a_heavy_count_is_limited_and_told() -> None:
    events: list[Event] = [("bot", "p", "view", 500_000, None), ("u", "p", "view", 9, None)]
    n_limited, found = run(events, {"view": KindWeight()})
    assert n_limited == 1
    assert found == {("bot", "p"): 10_000.0, ("u", "p"): 10.0}


def test_owners_stay_out_of_their_own_where_a_kind_says_so() -> None:
    events: list[Event] = [
        ("ann", "hers", "view", 1, None),
        ("ann", "his", "view", 1, None),
        ("ann", "hers", "uploads", 1, None),
    ]
    owners = pl.DataFrame({"project_id": ["hers", "hers"], "user_id": ["ann", "ann"]})
    kinds = {"view": KindWeight(own_events=False), "uploads": KindWeight(weight=3.0)}
    _, found = run(events, kinds, owners)
    assert found == {("ann", "hers"): 4.0, ("ann", "his"): 2.0}


def test_what_ages_needs_a_time() -> None:
    events: list[Event] = [("u", "p", "view", 1, None), ("u", "q", "view", 1, NEWEST)]
    kinds = {"view": KindWeight(half_life_days=30.0)}
    with pytest.raises(DataError, match=r"1 of 2 events .*view.* have no occurred_at"):
        run(events, kinds)


def test_a_cap_goes_with_its_saturation() -> None:
    for wrong in ({"cap": 3.0}, {"saturation": "cap"}, {"saturation": "log1p", "cap": 3.0}):
        with pytest.raises(ValidationError, match="cap goes with saturation = 'cap'"):
            KindWeight.model_validate(wrong)
