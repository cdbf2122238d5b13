"""How an asset is made: compare, find again, compute, check, publish.

Before a body runs, what it would read (parents' data versions, its part of the configuration,
outside files, its code) is compared with what was recorded beside the rows written last. Nothing
different: nothing is computed. What is dear, where rows of several models share a table, is looked
for among the records of the models that are kept, so that an edit taken back costs nothing. Else
the body runs, with BLAS held to one thread, so that a result does not depend on who calls. Its rows
are written with their record in one transaction, unless a blocking check turns them away, and the
data version comes from the rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
from threadpoolctl import threadpool_limits

from cf_pipeline.recompute.attempts import attempted, clear_failure
from cf_pipeline.recompute.recalling import recalled
from cf_pipeline.recompute.stage import Body, OpenHome, Output, RunFacts, Stage
from cf_pipeline.recompute.staleness import STARTED_FROM, Reading, StageSpec, read_inputs
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.verdict import Check, Verdicts

SCRATCH = "scratch-"
"""How folders in a home begin that are gone when their stage ends."""
How = Literal["computed", "found again", "unchanged"]


@dataclass(frozen=True)
class Made:
    """An asset that is as it should be.

    Attributes:
        record: of its rows.
        how: whether the body ran, rows of an earlier time came back, or nothing had to be done.
        config_hash: of what it reads of the configuration.
        shown: what the body has to show.
    """

    record: AssetRecord
    how: How
    config_hash: str
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """An asset in the making.

    Attributes:
        spec: what it reads.
        body: what makes it.
        checks: what its rows must pass.
        needs_covers: whether it is skipped where a data set has no covers.
    """

    spec: StageSpec
    body: Body
    checks: Sequence[Check]
    needs_covers: bool = False


def make(work: Work, home: OpenHome, run: RunFacts, verdicts: Verdicts) -> Made:
    """Bring one asset up to date.

    Args:
        work: what is made, and by what.
        home: where.
        run: the run that it is part of.
        verdicts: takes what the checks say; without new rows they are not asked.

    Raises:
        CfPipelineError: something it reads cannot be used, or a blocking check failed; what was
            there before stays readable.
    """
    started = time.monotonic()
    dataset = load_dataset(home.configuration.dataset)
    reading = read_inputs(work.spec, dataset, home.configuration, home.warehouse)
    if not (run.force or run.refresh):
        how: How = "unchanged"
        standing = reading.current
        if standing is None:
            how, standing = "found again", recalled(reading, home.warehouse, home.artifacts)
        if standing is not None:
            _say_again(standing, home, verdicts)
            clear_failure(home.warehouse, reading, run.run_id)
            return Made(standing, how, reading.config_hash)
    with (
        attempted(home.warehouse, reading, run.run_id),
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=home.home.path) as scratch,
    ):
        stage = _stage(home, run, reading, Path(scratch))
        with _one_thread_of_blas():
            skips = work.needs_covers and not stage.has_covers
            output = stage.skipped() if skips else work.body(stage)
        record = _publish(stage, reading, output, verdicts, time.monotonic() - started)
        for file in output.spent:
            file.unlink(missing_ok=True)
    return Made(record, "computed", reading.config_hash, output.metadata)


def _one_thread_of_blas() -> threadpool_limits:
    """Hold BLAS to one thread: sums of floats depend on how they are divided."""
    # It holds what is loaded by now, and scipy brings a BLAS of its own beside numpy's.
    import scipy.linalg  # noqa: F401

    return threadpool_limits(limits=1, user_api="blas")


def _say_again(record: AssetRecord, home: OpenHome, verdicts: Verdicts) -> None:
    """What the checks said when the rows were written; a check that is new since looks now."""
    if not verdicts.remember(record.metadata.get("checks", {})):
        with home.warehouse.read() as connection:
            verdicts.look(record.asset, connection, record.metadata.get("scope"))


def _stage(home: OpenHome, run: RunFacts, reading: Reading, scratch: Path) -> Stage:
    return Stage(
        spec=reading.spec,
        run=run,
        configuration=home.configuration,
        dataset=reading.dataset,
        warehouse=home.warehouse,
        artifacts=home.artifacts,
        scratch=scratch,
        wandb_folder=home.home.wandb_path,
        unfinished=home.home.unfinished_path,
        identity=reading.identity,
        previous=reading.previous,
        reusable=reading.has_same_maker and not run.force,
    )


def _publish(
    stage: Stage, reading: Reading, output: Output, verdicts: Verdicts, seconds: float
) -> AssetRecord:
    """Rows and record in one transaction, unless a blocking check turns the rows away."""
    started_from = {STARTED_FROM: output.started_from} if output.started_from else {}
    said: dict[str, Any] = {}
    draft = Draft(
        asset=stage.asset,
        code_version=reading.code_version,
        config_hash=reading.config_hash,
        inputs={**reading.inputs, **started_from},
        run_id=stage.run.run_id,
        computed_at=datetime.now(UTC),
        seconds=seconds,
        metadata={
            "sections": dict(reading.sections),
            "checks": said,
            **_provenance(stage, output),
        },
        data_version=output.data_version,
    )

    def verify(connection: duckdb.DuckDBPyConnection) -> None:
        verdicts.look(stage.asset, connection, output.scope)
        said.update(verdicts.written)

    write = Write(output.tables, output.scope, output.artifacts, output.others, verify)
    return stage.warehouse.publish(draft, write)


def _provenance(stage: Stage, output: Output) -> dict[str, Any]:
    """What lineage tells of rows beside versions: configuration as values, files by hash."""
    spec = stage.spec
    facts: dict[str, Any] = {
        "configuration": spec.section_values(stage.configuration, stage.dataset),
        "dataset": str(stage.configuration.dataset),
        "recipe": stage.configuration.recipe,
        "budget": stage.configuration.budget,
        "scope": output.scope,
        "artifacts": {artifact.kind: artifact.version for artifact in output.artifacts},
    }
    if spec.outside is not None:
        facts["files"] = spec.outside.listing(stage.dataset, stage.configuration, stage.warehouse)
    return facts
