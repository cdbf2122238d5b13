"""`export`: vectors and networks to take elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cf_pipeline.cli.console import HomeOption, ModelOption, out
from cf_pipeline.errors import ConfigError, did_you_mean
from cf_pipeline.storage.home import Home

WHAT = ("embeddings", "model")


def export(
    what: Annotated[str, typer.Argument(help="embeddings or model")],
    to: Annotated[
        Path, typer.Argument(help="A .parquet or .npy file to write; for model a folder.")
    ],
    model: ModelOption = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="parquet or npy; none: as the suffix says.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write embeddings of one model to a file, or the model itself to a folder.

    Embeddings stand with path, title, owners, field, tags, split and look group. Column
    `collaborative` is the form that validation chose: a layer, or one beside ImageNet's features.
    Cosines of it are what the scoreboard ranks by. A .npy file has it alone, and a CSV file beside
    it says what its rows are. A model without a role has those that it made while it had one.

    A folder has weights, a torch program, an ONNX file, preprocessing and a model card, and loads
    without this project.

    Example: cf-pipeline export embeddings embeddings.parquet
    Example: cf-pipeline export embeddings old.npy --model 3f1c9a
    Example: cf-pipeline export model my_model
    """
    if what not in WHAT:
        hint = did_you_mean(what, WHAT)
        raise ConfigError(f"export knows {' and '.join(WHAT)}, got {what!r}. {hint}".rstrip())
    place = Home.locate(home)
    if what == "embeddings":
        _export_embeddings(place, to, model, file_format)
    elif file_format is not None:
        raise ConfigError("--format is of embeddings; a model is written as a folder.")
    else:
        _export_model(place, to, model)


def _export_embeddings(home: Home, file: Path, model: str | None, file_format: str | None) -> None:
    from cf_pipeline.models.exporting import as_format, export_embeddings

    given = export_embeddings(home, file, model, as_format(file_format))
    files = " and ".join(escape(str(path)) for path in given.files)
    out.print(f"{given.n_rows:,} embeddings of model {given.model} in {files}")
    chosen = given.form or "the features layer: this model was not scored, so no form was chosen"
    out.print(f"collaborative is {chosen}")


def _export_model(home: Home, folder: Path, model: str | None) -> None:
    from cf_pipeline.models.model_folder import CARD, export_model

    made = export_model(home, folder, model)
    size = f"{made.n_bytes / 2**20:.0f} MB"
    out.print(f"model {made.version} in {escape(str(made.folder))}, {size}")
    agreement = made.agreement
    out.print(
        f"on {agreement.n_covers} covers model.onnx agrees with torch to {agreement.onnx:.1e}, "
        f"model.pt2 to {agreement.program:.1e} of an output's largest number"
    )
    out.print(f"{CARD} says how it is loaded; titles of your data stand in it")
