"""The factorizers by name."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.factorization.factorizer import Factorizer
from cf_pipeline.registry import Registry

FACTORIZERS = Registry(
    sort="factorizer",
    base="cf_pipeline.factorization.factorizer:Factorizer",
    entries={"als": "cf_pipeline.factorization.als:Als"},
    entry_points="cf_pipeline.factorizers",
)
ChosenFactorizer = Annotated[SerializeAsAny[Factorizer], BeforeValidator(FACTORIZERS.choose)]
"""A field that holds a factorizer: its name, or a table with `name` and its settings."""
