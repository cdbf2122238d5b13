"""Who owns what, as users are written."""

from __future__ import annotations

import polars as pl


def owner_users(projects: pl.DataFrame, pattern: str) -> pl.DataFrame:
    """Who owns what, written as users.

    Args:
        projects: `project_id, owners LIST`.
        pattern: how a user that is an owner is written, with `{owner}` for the owner's key.

    Returns:
        `project_id, user_id`, one row per project and owner.
    """
    before, _, after = pattern.partition("{owner}")
    return (
        projects
        .select("project_id", "owners")
        .explode("owners", empty_as_null=True, keep_nulls=True)
        .drop_nulls()
        .select("project_id", user_id=pl.lit(before) + pl.col("owners") + pl.lit(after))
    )
