"""Checks beside assets, blocking where bad data would spread."""

import dagster as dg

from cf_pipeline.defs.resources import HomeResource


@dg.asset_check(asset="covers", blocking=True)
def no_look_group_is_too_large(home: HomeResource) -> dg.AssetCheckResult:
    """A look group with more than 5 % of all covers means that thresholds are too loose."""
    from cf_pipeline.vision.cover_table import MAX_GROUP_SHARE, largest_group_share, summarize

    columns = ("project_id", "status", "look_group", "look_component")
    covers = home.warehouse.frame("covers", columns)
    share = largest_group_share(covers)
    # With fewer than twenty covers every one of them is more than a twentieth.
    is_alone = summarize(covers)["largest_look_group"] == 1
    return dg.AssetCheckResult(
        passed=share <= MAX_GROUP_SHARE or is_alone,
        metadata={"largest_share": share, "limit": MAX_GROUP_SHARE},
        description=f"The largest look group holds {share:.1%} of readable covers, at most "
        f"{MAX_GROUP_SHARE:.0%} is expected. Lower covers.max_hash_distance or "
        "covers.max_pixel_difference.",
    )


@dg.asset_check(asset="similarity_scores")
def protocol_does_not_leak(home: HomeResource) -> dg.AssetCheckResult:
    """`popularity` must stand at chance, and `owner` where owners are known."""
    from cf_pipeline.benchmark.report import rows_off_chance

    record = home.warehouse.record("trained_cnn")
    differences = home.warehouse.frame(
        "similarity_differences",
        where="model_version = ?",
        parameters=[record.data_version if record else ""],
    )
    off = rows_off_chance(differences)
    return dg.AssetCheckResult(
        passed=not off,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows_off_chance": ", ".join(off) or "none"},
    )
