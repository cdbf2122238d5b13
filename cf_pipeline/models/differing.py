"""What differs in the settings that models were made with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cf_pipeline.models.lineage import lineage_of
from cf_pipeline.storage.home import Home

_WORDS = ("dataset", "recipe", "budget")


def settings_of(home: Home, version: str) -> dict[str, Any]:
    """Every setting that a model and what it was made of were computed with, by dotted key.

    Raises:
        DataError: there is no record of this model.
    """
    chosen = lineage_of(home, "trained_cnn", version).choices
    words = {word: getattr(chosen, word) for word in _WORDS}
    return {**words, **chosen.set}


def differences(home: Home, versions: Sequence[str]) -> dict[str, list[str]]:
    """Version to what it was made with that the first of them was not.

    Args:
        home: where.
        versions: of models, the one that the others are compared with first.

    Returns:
        For every version but the first, lines such as `vision.epochs 4 (3)`: its own value, and
        the first's in brackets; `unset` where a release did not know the setting.
    """
    if not versions:
        return {}
    first = settings_of(home, versions[0])
    told = {}
    for version in versions[1:]:
        own = settings_of(home, version)
        told[version] = [
            f"{key} {own.get(key, 'unset')} ({first.get(key, 'unset')})"
            for key in sorted({*first, *own})
            if own.get(key, "unset") != first.get(key, "unset")
        ]
    return told
