"""Pictures and tables as metadata that the UI shows."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from cf_pipeline.interactions.config import PruningConfig
from cf_pipeline.recompute.stage import Stage

CLUSTERS_A_PICTURE = 12
"""So that covers are recognized in 100 KB."""

if TYPE_CHECKING:
    from cf_pipeline.factorization.cluster_examples import ClusterExample
    from cf_pipeline.factorization.spectrum import LatentSpace
    from cf_pipeline.interactions.pruning import PruningReport


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """An inline image; the figures are below 100 KB each, so the event log stays small."""
    encoded = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{encoded})")


def cluster_pictures(examples: "Sequence[ClusterExample]") -> dict[str, dg.MarkdownMetadataValue]:
    """Covers of every cluster under its words, twelve clusters a picture."""
    from cf_pipeline.figures.panels import captioned_rows

    shown = {}
    for start in range(0, len(examples), CLUSTERS_A_PICTURE):
        some = examples[start : start + CLUSTERS_A_PICTURE]
        name = f"clusters {some[0].cluster} to {some[-1].cluster}"
        title = f"Nearest to the centres of {name}"
        png = captioned_rows([e.covers for e in some], [e.caption for e in some], title)
        shown[name.replace(" ", "_")] = picture(png, name)
    return shown


def feature_pictures(
    stage: Stage, table: pl.DataFrame, name: str, mapped: int = 1000
) -> dict[str, dg.MarkdownMetadataValue]:
    """A map of at most so many covers and the nearest of a few, by features of one length.

    Without covers there is nothing to draw.
    """
    from cf_pipeline.figures import embedded

    if not stage.has_covers:
        return {}
    covers = stage.frame("covers", "project_id", "path", where="status = 'ok'")
    drawn = embedded.feature_pictures(table, covers, name, mapped=mapped)
    return {what: picture(png, f"{what} by {name}") for what, png in drawn.items()}


def bars(scores: pl.DataFrame, measure: str, what: str) -> dg.MarkdownMetadataValue:
    """Dots with intervals of one measure: `feature_set, value, low, high`, none of them chosen."""
    from cf_pipeline.figures.scores import score_bars

    rows = scores.with_columns(chosen=pl.lit(value=False))
    return picture(score_bars(rows, measure, what), what)


def factor_facts(scores: pl.DataFrame) -> dict[str, Any]:
    """Every value by protocol, model and metric, and a picture of each protocol's recall at 20."""
    facts: dict[str, Any] = {
        f"{row['protocol']}_{row['model']}_{row['metric']}": row["value"]
        for row in scores.to_dicts()
    }
    for protocol in scores["protocol"].unique(maintain_order=True):
        rows = scores.filter(protocol=protocol, metric="recall_at_20")
        named = rows.rename({"model": "feature_set"})
        what = str(protocol).replace("_", " ")
        facts[f"{protocol}_recall_at_20_bars"] = bars(named, "recall_at_20", what)
    return facts


def with_tables(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The facts, those named being tables in Markdown, which the UI then draws."""
    return {**facts, **{name: dg.MetadataValue.md(str(facts[name])) for name in names}}


def space_picture(space: "LatentSpace") -> dg.MarkdownMetadataValue:
    """Its spectrum, and lengths of factors against popularity."""
    from cf_pipeline.figures.latent import latent_space

    png = latent_space(space.singular_values, space.lengths, space.degrees)
    return picture(png, "spectrum, and lengths of factors against popularity")


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
