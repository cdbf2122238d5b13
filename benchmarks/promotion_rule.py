"""How often does the promotion rule err? Simulated models on pools as skewed as the demo's.

    python benchmarks/promotion_rule.py --size 400

Comparison, intervals and decision are the project's own; only the values of queries are made up.
A model's value is a query's own part, the same for every model, plus noise of the model that
queries of a group share and noise that they do not, scaled until the paired 95 % half-width of the
demo's pool is the one asked for. Beside it the rule of release 0.1.0: a tolerance of 0.005 on the
estimate, and the highest mean so far as the best.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.deciding import Decision, decide
from cf_pipeline.benchmark.promotion import DECIDING, Comparison, compared
from cf_pipeline.benchmark.queries import NDCG, TRIPLETS, QueryValues

Values = dict[str, np.ndarray]
Rule = Callable[[Comparison, "QueryValues"], Decision]

TRIPLET_SIZES = (47, 20, 20, 18, 13, 7, 6, 5, 4, *[3] * 5, *[2] * 12, *[1] * 60)
NDCG_SIZES = (47, 12, 6, 5, 5, 4, 3, *[2] * 7, *[1] * 51)
"""Queries by group, of 86 and of 65 groups, as in the demo's test pool."""
GROUP_SHARE = 0.5
"""Noise that a group shares, in units of that of a query; measured between two trainings."""
CORRELATION = 0.3
"""Of the group's noise between the two measures, measured likewise."""
HALF_WIDTHS = (0.02, 0.04, 0.06, 0.08, 0.1)
WEEKS = 52
OLD_TOLERANCE = 0.005
CONFIG = BenchmarkConfig(n_resamples=1000)


@dataclass(frozen=True)
class World:
    """A pool and how far models differ on it by chance.

    Attributes:
        sizes: measure to queries by group.
        scale: standard deviation of a query's noise in one model, by measure.
        rng: of everything that is drawn.
    """

    sizes: dict[str, tuple[int, ...]]
    scale: dict[str, float]
    rng: np.random.Generator

    def model(self, **loss: float) -> Values:
        """Values of one model by measure, worse on average by so much."""
        n_groups = len(self.sizes[TRIPLETS])
        shared = self.rng.normal(size=n_groups)
        values = {}
        for measure, sizes in self.sizes.items():
            own = self.rng.normal(size=n_groups)
            of_group = CORRELATION**0.5 * shared + (1 - CORRELATION) ** 0.5 * own
            of_query = self.rng.normal(size=sum(sizes))
            noise = GROUP_SHARE * np.repeat(of_group[: len(sizes)], sizes) + of_query
            values[measure] = 0.6 + self.scale[measure] * noise - loss.get(measure, 0.0)
        return values

    def scored(self, models: dict[str, Values]) -> QueryValues:
        """The values as the protocol hands them over, NaN where a measure has no such query."""
        n = {measure: sum(sizes) for measure, sizes in self.sizes.items()}
        groups = np.repeat(np.arange(len(self.sizes[TRIPLETS])), self.sizes[TRIPLETS])
        tables = {}
        for measure, sizes in self.sizes.items():
            table = np.full((n[TRIPLETS], len(models)), np.nan)
            # A group's queries by the second measure are the first of its queries by the first.
            rank = np.arange(len(groups)) - np.searchsorted(groups, groups)
            answered = rank < np.pad(sizes, (0, groups.max() + 1 - len(sizes)))[groups]
            table[answered] = np.stack([values[measure] for values in models.values()], axis=1)
            tables[measure] = table
        ids = tuple(f"p{row}" for row in range(len(groups)))
        return QueryValues(DECIDING, ids, groups, tuple(models), tables)

    def large(self) -> World:
        """The same noise on a pool of 1,000 triplet queries: four times the groups and a few."""
        n_both = len(self.sizes[NDCG])
        both, alone = self.sizes[TRIPLETS][:n_both], self.sizes[TRIPLETS][n_both:]
        rest = 1000 - 4 * sum(self.sizes[TRIPLETS])
        # Groups that answer both measures stand first, as in the smaller pool.
        triplets = (*both * 4, *alone * 4, *[1] * rest)
        return replace(self, sizes={TRIPLETS: triplets, NDCG: self.sizes[NDCG] * 4})


def world_of(half_width: float, rng: np.random.Generator) -> World:
    """The demo's pool with noise that gives this median paired half-width on both measures."""
    unit = World({TRIPLETS: TRIPLET_SIZES, NDCG: NDCG_SIZES}, {TRIPLETS: 1.0, NDCG: 1.0}, rng)
    tables = [comparison(unit, unit.model(), {"old": unit.model()})[0].table for _ in range(100)]
    widths = pl.concat(tables).filter(reference_role="champion")
    found = widths.group_by("measure").agg(((pl.col("high") - pl.col("low")) / 2).median())
    scale = {measure: half_width / width for measure, width in found.iter_rows()}
    return replace(unit, scale=scale)


def comparison(
    world: World, challenger: Values, references: dict[str, Values]
) -> tuple[Comparison, QueryValues]:
    """The challenger `new` beside its references, by name: champion first, best last."""
    values = world.scored({**references, "new": challenger})
    champion, best = next(iter(references)), list(references)[-1]
    table = compared(values, "new", {"champion": champion, "best": best}, CONFIG)
    n = len(values.groups)
    return Comparison("new", champion, best, table, n_pool=n, n_trained_on=0), values


def new_rule(found: Comparison, values: QueryValues) -> Decision:
    """The project's."""
    return decide(found)


def old_rule(found: Comparison, values: QueryValues) -> Decision:
    """Of release 0.1.0: no estimate below the tolerance and no interval below zero."""
    refused = found.table.filter((pl.col("difference") < -OLD_TOLERANCE) | (pl.col("high") < 0))
    means = {
        version: np.mean([values.mean(version, measure) for measure in values.values])
        for version in (found.best, found.champion, "new")
    }
    return Decision(refused.is_empty(), max(means, key=lambda version: means[version]), "")


def promoted_share(world: World, size: int, n_references: int, loss: float = 0.0) -> list[float]:
    """Share of challengers that are promoted, by the new and by the old rule."""
    promoted = np.zeros(2)
    for _ in range(size):
        references = {f"old {i}": world.model() for i in range(n_references)}
        found = comparison(world, world.model(**{TRIPLETS: loss}), references)
        promoted += [rule(*found).promoted for rule in (new_rule, old_rule)]
    return (promoted / size).round(3).tolist()


def year(world: World, rule: Rule, weekly_loss: float) -> tuple[float, int]:
    """How far the champion is below the first model after a year, and how many were promoted."""
    models = {"week 0": world.model()}
    loss = {"week 0": 0.0}
    champion = best = "week 0"
    n_promoted = 0
    for week in range(1, WEEKS + 1):
        lost = week * weekly_loss
        challenger = world.model(**{TRIPLETS: lost, NDCG: lost})
        references = {champion: models[champion], best: models[best]}
        decision = rule(*comparison(world, challenger, references))
        name = f"week {week}"
        models[name], loss[name] = challenger, lost
        if decision.promoted:
            champion, n_promoted = name, n_promoted + 1
        if decision.best_version == "new":
            best = name
    return loss[champion], n_promoted


def years(world: World, size: int, weekly_loss: float) -> dict[str, dict[str, float]]:
    """Falls and promotions over some years, by both rules."""
    answer = {}
    for name, rule in (("new", new_rule), ("old", old_rule)):
        falls, promoted = zip(*(year(world, rule, weekly_loss) for _ in range(size)), strict=True)
        answer[name] = {
            "fall_mean": round(float(np.mean(falls)), 3),
            "fall_90th": round(float(np.percentile(falls, 90)), 3),
            "promoted_share": round(float(np.mean(promoted)) / WEEKS, 3),
        }
    return answer


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=400, help="simulated retrainings a figure")
    size = parser.parse_args().size
    n_years = max(1, size // 20)
    answer: dict[str, object] = {"retrainings": size, "years": n_years, "cores": os.cpu_count()}
    for half_width in HALF_WIDTHS:
        world = world_of(half_width, np.random.default_rng(0))
        large = world.large()
        figures = {
            "equal_promoted": promoted_share(world, size, 1),
            "equal_promoted_best_is_another": promoted_share(world, size, 2),
            "worse_promoted_at_1000": promoted_share(large, size, 1, 0.05),
            "worse_promoted_at_1000_best_is_another": promoted_share(large, size, 2, 0.05),
            "year_of_losses": years(world, n_years, 0.01),
            "year_of_equals": years(world, n_years, 0.0),
        }
        answer[f"half-width {half_width}"] = figures
        print(f"half-width {half_width}:", json.dumps(figures), flush=True)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
