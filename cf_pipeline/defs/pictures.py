"""Pictures and tables as metadata that the UI shows."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from cf_pipeline.interactions.config import PruningConfig

if TYPE_CHECKING:
    from cf_pipeline.interactions.pruning import PruningReport


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """An inline image; the figures are below 100 KB each, so the event log stays small."""
    encoded = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{encoded})")


def with_tables(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The facts, those named being tables in Markdown, which the UI then draws."""
    return {**facts, **{name: dg.MetadataValue.md(str(facts[name])) for name in names}}


def degree_picture(report: "PruningReport", config: PruningConfig) -> bytes:
    """PNG of the degrees before and after both cuts, with the cuts."""
    from cf_pipeline.figures.distributions import DegreeCuts, degree_distributions

    return degree_distributions(
        report.degrees["user_before"],
        report.degrees["user_after"],
        report.degrees["project_before"],
        report.degrees["project_after"],
        DegreeCuts(
            min_user=config.min_user_degree,
            max_user=config.max_user_share * report.projects_before,
            min_project=config.min_project_degree,
            max_project=config.max_project_share * report.users_before,
        ),
    )
