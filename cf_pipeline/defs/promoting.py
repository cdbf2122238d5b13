"""Letting a model serve by hand: roles change, Dagster is told, missing covers are embedded."""

import dataclasses
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from cf_pipeline.defs.resources import REFRESH_TAG
from cf_pipeline.defs.running import Wanted, held, run_pipeline
from cf_pipeline.errors import DataError
from cf_pipeline.models.catalogue import champion_of, models, warehouse_of, whole_version
from cf_pipeline.models.promotion import BY_HAND
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.storage.warehouse import Warehouse


def promote(home: Home, definitions: dg.Definitions, prefix: str) -> str:
    """Let a model serve, by hand; returns its version.

    Covers that it has not embedded yet are embedded now, and no others. The decision holds until a
    newer model is compared with it.

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
        tags = {REFRESH_TAG: "true"}
        outcome = run_pipeline(home, definitions, Wanted(select=["embeddings"], tags=tags))
        for message in outcome.failures.values():
            raise DataError(f"{version} is the champion, but its embeddings failed: {message}")
    return version


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
        # Release 0.1.0 compared on test alone, and did not say so.
        "promotion_comparisons": warehouse.frame("promotion_comparisons").with_columns(
            pl.col("split").fill_null("test")
        ),
    }
    # Made of the same things, at another time.
    given = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    given |= {"computed_at": datetime.now(UTC), "run_id": "by hand", "data_version": None}
    return warehouse.publish(Draft(**given), Write(tables))


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
