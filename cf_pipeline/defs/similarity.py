"""Gathering what `similarity_scores` reads from the warehouse into the values its room takes."""

from typing import TYPE_CHECKING

from cf_pipeline.defs.stage import Stage

if TYPE_CHECKING:
    from cf_pipeline.benchmark.similarity import SimilarityInputs
    from cf_pipeline.vectors import IndexedVectors


def similarity_inputs(stage: Stage, model: str) -> "SimilarityInputs":
    """Everything that the similarity protocol reads, for the current model."""
    from cf_pipeline.benchmark.similarity import SimilarityInputs
    from cf_pipeline.benchmark.truth import truth_events
    from cf_pipeline.interactions.pruning import representatives
    from cf_pipeline.sources.purposes import owner_users, truth_kinds
    from cf_pipeline.vectors import indexed

    projects = stage.frame("raw_projects")
    covers = stage.frame("covers")
    stands_for = representatives(covers)
    events = truth_events(
        stage.frame("raw_interactions", "user_id", "project_id", "kind"),
        truth_kinds=truth_kinds(stage.dataset),
        excluded_users=stage.dataset.users.exclude_users,
        representatives=stands_for,
        owner_users=owner_users(stage.dataset, projects),
    )
    factors = stage.frame("latent_factors", "id", "factors", where="side = 'project'")
    return SimilarityInputs(
        events=events,
        projects=projects,
        covers=covers,
        splits=stage.frame("project_split"),
        representatives=stands_for,
        factors=indexed(factors, "id", "factors"),
        features=_feature_sets(stage, model),
        min_degree=stage.dataset.truth.min_degree,
    )


def _feature_sets(stage: Stage, model: str) -> "dict[str, IndexedVectors]":
    """Vectors of every cover by feature set."""
    from cf_pipeline.vectors import indexed

    ours = stage.frame("embeddings", where=f"model_version = '{model}'")
    simple = stage.frame("simple_embeddings")
    return {
        "imagenet": indexed(stage.frame("imagenet_embeddings"), "project_id", "features"),
        "collaborative": indexed(ours, "project_id", "features"),
        "predicted_factors": indexed(ours, "project_id", "predicted_factors"),
        **{
            name: indexed(simple.filter(feature_set=name), "project_id", "features")
            for name in ("random", "color")
        },
    }
