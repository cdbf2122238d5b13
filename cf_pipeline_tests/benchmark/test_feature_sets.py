"""The rows of the scoreboard: what hangs on them, and where a stranger's stand."""

from __future__ import annotations

import re

import pytest

from cf_pipeline.benchmark.feature_sets import (
    EMBEDDED,
    LAYERS,
    SHIPPED,
    VOCABULARY,
    feature_set,
    ordered,
)
from cf_pipeline.registry import DOTTED
from cf_pipeline.storage.columns import FEATURE_SETS
from cf_pipeline.storage.tables import TABLES


def test_every_row_reads_a_column_that_is_there() -> None:
    for row in SHIPPED:
        if row.table is not None:
            assert row.column in {column.name for column in TABLES[row.table].columns}
    assert {row.name for row in SHIPPED if row.table is None} == {
        "chance",
        "popularity",
        "split_group",
        "ensemble",
    }


def test_tables_take_the_words_of_the_scoreboard() -> None:
    assert FEATURE_SETS is VOCABULARY
    assert {row.name for row in SHIPPED} < VOCABULARY
    assert "owner" not in VOCABULARY


def test_layers_and_references() -> None:
    assert LAYERS == ("collaborative", "predicted_factors")
    assert {row.name for row in SHIPPED if row.is_reference} == {
        "imagenet",
        "imagenet_ridge",
        "imagenet_levels",
        "imagenet_levels_ridge",
        "color",
        "random",
        "chance",
    }
    assert {row.name for row in EMBEDDED} == {
        "random",
        "color",
        "imagenet",
        "imagenet_ridge",
        "imagenet_levels",
        "imagenet_levels_ridge",
        *LAYERS,
    }


@pytest.mark.parametrize("name", ["user:mine", "my_lab.features:Gist"])
def test_a_set_from_outside_is_a_reference_as_it_is(name: str) -> None:
    assert re.fullmatch(DOTTED, name)
    row = feature_set(name)
    assert (row.table, row.column, row.form) == ("simple_embeddings", "features", "plain")
    assert row.is_reference
    assert not row.is_layer
    assert not row.is_control


def test_order_is_that_of_the_protocol_whatever_came_first() -> None:
    names = ["ensemble", "user:b", "chance", "imagenet_ridge", "collaborative", "a.b:C"]
    assert ordered(names) == [
        "chance",
        "imagenet_ridge",
        "a.b:C",
        "user:b",
        "collaborative",
        "ensemble",
    ]
    assert ordered([]) == []
    shipped = [row.name for row in SHIPPED]
    assert ordered(sorted(shipped)) == shipped
