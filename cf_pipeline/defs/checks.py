"""What every asset's rows must pass: which columns a room's judge is handed, nothing else."""

from cf_pipeline.defs.asset_checks import Check, Checked
from cf_pipeline.vectors import Matrix, indexed
from cf_pipeline.verdict import Verdict

LOOKS = ("project_id", "status", "look_group", "look_component")


def ids_are_usable(checked: Checked) -> Verdict:
    """User and project of every interaction are there."""
    from cf_pipeline.interactions.soundness import ids_are_sound

    columns = ("user_id", "project_id")
    return ids_are_sound(checked.frame("raw_interactions", *columns), columns, unique=False)


def ids_are_unique(checked: Checked) -> Verdict:
    """Every project has an id, and no two have the same."""
    from cf_pipeline.interactions.soundness import ids_are_sound

    return ids_are_sound(checked.frame("raw_projects", "project_id"), ["project_id"])


def no_look_group_is_too_large(checked: Checked) -> Verdict:
    """A look group with more than 5 % of all covers means that thresholds are too loose."""
    from cf_pipeline.vision import soundness

    return soundness.no_look_group_is_too_large(checked.frame("covers", *LOOKS))


def interactions_join_projects(checked: Checked) -> Verdict:
    """Interactions and projects write ids in the same way."""
    from cf_pipeline.interactions.soundness import interactions_join

    named = checked.connection.sql("select distinct project_id from raw_interactions").pl()
    known = checked.frame("covers", "project_id")
    return interactions_join(named["project_id"], known["project_id"])


def matrix_is_not_degenerate(checked: Checked) -> Verdict:
    """Users and projects can be told apart by who has what."""
    from cf_pipeline.interactions import soundness

    return soundness.matrix_is_not_degenerate(checked.frame("pruned_matrix"))


def held_out_is_held_out(checked: Checked) -> Verdict:
    """No project is in two splits; no look component and no split_group reaches across them."""
    from cf_pipeline.interactions.soundness import splits_are_disjoint

    return splits_are_disjoint(
        checked.frame("project_split"),
        checked.frame("covers", "project_id", "status", "look_component"),
        checked.frame("raw_projects", "project_id", "owners", "split_group"),
    )


def factors_are_finite_and_spread(checked: Checked) -> Verdict:
    """Factors are finite and have not collapsed into one direction."""
    from cf_pipeline.factorization.soundness import factors_are_sound

    return factors_are_sound(checked.frame("latent_factors", "side", "id", "factors"))


def loss_fell(checked: Checked) -> Verdict:
    """Training ended below where it began."""
    from cf_pipeline.vision import soundness

    return soundness.loss_fell(checked.frame("training_history"))


def embeddings_are_not_alike(checked: Checked) -> Verdict:
    """Covers that differ have features that differ."""
    from cf_pipeline.vision.soundness import embeddings_differ

    return embeddings_differ(_features(checked))


def neighbours_are_not_the_same(checked: Checked) -> Verdict:
    """No cover is the nearest neighbour of most others."""
    from cf_pipeline.vision.soundness import neighbours_differ

    return neighbours_differ(_features(checked))


def _features(checked: Checked) -> Matrix:
    """Features of the model at hand; as lists where models of several lengths share the table."""
    return indexed(
        checked.frame("embeddings", "project_id", "features"), "project_id", "features"
    ).vectors


def protocol_does_not_leak(checked: Checked) -> Verdict:
    """`popularity` stands at chance, and `owner` where owners are known."""
    from cf_pipeline.benchmark import soundness

    return soundness.protocol_does_not_leak(checked.frame("similarity_differences"))


def scores_are_above_chance(checked: Checked) -> Verdict:
    """The chosen layer finds shared audiences better than chance."""
    from cf_pipeline.benchmark.soundness import scores_above_chance

    return scores_above_chance(
        checked.frame("similarity_differences"), checked.frame("similarity_scores")
    )


def one_champion(checked: Checked) -> Verdict:
    """One model serves, and its checkpoint and embeddings are there."""
    rows = checked.frame("promoted_model", "role", "model_version").rows()
    named = {str(version) for role, version in rows if role != "challenger"}
    champions = [version for role, version in rows if role == "champion"]
    embedded = {
        str(version)
        for (version,) in checked.connection.execute(
            "select distinct model_version from embeddings"
        ).fetchall()
    }
    problems = []
    if len(champions) != 1:
        problems.append(f"Expected one champion, got {len(champions)}.")
    if named - embedded:
        problems.append(f"No embeddings of {', '.join(sorted(named - embedded))}.")
    facts = {"champion": ", ".join(map(str, champions)) or "none"}
    return Verdict.of(problems, "One model serves.", facts)


RAW_INTERACTIONS = (Check("ids_are_usable", ids_are_usable),)
RAW_PROJECTS = (Check("ids_are_unique", ids_are_unique),)
COVERS = (Check("no_look_group_is_too_large", no_look_group_is_too_large),)
PRUNED_MATRIX = (
    Check("interactions_join_projects", interactions_join_projects),
    Check("matrix_is_not_degenerate", matrix_is_not_degenerate),
)
PROJECT_SPLIT = (Check("held_out_is_held_out", held_out_is_held_out),)
LATENT_FACTORS = (Check("factors_are_finite_and_spread", factors_are_finite_and_spread),)
TRAINED_CNN = (Check("loss_fell", loss_fell, blocking=False),)
EMBEDDINGS = (
    Check("embeddings_are_not_alike", embeddings_are_not_alike),
    Check("neighbours_are_not_the_same", neighbours_are_not_the_same),
)
SIMILARITY_SCORES = (
    Check("protocol_does_not_leak", protocol_does_not_leak, blocking=False),
    Check("scores_are_above_chance", scores_are_above_chance, blocking=False),
)
PROMOTED_MODEL = (Check("one_champion", one_champion),)
