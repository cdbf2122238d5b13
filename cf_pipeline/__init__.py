"""Image features learned from what people do instead of from labels.

Interactions and covers go in; latent factors, a network that places a cover in their space,
embeddings and a scoreboard come out. `load` gives a trained model for use in a program of your own:

    import cf_pipeline

    model = cf_pipeline.load("data/home")
    model.embed(["poster.jpg"])        # float32, shape (1, d)
    model.similar("poster.jpg", k=5)   # projects, nearest first

The rooms below are an ordinary library that never heard of Dagster; `cf_pipeline.defs` is the
pipeline built from them. `docs/architecture.md` is the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cf_pipeline.models.loaded import LoadedModel

__all__ = ["load"]


def load(home_or_model: Path | str | None = None, model: str | None = None) -> LoadedModel:
    """A model, ready to embed, search and recommend; nothing of Dagster is imported.

    Args:
        home_or_model: the folder of a home, or a model version of the default home, or how it
            begins; None: the default home, which is `$CF_PIPELINE_HOME` or `data/home` in a
            checkout.
        model: a model version of that home, or how it begins; None: its champion, which serves,
            else the newest.

    Raises:
        ConfigError: there is no such home.
        DataError: nothing was trained in it yet, or there is no such model.
    """
    from cf_pipeline.models.loaded import LoadedModel, home_of  # polars and DuckDB, half a second

    place, version = home_of(home_or_model)
    return LoadedModel(place, model or version)
