"""The models of a home: which there are, which serves, which may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.errors import DataError
from cf_pipeline.recompute.stage import open_warehouse
from cf_pipeline.recompute.staleness import STARTED_FROM
from cf_pipeline.storage import collecting
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.collecting import Collection
from cf_pipeline.storage.history import history
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder, HomeLock
from cf_pipeline.storage.warehouse import Warehouse

PRIMARY = ("triplet_accuracy", "ndcg_at_10")


@dataclass(frozen=True)
class Model:
    """One model version.

    Attributes:
        version: its id.
        roles: those that it holds.
        trained_at: when training ended, UTC.
        started_from: the version whose weights it continued.
        scores: measure to the chosen layer's value on test, as measured when it was the newest.
    """

    version: str
    roles: tuple[str, ...]
    trained_at: datetime
    started_from: str | None
    scores: dict[str, float]


def warehouse_of(home: Home) -> Warehouse:
    """The warehouse of a home, as its own configuration says.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    return open_warehouse(home, resolve(Choices.read(home.config_path)))


def models(home: Home) -> list[Model]:
    """Every model that the home holds, newest first."""
    warehouse = warehouse_of(home)
    if not warehouse.has("trained_cnn"):
        return []
    trained = warehouse.frame("trained_cnn", ("model_version", "trained_at"))
    held, starts = roles(warehouse), _starts(warehouse)
    return [
        Model(
            version,
            tuple(sorted(role for role, row in held.items() if row["model_version"] == version)),
            trained_at,
            starts.get(version),
            _scores(warehouse, version),
        )
        for version, trained_at in trained.sort("trained_at", descending=True).iter_rows()
    ]


def roles(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Role to its row of `promoted_model`, read as state: it is no parent of what reads it."""
    if not warehouse.has("promoted_model"):
        return {}
    return {row["role"]: row for row in warehouse.frame("promoted_model").iter_rows(named=True)}


def champion_of(warehouse: Warehouse) -> str | None:
    """The model that serves; None before the first promotion."""
    champion = roles(warehouse).get("champion")
    return str(champion["model_version"]) if champion else None


def model_meant(warehouse: Warehouse, home: Home, model: str | None = None) -> str:
    """The model that somebody means: the one that begins so, else champion, else the newest.

    Raises:
        DataError: nothing was trained yet, or no version or several begin so.
    """
    newest = current_model(warehouse, home)
    if model is not None:
        versions = warehouse.frame("trained_cnn", ("model_version",))["model_version"]
        return whole_version(model, versions.to_list())
    return champion_of(warehouse) or newest


def current_model(warehouse: Warehouse, home: Home) -> str:
    """The model that was trained last.

    Raises:
        DataError: none was.
    """
    record = warehouse.record("trained_cnn")
    if record is None:
        raise DataError(f"no trained model in {home.path}. Run cf-pipeline run first.")
    return record.data_version


def models_that_serve(warehouse: Warehouse) -> list[str]:
    """Versions of the champion and of the best model so far, each once."""
    held = roles(warehouse)
    return sorted({held[role]["model_version"] for role in ("champion", "best") if role in held})


def whole_version(prefix: str, versions: Sequence[str]) -> str:
    """The one version that begins so.

    Raises:
        DataError: none does, or several.
    """
    found = [version for version in versions if version.startswith(prefix)]
    if len(found) != 1:
        what = f"{len(found)} versions begin" if found else "no version begins"
        raise DataError(f"{what} with {prefix!r}; there are {', '.join(versions) or 'none'}.")
    return found[0]


def collect_garbage(home: Home, *, dry_run: bool) -> Collection:
    """Remove old model versions: all but the newest few and those that have to stay.

    The newest `promotion.keep` stay while their checkpoints are within `promotion.keep_bytes`
    together, and in any case whatever is current, holds a role or is named by a comparison, and
    every model that one of these continued.

    Raises:
        HomeBusyError: a run is going on.
    """
    promotion = resolve(Choices.read(home.config_path)).promotion
    warehouse, artifacts = warehouse_of(home), Artifacts(home.artifacts_path)
    with HomeLock(home).acquire(Holder.current(), wait=False):
        newest, n_bytes = set[str](), 0
        for model in models(home)[: promotion.keep]:
            n_bytes += artifacts.size_of("checkpoint", model.version)
            if newest and n_bytes > promotion.keep_bytes:
                break
            newest.add(model.version)
        planned = collecting.plan(warehouse, artifacts, _kept(warehouse, newest))
        return planned if dry_run else collecting.collect(warehouse, artifacts, planned)


def _kept(warehouse: Warehouse, newest: set[str]) -> set[str]:
    keep = newest | {str(row["model_version"]) for row in roles(warehouse).values()}
    record = warehouse.record("trained_cnn")
    keep |= {record.data_version} if record else set()
    starts = _starts(warehouse)
    for version in list(keep):
        earlier = starts.get(version)
        while earlier is not None and earlier not in keep:
            keep.add(earlier)
            earlier = starts.get(earlier)
    return keep


def _starts(warehouse: Warehouse) -> dict[str, str]:
    """Model to the one whose weights it continued."""
    return {
        record.data_version: record.inputs[STARTED_FROM]
        for record in history(warehouse, "trained_cnn")
        if STARTED_FROM in record.inputs
    }


def _scores(warehouse: Warehouse, version: str) -> dict[str, float]:
    if not warehouse.has("similarity_scores"):
        return {}
    rows: pl.DataFrame = warehouse.frame(
        "similarity_scores",
        ("measure", "value"),
        where="chosen and split = 'test' and model_version = ?",
        parameters=[version],
    )
    return {m: v for m, v in rows.iter_rows() if m.startswith(PRIMARY) and v is not None}
