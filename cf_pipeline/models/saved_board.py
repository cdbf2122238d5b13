"""A scoreboard pooled over folds as a file: what `crossvalidate --save` keeps and others read."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from cf_pipeline.benchmark.pooling import CHOSEN, POOLED_SCHEMA
from cf_pipeline.benchmark.report import difference_cell
from cf_pipeline.errors import DataError
from cf_pipeline.storage.whole import write_whole


@dataclass(frozen=True)
class SavedBoard:
    """The pooled table beside what gave it.

    Attributes:
        command: as it was typed.
        commit: of the code.
        date: ISO 8601, UTC.
        hardware: cores and architecture.
        folds: how many.
        rows: of POOLED_SCHEMA.
    """

    command: str
    commit: str
    date: str
    hardware: str
    folds: int
    rows: pl.DataFrame

    def write(self, file: Path) -> None:
        """As JSON; folders on the way are made."""
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**vars(self), "rows": self.rows.to_dicts()}, indent=1)
        write_whole(file, text + "\n")

    @classmethod
    def read(cls, file: Path) -> SavedBoard:
        """What `write` wrote.

        Raises:
            DataError: it did not write this.
        """
        names = [field.name for field in fields(cls)]
        try:
            facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{file} cannot be read: {error}. Expected JSON with {names}."
            ) from error
        missing = [name for name in names if name not in facts]
        if missing or not facts["rows"]:
            raise DataError(
                f"{file} lacks {', '.join(missing) or 'rows'}; expected what `cf-pipeline "
                "crossvalidate --save FILE` writes. Make it again."
            )
        rows = pl.DataFrame(facts["rows"], schema=POOLED_SCHEMA)
        return cls(**{**{name: facts[name] for name in names}, "rows": rows})

    def chosen_minus(self, reference: str) -> dict[str, str]:
        """What the chosen layers are above a feature set: measure to `+0.037 [+0.013, +0.067]`."""
        rows = self.rows.filter(feature_set=CHOSEN, reference=reference)
        return {
            measure: difference_cell(rows.filter(measure=measure)) for measure in rows["measure"]
        }


def stood_beside(command: Sequence[str]) -> dict[str, str]:
    """What a figure stands beside: command, commit, day and hardware."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "command": shlex.join(command),
        "commit": commit.stdout.strip() or "no checkout",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
    }
