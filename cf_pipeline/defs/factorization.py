"""Group factorization: latent factors and how well they recommend."""

from typing import TYPE_CHECKING

from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import picture
from cf_pipeline.factorization import soundness
from cf_pipeline.recompute.stage import Output, Stage

if TYPE_CHECKING:
    from cf_pipeline.factorization.factorizer import Fitting

PAIRS = ("user_id", "project_id", "confidence")
FITTED = ("factorization.method", "factorization.n_factors", "factorization.seed")
"""What a fit depends on."""


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
    from cf_pipeline.figures.curves import objective_curve

    placed = place_all(
        stage.frame("pruned_matrix", *PAIRS),
        stage.frame("project_split"),
        stage.configuration.factorization.method,
        fitting(stage),
        start=stage.frame("latent_factors") if stage.run.warm and stage.previous else None,
    )
    started_from = stage.previous.data_version if stage.previous and placed.n_started else None
    curve = objective_curve(placed.objective)
    return Output(
        {"latent_factors": placed.table},
        {**summarize(placed), "objective": picture(curve, "objective per iteration")},
        started_from=started_from,
    )


@stage_asset(
    group="factorization",
    parents=("pruned_matrix", "project_split"),
    reads=(*FITTED, "factorization.holdout", "factorization.max_users"),
)
def factor_scores(stage: Stage) -> Output:
    """Recall@20 and nDCG@20 of hidden train events, beside popularity; a model of its own."""
    from cf_pipeline.factorization.placing import train_matrix
    from cf_pipeline.factorization.ranking import factor_scores as score

    config = stage.configuration.factorization
    table = score(
        train_matrix(stage.frame("pruned_matrix", *PAIRS), stage.frame("project_split")),
        config.method,
        fitting(stage),
        holdout=config.holdout,
        max_users=config.max_users,
    )
    figures = {f"{row['model']}_{row['metric']}": row["value"] for row in table.to_dicts()}
    return Output({"factor_scores": table}, figures)


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
