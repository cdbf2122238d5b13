"""Group factorization: latent factors and how well they recommend."""

from typing import TYPE_CHECKING, Any

from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import cluster_pictures, factor_facts, picture, space_picture
from cf_pipeline.factorization import soundness
from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline.sql import written_as

if TYPE_CHECKING:
    from cf_pipeline.factorization.factorizer import Fitting

PAIRS = ("user_id", "project_id", "confidence")
FITTED = ("factorization.method", "factorization.n_factors", "factorization.seed")
"""What a fit depends on."""
WORDS_SHOWN = 10
"""At most so many words of each source tell a cluster apart."""


@stage_asset(
    group="factorization",
    parents=("pruned_matrix", "project_split"),
    reads=FITTED,
    checks=(soundness.factors_are_finite_and_spread,),
)
def latent_factors(stage: Stage) -> Output:
    """Users and projects in latent space: train projects factorized, the others folded in.

    A warm run starts from the factors that are there.
    """
    from cf_pipeline.factorization.placing import place_all, summarize
    from cf_pipeline.factorization.spectrum import latent_space
    from cf_pipeline.figures.curves import objective_curve

    pairs = stage.frame("pruned_matrix", *PAIRS)
    placed = place_all(
        pairs,
        stage.frame("project_split"),
        stage.configuration.factorization.method,
        fitting(stage),
        start=stage.frame("latent_factors") if stage.run.warm and stage.previous else None,
    )
    started_from = stage.previous.data_version if stage.previous and placed.n_started else None
    space = latent_space(placed.table, pairs)
    drawn = {
        "objective": picture(objective_curve(placed.objective), "objective per iteration"),
        "latent_space": space_picture(space),
    }
    return Output(
        {"latent_factors": placed.table},
        {**summarize(placed), "effective_rank": space.effective_rank, **drawn},
        started_from=started_from,
    )


@stage_asset(
    group="factorization",
    parents=("latent_factors", "raw_projects", "raw_interactions", "covers"),
    reads=("factorization.n_clusters", "factorization.seed", "dataset.words"),
    kinds=("scikitlearn",),
)
def latent_clusters(stage: Stage) -> Output:
    """What lies together in latent space, and the words that tell it apart.

    k-means on factors at length 1. Words are tags, titles, boards and fields, by log-odds against
    all other clusters.
    """
    from cf_pipeline.factorization.cluster_examples import cluster_examples
    from cf_pipeline.factorization.cluster_words import cluster_words, words_of_projects
    from cf_pipeline.factorization.clusters import cluster_table

    config = stage.configuration.factorization
    clusters = cluster_table(stage.frame("latent_factors"), config.n_clusters, config.seed)
    pattern = stage.section("dataset.words")["board_user"]
    are_boards = written_as("user_id", pattern, "{board}")
    boards = stage.frame("raw_interactions", "user_id", "project_id", where=are_boards)
    words = words_of_projects(stage.frame("raw_projects"), boards, pattern)
    told = cluster_words(clusters, words, WORDS_SHOWN)
    covers = stage.frame("covers", "project_id", "path", "look_group", where="status = 'ok'")
    facts: dict[str, Any] = {"clusters": clusters["cluster"].n_unique(), "words": told.height}
    if stage.has_covers:
        facts |= cluster_pictures(list(cluster_examples(clusters, told, covers)))
    return Output({"latent_clusters": clusters, "cluster_words": told}, facts)


@stage_asset(
    group="factorization",
    parents=("pruned_matrix", "project_split"),
    reads=(*FITTED, "factorization.holdout", "factorization.max_users"),
)
def factor_scores(stage: Stage) -> Output:
    """How factors rank hidden train events, beside item-kNN, EASE and popularity.

    Models of its own are fitted: once with part of every user's events hidden, once without some
    users.
    """
    from cf_pipeline.factorization.placing import train_matrix
    from cf_pipeline.factorization.ranking import factor_scores as score

    config = stage.configuration.factorization
    pairs = stage.frame("pruned_matrix", *PAIRS, "occurred_at")
    found = score(
        train_matrix(pairs, stage.frame("project_split")),
        config.method,
        fitting(stage),
        holdout=config.holdout,
        max_users=config.max_users,
    )
    return Output(
        {"factor_scores": found.scores, "factor_differences": found.differences},
        factor_facts(found.scores),
    )


def fitting(stage: Stage) -> "Fitting":
    """Number of factors, seed and threads, with progress."""
    from cf_pipeline.factorization.factorizer import Fitting

    config, progress = stage.configuration.factorization, stage.progress("iterations")
    return Fitting(
        config.n_factors,
        config.seed,
        stage.configuration.resources.n_threads,
        lambda done, total, value: progress(done, total, {"objective": value}),
    )
