"""Progress of long work: log lines with rate and time left, and a bar on a terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class StageProgress:
    """Callable as progress(done, total, figures), from any room.

    A line goes to Dagster's log at most every ten seconds, and one at the end of work that took
    longer than a second, so that the event log stays readable and the UI shows life.
    """

    def __init__(self, log: Any, asset: str, what: str) -> None:
        self._log, self._what = log, what
        self._started = self._last = time.monotonic()
        # disable=None: no bar where standard error is not a terminal.
        self._bar: Any = tqdm(
            desc=asset, unit=f" {what}", disable=None, leave=False, file=sys.stderr
        )

    def __call__(self, done: int, total: int, figures: dict[str, float]) -> None:
        """Hear that `done` of `total` are done; figures are shown as they are."""
        now = time.monotonic()
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        finished = done >= total
        if finished:
            self._bar.close()
        if (finished and now - self._started > 1) or now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._log.info(self.line(done, total, figures, now - self._started))

    def line(self, done: int, total: int, figures: dict[str, float], seconds: float) -> str:
        """`640 of 4,186 covers  61/s  0:58 left  loss 2.41`."""
        rate = done / seconds if seconds > 0 else 0.0
        left = (total - done) / rate if rate > 0 else 0.0
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        return (
            f"{done:,} of {total:,} {self._what}  {_pace(rate)}  "
            f"{int(left) // 60}:{int(left) % 60:02d} left  {shown}"
        ).rstrip()


def _pace(rate: float) -> str:
    """What takes longer than a second each is told by its seconds."""
    return f"{1 / rate:,.0f} s each" if 0 < rate < 1 else f"{rate:,.0f}/s"
