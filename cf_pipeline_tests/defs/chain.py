"""Assets of our own in place of the project's, to see which of them are computed by themselves.

A chain `project_split` -> `pruned_matrix` -> `trained_cnn`, the last of which makes a home
complete; as a diamond `latent_factors` stands beside `pruned_matrix`. Bodies do what the script
says. No daemon runs: `World` asks the sensor, and runs what it requests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.defs import automation, conditions
from cf_pipeline.defs.assets import STAGES, stage_asset
from cf_pipeline.defs.jobs import full_pipeline
from cf_pipeline.defs.resources import HomeResource, console
from cf_pipeline.defs.running import instance_of
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.verdict import Verdict, check
from cf_pipeline_tests.defs.tiny import DiesWhenShown
from cf_pipeline_tests.sources.conftest import write_dataset

UP, MID, SIDE, DOWN = "project_split", "pruned_matrix", "latent_factors", "trained_cnn"
BAD = "bad"
"""A project of this name does not pass the checks of `project_split` and `pruned_matrix`."""


@dataclass
class Script:
    """What bodies do, and what they did.

    Attributes:
        projects: rows of `project_split`.
        during: what happens inside the body of an asset.
        shown: what a body hands back as metadata.
        ran: assets whose body was entered.
    """

    projects: dict[str, str] = field(default_factory=lambda: {"a": "train", "b": "test"})
    during: dict[str, Callable[[Stage], object]] = field(default_factory=dict)
    shown: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def enter(self, stage: Stage) -> Mapping[str, Any]:
        """Called first by every body; returns the metadata to show."""
        self.ran.append(stage.asset)
        if stage.asset in self.during:
            self.during[stage.asset](stage)
        return self.shown.get(stage.asset, {})

    def reset(self) -> None:
        vars(self).update(vars(Script()))


script = Script()


@check(rows=f"select project_id from project_split where project_id = '{BAD}'")
def split_is_sound(rows: pl.DataFrame) -> Verdict:
    """No project is bad."""
    return Verdict.of([f"{BAD} is there."] * rows.height, "None is.", {"n": rows.height})


@check(rows=f"select project_id from pruned_matrix where project_id = '{BAD}'")
def matrix_is_sound(rows: pl.DataFrame) -> Verdict:
    """No project is bad."""
    return split_is_sound(rows)


@contextmanager
def own_stages() -> Iterator[None]:
    """The project's assets are put aside."""
    theirs = dict(STAGES)
    try:
        yield
    finally:
        STAGES.clear()
        STAGES.update(theirs)


class World:
    """A home, the definitions of its code location, and the sensor's memory.

    Attributes:
        deaths: how many of the next runs are to be killed, and at which point.
    """

    def __init__(self, home: Home, instance: dg.DagsterInstance, *, diamond: bool) -> None:
        self.home, self.instance, self.diamond = home, instance, diamond
        self.cursor: str | None = None
        self.deaths: list[str] = []
        self.chosen: dict[str, object] = {"resources.threads": 1}
        self.reload()

    @property
    def bodies(self) -> Path:
        return self.home.path / "bodies.py"

    @property
    def dataset(self) -> Path:
        return self.home.path / "data_set" / "dataset.toml"

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.home.warehouse_path, threads=1)

    def choose(self, **fields: object) -> None:
        """Add choices to those made; `__` stands for the dot."""
        self.chosen |= {key.replace("__", "."): value for key, value in fields.items()}
        Choices(dataset=str(self.dataset), set=self.chosen).write(self.home.config_path)

    def edit_dataset(self, before: str, after: str) -> None:
        _edit(self.dataset, before, after)

    def edit_code(self, before: str, after: str) -> None:
        """Edit the bodies and reload the code location, which forgets what it knew."""
        _edit(self.bodies, before, after)
        self.reload()

    def reload(self) -> None:
        """Load the code location, as another process would."""
        STAGES.clear()
        self.definitions = _definitions(_loaded(self.bodies), self.diamond)
        conditions._judgement = conditions._Judgement()

    def forget(self) -> None:
        """The sensor's cursor is lost."""
        self.cursor = None

    def look(self) -> list[dg.RunRequest]:
        """One tick of the sensor."""
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, definitions=self.definitions
        )
        tick = automation.recompute_when_stale.evaluate_tick(context)
        self.cursor = tick.cursor
        return list(tick.run_requests or [])

    def settle(self) -> list[set[str]]:
        """Ticks and the runs that they ask for, until nothing is asked; what was asked."""
        asked: list[set[str]] = []
        while requests := self.look():
            (request,) = requests
            assert len(asked) < 5, f"it never ends: {asked}"
            names = [key.to_user_string() for key in request.asset_selection or []]
            assert request.tags[automation.STARTED_BY_TAG] == "recompute_when_stale"
            asked.append(set(names))
            if self.deaths:
                self._run_and_die(self.deaths.pop(0), names)
            else:
                self.run(*names)
        return asked

    def run(self, *select: str, force: bool = False) -> bool:
        """Run assets, by default all of them; whether the run succeeded."""
        chosen: Sequence[str] = select or list(STAGES)
        result = self.definitions.resolve_job_def("full_pipeline").execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in chosen],
            run_config={
                "ops": {name: {"config": {"force": force}} for name in chosen},
                "loggers": {"console": {"config": {}}},
            },
            raise_on_error=False,
        )
        return result.success

    def _run_and_die(self, where: str, names: Sequence[str]) -> None:
        command = [sys.executable, "-m", "cf_pipeline_tests.defs.chain"]
        died = subprocess.run(
            [*command, str(self.home.path), where, *names],
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, f"{path} does not hold {before!r}"
    path.write_text(text.replace(before, after))


def _loaded(path: Path) -> ModuleType:
    """A module from its file as it is now: bytecode of an earlier second is not used."""
    module = ModuleType("bodies")
    exec(compile(path.read_text(), path, "exec"), vars(module))
    return module


def write_bodies(home: Home) -> None:
    """A code location and a data set for a home."""
    shutil.copy(Path(__file__).with_name("chain_bodies.py"), home.path / "bodies.py")
    (home.path / "data_set").mkdir()
    write_dataset(home.path / "data_set")


def _definitions(bodies: ModuleType, diamond: bool) -> dg.Definitions:
    arms = (MID, SIDE) if diamond else (MID,)
    assets = [
        stage_asset(group="own", reads=("split",), checks=[split_is_sound])(bodies.project_split),
        stage_asset(
            group="own",
            parents=(UP,),
            reads=("pruning", "dataset.matrix"),
            checks=[matrix_is_sound],
        )(bodies.pruned_matrix),
        stage_asset(group="own", parents=arms)(bodies.trained_cnn),
    ]
    if diamond:
        assets.append(stage_asset(group="own", parents=(UP,))(bodies.latent_factors))
    return dg.Definitions(
        assets=assets,
        jobs=[full_pipeline],
        sensors=[automation.recompute_when_stale],
        resources={"home": HomeResource()},
        loggers={"console": console},
    )


def main(home: Path, where: str, names: Sequence[str]) -> None:
    """A run that is killed: inside its body, or after its rows were committed."""
    from cf_pipeline_tests.defs.chain import script  # as the bodies import it

    if where == "body":
        script.during = {name: lambda _: os.kill(os.getpid(), signal.SIGKILL) for name in names}
    else:
        script.shown = {name: DiesWhenShown() for name in names}
    with own_stages(), instance_of(Home(home)) as instance:
        World(Home(home), instance, diamond=False).run(*names)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
