"""The one Definitions object: everything under `defs`, found by Dagster's own loader."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Assets, checks, jobs, resources and the console logger."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
