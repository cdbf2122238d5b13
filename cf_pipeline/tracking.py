"""wandb, fed by callbacks: one run per training with configuration and curves.

Offline by default, so that no account is needed; `wandb sync` uploads a run later. The key comes
from the environment only. dagster-wandb does not load with today's wandb, and this is all of it
that is needed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cf_pipeline.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracker:
    """Where runs are tracked and how.

    Attributes:
        folder: wandb writes below it.
        project: wandb project.
        mode: `offline`, `online` or `disabled`.
    """

    folder: Path
    project: str
    mode: str

    @contextmanager
    def run(
        self, name: str, *, group: str, configuration: Mapping[str, Any]
    ) -> Iterator[TrackedRun]:
        """One wandb run, finished whatever happens; marked failed when an exception passes.

        Raises:
            ConfigError: `online` without a key in the environment.
        """
        if self.mode == "disabled":
            yield TrackedRun(None)
            return
        if self.mode == "online" and not os.environ.get("WANDB_API_KEY"):
            raise ConfigError(
                "tracking.mode is online and WANDB_API_KEY is not set. Export the key, or set "
                "tracking.mode to offline."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with _environment(self.folder):
            run = self._started(name, group, configuration)
            try:
                yield TrackedRun(run)
            except BaseException:
                run.finish(exit_code=1)
                raise
            run.finish()

    def _started(self, name: str, group: str, configuration: Mapping[str, Any]) -> Any:
        import wandb

        settings = wandb.Settings(
            console="off", silent=True, x_disable_stats=True, x_disable_meta=True
        )
        return wandb.init(
            project=self.project,
            name=name,
            group=group,
            mode=self.mode,  # type: ignore[arg-type]
            dir=str(self.folder),
            config=dict(configuration),
            reinit="create_new",
            settings=settings,
        )


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """What wandb's service takes from the environment alone, where the user has not set it.

    Its log would go to the user's cache folder, and it reports on itself over the network in
    offline mode too.
    """
    wanted = {"WANDB_CACHE_DIR": str(folder / "cache"), "WANDB_ERROR_REPORTING": "false"}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@dataclass(frozen=True)
class TrackedRun:
    """A run that may be told things; without wandb it listens to nothing."""

    run: Any

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Values of one step."""
        if self.run is not None:
            self.run.log(dict(figures), step=step)

    def summarize(self, figures: Mapping[str, Any]) -> None:
        """Values of the whole run."""
        if self.run is not None:
            for name, value in figures.items():
                self.run.summary[name] = value

    @property
    def location(self) -> str | None:
        """Folder of an offline run, address of an online one."""
        if self.run is None:
            return None
        return str(self.run.settings.sync_dir if self.run.offline else self.run.url)
