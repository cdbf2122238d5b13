from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.run_coordinator import QueuedRunCoordinator

from cf_pipeline.errors import ConfigError
from cf_pipeline.storage import home as home_module
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.whole import write_whole

HOMES = Path(__file__).parents[1] / "end_to_end" / "homes"


def test_the_argument_comes_before_the_variable_before_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CF_PIPELINE_HOME", raising=False)
    checkout = Path(__file__).resolve().parents[2]
    assert Home.locate().path == checkout / "data" / "home"
    monkeypatch.setenv("CF_PIPELINE_HOME", "")
    assert Home.locate().path == checkout / "data" / "home"
    monkeypatch.setenv("CF_PIPELINE_HOME", str(tmp_path))
    assert Home.locate().path == tmp_path
    assert Home.locate(tmp_path / "other").path == tmp_path / "other"


def test_paths_are_absolute_from_the_current_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("CF_PIPELINE_HOME", "here/../there")
    assert Home.locate().path == tmp_path / "there"
    assert Home.locate(Path("~/home")).path == tmp_path / "me" / "home"


def test_create_makes_the_folders_and_leaves_what_is_there(tmp_path: Path) -> None:
    home = Home.locate(tmp_path / "deep" / "home")
    home.create()
    home.config_path.write_text("x = 1\n")
    settings = home.dagster_path / "dagster.yaml"
    written = settings.stat().st_mtime_ns
    home.create()
    assert settings.stat().st_mtime_ns == written
    assert home.config_path.read_text() == "x = 1\n"
    names = sorted(path.name for path in home.path.iterdir())
    assert names == ["artifacts", "config.toml", "dagster", "wandb"]
    for path in (home.warehouse_path, home.lock_path, home.wandb_path, home.artifacts_path):
        assert path.parent == home.path


def test_dagster_takes_the_settings(tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    home.create()
    with DagsterInstance.from_config(str(home.dagster_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.python_log_level == "INFO"
        assert instance.run_monitoring_enabled
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_monitoring_start_timeout_seconds > 0
        assert instance.run_monitoring_cancel_timeout_seconds > 0
        assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 30
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1


def test_settings_that_somebody_changed_stay_and_those_of_an_earlier_release_do_not(
    tmp_path: Path,
) -> None:
    home = Home.locate(tmp_path)
    home.create()
    settings = home.dagster_path / "dagster.yaml"
    wanted = settings.read_bytes()
    with tarfile.open(HOMES / "home_0_1_0.tar.xz") as archive:
        member = archive.extractfile("home/dagster/dagster.yaml")
        assert member is not None
        earlier = member.read()
    assert earlier != wanted
    for found, left in (
        (earlier, wanted),
        (earlier + b"\n", earlier + b"\n"),
        (b"telemetry: {enabled: true}\n", b"telemetry: {enabled: true}\n"),
    ):
        settings.write_bytes(found)
        home.create()
        assert settings.read_bytes() == left


def test_a_home_that_is_only_looked_for_is_not_made(tmp_path: Path) -> None:
    home = Home.locate(tmp_path / "mistyped")
    assert not home.exists
    assert not home.path.exists()
    home.create()
    assert home.exists


def test_without_a_checkout_the_error_says_how_to_name_a_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CF_PIPELINE_HOME", raising=False)
    monkeypatch.setattr(home_module, "__file__", str(tmp_path / "site" / "a" / "b" / "home.py"))
    with pytest.raises(ConfigError, match="--home DIR or CF_PIPELINE_HOME"):
        Home.locate()


@pytest.mark.parametrize("in_the_way", ["home", "home/artifacts", "home/dagster/dagster.yaml/x"])
def test_what_is_in_the_way_is_named_with_the_remedy(tmp_path: Path, in_the_way: str) -> None:
    path = tmp_path / in_the_way
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    home = Home.locate(tmp_path / "home")
    with pytest.raises(ConfigError, match=r"home .* cannot be written: .*--home DIR"):
        home.create()
    assert path.read_text() == "a file"


def test_a_file_system_that_takes_no_files_is_named() -> None:
    """Also for root, whom permissions do not stop."""
    home = Home.locate(Path("/proc/cf_pipeline_home"))
    with pytest.raises(ConfigError, match="the home /proc/cf_pipeline_home cannot be written"):
        home.create()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
