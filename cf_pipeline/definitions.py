"""The one Definitions object: the files of `defs`, named, so that an installed package loads, too.

Dagster's own loader looks for a project's `pyproject.toml`, which a wheel does not have.
"""

import dagster as dg

from cf_pipeline.defs import (
    automation,
    baselines,
    benchmark,
    factorization,
    gallery,
    interactions,
    jobs,
    resources,
    retrieval,
    vision,
)

GROUPS = (interactions, factorization, vision, baselines, benchmark, retrieval, gallery)


@dg.definitions
def defs() -> dg.Definitions:
    """Assets with their checks, jobs, sensors, schedule, resources and the console logger."""
    assets = dg.load_assets_from_modules(GROUPS)
    others = (automation.defs, jobs.defs, resources.defs)
    return dg.Definitions.merge(dg.Definitions(assets=assets), *others)
