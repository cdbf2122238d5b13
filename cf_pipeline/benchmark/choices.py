"""What is chosen on validation: the layer that carries the verdict, and the ridge's strength.

Both go by nDCG at 10 of the validation pool, within strata where it has any; test is never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cf_pipeline.benchmark.feature_sets import LAYERS
from cf_pipeline.benchmark.pool import Pool
from cf_pipeline.benchmark.queries import NDCG, TRIPLETS, WITHIN_STRATUM, QueryValues
from cf_pipeline.errors import DataError


@dataclass(frozen=True)
class ChoiceMeasures:
    """The measures that choices go by.

    Attributes:
        first: higher is better.
        second: decides between equals.
    """

    first: str
    second: str

    @classmethod
    def of(cls, pool: Pool) -> ChoiceMeasures:
        """Within strata where the pool has any."""
        suffix = WITHIN_STRATUM if (pool.strata >= 0).any() else ""
        return cls(NDCG + suffix, TRIPLETS + suffix)


def choose_layer(values: QueryValues, measures: ChoiceMeasures) -> str:
    """The better of the features layer and the predicted factors; the first of equals.

    Args:
        values: of the validation pool, with both layers.
        measures: what to go by.

    Raises:
        DataError: no validation query counts.
    """
    return best_of(values, LAYERS, measures)


def best_of(values: QueryValues, names: Sequence[str], measures: ChoiceMeasures) -> str:
    """The best of several feature sets by name, the first of equals.

    Raises:
        DataError: no validation query counts.
    """

    def merit(name: str) -> tuple[float, float]:
        return values.mean(name, measures.first), values.mean(name, measures.second)

    merits = {name: merit(name) for name in names}
    if any(np.isnan(first) for first, _ in merits.values()):
        raise DataError(
            f"nothing can be chosen on {values.split}: none of its {len(values.groups)} queries "
            f"has a relevant candidate for {measures.first}. Raise split.validation, or lower "
            "min_degree or drop stratum in dataset.toml."
        )
    # Without a single triplet the second measure is NaN, which decides nothing.
    return max(names, key=lambda name: (merits[name][0], np.nan_to_num(merits[name][1])))
