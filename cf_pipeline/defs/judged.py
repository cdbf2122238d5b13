"""Who is judged and by what: the tables that the scoreboard and the comparison of models share."""

from typing import TYPE_CHECKING

from cf_pipeline.defs.stage import Stage

if TYPE_CHECKING:
    from cf_pipeline.benchmark.inputs import PoolInputs


def pool_inputs(stage: Stage) -> "PoolInputs":
    """Who is judged and by what, whichever vectors are scored."""
    from cf_pipeline.benchmark.inputs import PoolInputs
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
    return PoolInputs(
        events=events,
        projects=projects,
        covers=covers,
        splits=stage.frame("project_split"),
        representatives=stands_for,
        factors=indexed(factors, "id", "factors"),
        min_degree=stage.dataset.truth.min_degree,
    )
