"""Homes that earlier releases wrote: opened by this one, or told what to do with."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.definitions import defs
from cf_pipeline.defs.conditions import stages_in_order
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.models.catalogue import champion_of, models, warehouse_of
from cf_pipeline.models.exporting import export_embeddings
from cf_pipeline.models.lineage import facts_of_project, lineage_of
from cf_pipeline.models.scoreboards import scores_of
from cf_pipeline.recompute.status import pipeline_status
from cf_pipeline.storage.home import Home
from cf_pipeline_tests.end_to_end.planted_run import OTHER_TASKS

ARCHIVES = sorted((Path(__file__).parent / "homes").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    home = Home(tmp_path / "home")
    text = home.config_path.read_text().replace("@HERE@", str(tmp_path))
    home.config_path.write_text(text)
    return home


@pytest.mark.slow
def test_everything_that_asks_answers(earlier: Home, tmp_path: Path) -> None:
    defs().resolve_asset_graph()
    configuration = resolve(Choices.read(earlier.config_path))
    assert configuration.vision.backbone.name == "resnet_small"
    assert configuration.vision.objective.temperature == 0.2
    assert configuration.baselines.imagenet.image_size == 32
    states = {status.asset: status.state for status in pipeline_status(earlier, stages_in_order())}
    assert "failed" not in states.values()
    (model,) = models(earlier)
    assert champion_of(warehouse_of(earlier)) == model.version
    given = export_embeddings(earlier, tmp_path / "embeddings.parquet")
    assert given.n_rows > 100
    assert given.form is None  # nobody chose one then
    assert given.model == model.version
    assert "similarity" in scores_of(earlier)["benchmark"]
    assert lineage_of(earlier, "embeddings").missing == ()
    project = warehouse_of(earlier).frame("covers")["project_id"][0]
    assert facts_of_project(earlier, project)["served_by"] == model.version


@pytest.mark.slow
def test_a_run_brings_it_up_to_date(earlier: Home) -> None:
    (before,) = models(earlier)
    others = Choices.read(earlier.config_path).set | dict.fromkeys(OTHER_TASKS, False)
    Choices.read(earlier.config_path).model_copy(update={"set": others}).write(earlier.config_path)
    outcome = run_pipeline(earlier, defs())
    assert not outcome.failures
    # The old champion was compared with the new model on what neither was fitted to.
    assert before.version in {model.version for model in models(earlier)}
    assert champion_of(warehouse_of(earlier)) is not None
    assert run_pipeline(earlier, defs()).computed == ()
