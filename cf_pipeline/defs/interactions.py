"""Group interactions: from the user's files to the pruned matrix and the split."""

import polars as pl

from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import degree_picture, picture, with_tables
from cf_pipeline.interactions import soundness
from cf_pipeline.recompute import fingerprints
from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline.vision.soundness import no_look_group_is_too_large


@stage_asset(
    group="interactions",
    reads=("dataset.interactions",),
    outside=fingerprints.of_interactions,
    kinds=("parquet",),
)
def raw_interactions(stage: Stage) -> Output:
    """Who did what with which project, read through dataset.toml and otherwise as it is.

    Rows that cannot be used are kept in `raw_interactions_rejected` with the reason.
    """
    from cf_pipeline.sources.reading import Limits, export_interactions

    loaded = export_interactions(stage.dataset, stage.scratch, Limits(*stage.limits))
    return Output(loaded.tables, loaded.summary)


@stage_asset(
    group="interactions",
    reads=("dataset.projects",),
    outside=fingerprints.of_projects,
    kinds=("parquet",),
)
def raw_projects(stage: Stage) -> Output:
    """Every project with its cover, owners, groups and labels, as dataset.toml says."""
    from cf_pipeline.sources.reading import Limits, export_projects

    loaded = export_projects(stage.dataset, stage.scratch, Limits(*stage.limits))
    return Output(loaded.tables, loaded.summary)


@stage_asset(
    group="interactions",
    parents=("raw_projects", "user_embeddings"),
    reads=("covers", "dataset.covers"),
    outside=fingerprints.of_covers,
    kinds=("image",),
    checks=(no_look_group_is_too_large,),
)
def covers(stage: Stage) -> Output:
    """Every cover opened and checked, and which of them look alike.

    Unreadable and missing covers are recorded with the reason, never filled in. Without any,
    vectors from outside count as readable ones.
    """
    from cf_pipeline.figures.panels import retrieval_panel
    from cf_pipeline.sources.files import cover_paths
    from cf_pipeline.storage.file_hashes import hash_files
    from cf_pipeline.vision import cover_table

    projects = stage.frame("raw_projects", "project_id", "cover")
    if not stage.has_covers:
        return vectors_as_covers(stage, projects)
    named = projects.drop_nulls("cover")
    paths = cover_paths(stage.dataset, named["cover"].to_list())
    hashes = hash_files(stage.warehouse, paths)
    table = cover_table.build_cover_table(
        projects,
        named.select("project_id").with_columns(path=hashes["path"], sha256=hashes["sha256"]),
        stage.configuration.covers,
        threads=stage.configuration.resources.n_threads,
        progress=stage.progress("covers"),
    )
    rows, captions = cover_table.largest_look_groups(table)
    panel = retrieval_panel(rows, captions, title="Largest look groups")
    return Output(
        {"covers": table},
        cover_table.summarize(table) | {"largest_look_groups": picture(panel, "one look a row")},
    )


@stage_asset(
    group="interactions",
    parents=("raw_interactions", "raw_projects", "covers"),
    reads=("pruning", "dataset.matrix"),
    checks=(soundness.interactions_join_projects, soundness.matrix_is_not_degenerate),
)
def pruned_matrix(stage: Stage) -> Output:
    """The user-project matrix without the most and the least popular users and projects.

    Kinds are weighted, exact duplicates of a cover are one project, the upper cut looks at raw
    degrees, the lower cut goes on to a fixed point.
    """
    from cf_pipeline.interactions.owners import owner_users
    from cf_pipeline.interactions.pruning import prune, representatives, summarize
    from cf_pipeline.interactions.weighting import weigh, weighed_kinds

    config, matrix = stage.configuration.pruning, stage.section("dataset.matrix")
    projects = stage.frame("raw_projects", "project_id", "owners")
    with stage.warehouse.read() as con:
        n_limited = weigh(
            con,
            kinds=weighed_kinds(matrix["kinds"]),
            exclude_users=matrix["exclude_users"],
            representative_of=representatives(stage.frame("covers", "project_id", "sha256")),
            owner_users=owner_users(projects, matrix["owner_user"]),
            config=config,
        )
        report = prune(con, config)
        kept = stage.spilled(con, "from kept_pairs order by all")
    degrees = picture(degree_picture(report, config), "degrees before and after pruning")
    facts = with_tables(summarize(report), "rounds") | {"pairs_at_max_confidence": n_limited}
    return Output({"pruned_matrix": kept}, {**facts, "degrees": degrees})


@stage_asset(
    group="interactions",
    parents=("raw_projects", "covers"),
    reads=("split", "dataset.split"),
    checks=(soundness.held_out_is_held_out,),
)
def project_split(stage: Stage) -> Output:
    """Train, validation or test for every project.

    What looks alike or shares provenance stays together.
    """
    from cf_pipeline.figures.distributions import split_counts
    from cf_pipeline.interactions.splitting import split_projects, summarize

    before = stage.frame("project_split") if stage.previous else None
    split = split_projects(
        stage.frame("raw_projects", "project_id", "owners", "split_group"),
        stage.frame("covers", "project_id", "status", "look_component"),
        config=stage.configuration.split,
        max_component_share=stage.section("dataset.split")["max_component_share"],
    )
    facts = summarize(split, before)
    sizes = {name: int(facts.get(name, 0)) for name in ("train", "validation", "test")}
    return Output(
        {"project_split": split.assignment},
        {**facts, "projects_by_split": picture(split_counts(sizes), "projects by split")},
    )


def vectors_as_covers(stage: Stage, projects: pl.DataFrame) -> Output:
    """Rows of covers where a data set brings vectors in their place."""
    from cf_pipeline.vision.cover_table import summarize, table_of_vectors

    table = table_of_vectors(projects, stage.own_vectors("sha256"))
    return Output({"covers": table}, summarize(table))
