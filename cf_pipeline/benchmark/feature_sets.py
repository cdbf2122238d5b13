"""Every row of the scoreboard, stated once: what it reads, in which form, and where it stands.

The order of rows, what differences are taken to, which layers are ours and which words a table may
hold all come from here. A feature set from outside is written under a name of its own, either
`user:<name>` or the dotted path of the class that makes it, as `my_lab.features:Gist`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

CHANCE = "chance"
POPULARITY = "popularity"
SPLIT_GROUP = "split_group"
IMAGENET = "imagenet"
IMAGENET_RIDGE = "imagenet_ridge"
IMAGENET_LEVELS = "imagenet_levels"
IMAGENET_LEVELS_RIDGE = "imagenet_levels_ridge"
RIDGES = {IMAGENET_RIDGE: IMAGENET, IMAGENET_LEVELS_RIDGE: IMAGENET_LEVELS}
"""Ridge to the features that it maps to latent space."""
COLLABORATIVE, PREDICTED_FACTORS = "collaborative", "predicted_factors"
ENSEMBLE = "ensemble"
LATENT_FACTORS = "latent_factors"
METACLASS = "metaclass"
"""Of labelled images alone."""
OUTSIDE_TABLE = "simple_embeddings"
"""Where feature sets of outside classes stand, beside the simple ones that ship."""
USER_TABLE, RIDGE_TABLE = "user_embeddings", "ridge_embeddings"


@dataclass(frozen=True)
class FeatureSet:
    """One row of the scoreboard.

    Attributes:
        name: its name, in tables and in the report.
        table: where its vectors stand; None: it is put together from other rows, or looks at no
            cover at all.
        column: which column of that table.
        form: what is done before cosines are taken: nothing, minus the mean of train, or what
            `benchmark.imagenet_form` says.
        is_reference: whether differences of the other rows to it are told.
        is_layer: whether it is a layer of our network, one of which carries the verdict.
        is_control: whether it knows nothing of covers; what it finds beyond chance, the protocol
            gave away.
    """

    name: str
    table: str | None = None
    column: str = "features"
    form: Literal["plain", "centred", "configured"] = "plain"
    is_reference: bool = False
    is_layer: bool = False
    is_control: bool = False


SHIPPED: tuple[FeatureSet, ...] = (
    FeatureSet(CHANCE, is_reference=True, is_control=True),
    FeatureSet(POPULARITY, is_control=True),
    FeatureSet(SPLIT_GROUP, is_control=True),
    FeatureSet("random", "simple_embeddings", is_reference=True),
    FeatureSet("color", "simple_embeddings", is_reference=True),
    FeatureSet(IMAGENET, "imagenet_embeddings", form="configured", is_reference=True),
    FeatureSet(IMAGENET_RIDGE, "ridge_embeddings", is_reference=True),
    FeatureSet(IMAGENET_LEVELS, "imagenet_embeddings", form="centred", is_reference=True),
    FeatureSet(IMAGENET_LEVELS_RIDGE, "ridge_embeddings", is_reference=True),
    FeatureSet(COLLABORATIVE, "embeddings", form="centred", is_layer=True),
    FeatureSet(PREDICTED_FACTORS, "embeddings", "predicted_factors", is_layer=True),
    FeatureSet(ENSEMBLE),
    FeatureSet(LATENT_FACTORS, "latent_factors", "factors", form="centred"),
)
"""The rows of the protocol, from what knows nothing to what is reachable from behaviour."""

EMBEDDED = tuple(row for row in SHIPPED if row.table not in {None, "latent_factors"})
"""Rows with a vector for every readable cover; the protocol cannot do without any of them."""
LAYERS = tuple(row.name for row in SHIPPED if row.is_layer)
VOCABULARY = frozenset({
    *(row.name for row in SHIPPED),
    METACLASS,
    "user:<name>",
    "<module>:<name>",
})
"""Words that tables may hold, in the notation of `storage.schema.Column`."""

_BY_NAME = {row.name: row for row in SHIPPED}


def feature_set(name: str) -> FeatureSet:
    """The row of that name; what does not ship is scored as it is, as a reference."""
    outside = FeatureSet(name, OUTSIDE_TABLE, is_reference=True)
    return _BY_NAME.get(name, outside)


def ridges(sources: Collection[str]) -> dict[str, str]:
    """Ridge to the features that it maps, of those that are there."""
    shipped = {ridge: source for ridge, source in RIDGES.items() if source in sources}
    others = sorted(name for name in sources if name not in _BY_NAME)
    return shipped | {f"{name}_ridge": name for name in others}


def brought(name: str) -> tuple[FeatureSet, FeatureSet]:
    """The rows of vectors that the user brings: as they are, and their ridge."""
    own = FeatureSet(name, USER_TABLE, is_reference=True)
    return own, FeatureSet(f"{name}_ridge", RIDGE_TABLE, is_reference=True)


def ordered(names: Collection[str]) -> list[str]:
    """Names in the order of the scoreboard: those from outside follow the references that ship."""
    shipped = list(_BY_NAME)
    ours = shipped.index(LAYERS[0])
    outside = sorted(set(names) - set(shipped))
    return [name for name in (*shipped[:ours], *outside, *shipped[ours:]) if name in names]
