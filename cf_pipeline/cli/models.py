"""`models`, `promote`, `accept`, `gc` and `lineage`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from cf_pipeline.cli.console import HomeOption, all_stages, located, named, out
from cf_pipeline.errors import ConfigError
from cf_pipeline.storage.lock import Holder, HomeLock

if TYPE_CHECKING:
    from cf_pipeline.models.lineage import Lineage, Made


def models(home: HomeOption = None) -> None:
    """Say which models there are, which serves, how they scored, and what differs between them.

    Scores are those of the time when a model was the newest, of the layer chosen then.

    Example: cf-pipeline models
    """
    from cf_pipeline.models.catalogue import PRIMARY
    from cf_pipeline.models.catalogue import models as all_models
    from cf_pipeline.models.differing import differences

    place = named(home)
    found = all_models(place)
    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True, min_width=16)  # ids are copied from here
    for title in ("roles", "trained (UTC)", *PRIMARY):
        table.add_column(title, overflow="fold")
    for model in found:
        scores = [f"{model.scores[m]:.3f}" if m in model.scores else "" for m in PRIMARY]
        when = model.trained_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(model.version, ", ".join(model.roles), when, *scores)
    out.print(table)
    told = differences(place, [model.version for model in found])
    for model in found:
        if model.started_from:
            out.print(f"{model.version} continues {model.started_from}", highlight=False)
        if told.get(model.version):
            lines = ", ".join(map(escape, told[model.version]))
            out.print(
                f"{model.version} was made with (in brackets: the newest): {lines}",
                highlight=False,
            )


def promote(
    model: Annotated[str, typer.Argument(help="A model version, or how it begins.")],
    home: HomeOption = None,
) -> None:
    """Let a model serve, by hand.

    Example: cf-pipeline promote 3f1c9a
    """
    place = located(home)
    from cf_pipeline.definitions import defs
    from cf_pipeline.defs.promoting import promote as promote_model

    out.print(f"{promote_model(place, defs(), model)} is the champion")


def accept(
    assets: Annotated[list[str], typer.Argument(help="Assets that are due.")],
    home: HomeOption = None,
) -> None:
    """Take changed code or settings as harmless to rows that stand, so that nothing is computed.

    `cf-pipeline status` says what is due and why; `lineage` shows what was accepted.

    Example: cf-pipeline accept covers trained_cnn
    """
    from cf_pipeline.recompute.accepting import accept as accept_assets

    place = located(home)
    stages = all_stages()
    with HomeLock(place).acquire(Holder.current(), wait=False):
        accepted = accept_assets(place, stages, assets)
    for asset, why in accepted.items():
        out.print(f"{asset}: accepted ({escape(why)})", highlight=False)
    for asset in assets:
        if asset not in accepted:
            out.print(f"{asset} is fresh: nothing to accept", highlight=False)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    home: HomeOption = None,
) -> None:
    """Remove old models: rows, embeddings and checkpoints that nothing names any more.

    The newest promotion.keep stay, as far as promotion.keep_bytes allow, what is current, champion,
    challenger and best, and whatever these continued.

    Example: cf-pipeline gc --dry-run
    """
    from cf_pipeline.models.catalogue import collect_garbage

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
    from cf_pipeline.models.lineage import facts_of_project, lineage_of

    if (project_id is None) == (model is None):
        raise ConfigError("lineage takes a PROJECT_ID or --model VERSION, one of them.")
    place = named(home)
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
    for made in told.made:
        if made.accepted:
            out.print(
                f"{made.asset} {made.data_version}: accepted {made.accepted['at']} "
                f"({made.accepted['why_due']}; made by code {made.accepted['code_version']})",
                highlight=False,
            )
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
