"""wandb, fed by callbacks: one run per training and per evaluation, with what was configured.

A training tells curves, an evaluation score tables and pictures. Offline by default, so that no
account is needed: everything is written below one folder, from where `wandb sync` uploads it
later. The key comes from the environment only. dagster-wandb does not load with today's wandb, and
this is all of it that is needed.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        self,
        name: str,
        *,
        group: str,
        configuration: Mapping[str, Any],
        kind: str = "training",
    ) -> Iterator[TrackedRun]:
        """One wandb run, finished whatever happens; marked failed when an exception passes.

        Args:
            name: of the run, as the asset that it is for.
            group: what belongs together, as the Dagster run.
            configuration: values of the configuration, versions of model and data.
            kind: `training` or `evaluation`, wandb's job type.

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
            run = self._started(name, group, configuration, kind)
            try:
                yield TrackedRun(run)
            except BaseException:
                run.finish(exit_code=1)
                raise
            run.finish()

    def _started(self, name: str, group: str, configuration: Mapping[str, Any], kind: str) -> Any:
        import wandb

        settings = wandb.Settings(
            console="off", silent=True, x_disable_stats=True, x_disable_meta=True
        )
        return wandb.init(
            project=self.project,
            name=name,
            group=group,
            job_type=kind,
            mode=self.mode,  # type: ignore[arg-type]
            dir=str(self.folder),
            config=dict(configuration),
            reinit="create_new",
            settings=settings,
        )


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """What wandb's service takes from the environment alone, where the user has not set it.

    Its log would go to the user's cache folder and tables, until they are uploaded, to the user's
    data folder; and it reports on itself over the network in offline mode too.
    """
    wanted = {
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_ERROR_REPORTING": "false",
    }
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

    def table(self, name: str, frame: pl.DataFrame) -> None:
        """Rows of a table under a name."""
        if self.run is None:
            return
        import wandb

        rows = wandb.Table(columns=list[str | int](frame.columns), data=frame.rows())
        # Not a step of its own: the next values of a step would be late otherwise.
        self.run.log({name: rows}, commit=False)

    def image(self, name: str, picture: Figure | bytes, caption: str) -> None:
        """A picture under a name.

        Args:
            name: what it is found by.
            picture: a matplotlib figure, or the bytes of a picture file such as PNG.
            caption: a line under it.
        """
        if self.run is None:
            return
        import wandb
        from PIL import Image

        with Image.open(io.BytesIO(_png(picture))) as image:
            self.run.log({name: wandb.Image(image, caption=caption)}, commit=False)

    @property
    def location(self) -> str | None:
        """Folder of an offline run, address of an online one."""
        if self.run is None:
            return None
        return str(self.run.settings.sync_dir if self.run.offline else self.run.url)


def _png(picture: Figure | bytes) -> bytes:
    if isinstance(picture, bytes):
        return picture
    drawn = io.BytesIO()
    picture.savefig(drawn, format="png")
    return drawn.getvalue()
