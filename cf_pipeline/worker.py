"""Entry of a training, in this process or in a child: a spec file in, a checkpoint folder out.

`python -m cf_pipeline.worker SPEC OUT` writes one JSON object per line to standard output: progress
while it trains, then where the checkpoint is. The caller decides who listens; the seam is the same
either way.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from cf_pipeline.vision.config import VisionConfig


class TrainingSpec(BaseModel):
    """Everything that a training reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training_set: Path
    """Parquet with `project_id, path, factors, split`."""
    vision: VisionConfig
    device: str = "auto"
    threads: int = 0


def run_training(
    spec: TrainingSpec, out: Path, listeners: object | None = None
) -> list[dict[str, float]]:
    """Train as the spec says and write the checkpoint below `out`.

    Args:
        spec: what to train on and how.
        out: an existing, empty folder.
        listeners: `cf_pipeline.vision.training.Listeners`, or None.

    Returns:
        The figures of every epoch.
    """
    from cf_pipeline.vision.batches import Examples
    from cf_pipeline.vision.checkpoint import save_checkpoint
    from cf_pipeline.vision.devices import Execution
    from cf_pipeline.vision.training import Listeners, train

    assert listeners is None or isinstance(listeners, Listeners)
    table = pl.read_parquet(spec.training_set).sort("project_id")
    halves = {
        split: Examples(tuple(Path(p) for p in part["path"]), part["factors"].to_numpy())
        for split in ("train", "validation")
        for part in [table.filter(pl.col("split") == split)]
    }
    with tempfile.TemporaryDirectory(dir=out.parent, prefix="decoded-") as scratch:
        trained = train(
            halves["train"],
            halves["validation"],
            spec.vision,
            execution=Execution.of(spec.device, spec.threads, Path(scratch)),
            listeners=listeners,
        )
    save_checkpoint(out, trained.network, trained.manifest)
    return [dict(figures) for figures in trained.history]


def main(arguments: list[str]) -> int:
    """Run a spec file and report on standard output as JSON lines."""
    from cf_pipeline.vision.training import Listeners

    spec_path, out = (Path(argument) for argument in arguments)

    def say(event: str, **values: object) -> None:
        sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
        sys.stdout.flush()

    spec = TrainingSpec.model_validate_json(spec_path.read_text(encoding="utf-8"))
    run_training(
        spec,
        out,
        Listeners(
            on_batch=lambda done, total, figures: say("batch", done=done, total=total, **figures),
            on_epoch=lambda epoch, figures: say("epoch", epoch=epoch, **figures),
        ),
    )
    say("done", folder=str(out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
