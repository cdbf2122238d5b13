"""The models of a home: which there are, which serves, which may go."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from cf_pipeline.defs.promotion import BY_HAND
from cf_pipeline.defs.resources import warehouse_of
from cf_pipeline.defs.running import held, run_pipeline
from cf_pipeline.defs.staleness import STARTED_FROM
from cf_pipeline.errors import DataError
from cf_pipeline.recipes.configuration import Choices, resolve
from cf_pipeline.storage import collecting
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.collecting import Collection
from cf_pipeline.storage.history import history
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord, Draft
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


def models(home: Home) -> list[Model]:
    """Every model that the home holds, newest first."""
    warehouse = warehouse_of(home)
    if not warehouse.has("trained_cnn"):
        return []
    trained = warehouse.frame("trained_cnn", ("model_version", "trained_at"))
    roles = _roles(warehouse)
    starts = _starts(warehouse)
    return [
        Model(
            version,
            tuple(roles.filter(model_version=version)["role"]) if roles is not None else (),
            trained_at,
            starts.get(version),
            _scores(warehouse, version),
        )
        for version, trained_at in trained.sort("trained_at", descending=True).iter_rows()
    ]


def promote(home: Home, definitions: dg.Definitions, prefix: str) -> str:
    """Let a model serve, by hand; returns its version.

    Covers that it has not embedded yet are embedded now. The decision holds until a newer model
    is compared with it.

    Raises:
        DataError: no such model, several that begin so, nothing was ever promoted, or its covers
            cannot be embedded.
        HomeBusyError: a run is going on.
    """
    warehouse = warehouse_of(home)
    version = whole_version(prefix, [model.version for model in models(home)])
    with held(home, wait=False) as instance:
        record = warehouse.record("promoted_model")
        if record is None:
            raise DataError("nothing was ever promoted here. Run cf-pipeline run first.")
        if version != champion_of(warehouse):
            _tell_dagster(instance, _publish_by_hand(warehouse, record, version), version)
    if _lacks_embeddings(warehouse, version):
        outcome = run_pipeline(home, definitions, select=["embeddings"], force=True)
        for message in outcome.failures.values():
            raise DataError(f"{version} is the champion, but its embeddings failed: {message}")
    return version


def champion_of(warehouse: Warehouse) -> str | None:
    """The model that serves; None before the first promotion."""
    roles = _roles(warehouse)
    serving = [] if roles is None else roles.filter(role="champion")["model_version"].to_list()
    return serving[0] if serving else None


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


def _publish_by_hand(warehouse: Warehouse, record: AssetRecord, version: str) -> AssetRecord:
    rows = warehouse.frame("promoted_model")
    champion = {
        "model_version": version,
        "promoted_at": datetime.now(UTC).replace(tzinfo=None),
        "role": "champion",
        "reason": BY_HAND,
    }
    others = rows.filter(pl.col("role") != "champion")
    after = pl.concat([others, pl.DataFrame([champion], schema=rows.schema)])
    tables = {
        "promoted_model": after,
        "promotion_comparisons": warehouse.frame("promotion_comparisons"),
    }
    return warehouse.publish(_by_hand(record), tables)


def collect_garbage(home: Home, *, dry_run: bool) -> Collection:
    """Remove old model versions: all but the newest few and those that have to stay.

    The newest `promotion.keep` stay, whatever holds a role or is named by a comparison, and every
    model that one of these continued.

    Raises:
        HomeBusyError: a run is going on.
    """
    configuration = resolve(Choices.read(home.config_path))
    warehouse, artifacts = warehouse_of(home), Artifacts(home.artifacts_path)
    with held(home, wait=False):
        keep = _kept(warehouse, models(home), configuration.promotion.keep)
        planned = collecting.plan(warehouse, artifacts, keep)
        return planned if dry_run else collecting.collect(warehouse, artifacts, planned)


def _kept(warehouse: Warehouse, all_models: Sequence[Model], newest: int) -> set[str]:
    roles = _roles(warehouse)
    keep = {model.version for model in all_models[:newest]}
    keep |= set(roles["model_version"]) if roles is not None else set()
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


def _roles(warehouse: Warehouse) -> pl.DataFrame | None:
    if not warehouse.has("promoted_model"):
        return None
    return warehouse.frame("promoted_model", ("role", "model_version"))


def _scores(warehouse: Warehouse, version: str) -> dict[str, float]:
    if not warehouse.has("similarity_scores"):
        return {}
    rows = warehouse.frame(
        "similarity_scores",
        ("measure", "value"),
        where="chosen and split = 'test' and model_version = ?",
        parameters=[version],
    )
    return {m: v for m, v in rows.iter_rows() if m.startswith(PRIMARY) and v is not None}


def _by_hand(record: AssetRecord) -> Draft:
    """The record of rows that a person changed: made of the same things, at another time."""
    given = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    given |= {"computed_at": datetime.now(UTC), "run_id": "by hand", "data_version": None}
    return Draft(**given)


def _tell_dagster(instance: dg.DagsterInstance, record: AssetRecord, version: str) -> None:
    """So that the asset's page tells it and what stands below sees another data version."""
    inputs = {f"dagster/input_data_version/{k}": v for k, v in record.inputs.items()}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key="promoted_model",
            description=f"{version} promoted by hand",
            metadata={"champion": version, "data_version": record.data_version},
            tags={
                "dagster/data_version": record.data_version,
                "dagster/code_version": record.code_version,
                **inputs,
            },
        )
    )


def _lacks_embeddings(warehouse: Warehouse, version: str) -> bool:
    """Whether a readable cover has no embedding by this model, or one of other bytes."""
    with warehouse.read() as connection:
        (missing,) = connection.execute(
            "select count(*) from covers anti join (select project_id, sha256 from embeddings "
            "where model_version = ?) using (project_id, sha256) where status = 'ok'",
            [version],
        ).fetchall()[0]
    return bool(missing)
