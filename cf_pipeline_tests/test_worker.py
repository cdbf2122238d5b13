"""The seam of training: the same spec gives the same checkpoint in this process and in a child."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest
import torch
from pydantic import ValidationError

from cf_pipeline.errors import DataError
from cf_pipeline.vision.checkpoint import MANIFEST, WEIGHTS, load_checkpoint
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.training import Listeners
from cf_pipeline.worker import TrainingSpec, main, run_training
from cf_pipeline_tests.vision.small_world import N_FACTORS, examples

VISION = VisionConfig(
    init="scratch", image_size=32, epochs=2, batch_size=16, learning_rate=3e-3, seed=4
)


@pytest.fixture
def spec(tmp_path):
    """32 train and 8 validation covers, as rows of training_set in no order."""
    covers = examples(tmp_path / "covers", 40)
    table = pl.DataFrame({
        "project_id": [f"p{i:02}" for i in range(40)],
        "path": [str(path) for path in covers.paths],
        "factors": pl.Series(covers.factors, dtype=pl.Array(pl.Float32, N_FACTORS)),
        "split": ["train"] * 32 + ["validation"] * 8,
    })
    table.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "set.parquet")
    return TrainingSpec(
        training_set=tmp_path / "set.parquet", vision=VISION, device="cpu", threads=1
    )


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def in_a_child(spec, out):
    path = out.parent / "spec.json"
    path.write_text(spec.model_dump_json(), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "cf_pipeline.worker", str(path), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def folder(path):
    path.mkdir(parents=True)
    return path


def test_a_child_says_json_lines_and_writes_what_this_process_writes(spec, tmp_path):
    here, there = folder(tmp_path / "here" / "out"), folder(tmp_path / "there" / "out")
    batches = []
    history = run_training(spec, here, Listeners(on_batch=lambda *step: batches.append(step)))
    child = in_a_child(spec, there)
    assert child.returncode == 0, child.stderr
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    assert [line["event"] for line in lines] == [
        "batch", "batch", "epoch", "batch", "batch", "epoch", "done"
    ]  # fmt: skip
    assert lines[-1] == {"event": "done", "folder": str(there)}
    heard = [line for line in lines if line["event"] == "batch"]
    assert [(line["done"], line["total"]) for line in heard] == [step[:2] for step in batches]
    for line, figures in zip([line for line in lines if line["event"] == "epoch"], history,
                             strict=True):  # fmt: skip
        assert {**figures, "covers_per_second": 0} == {
            name: 0 if name == "covers_per_second" else line[name] for name in figures
        }
    assert {path.name for path in there.iterdir()} == {WEIGHTS, MANIFEST}
    for name in (WEIGHTS, MANIFEST):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    # Decoded covers lay beside the checkpoint and are gone.
    assert {path.name for path in there.parent.iterdir()} == {"out", "spec.json"}
    assert {path.name for path in here.parent.iterdir()} == {"out"}


def test_the_checkpoint_is_of_this_training(spec, tmp_path):
    out = folder(tmp_path / "run" / "out")
    history = run_training(spec, out)
    network, manifest = load_checkpoint(out)
    assert manifest.configuration == VISION.model_dump(mode="json")
    assert (manifest.n_train, manifest.n_validation, manifest.n_factors) == (32, 8, N_FACTORS)
    assert manifest.validation_cosine == max(f["validation_cosine"] for f in history)
    assert network(torch.zeros(1, 3, 32, 32))[1].shape == (1, N_FACTORS)


def test_the_order_of_rows_does_not_matter(spec, tmp_path):
    written = []
    for seed in (2, 3):
        table = pl.read_parquet(spec.training_set).sample(fraction=1, shuffle=True, seed=seed)
        table.write_parquet(spec.training_set)
        out = folder(tmp_path / str(seed) / "out")
        run_training(spec, out)
        written.append((out / WEIGHTS).read_bytes())
    assert written[0] == written[1]


def test_a_training_that_fails_leaves_nothing(spec, tmp_path, capsys):
    table = pl.read_parquet(spec.training_set)
    table.filter(split="train").write_parquet(spec.training_set)
    out = folder(tmp_path / "run" / "out")
    (tmp_path / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
    with pytest.raises(DataError, match="at least 2 train covers and 1 validation cover"):
        main([str(tmp_path / "spec.json"), str(out)])
    assert capsys.readouterr().out == ""
    assert list(out.parent.rglob("*")) == [out]


def test_a_spec_is_checked(spec):
    text = spec.model_dump_json()
    assert TrainingSpec.model_validate_json(text) == spec
    with pytest.raises(ValidationError, match="epoch_count"):
        TrainingSpec.model_validate_json(text.replace('"epochs"', '"epoch_count"'))
