"""The forms in which our features may be handed out, and the one that validation likes best.

A layer of the network alone, or beside the frozen features that it started from: what was learned
and what was known already make different mistakes. The verdict stays with a layer alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.benchmark.choices import ChoiceMeasures, best_of
from cf_pipeline.benchmark.feature_sets import IMAGENET, LAYERS
from cf_pipeline.benchmark.features import ensemble
from cf_pipeline.benchmark.queries import QueryValues
from cf_pipeline.vectors import Matrix

FORM_SCHEMA = {
    "form": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "n_queries": pl.Int64,
    "exported": pl.Boolean,
}


@dataclass(frozen=True)
class Form:
    """One way to hand features out.

    Attributes:
        layer: of the network.
        beside: a feature set of unit norm beside it, as its cosines are taken; none: it is alone.
    """

    layer: str
    beside: str | None = None

    @property
    def name(self) -> str:
        """`predicted_factors`, or `predicted_factors beside imagenet`."""
        return self.layer if self.beside is None else f"{self.layer} beside {self.beside}"

    def of(self, vectors: Mapping[str, Matrix]) -> Matrix:
        """The form's vectors, (n, d), of feature sets as they are compared."""
        own = vectors[self.layer]
        return own if self.beside is None else ensemble(own, vectors[self.beside])


FORMS = tuple(Form(layer, beside) for beside in (None, IMAGENET) for layer in LAYERS)
"""The candidates; the first of equals is taken."""
FORM_NAMES = frozenset(form.name for form in FORMS)
_BY_NAME = {form.name: form for form in FORMS}


def form(name: str) -> Form:
    """The form of that name."""
    return _BY_NAME[name]


def forms_of(feature_sets: Collection[str]) -> tuple[Form, ...]:
    """The candidates whose parts are there."""
    return tuple(form for form in FORMS if form.beside is None or form.beside in feature_sets)


def form_table(values: QueryValues, measures: ChoiceMeasures) -> pl.DataFrame:
    """Every form with what validation makes of it, the best marked.

    Args:
        values: of the validation pool, with every form.
        measures: what to go by.

    Returns:
        Rows of FORM_SCHEMA.
    """
    tried = [each for each in FORMS if each.name in values.feature_sets]
    best = best_of(values, [each.name for each in tried], measures)
    answered = int((~np.isnan(values.values[measures.first])).all(axis=1).sum())
    rows = [
        {
            "form": each.name,
            "measure": measures.first,
            "value": values.mean(each.name, measures.first),
            "n_queries": answered,
            "exported": each.name == best,
        }
        for each in tried
    ]
    return pl.DataFrame(rows, schema=FORM_SCHEMA)
