"""`models`, `promote`, `gc` and `lineage`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from cf_pipeline.cli.console import HomeOption, located, out
from cf_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from cf_pipeline.defs.lineage import Lineage, Made


def models(home: HomeOption = None) -> None:
    """Say which models there are, which serves, and how they scored when they were the newest.

    Example: cf-pipeline models
    """
    from cf_pipeline.defs.models import PRIMARY
    from cf_pipeline.defs.models import models as all_models

    table = Table(
        "model", "roles", "trained (UTC)", "continues", *PRIMARY, box=None, pad_edge=False
    )
    for model in all_models(located(home)):
        scores = [f"{model.scores[m]:.3f}" if m in model.scores else "" for m in PRIMARY]
        table.add_row(
            model.version,
            ", ".join(model.roles),
            model.trained_at.strftime("%Y-%m-%d %H:%M:%S"),
            model.started_from or "",
            *scores,
        )
    out.print(table)


def promote(
    model: Annotated[str, typer.Argument(help="A model version, or how it begins.")],
    home: HomeOption = None,
) -> None:
    """Let a model serve, by hand.

    Example: cf-pipeline promote 3f1c9a
    """
    from cf_pipeline.defs.models import promote as promote_model

    place = located(home)
    from cf_pipeline.definitions import defs

    out.print(f"{promote_model(place, defs(), model)} is the champion")


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    home: HomeOption = None,
) -> None:
    """Remove old models: rows, embeddings and checkpoints that nothing names any more.

    The newest promotion.keep stay, champion, challenger and best, and whatever these continued.

    Example: cf-pipeline gc --dry-run
    """
    from cf_pipeline.defs.models import collect_garbage

    gone = collect_garbage(located(home), dry_run=dry_run)
    rows = sum(gone.rows.values())
    verb = "would go" if dry_run else "removed"
    out.print(
        f"{verb}: {len(gone.versions)} model versions, {rows:,} rows, {len(gone.folders)} "
        f"artifacts, {gone.n_bytes / 1e6:,.1f} MB"
    )
    for version in gone.versions:
        out.print(f"  {version}")


def lineage(
    project_id: Annotated[str | None, typer.Argument(help="A project.")] = None,
    model: Annotated[str | None, typer.Option(help="A model version, or how it begins.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    home: HomeOption = None,
) -> None:
    """Say where an embedding or a model comes from: back to files and their hashes.

    With --json also every setting, which is what it takes to make the model again.

    Example: cf-pipeline lineage oca-0035c41b55
    Example: cf-pipeline lineage --model 3f1c9a --json
    """
    from cf_pipeline.defs.lineage import facts_of_project, lineage_of

    if (project_id is None) == (model is None):
        raise ConfigError("lineage takes a PROJECT_ID or --model VERSION, one of them.")
    place = located(home)
    facts = facts_of_project(place, project_id) if project_id is not None else {}
    asset = "trained_cnn" if model is not None else "embeddings"
    told = lineage_of(place, asset, model)
    if as_json:
        typer.echo(json.dumps({**facts, **told.as_json()}, indent=2, default=str))
        return
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        out.print(f"{name}: {escape(str(shown))}", highlight=False)
    out.print(_tree(told), highlight=False)
    for missing in told.missing:
        out.print(f"no record is kept of {missing}")


def _tree(told: Lineage) -> Tree:
    """From the version asked for down to files; what has been told is named and not repeated."""
    versions = {(made.asset, made.data_version): made for made in told.made}
    said: set[tuple[str, str]] = set()

    def grow(made: Made, branch: Tree) -> None:
        for line in _files(made):
            branch.add(line)
        parents = [*made.inputs.items()]
        if made.started_from is not None:
            parents.append((made.asset, made.started_from))
        for key in parents:
            if key not in versions:
                continue
            label = _label(versions[key])
            if key in said:
                branch.add(f"{label} (see above)")
                continue
            said.add(key)
            grow(versions[key], branch.add(label))

    root = Tree(_label(told.made[0]))
    grow(told.made[0], root)
    return root


def _label(made: Made) -> str:
    when = made.computed_at.strftime("%Y-%m-%d %H:%M")
    return f"{made.asset} {made.data_version}  code {made.code_version}  {when}"


def _files(made: Made) -> list[str]:
    hashes = made.files.get("sha256", {})
    if hashes:
        return [escape(f"{path}  sha256 {digest}") for path, digest in hashes.items()]
    if made.files.get("n"):
        folders = ", ".join(made.files["folders"])
        return [escape(f"{made.files['n']:,} files below {folders}  {made.inputs['files']}")]
    return []
