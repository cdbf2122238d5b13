"""The one job: everything. Every run works in its own process, one asset after the other."""

import dagster as dg

full_pipeline = dg.define_asset_job(
    "full_pipeline",
    selection=dg.AssetSelection.all(),
    description="Every asset, in order; what did not change is not computed again.",
    executor_def=dg.in_process_executor,
)

defs = dg.Definitions(jobs=[full_pipeline], executor=dg.in_process_executor)
