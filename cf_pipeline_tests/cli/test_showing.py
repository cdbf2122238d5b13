"""`gallery`: where the page lies."""

from __future__ import annotations

import webbrowser

import polars as pl
import pytest

from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.models.trained_home import TrainedHome


def publish_page(trained: TrainedHome) -> str:
    artifacts = Artifacts(trained.home.artifacts_path)
    with artifacts.draft() as draft:
        (draft / "index.html").write_text("<!doctype html>")
        artifact = artifacts.publish(draft, "gallery")
    row = {
        "model_version": trained.train(1),
        "artifact": artifact.version,
        "n_covers": 1,
        "n_bytes": 15,
    }
    places = pl.DataFrame({"project_id": ["p"], "x": [0.5], "y": [0.5]})
    trained.publish("gallery", gallery=pl.DataFrame([row]), cover_map=places)
    return (artifact.path / "index.html").as_uri()


def test_it_is_said_and_opened_where_asked(
    trained: TrainedHome, cf: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = publish_page(trained)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: not opened.append(url))
    said = cf("gallery")
    assert (said.out, said.err) == (f"{address}\n", "")
    assert opened == []
    assert cf("gallery", "--open").out == f"{address}\n"
    assert opened == [address]


def test_where_no_browser_can_be_started_the_address_is_said_all_the_same(
    trained: TrainedHome, cf: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = publish_page(trained)
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    said = cf("gallery", "--open")
    assert (said.code, said.out) == (1, f"{address}\n")
    assert "no browser could be started" in said.err


def test_a_page_of_an_earlier_model_is_said_to_be_one(trained: TrainedHome, cf: Command) -> None:
    address = publish_page(trained)
    trained.train(2)
    said = cf("gallery")
    assert said.out == f"{address}\n"
    assert "another was trained since. Run cf-pipeline run --select gallery" in said.err


def test_a_home_without_a_page(trained: TrainedHome, cf: Command) -> None:
    said = cf("gallery")
    assert said.code == 1
    assert "cf-pipeline run --select gallery" in said.err
