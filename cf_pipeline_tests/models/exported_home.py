"""A home with a small network that was really trained, and the lines of a model card, run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.checkpoint import checkpoint_input, load_checkpoint, save_checkpoint
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.examples import Examples, TrainingData
from cf_pipeline.vision.training import train
from cf_pipeline_tests.models.trained_home import START, TrainedHome, empty
from cf_pipeline_tests.vision.small_world import examples

N_TRAIN, N_VALIDATION, N_TEST = 12, 6, 6
TINY = {"vision.epochs": 1, "vision.batch_size": 4, "resources.threads": 1}


@dataclass
class ExportedHome:
    """A home of 24 covers, users and factors, and one model of them.

    Attributes:
        home: to publish more into.
        model: its version.
        paths: of the covers, train ones first, then validation, then test.
        features: by the model, as the home embedded them.
        predicted: factors, likewise.
    """

    home: TrainedHome
    model: str
    paths: tuple[Path, ...]
    features: Matrix
    predicted: Matrix


def filled(trained: TrainedHome, folder: Path, **vision: Any) -> ExportedHome:
    """Train on a small world and write every table that an export reads, scores aside."""
    chosen = {**TINY, **{f"vision.{key}".replace("__", "."): v for key, v in vision.items()}}
    Choices(set=chosen).write(trained.home.config_path)
    config = resolve(Choices.read(trained.home.config_path)).vision
    world = examples(folder / "covers", N_TRAIN + N_VALIDATION + N_TEST)
    halves = TrainingData(_part(world, 0, N_TRAIN), _part(world, N_TRAIN, N_TRAIN + N_VALIDATION))
    execution = Execution(torch.device("cpu"), 1, folder, 8)
    learned = train(halves, config, execution=execution)
    artifacts = Artifacts(trained.home.artifacts_path)
    with artifacts.draft() as draft:
        save_checkpoint(draft, learned.network, learned.manifest)
        artifact = artifacts.publish(draft, "checkpoint")
    network, manifest = load_checkpoint(artifact.path)
    features, predicted = embed_covers(network, checkpoint_input(manifest), world.paths, execution)
    _publish_data(trained, world)
    _publish_model(trained, artifact.version, world, (features, predicted))
    return ExportedHome(trained, artifact.name, world.paths, features, predicted)


def _part(world: Examples, start: int, end: int) -> Examples:
    return Examples(world.paths[start:end], world.factors[start:end])


def _ids(world: Examples) -> list[str]:
    return [path.stem for path in world.paths]


def _splits() -> list[str]:
    return ["train"] * N_TRAIN + ["validation"] * N_VALIDATION + ["test"] * N_TEST


def _publish_data(trained: TrainedHome, world: Examples) -> None:
    ids = _ids(world)
    events = pl.DataFrame({
        "user_id": [f"user{row % 5}" for row in range(len(ids))],
        "project_id": ids,
        "kind": "collection",
        "occurred_at": [START.replace(tzinfo=None)] * len(ids),
        "count": 1,
    })
    rejected = {"file": pl.String, "row_number": pl.Int64, "reason": pl.String}
    none = pl.DataFrame(schema={**rejected, "content": pl.String})
    metadata = {"files": {"n": 1, "sha256": {"/a/interactions.parquet": "0" * 64}}}
    trained.publish(
        "raw_interactions", metadata=metadata, raw_interactions=events,
        raw_interactions_rejected=none,
    )  # fmt: skip
    empty = {"split_group": None, "stratum": None, "subfield": None, "cover": None}
    projects = pl.DataFrame({
        "project_id": ids,
        "title": [f"a | title\nof {name} <b>" for name in ids],
        "owners": [["somebody"]] * len(ids),
        "field": [f"field{row % 2}" for row in range(len(ids))],
        "tags": [["a"]] * len(ids),
        **empty,
    }).cast({name: pl.String for name in empty})
    trained.publish("raw_projects", raw_projects=projects, raw_projects_rejected=none)
    covers = pl.DataFrame({
        "project_id": ids,
        "path": [str(path) for path in world.paths],
        "sha256": [f"{row:064x}" for row in range(len(ids))],
        "width": 48,
        "height": 48,
        "format": "PNG",
        "status": "ok",
        "reason": None,
        "look_group": ids,
        "look_component": ids,
    }).cast({"reason": pl.String})
    trained.publish("covers", covers=covers)
    splits = pl.DataFrame({"project_id": ids, "split": _splits()})
    trained.publish("project_split", project_split=splits)
    matrix = events.select(
        "user_id",
        "project_id",
        confidence=pl.lit(1.0, pl.Float32),
        occurred_at=pl.lit(None, pl.Datetime("us")),
    )
    trained.publish("pruned_matrix", pruned_matrix=matrix)
    factors = pl.DataFrame({
        "side": "project",
        "id": ids,
        "factors": world.factors,
        "folded_in": [split != "train" for split in _splits()],
    })
    trained.publish("latent_factors", version="factors1", latent_factors=factors)


def _publish_model(
    trained: TrainedHome, version: str, world: Examples, vectors: tuple[Matrix, Matrix]
) -> None:
    ids, splits, model = _ids(world), _splits(), version[:16]
    seen = N_TRAIN + N_VALIDATION
    rows = pl.DataFrame({
        "project_id": ids[:seen],
        "sha256": [f"{row:064x}" for row in range(seen)],
        "factors": world.factors[:seen],
        "degree": 3,
        "split": splits[:seen],
        "width": 48,
        "height": 48,
        "path": [str(path) for path in world.paths[:seen]],
    })
    pairs = {"query_id": pl.String, "candidate_id": pl.String, "relevance": pl.Float32}
    trained.publish(
        "training_set", version="set1", inputs={"latent_factors": "factors1"},
        training_set=rows, validation_relevances=pl.DataFrame(schema=pairs),
        **empty("training_vectors"),
    )  # fmt: skip
    row = {"model_version": model, "artifact": version, "manifest": "{}"}
    curve = {"model_version": str, "epoch": pl.Int32, "name": str, "value": float}
    on = pl.DataFrame({"project_id": ids[:seen], "split": splits[:seen]})
    trained.publish(
        "trained_cnn",
        model,
        inputs={"training_set": "set1"},
        trained_cnn=pl.DataFrame({**row, "trained_at": START.replace(tzinfo=None)}),
        training_history=pl.DataFrame(schema=curve),
        trained_on=on.with_columns(model_version=pl.lit(model)),
    )
    embedded = pl.DataFrame({
        "project_id": ids,
        "model_version": model,
        "sha256": [f"{row:064x}" for row in range(len(ids))],
        "features": vectors[0],
        "predicted_factors": vectors[1],
    })
    trained.publish("embeddings", model, inputs={"trained_cnn": model}, embeddings=embedded)


def blocks(card: str) -> dict[str, str]:
    """Title to the Python lines below it, of every block of a card."""
    found: dict[str, str] = {}
    title, inside = "", False
    for line in card.splitlines(keepends=True):
        if line.startswith("```"):
            inside = line == "```python\n"
        elif inside:
            found[title] = found.get(title, "") + line
        elif line.startswith("### "):
            title = line.removeprefix("### ").strip()
    return found


_RUNNER = """\
import sys
sys.modules["cf_pipeline"] = None  # whoever gets the folder does not have it
sys.path.insert(0, ".")
import numpy as np
for number, lines in enumerate({scripts!r}):
    known = {{}}
    exec(lines, known)
    given = {{n: np.asarray(known[n]) for n in {names!r} if n in known}}
    np.savez(f"{{sys.argv[1]}}/{{number}}.npz", **given)
"""


def run_lines(
    folder: Path, cover: Path, scripts: Sequence[str], results: Path
) -> list[dict[str, Matrix]]:
    """Run lines of a card in its folder, on a cover, in a process without this project.

    Returns:
        Of each script what it calls `features`, `predicted_factors` and `collaborative`.
    """
    names = ("features", "predicted_factors", "collaborative")
    given = [script.replace("cover.png", str(cover)) for script in scripts]
    results.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-I", "-c", _RUNNER.format(scripts=given, names=names), str(results)],
        cwd=folder, env=kept, check=True, timeout=300,
    )  # fmt: skip
    return [dict(np.load(results / f"{number}.npz")) for number in range(len(given))]
