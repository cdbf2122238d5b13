"""What became of the last attempt to compute an asset, so that nobody repeats a failure for ever.

An attempt is written down before the body runs and closed when it ends. One that was never closed
belongs to a process that was killed: it is tried once more, and then treated as failed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cf_pipeline.defs.staleness import Reading
from cf_pipeline.storage import attempts
from cf_pipeline.storage.attempts import Attempt
from cf_pipeline.storage.warehouse import Warehouse

KILLS = 2
"""An attempt that was begun this often and never ended is not begun again by itself."""


@contextmanager
def attempted(warehouse: Warehouse, reading: Reading, run_id: str) -> Iterator[None]:
    """Write down that an asset is being computed, and how that ended."""
    asset = reading.spec.asset
    attempts.begin(warehouse, asset, reading.attempt, run_id)
    try:
        yield
    except Exception as error:
        attempts.end(warehouse, asset, "failed", str(error))
        raise
    except BaseException:
        # Dagster's interrupt and Ctrl-C are no Exception: somebody wanted it to stop.
        attempts.end(warehouse, asset, "interrupted", "was interrupted while it was computed")
        raise
    attempts.end(warehouse, asset, "done")


@contextmanager
def failing_is_an_attempt(warehouse: Warehouse, reading: Reading, run_id: str) -> Iterator[None]:
    """Where nothing is computed: an error counts as a failed attempt, success is not written."""
    try:
        yield
    except Exception as error:
        attempts.begin(warehouse, reading.spec.asset, reading.attempt, run_id)
        attempts.end(warehouse, reading.spec.asset, "failed", str(error))
        raise


def clear_failure(warehouse: Warehouse, reading: Reading, run_id: str) -> None:
    """What an asset reads is as recorded again: its failed attempt is history."""
    asset = reading.spec.asset
    last = attempts.attempts(warehouse).get(asset)
    if last is not None and last.outcome != "done":
        attempts.begin(warehouse, asset, reading.attempt, run_id)
        attempts.end(warehouse, asset, "done")


def gave_up(last: Mapping[str, Attempt], reading: Reading, *, look_at_files: bool) -> str | None:
    """Why an asset is not tried again by itself; None where it may be.

    Args:
        last: the last attempt of every asset.
        reading: what the asset would read now.
        look_at_files: whether the reading's files are those on disk now. If they are not, an
            attempt that differs in files alone counts as the same.
    """
    attempt = last.get(reading.spec.asset)
    if attempt is None or attempt.outcome == "done":
        return None
    made_of, _, files = reading.attempt.partition(":")
    tried, _, tried_files = attempt.attempt.partition(":")
    if tried != made_of or (look_at_files and tried_files != files):
        return None
    if attempt.outcome == "running" and attempt.starts < KILLS:
        return None
    how = "was killed" if attempt.outcome == "running" else attempt.outcome
    return f"{how} in run {attempt.run_id} and nothing it reads has changed since" + (
        f": {attempt.message}" if attempt.message else ""
    )
