"""Whether the scoreboard says something: above chance where it should be, at chance where it must.

What is claimed needs evidence, so a missing interval is no score above chance; a leak, on the
other hand, is what has to be shown. Both are material for a warning: small data decide little.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import CHANCE, SHIPPED, SPLIT_GROUP
from cf_pipeline.benchmark.queries import SAME_FIELD, WITHIN_STRATUM
from cf_pipeline.benchmark.report import HEADLINE
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import LEVEL
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.sql import literal
from cf_pipeline.verdict import Verdict, check

FALSE_ALARMS = 0.05
"""Share of sound protocols that may be called leaking, over all rows and measures looked at."""
_DIFFERENCES = (
    "select split, feature_set, reference, measure, difference, low, high "
    "from similarity_differences where model_version = $scope"
)


@check(
    blocking=False,
    differences=_DIFFERENCES,
    scores="select feature_set, chosen from similarity_scores where model_version = $scope",
)
def scores_are_above_chance(differences: pl.DataFrame, scores: pl.DataFrame) -> Verdict:
    """The chosen layer finds shared audiences better than chance: its test intervals are above 0.

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
        pl.col("difference").is_not_null(), split="test", feature_set=chosen[0], reference=CHANCE
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


@check(
    blocking=False,
    differences=_DIFFERENCES,
    groups="select split, measure, bootstrap_group, count(*) as n_queries from similarity_queries "
    f"where model_version = $scope and feature_set = {literal(CHANCE)} group by all",
)
def protocol_does_not_leak(differences: pl.DataFrame, groups: pl.DataFrame) -> Verdict:
    """The controls stand at chance: neither popularity nor a shared split group finds audiences.

    A difference in units of its standard error, which the interval gives, is held against
    Student's t; Bonferroni's correction is for every control, split and measure looked at. The
    diagnostic by labels is no measure of audiences, and where there are strata a split group is
    judged within them alone.

    Args:
        differences: rows of `similarity_differences` of one model.
        groups: `split, measure, bootstrap_group, n_queries` of the same model.
    """
    looks = _looks(differences, groups)
    facts: dict[str, float | int | str] = {"n_looks": looks.height}
    if looks.is_empty():
        return Verdict(True, "No control has an interval to be judged by.", facts)
    limit = FALSE_ALARMS / looks.height
    p_values = _p_values(looks)
    off = [
        f"{row['feature_set']} {row['measure']} {row['split']} ({row['difference']:+.3f})"
        for row in looks.filter(p_values < limit).iter_rows(named=True)
    ]
    facts |= {
        "smallest_p_value": float(p_values.min()),
        "limit": limit,
        "off_chance": ", ".join(off) or "none",
        "n_off_chance": len(off),
    }
    found = f"of {looks.height} looks at controls {len(off)} are off chance"
    if not off:
        return Verdict(True, f"Controls stand at chance: {found}.", facts)
    return Verdict(
        False,
        f"Controls are expected at chance, {found}: {', '.join(off)}. Until they are not, other "
        "rows may owe their scores to the same leak: check split_group and stratum in "
        "dataset.toml.",
        facts,
    )


@check(
    roles="select role, model_version from promoted_model",
    embedded="select distinct model_version from embeddings",
)
def one_champion(roles: pl.DataFrame, embedded: pl.DataFrame) -> Verdict:
    """One model serves, and its embeddings and those of the best are there.

    Args:
        roles: `role, model_version`.
        embedded: `model_version` of every model with rows in `embeddings`.
    """
    named = set(roles.filter(pl.col("role") != "challenger")["model_version"])
    champions = roles.filter(role="champion")["model_version"].to_list()
    missing = sorted(named - set(embedded["model_version"]))
    problems = []
    if len(champions) != 1:
        problems.append(
            f"Expected one champion, got {len(champions)}. Run cf-pipeline promote MODEL."
        )
    if missing:
        problems.append(
            f"Expected embeddings of whoever has a role, none of {', '.join(missing)} are there. "
            "Materialize embeddings again."
        )
    facts = {"champion": ", ".join(champions) or "none"}
    return Verdict.of(problems, "One model serves.", facts)


def _looks(differences: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """Differences of controls to chance that have an interval and must hold zero.

    Each with `n_effective`, how many groups of equal size say as much as the groups there are.
    """
    controls = [row.name for row in SHIPPED if row.is_control and row.name != CHANCE]
    within = pl.col("measure").str.ends_with(WITHIN_STRATUM)
    looks = differences.drop_nulls("low").filter(
        pl.col("feature_set").is_in(controls),
        pl.col("measure") != SAME_FIELD,
        reference=CHANCE,
    )
    # Who names strata says that audiences differ between them, as with films of other years: that
    # a split group finds those is known, and the measures within strata are there for it.
    if looks.select(within.any()).item():
        looks = looks.filter((pl.col("feature_set") != SPLIT_GROUP) | within)
    n = pl.col("n_queries").cast(pl.Float64)
    sizes = groups.group_by("split", "measure").agg(n_effective=n.sum() ** 2 / (n**2).sum())
    return looks.join(sizes, on=["split", "measure"], maintain_order="left")


def _p_values(looks: pl.DataFrame) -> Floats:
    """Two-sided, uncorrected, shape (n,)."""
    from scipy.stats import t  # loads slowly, and every command loads what is checked

    difference = looks["difference"].to_numpy()
    half_width = (looks["high"] - looks["low"]).to_numpy() / 2
    error = half_width / NormalDist().inv_cdf((1 + LEVEL) / 2)
    # Without any spread: exactly at chance, or off it beyond doubt.
    certain = np.where(difference == 0, 0.0, np.inf)
    scores = np.divide(np.abs(difference), error, out=certain, where=error > 0)
    # Few large groups tell the standard error itself poorly: normal tails would warn too often.
    freedom = np.maximum(looks["n_effective"].to_numpy() - 1, 1)
    return np.asarray(2 * t.sf(scores, freedom), dtype=np.float64)


def _primary(measures: list[str]) -> list[str]:
    """The headline measures, each within strata where that is answered."""
    within = {measure: f"{measure}{WITHIN_STRATUM}" for measure in HEADLINE}
    return [within[m] if within[m] in measures else m for m in HEADLINE]
