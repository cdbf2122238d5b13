"""`similar`, `embed` and `recommend`: what a trained model is for."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cf_pipeline.cli.console import (
    HomeOption,
    JsonOption,
    ModelOption,
    long_lived,
    out,
    show_page,
)
from cf_pipeline.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from cf_pipeline.models.loaded import LoadedModel

KOption = Annotated[int, typer.Option("-k", help="How many.", min=1)]
_TEXTS = {"title", "path"}
"""Columns that may be cut to fit a terminal; ids never are."""
_UNREADABLE_SHOWN = 10


def similar(
    query: Annotated[str, typer.Argument(help="A picture file or a project id.")],
    k: KOption = 10,
    by: Annotated[
        str,
        typer.Option(
            help="collaborative, predicted_factors, imagenet, latent_factors or color: what near "
            "means."
        ),
    ] = "collaborative",
    as_json: JsonOption = False,
    open_: Annotated[bool, typer.Option("--open", help="Show a page with the covers.")] = False,
    model: ModelOption = None,
    home: HomeOption = None,
) -> None:
    """Say which projects are nearest to a picture or to a project, by cosine.

    A picture need not be known. By latent_factors it is where the network places it.

    Example: cf-pipeline similar oca-0035c41b55 --by imagenet
    Example: cf-pipeline similar ~/poster.jpg -k 5 --json
    """
    if as_json and open_:
        raise ConfigError("--json and --open: expected one of them at most.")
    loaded = _loaded(home, model, pictures=os.path.isfile(query))
    found = loaded.similar(query, k, by)
    if not as_json:
        out.print(f"nearest to {escape(query)} by {by}, model {loaded.version}", highlight=False)
    _print_ranked(found, as_json)
    if open_:
        show_page(_page_of(loaded, query, by, found))


def embed(
    files: Annotated[list[Path], typer.Argument(help="Picture files, or folders of them.")],
    to: Annotated[Path, typer.Option("--out", help="A .parquet or .npy file to write.")],
    file_format: Annotated[
        str | None, typer.Option("--format", help="parquet or npy; none: as the suffix says.")
    ] = None,
    model: ModelOption = None,
    home: HomeOption = None,
) -> None:
    """Write features of pictures from anywhere; files that cannot be read are told and recorded.

    Columns are those of `export embeddings` where a picture has them. Computed on a GPU where
    there is one (resources.device).

    Example: cf-pipeline embed ~/posters --out posters.parquet
    """
    from cf_pipeline.models.exporting import as_format
    from cf_pipeline.models.picture_files import embed_files, pictures_in
    from cf_pipeline.recompute.progress import StageProgress

    pictures = pictures_in(files)
    loaded = _loaded(home, model, pictures=True)
    progress = StageProgress(logging.getLogger(__name__), "embed", "pictures")
    given = embed_files(loaded.embedder, pictures, to, as_format(file_format), progress)
    written = " and ".join(escape(str(path)) for path in given.files)
    out.print(
        f"{given.n_read:,} pictures embedded by model {loaded.version}, "
        f"{len(given.unreadable):,} unreadable, in {written}"
    )
    for reason in list(given.unreadable.values())[:_UNREADABLE_SHOWN]:
        out.print(f"  {escape(reason)}", highlight=False)
    if len(given.unreadable) > _UNREADABLE_SHOWN:
        out.print(f"  and {len(given.unreadable) - _UNREADABLE_SHOWN:,} more, with their reasons")
    if not given.n_read:
        raise typer.Exit(1)


def recommend(
    user_id: Annotated[str | None, typer.Argument(help="A user of the data set.")] = None,
    projects: Annotated[
        str | None, typer.Option(help="Ids, comma-separated, that somebody came for.")
    ] = None,
    cover: Annotated[
        Path | None, typer.Option("--for", help="A picture file: users are recommended.")
    ] = None,
    k: KOption = 10,
    as_json: JsonOption = False,
    model: ModelOption = None,
    home: HomeOption = None,
) -> None:
    """Recommend projects to a user or to a list of projects, or users to a new picture.

    A user of whom nothing is known but a list is placed by it. A picture is where the network
    places it in latent space. Scores are inner products of factors.

    Example: cf-pipeline recommend board:sunset
    Example: cf-pipeline recommend --projects oca-0035c41b55,oca-01a2b3c4d5
    Example: cf-pipeline recommend --for ~/poster.jpg
    """
    loaded = _loaded(home, model, pictures=cover is not None)
    listed = [p.strip() for p in projects.split(",") if p.strip()] if projects else None
    if cover is not None and not os.path.isfile(cover):
        raise ConfigError(f"--for {cover}: expected a picture file, there is none.")
    found = loaded.recommend(user_id, projects=listed, cover=cover, k=k)
    _print_ranked(found, as_json)


def _loaded(home: Path | None, model: str | None, *, pictures: bool) -> LoadedModel:
    with long_lived():
        from cf_pipeline import load

        loaded = load(home, model)
        if pictures:
            _ = loaded.embedder.network  # imports torch
    return loaded


def _page_of(loaded: LoadedModel, query: str, by: str, found: pl.DataFrame) -> Path:
    """A page of covers, in a file of its own."""
    from cf_pipeline.gallery.answers import Answer, answers_page

    known = loaded.projects.filter(project_id=query)["path"].to_list()
    picture = Path(query) if os.path.isfile(query) else Path(known[0]) if known[0] else None
    answers = [
        Answer(row["project_id"], row["title"], Path(row["path"]) if row["path"] else None, cosine)
        for row, cosine in zip(found.to_dicts(), found["cosine"], strict=True)
    ]
    page = answers_page(f"Nearest to {query} by {by}", picture, answers)
    with tempfile.NamedTemporaryFile(prefix="similar-", suffix=".html", delete=False) as file:
        file.write(page)
    return Path(file.name)


def _print_ranked(found: pl.DataFrame, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.to_dicts(), indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for name in found.columns:
        is_text = name in _TEXTS
        table.add_column(
            name,
            justify="right" if name in {"rank", "cosine", "score"} else "left",
            no_wrap=True,
            overflow="ellipsis" if is_text else "fold",
            min_width=None if is_text else max(len(name), *_lengths(found[name]), 0),
        )
    for row in found.iter_rows():
        table.add_row(*(escape(_shown(value)) for value in row))
    out.print(table)


def _lengths(column: pl.Series) -> list[int]:
    return [len(_shown(value)) for value in column.to_list()] or [0]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)
