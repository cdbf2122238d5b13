"""Group factorization: latent factors and how well they recommend."""

from cf_pipeline.defs import checks
from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import picture
from cf_pipeline.defs.stage import Output, Stage

PAIRS = ("user_id", "project_id", "confidence")


@stage_asset(
    group="factorization",
    parents=("pruned_matrix", "project_split"),
    reads=("factorization",),
    kinds=("implicit",),
    checks=checks.LATENT_FACTORS,
)
def latent_factors(stage: Stage) -> Output:
    """Users and projects in latent space: implicit ALS on train projects, the others folded in.

    A warm run starts from the factors that are there.
    """
    from cf_pipeline.factorization.placing import place_all, summarize
    from cf_pipeline.figures.curves import objective_curve

    progress = stage.progress("iterations")
    placed = place_all(
        stage.frame("pruned_matrix", *PAIRS),
        stage.frame("project_split"),
        stage.configuration.factorization,
        threads=stage.configuration.resources.n_threads,
        on_iteration=lambda done, total, value: progress(done, total, {"objective": value}),
        start=stage.frame("latent_factors") if stage.warm and stage.previous else None,
    )
    started_from = stage.previous.data_version if stage.previous and placed.n_started else None
    curve = objective_curve(placed.objective)
    return Output(
        {"latent_factors": placed.table},
        {**summarize(placed), "objective": picture(curve, "ALS objective per iteration")},
        started_from=started_from,
    )


@stage_asset(
    group="factorization",
    parents=("pruned_matrix", "project_split"),
    reads=("factorization",),
    kinds=("implicit",),
)
def factor_scores(stage: Stage) -> Output:
    """Recall@20 and nDCG@20 of hidden train events, beside popularity; a model of its own."""
    from cf_pipeline.factorization.placing import train_matrix
    from cf_pipeline.factorization.ranking import factor_scores as score

    progress = stage.progress("iterations")
    matrix = train_matrix(stage.frame("pruned_matrix", *PAIRS), stage.frame("project_split"))
    table = score(
        matrix,
        stage.configuration.factorization,
        threads=stage.configuration.resources.n_threads,
        on_iteration=lambda done, total, value: progress(done, total, {"objective": value}),
    )
    figures = {f"{row['model']}_{row['metric']}": row["value"] for row in table.to_dicts()}
    return Output({"factor_scores": table}, figures)
