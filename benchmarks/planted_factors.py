"""Does the network find the true place of a cover, though it is taught by factors of a matrix?

A planted world's interactions are factorized as any data set's; one network learns those factors,
another one like it the true ones. Both are led to the true space by an orthogonal map that is
fitted to the train projects' targets (Procrustes), and compared with the truth on held-out covers.
    python benchmarks/planted_factors.py --size 2000
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import PlantedWorld, plant
from cf_pipeline.vectors import Matrix, unit_norm
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.examples import Examples
from cf_pipeline.vision.training import train
from trials.cell import vectors_of
from trials.folds import Fold, prepared


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=2000, help="projects")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--users", type=int, default=4000, help="who came for 24 projects each")
    parser.add_argument("--factors", type=int, default=64, help="of the matrix; the truth has 6")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    vision = VisionConfig(
        backbone="resnet_small",
        image_size=48,
        epochs=arguments.epochs,
        crop_area=0.8,  # where something lies on a cover is part of what its factor says
    )
    config = PlantedConfig(n_projects=arguments.size, n_users=arguments.users)
    with tempfile.TemporaryDirectory() as folder:
        world = plant(Path(folder) / "world", config)
        n_factors = {"factorization.n_factors": arguments.factors}
        (fold,) = prepared(world.dataset_file, Path(folder) / "homes", 5, 0, [0], n_factors)
        taught = {"latent_factors": fold, "true_factors": with_truth(fold, world)}
        cosines = {
            name: cosine_to_truth(given, world, vision, arguments.device, Path(folder))
            for name, given in taught.items()
        }
    print(json.dumps({
        "projects": arguments.size,
        "users": arguments.users,
        "factors": arguments.factors,
        "train": len(fold.train.paths),
        "held_out": len(fold.covers["test"]),
        **{f"cosine_{name}": value for name, value in cosines.items()},
        "difference": cosines["true_factors"] - cosines["latent_factors"],
    }))  # fmt: skip


def with_truth(fold: Fold, world: PlantedWorld) -> Fold:
    """The same covers with their true factors."""
    halves = {
        name: Examples(half.paths, true_factors(world, half.paths))
        for name, half in (("train", fold.train), ("validation", fold.validation))
    }
    return replace(fold, **halves)


def true_factors(world: PlantedWorld, paths: tuple[Path, ...]) -> Matrix:
    """Of the projects that covers are of, shape (n, k)."""
    return world.projects.rows([path.stem for path in paths])


def cosine_to_truth(
    fold: Fold, world: PlantedWorld, vision: VisionConfig, device: str, scratch: Path
) -> float:
    """Mean over held-out covers of the cosine between the place found and the true one."""
    execution = Execution.of(device, 0, scratch, checkpointing=False)
    data = fold.data(vision)
    result = train(data, vision, execution=execution)
    truth = true_factors(world, fold.train.paths)
    mean = truth.mean(axis=0)
    taught = fold.train.factors - fold.train.factors.mean(axis=0)
    left, _, right = np.linalg.svd(taught.T @ (truth - mean), full_matrices=False)
    _, predicted = vectors_of(result, fold.covers["test"], execution)
    wanted = unit_norm(true_factors(world, fold.covers["test"]) - mean)
    return float((unit_norm(predicted @ (left @ right)) * wanted).sum(axis=1).mean())


if __name__ == "__main__":
    main()
