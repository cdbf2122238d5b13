"""From events to confidences: what kinds weigh, when a count is enough, how fast it ages.

The confidence of a pair is

    c_ui = min(max_confidence, 1 + alpha * r_ui)
    r_ui = sum over kinds k of w_k * s_k(n_uik)
    n_uik = sum over events e of kind k of count_e * 2^(-age_e / half_life_k)

which is section 4 of Hu, Koren, Volinsky 2008 with a saturation s of the count: n itself, or
log(1 + n) (their equation 6 with epsilon 1), or min(n, cap). The age of an event is counted from
the newest event of these kinds, so that the same rows give the same numbers on any day.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.config import KindWeight, PruningConfig

_logger = logging.getLogger(__name__)

# fsum adds with the rounding carried along: the order in which threads meet rows is no matter.
_WEIGHED = """
create or replace temp table kept_pairs as
with counted as (
    select user_id, coalesce(representative, project_id) as project_id, kind, weight, saturation,
           cap,
           fsum("count" * case when half_life_days is null then 1 else
               pow(2, (epoch(occurred_at) - epoch(newest)) / 86400 / half_life_days) end) as n,
           min(occurred_at) as first
    from raw_interactions
    join weighed_kinds using (kind)
    left join representative_of using (project_id)
    cross join (
        select max(occurred_at) as newest from raw_interactions
        where kind in (select kind from weighed_kinds)
          and user_id not in (select user_id from excluded_users))
    where user_id not in (select user_id from excluded_users)
      and (own_events
           or (project_id, user_id) not in (select (project_id, user_id) from owner_users))
    group by all
)
select user_id, project_id,
       1 + ? * fsum(weight * case saturation
           when 'log1p' then ln(1 + n) when 'cap' then least(n, cap) else n end) as confidence,
       min(first) as occurred_at
from counted
group by all
"""


def weighed_kinds(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, KindWeight]:
    """Kinds that enter the matrix, as `dataset.matrix` says them."""
    found = {name: KindWeight.model_validate(said) for name, said in kinds.items()}
    return {name: kind for name, kind in found.items() if kind.matrix and kind.weight > 0}


def weigh(
    con: duckdb.DuckDBPyConnection,
    *,
    kinds: Mapping[str, KindWeight],
    exclude_users: Sequence[str],
    representative_of: pl.DataFrame,
    owner_users: pl.DataFrame,
    config: PruningConfig,
) -> int:
    """Make the temporary table `kept_pairs(user_id, project_id, confidence FLOAT, occurred_at)`.

    The time of a pair is that of its first event.

    Args:
        con: an open connection that sees the table `raw_interactions`.
        kinds: kind to what it counts for; kinds that are not named stay out.
        exclude_users: user ids that are left out.
        representative_of: `project_id, representative`.
        owner_users: `project_id, user_id`, who owns what, written as users.
        config: alpha and the largest confidence.

    Returns:
        How many pairs had a larger confidence than the largest one, and have that now.

    Raises:
        DataError: an event of a kind that ages has no time, or no event is left.
    """
    _refuse_events_without_time(con, kinds)
    tables = {
        "weighed_kinds": _as_table(kinds),
        "excluded_users": pl.DataFrame(
            {"user_id": list(exclude_users)}, schema={"user_id": pl.String}
        ),
        "representative_of": representative_of.select("project_id", "representative"),
        "owner_users": owner_users.select("project_id", "user_id").unique(),
    }
    for name, table in tables.items():
        con.register(name, table)
    con.execute(_WEIGHED, [config.alpha])
    for name in tables:
        con.unregister(name)
    if not con.execute("select 1 from kept_pairs limit 1").fetchall():
        raise DataError(
            "no interaction enters the matrix: expected events of the kinds "
            f"{sorted(kinds)} by users that are not excluded, found none. Mark a kind with "
            "matrix = true in dataset.toml or shorten exclude_users."
        )
    return _limit(con, config.max_confidence)


def _as_table(kinds: Mapping[str, KindWeight]) -> pl.DataFrame:
    rows = [{"kind": name, **kind.model_dump(exclude={"matrix"})} for name, kind in kinds.items()]
    return pl.DataFrame(
        rows,
        schema={
            "kind": pl.String,
            "weight": pl.Float64,
            "saturation": pl.String,
            "cap": pl.Float64,
            "half_life_days": pl.Float64,
            "own_events": pl.Boolean,
        },
    )


def _refuse_events_without_time(
    con: duckdb.DuckDBPyConnection, kinds: Mapping[str, KindWeight]
) -> None:
    ageing = sorted(name for name, kind in kinds.items() if kind.half_life_days is not None)
    if not ageing:
        return
    [(n_without, n)] = con.execute(
        "select count(*) filter (occurred_at is null), count(*) from raw_interactions "
        "where kind in (select unnest(?))",
        [ageing],
    ).fetchall()
    if n_without:
        raise DataError(
            f"{n_without:,} of {n:,} events of the kinds {ageing} have no occurred_at, and these "
            "kinds have half_life_days: expected a time for each. Name the column of times in "
            "interactions.columns of dataset.toml, or take half_life_days out."
        )


def _limit(con: duckdb.DuckDBPyConnection, largest: float) -> int:
    above = "select count(*) from kept_pairs where confidence > ?"
    [(n_limited,)] = con.execute(above, [largest]).fetchall()
    con.execute(
        "create or replace temp table kept_pairs as select user_id, project_id, "
        "least(confidence, ?)::float as confidence, occurred_at from kept_pairs",
        [largest],
    )
    if n_limited:
        _logger.warning(
            "%d pairs would have a confidence above pruning.max_confidence = %g, and have that: "
            "look for bots, or give their kind a saturation in dataset.toml",
            n_limited,
            largest,
        )
    return int(n_limited)
