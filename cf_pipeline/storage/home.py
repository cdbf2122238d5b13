"""The home: one folder that holds everything a pipeline writes.

`config.toml`, `warehouse.duckdb`, `artifacts/`, `dagster/` (the Dagster instance; its
`dagster.yaml` is the user's to change) and `wandb/`. It is `$CF_PIPELINE_HOME`, by default
`data/home/` in the checkout.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cf_pipeline.errors import ConfigError
from cf_pipeline.storage.whole import write_whole

HOME_VARIABLE = "CF_PIPELINE_HOME"

_DAGSTER_YAML = """\
# Written by cf_pipeline where there was none; yours to change from then on.
# Keep one run at a time: a home takes no more.
telemetry:
  enabled: false
nux:
  enabled: false
python_logs:
  python_log_level: INFO
concurrency:
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 30
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days: 7
"""
_EARLIER = {"834273bdb339ede4a4c97c406162806ba6f2745cbc27592458436269182ef2e1"}  # 0.1.0
"""SHA-256 of what earlier releases wrote: where nobody changed it, it is brought up to date."""


@dataclass(frozen=True)
class Home:
    """Where everything lies.

    Attributes:
        path: the folder, absolute.
    """

    path: Path

    @classmethod
    def locate(cls, path: Path | None = None) -> Home:
        """The home at a path, else at `$CF_PIPELINE_HOME`, else `data/home` in the checkout.

        Relative paths count from the current directory, and `~` is expanded.

        Raises:
            ConfigError: neither is given, and the package is not run from a checkout.
        """
        if path is None:
            named = os.environ.get(HOME_VARIABLE, "")
            path = Path(named) if named else _default_path()
        return cls(Path(os.path.abspath(path.expanduser())))

    @property
    def exists(self) -> bool:
        """Whether the folder is there; whoever only reads makes none."""
        return self.path.is_dir()

    @property
    def config_path(self) -> Path:
        """The configuration of record."""
        return self.path / "config.toml"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file."""
        return self.path / "warehouse.duckdb"

    @property
    def artifacts_path(self) -> Path:
        """The folder of content-addressed artifacts."""
        return self.path / "artifacts"

    @property
    def dagster_path(self) -> Path:
        """The Dagster instance, what `DAGSTER_HOME` names."""
        return self.path / "dagster"

    @property
    def wandb_path(self) -> Path:
        """Where wandb keeps offline runs."""
        return self.path / "wandb"

    @property
    def unfinished_path(self) -> Path:
        """What a training that was ended goes on from."""
        return self.path / "unfinished_training"

    @property
    def lock_path(self) -> Path:
        """The file whose operating-system lock a run holds."""
        return self.path / "lock"

    @property
    def holder_path(self) -> Path:
        """Who holds the lock, JSON."""
        return self.path / "lock.json"

    def create(self) -> None:
        """Make the folders and Dagster's configuration where they are not there yet.

        Only who writes calls this: a mistyped path that is read would else become a home.

        Raises:
            ConfigError: the folder cannot be made or written.
        """
        try:
            for folder in (self.path, self.artifacts_path, self.dagster_path, self.wandb_path):
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / f".probe-{secrets.token_hex(4)}"
                probe.touch()
                probe.unlink()
            settings = self.dagster_path / "dagster.yaml"
            if not settings.exists() or _sha256(settings) in _EARLIER:
                write_whole(settings, _DAGSTER_YAML)
        except OSError as error:
            raise ConfigError(
                f"the home {self.path} cannot be written: {error}. Expected a folder in which "
                f"this user may write; name another one with --home DIR or {HOME_VARIABLE}."
            ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _default_path() -> Path:
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "pyproject.toml").exists():
        raise ConfigError(
            f"no home is named, and {checkout} is no checkout of the project that could hold "
            f"one. Name a folder with --home DIR or {HOME_VARIABLE}."
        )
    return checkout / "data" / "home"
