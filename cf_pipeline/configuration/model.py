"""The whole configuration, resolved: sections are the rooms' own frozen models."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cf_pipeline.baselines.config import BaselinesConfig
from cf_pipeline.benchmark.config import BenchmarkConfig, PromotionConfig
from cf_pipeline.configuration.config import AutomationConfig, ResourcesConfig, TrackingConfig
from cf_pipeline.errors import ConfigError
from cf_pipeline.factorization.config import FactorizationConfig
from cf_pipeline.interactions.config import PruningConfig, SplitConfig
from cf_pipeline.registry import Method
from cf_pipeline.vision.config import CoversConfig, VisionConfig


class Configuration(BaseModel):
    """Everything that a run reads, resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: Path
    recipe: str
    budget: str
    # Made when asked for: a section that names a method imports it.
    covers: CoversConfig = Field(default_factory=CoversConfig)
    pruning: PruningConfig = Field(default_factory=PruningConfig)
    split: SplitConfig = Field(default_factory=SplitConfig)
    factorization: FactorizationConfig = Field(default_factory=FactorizationConfig)
    vision: VisionConfig = Field(default_factory=VisionConfig)
    baselines: BaselinesConfig = Field(default_factory=BaselinesConfig)
    benchmark: BenchmarkConfig = Field(default_factory=BenchmarkConfig)
    promotion: PromotionConfig = Field(default_factory=PromotionConfig)
    automation: AutomationConfig = Field(default_factory=AutomationConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    resources: ResourcesConfig = Field(default_factory=ResourcesConfig)

    def fields(self) -> Iterator[tuple[str, Any, str]]:
        """Every dotted key, its resolved value and its meaning; a method's settings below it."""
        for section in SECTIONS:
            yield from _fields(section, getattr(self, section))

    def held(self, key: str) -> Any:
        """What a section (`pruning`), a field (`vision.image_size`) or a key below one holds.

        Raises:
            ConfigError: there is no such key.
        """
        held: Any = self
        known: Sequence[str] = SECTIONS
        for depth, part in enumerate(key.split(".")):
            if part not in known:
                above = key.split(".")[:depth]
                raise unknown_key(key, [".".join([*above, name]) for name in known])
            held = held[part] if isinstance(held, Mapping) else getattr(held, part)
            known = list(held) if isinstance(held, Mapping) else _names(held)
        return held

    def value(self, key: str) -> Any:
        """The same as plain JSON types.

        Raises:
            ConfigError: there is no such key.
        """
        section, _, inner = key.partition(".")
        self.held(key)
        value = getattr(self, section).model_dump(mode="json")
        for part in filter(None, inner.split(".")):
            value = value[part]
        return value


SECTIONS: tuple[str, ...] = tuple(
    name
    for name, info in Configuration.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
)


def _names(value: Any) -> list[str]:
    return list(type(value).model_fields) if isinstance(value, BaseModel) else []


def _fields(key: str, model: BaseModel) -> Iterator[tuple[str, Any, str]]:
    for name, info in type(model).model_fields.items():
        value, meaning = getattr(model, name), info.description or ""
        if isinstance(value, Method):
            yield f"{key}.{name}", value.name, meaning
            below = f"{key}.{name}"
            yield from (row for row in _fields(below, value) if row[0] != f"{below}.name")
        else:
            yield f"{key}.{name}", _shown(value), meaning


def _shown(value: Any) -> Any:
    """Methods within a collection by their names and settings."""
    if isinstance(value, Method):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: _shown(inner) for name, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, tuple) else value


def configuration_hash(values: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of the SHA-256 of resolved values, whatever their order."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unknown_key(key: str, known: Sequence[str]) -> ConfigError:
    """The error for a key that is none, with the nearest that are."""
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
    return ConfigError(f"unknown configuration key {key!r}. {hint}")
