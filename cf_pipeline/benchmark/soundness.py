"""Whether the scoreboard says something: above chance where it should be, at chance where it must.

What is claimed needs evidence, so a missing interval is no score above chance; a leak, on the
other hand, is what has to be shown. Both are material for a warning: small data decide little.
"""

from __future__ import annotations

import polars as pl

from cf_pipeline.benchmark.report import HEADLINE, rows_off_chance
from cf_pipeline.errors import DataError
from cf_pipeline.verdict import Verdict

DIAGNOSTIC = "same_field_at_10"
"""Judged by labels instead of audiences; popular projects may well be of one field."""


def scores_above_chance(differences: pl.DataFrame, scores: pl.DataFrame) -> Verdict:
    """Whether the chosen layer's intervals to chance lie above zero on test.

    Judged by the primary measures, within strata where there are strata.

    Args:
        differences: rows of `similarity_differences` of one model.
        scores: rows of `similarity_scores` of the same model.

    Raises:
        DataError: not exactly one feature set is chosen.
    """
    chosen = scores.filter("chosen")["feature_set"].unique().to_list()
    if len(chosen) != 1:
        raise DataError(
            f"expected one chosen layer, got {sorted(chosen)}. Pass the rows of one model version, "
            "or materialize similarity_scores again."
        )
    here = differences.filter(
        pl.col("difference").is_not_null(), split="test", feature_set=chosen[0], reference="chance"
    )
    measures = _primary(here["measure"].to_list())
    facts: dict[str, float | int | str] = {"chosen": chosen[0]}
    below, said = [], []
    for row in here.filter(pl.col("measure").is_in(measures)).sort("measure").iter_rows(named=True):
        measure, low, high = row["measure"], row["low"], row["high"]
        facts[f"{measure}_difference"] = row["difference"]
        interval = "no interval"
        if low is not None:
            facts |= {f"{measure}_low": low, f"{measure}_high": high}
            interval = f"[{low:+.3f}, {high:+.3f}]"
        said.append(f"{measure} {row['difference']:+.3f} {interval}")
        if low is None or low <= 0:
            below.append(measure)
    found = f"{chosen[0]} minus chance on test: {'; '.join(said) or 'no test query was answered'}."
    if said and not below:
        return Verdict(True, found, facts)
    advice = (
        f"Expected intervals above 0; not so: {', '.join(below) or 'nothing could be judged'}. "
        "Train longer (budget), or with few test projects gather more interactions."
    )
    return Verdict(False, f"{found} {advice}", facts)


def protocol_does_not_leak(differences: pl.DataFrame) -> Verdict:
    """Whether `popularity`, and `owner` where owners are known, stand at chance.

    Args:
        differences: rows of `similarity_differences` of one model.
    """
    judged = differences.filter(pl.col("measure") != DIAGNOSTIC)
    off = rows_off_chance(judged)
    facts: dict[str, float | int | str] = {
        "rows_off_chance": ", ".join(off) or "none",
        "n_rows_off_chance": len(off),
    }
    if not off:
        return Verdict(True, "popularity and owner stand at chance.", facts)
    return Verdict(
        False,
        f"popularity and owner are expected at chance, these are not: {', '.join(off)}. Until they "
        "are, other rows may owe their scores to the same leak: check split_group and stratum in "
        "dataset.toml.",
        facts,
    )


def _primary(measures: list[str]) -> list[str]:
    """The headline measures, each within strata where that is answered."""
    within = {measure: f"{measure}_within_stratum" for measure in HEADLINE}
    return [within[m] if within[m] in measures else m for m in HEADLINE]
