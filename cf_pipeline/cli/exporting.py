"""What `export model` says; `inspecting` has the command."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from cf_pipeline.cli.console import out
from cf_pipeline.storage.home import Home


def export_model_folder(home: Home, folder: Path, model: str | None) -> None:
    """Write a model as a folder and say what came of it."""
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
