"""What runs is what is counted: the planted graph under a tracer."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from pydantic import BaseModel

from cf_pipeline.configuration.choices import SECTIONS, Choices, Configuration, resolve
from cf_pipeline.definitions import defs
from cf_pipeline.defs import assets
from cf_pipeline.defs.conditions import STAGES
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.recompute.making import Work
from cf_pipeline.recompute.reach import LEFT_OUT
from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline.recompute.versions import PACKAGE, TREE, chosen_methods
from cf_pipeline.registry import Method
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.tables import ASSET_OF
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.end_to_end.planted_run import small_choices
from cf_pipeline_tests.end_to_end.test_layouts import shuffled

pytestmark = pytest.mark.slow

defs().resolve_asset_graph()
ASSETS = sorted(STAGES)
WORLD = PlantedConfig(n_users=160, n_projects=240, cover_size=32, n_task_images=64)
Symbols = set[tuple[str, str]]


@contextmanager
def traced(called: set[CodeType]) -> Iterator[None]:
    """Every function that is entered, in every thread that begins meanwhile.

    What a picture calls changes no value, as long as nobody else calls it.
    """
    root = str(PACKAGE)

    def hear(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or code in called or not code.co_filename.startswith(root):
            return
        above = frame.f_back
        while above is not None and not draws(above.f_code):
            above = above.f_back
        if above is None:
            called.add(code)

    threading.setprofile(hear)
    sys.setprofile(hear)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def symbols(called: set[CodeType]) -> Symbols:
    """Module and top-level name of the functions of the package."""
    found = set()
    for code in called:
        file = Path(code.co_filename)
        top = code.co_qualname.partition(".")[0]
        # The code of a module or class runs on import; it binds names and computes nothing.
        runs = code.co_flags & inspect.CO_OPTIMIZED
        # A template that is run counts among the files that its asset reads.
        ours = file.is_relative_to(PACKAGE) and file.suffix == ".py"
        if runs and ours and not top.startswith("<"):
            found.add((TREE.module_of(file), top))
    return found


@functools.cache
def draws(code: CodeType) -> bool:
    """Whether it is code of `figures`."""
    return Path(code.co_filename).is_relative_to(PACKAGE / "figures")


def left_out(module: str) -> bool:
    rest = module.removeprefix(f"{PACKAGE.name}.")
    rooms = any(rest == room or rest.startswith(f"{room}.") for room in LEFT_OUT)
    # Configuration counts by its resolved values.
    return rooms or rest.endswith(".config")


@dataclasses.dataclass
class Watched:
    """What a run of the whole graph did, asset by asset.

    Attributes:
        called: functions that were entered.
        read: assets whose tables or version were asked for.
        looked_at: fields of the configuration.
    """

    configuration: Configuration
    called: dict[str, set[CodeType]] = dataclasses.field(default_factory=dict)
    read: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    looked_at: dict[str, set[str]] = dataclasses.field(default_factory=dict)


class Looked:
    """A section or the whole configuration that remembers which of its fields were asked for."""

    def __init__(self, model: BaseModel, seen: set[str], prefix: str = "") -> None:
        self._model, self._seen, self._prefix = model, seen, prefix

    def __getattr__(self, name: str) -> Any:
        key = f"{self._prefix}{name}"
        if name in type(self._model).model_fields:
            value = getattr(self._model, name)
            if isinstance(value, BaseModel) and not isinstance(value, Method):
                return Looked(value, self._seen, f"{key}.")
            self._seen.add(key)
            return value
        found = getattr(type(self._model), name)
        # A property looks at fields of its own.
        return found.fget(self) if isinstance(found, property) else found.__get__(self)


def watching(stage: Stage, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage, with ears: sections that are declared whole are handed over as they are."""
    read = watched.read.setdefault(stage.asset, set())
    looked_at = watched.looked_at.setdefault(stage.asset, set())
    frame, version = Stage.frame, Stage.version

    def heard_frame(self: Stage, table: str, *columns: str, where: str | None = None) -> Any:
        read.add(ASSET_OF[table])
        return frame(self, table, *columns, where=where)

    def heard_version(self: Stage, asset: str) -> str:
        read.add(asset)
        return version(self, asset)

    monkeypatch.setattr(Stage, "frame", heard_frame)
    monkeypatch.setattr(Stage, "version", heard_version)
    if set(stage.spec.reads) & set(SECTIONS):
        return stage
    looked: Any = Looked(stage.configuration, looked_at)
    return dataclasses.replace(stage, configuration=looked)


@pytest.fixture(scope="module")
def watched(place: Path) -> Watched:
    """The planted graph, run once."""
    home = Home(place / "home")
    home.create()
    # Of one task alone nothing is learned for another.
    shuffled(place / "shuffled")
    chosen = small_choices(plant(place / "world", WORLD))
    chosen = chosen.with_assignments([f"benchmark.tasks.shuffled={place / 'shuffled'}"])
    chosen.write(home.config_path)
    watched = Watched(resolve(Choices.read(home.config_path)))
    make = assets.make

    def heard(work: Work, *others: Any) -> Any:
        called = watched.called.setdefault(work.spec.asset, set())

        def body(stage: Stage) -> Output:
            with pytest.MonkeyPatch.context() as patch:
                stage = watching(stage, watched, patch)
                with traced(called):
                    return work.body(stage)

        return make(dataclasses.replace(work, body=body), *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "make", heard)
        outcome = run_pipeline(home, defs())
    assert not outcome.failures
    assert set(watched.called) == set(STAGES)
    return watched


READ_BY_A_ROOM = {
    "pruned_matrix": {"raw_interactions"},
    "similar_projects": {
        "latent_factors",
        "training_set",
        "embeddings",
        "imagenet_embeddings",
        "similarity_scores",
    },
    "gallery": {"training_set", "embeddings", "imagenet_embeddings"},
}
"""`interactions.pruning` streams it inside DuckDB, `models.spaces` asks the warehouse."""
CHANGES_NO_RESULT = {"resources", "tracking", "recipe", "budget", "dataset"}
NOT_USED = {"vision.learning_rate", "vision.patience"}
"""`VisionConfig.schedule` looks at all three of its fields, and who asks for one has that one."""


IN_PLACE_OF_COVERS = {
    asset: {"user_embeddings"} for asset in ("covers", "training_set", "embeddings")
}
"""Read where a data set has no covers; `test_vectors_only.py` runs one."""


@pytest.mark.parametrize("asset", ASSETS)
def test_the_parents_are_what_is_read(watched: Watched, asset: str) -> None:
    read = watched.read[asset] | READ_BY_A_ROOM.get(asset, set())
    read |= IN_PLACE_OF_COVERS.get(asset, set())
    assert read - {asset} == set(STAGES[asset].parents)


@pytest.mark.parametrize("asset", ASSETS)
def test_the_fields_are_those_that_are_looked_at(watched: Watched, asset: str) -> None:
    declared = {key for key in STAGES[asset].reads if not key.startswith("dataset.")}
    if declared & set(SECTIONS):
        return  # a section that is declared whole is read whole
    looked_at = {
        key for key in watched.looked_at[asset] if key.partition(".")[0] not in CHANGES_NO_RESULT
    }
    if asset == "promoted_model":  # a first model is compared with nothing
        assert looked_at <= declared
    else:
        assert looked_at - NOT_USED == declared - NOT_USED


def test_every_function_that_runs_in_a_body_is_counted(watched: Watched) -> None:
    hidden = {
        asset: uncounted(asset, symbols(called), reached_by(asset, watched.configuration))
        for asset, called in watched.called.items()
    }
    assert {asset: names for asset, names in hidden.items() if names} == {}


def reached_by(asset: str, configuration: Any) -> Symbols:
    spec = STAGES[asset]
    keys = [key for key in (*spec.reads, *spec.runs) if not key.startswith("dataset.")]
    methods = [(m.__module__, m.__qualname__) for m in chosen_methods(configuration, keys)]
    return TREE.reached([spec.body, *methods])


def uncounted(asset: str, ran: Symbols, reached: Symbols) -> Symbols:
    return {symbol for symbol in ran - reached if not left_out(symbol[0])}
