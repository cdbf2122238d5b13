"""`init`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cf_pipeline.cli.console import out
from cf_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from cf_pipeline.sources.survey import FoundTable


def init(
    folder: Annotated[Path, typer.Argument(help="A folder with tables and pictures.")],
    to: Annotated[
        Path | None, typer.Option("--out", help="Where to write; none: dataset.toml in the folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the data set; none: the folder's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
) -> None:
    """Write a commented dataset.toml by looking at the files in a folder.

    It guesses roles of tables and columns, kinds, dialects and where pictures lie, and says what it
    is not sure of. Nothing but that one file is written.

    Example: cf-pipeline init my_export && cf-pipeline doctor --dataset my_export/dataset.toml
    """
    import duckdb

    from cf_pipeline.sources.dataset import load_dataset
    from cf_pipeline.sources.guessing import guess
    from cf_pipeline.sources.initial import description
    from cf_pipeline.sources.survey import survey
    from cf_pipeline.storage.whole import whole

    target = (to or folder / "dataset.toml").absolute()
    if target.exists() and not force:
        raise ConfigError(f"{target} is there already. Pass --force to write over it, or --out.")
    with duckdb.connect() as con:
        found = guess(con, survey(con, folder))
    root = "" if target.parent == folder.absolute() else os.path.abspath(folder)
    with whole(target) as beside:
        text = description(found, name or folder.absolute().name, root)
        beside.write_text(text, encoding="utf-8")
        load_dataset(beside)  # what cannot be read takes no file's place
    out.print(f"who did what: {found.interactions.label}, {_rows(found.interactions)}")
    for key, spec in found.columns.items():
        out.print(f"  {key}: {spec}", markup=False, highlight=False)
    out.print(f"projects: {found.projects.label}, {_rows(found.projects)}")
    for key, spec in found.project_columns.items():
        out.print(f"  {key}: {spec}", markup=False, highlight=False)
    if found.pictures is not None:
        said = f"{found.pictures.folder}, {found.pictures.spec} ({found.pictures.share:.0%} found)"
        out.print(f"  cover: {said}", markup=False, highlight=False)
    for vectors in found.vectors:
        said = ", ".join(vectors.files) + ("" if vectors.keys else ", whose ids are not known")
        out.print(f"  vectors: {said}", markup=False, highlight=False)
    for note in found.notes:
        out.print(f"unsure: {note}", markup=False, highlight=False)
    out.print(f"\nWrote {target}. Read it, then: cf-pipeline doctor --dataset {target}")


def _rows(table: FoundTable) -> str:
    n = len(table.files)
    return f"{table.n_rows:,} rows" + (f" in the first of {n} files" if n > 1 else "")
