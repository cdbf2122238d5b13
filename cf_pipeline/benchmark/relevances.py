"""The judge's validation queries in small, for training: which epoch is kept goes by them.

Bounded, so that they fit into a table and a training looks at them in no time; the scoreboard asks
many more. Test is never among them.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cf_pipeline.benchmark.choices import ChoiceMeasures
from cf_pipeline.benchmark.inputs import PoolInputs
from cf_pipeline.benchmark.pool import PoolRules, find_pool
from cf_pipeline.benchmark.queries import PAIR_SCHEMA, compared_pairs
from cf_pipeline.benchmark.truth import build_truth

BOUNDS = PoolRules(max_queries=500, max_candidates=1_000)


def validation_relevances(inputs: PoolInputs) -> pl.DataFrame:
    """Who is relevant to whom among validation projects, as nDCG at 10 compares them.

    Returns:
        `query_id, candidate_id, relevance`, a row for every comparable candidate of every query
        that has something to find, within strata where there are any; no rows where none has.
    """
    rules = replace(BOUNDS, min_degree=inputs.min_degree)
    pool = find_pool(build_truth(inputs.events), inputs.catalog(), "validation", rules)
    if len(pool.project_ids) < 2:
        return pl.DataFrame(schema=PAIR_SCHEMA)
    return compared_pairs(pool, ChoiceMeasures.of(pool).first)
