"""A training as files: what it is told, where its state is, and a checkpoint folder at the end."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits

from cf_pipeline.vision.config import VisionConfig

if TYPE_CHECKING:
    from cf_pipeline.vision.devices import Execution
    from cf_pipeline.vision.training import Listeners
    from cf_pipeline.vision.unfinished import Unfinished

History = list[dict[str, float]]
"""The figures of every epoch."""


class TrainingSpec(BaseModel):
    """Everything that a training reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training_set: Path
    """Parquet with `project_id, path, width, height, factors, split`, in a folder for scratch that
    the caller removes."""
    relevances: Path | None = None
    """Parquet with `query_id, candidate_id, relevance` of validation projects; None: none is
    queried, and validation chooses by the loss."""
    vectors: Path | None = None
    """Parquet with `project_id, features` of the same projects, where they have no covers: then a
    linear head on these is all that is fitted."""
    vision: VisionConfig
    device: str = "auto"
    threads: int = 0
    checkpointing: bool = True
    start: Path | None = None
    """Folder of an earlier checkpoint to continue from; None: begin as configured."""
    start_version: str | None = None
    """Its model_version; None: the folder's name."""
    unfinished: Path | None = None
    """File that keeps the state after every epoch; one of the same identity is gone on with. None:
    a training that is ended begins anew."""
    identity: str = ""
    """Of what the training set and the code follow from; the rest of the spec is added to it."""


def _unfinished(spec: TrainingSpec, execution: Execution) -> Unfinished | None:
    """Where the state is; it is of the same training where sums of floats come out the same, too.

    They depend on the device, its threads and the release of torch.
    """
    import torch

    from cf_pipeline.vision.unfinished import Unfinished

    if spec.unfinished is None:
        return None
    made_of = [
        spec.identity,
        spec.vision.model_dump_json(),
        spec.start_version or "",
        str(execution.device),
        str(torch.get_num_threads()),
        torch.__version__,
    ]
    identity = hashlib.sha256("\n".join(made_of).encode()).hexdigest()
    return Unfinished(spec.unfinished, identity)


def run_training(
    spec: TrainingSpec,
    out: Path,
    listeners: Listeners | None = None,
    *,
    scratch: Path | None = None,
) -> History:
    """Train as the spec says, write the checkpoint into `out`, give the figures of every epoch.

    Args:
        spec: what to train on and how.
        out: an existing, empty folder.
        listeners: who hears of batches and epochs.
        scratch: an existing folder for decoded covers; by default that of the training set.

    Raises:
        ConfigError: the backbone or the objective cannot be used.
        DataError: the training set or the checkpoint to start from cannot be used.
    """
    from cf_pipeline.vision.checkpoint import load_checkpoint, save_checkpoint
    from cf_pipeline.vision.devices import Execution
    from cf_pipeline.vision.examples import TrainingData
    from cf_pipeline.vision.training import Start, train

    if spec.vectors is not None:
        return _run_linear(spec, spec.vectors, out)
    place = scratch or spec.training_set.parent
    start = None
    if spec.start:
        start = Start(*load_checkpoint(spec.start), spec.start_version or spec.start.name)
    with (
        # Ridges, too, are to have the same bits whoever calls.
        threadpool_limits(limits=1, user_api="blas"),
        tempfile.TemporaryDirectory(dir=place, prefix="decoded-") as decoded,
    ):
        execution = Execution.of(spec.device, spec.threads, Path(decoded), spec.checkpointing)
        trained = train(
            TrainingData.read(spec.training_set, spec.relevances, spec.vision),
            spec.vision,
            execution=execution,
            listeners=listeners,
            start=start,
            unfinished=_unfinished(spec, execution),
        )
    save_checkpoint(out, trained.network, trained.manifest)
    return [dict(figures) for figures in trained.history]


def _run_linear(spec: TrainingSpec, vectors: Path, out: Path) -> History:
    import polars as pl

    from cf_pipeline.vision.checkpoint import save_checkpoint
    from cf_pipeline.vision.linear import fit_linear

    assert spec.relevances is not None  # a training set has some, if only without rows
    with threadpool_limits(limits=1, user_api="blas"):
        trained = fit_linear(
            pl.read_parquet(spec.training_set),
            pl.read_parquet(vectors),
            pl.read_parquet(spec.relevances),
            spec.vision,
        )
    save_checkpoint(out, trained.network, trained.manifest)
    return [dict(figures) for figures in trained.history]
