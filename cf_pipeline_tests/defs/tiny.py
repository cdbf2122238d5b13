"""Two assets of our own in place of the project's, on an empty home: no data set is read.

`project_split` does what a test asks it to; `factor_scores` stands below it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cf_pipeline.defs.assets import STAGES, stage_asset
from cf_pipeline.defs.jobs import full_pipeline
from cf_pipeline.defs.resources import HomeResource, console
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline.storage.home import Home

SPLIT = pl.DataFrame({"project_id": ["a", "b"], "split": ["train", "test"]})

during: Callable[[Stage], Output | None] = lambda _: None  # noqa: E731
"""What happens inside the body of `project_split`."""


def project_split(stage: Stage) -> Output:
    """Two projects."""
    return during(stage) or Output({"project_split": SPLIT})


def factor_scores(stage: Stage) -> Output:
    """As many users as there are projects."""
    n_users = stage.frame("project_split").height
    row = {"model": "factors", "metric": "recall_at_20", "value": 0.5, "low": 0.4, "high": 0.6}
    row |= {"protocol": "hidden_events", "denominator": "all"}
    scores = pl.DataFrame([{**row, "n_users": n_users}])
    differences = scores.drop("value", "denominator").with_columns(
        reference=pl.lit("popularity"), difference=pl.lit(0.1)
    )
    return Output({"factor_scores": scores, "factor_differences": differences})


@contextmanager
def tiny_definitions() -> Iterator[dg.Definitions]:
    """The two assets under the project's job, resource and logger."""
    theirs = dict(STAGES)
    try:
        STAGES.clear()
        assets = [
            stage_asset(group="tiny", reads=("split",))(project_split),
            stage_asset(group="tiny", parents=("project_split",))(factor_scores),
        ]
        yield dg.Definitions(
            assets=assets,
            jobs=[full_pipeline],
            resources={"home": HomeResource()},
            loggers={"console": console},
        )
    finally:
        STAGES.clear()
        STAGES.update(theirs)


def is_locked(home: Home) -> bool:
    """Whether somebody holds the home: a lock of another descriptor is refused in one process."""
    descriptor = os.open(home.lock_path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class DiesWhenShown(Mapping[str, Any]):
    """Metadata that kills the process when it is looked at: after the rows are committed."""

    def __iter__(self) -> Iterator[str]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield "never"

    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: str) -> Any:
        return key


def main(home: Path) -> None:
    """A run that dies between its commit and Dagster's event."""
    global during
    during = lambda _: Output({"project_split": SPLIT.head(1)}, DiesWhenShown())  # noqa: E731
    with tiny_definitions() as definitions:
        run_pipeline(Home(home), definitions)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
