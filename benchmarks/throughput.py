"""How much of the bare step's rate do training and embedding keep?

Ours: batches gathered from decoded covers, views cut of them, the objective, clipping, schedule,
callbacks; and embedding of decoded covers, batch by batch, as files would be. Bare: the same
network, frozen and set alike, on one batch that lies augmented in memory. Rounds of both alternate;
what is told is the median of their ratios, on the machine's CPUs or its GPU.
    python benchmarks/throughput.py --size 20
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cf_pipeline.vision.batches import TrainBatches
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import Execution, freed_memory_kept, on_device
from cf_pipeline.vision.embedding import embed_decoded
from cf_pipeline.vision.examples import Examples
from cf_pipeline.vision.geometry import square
from cf_pipeline.vision.loop import Listeners, Loop
from cf_pipeline.vision.networks import CoverRegressor, normalize
from cf_pipeline.vision.starting import initial_network

FACTORS, ROUNDS = 64, 5


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=12, help="steps of a round")
    parser.add_argument("--image-size", type=int, default=192)
    parser.add_argument("--precision", choices=("full", "mixed"), default="full")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    vision = VisionConfig(
        image_size=arguments.image_size, precision=arguments.precision, crowd_weight=0.0
    )
    with tempfile.TemporaryDirectory() as scratch:
        execution = Execution.of(arguments.device, 0, Path(scratch), checkpointing=False)
        figures = {
            **training(vision, execution, arguments.size),
            **embedding(vision, execution, arguments.size),
        }
    facts = {
        "steps": arguments.size,
        "batch": vision.batch_size,
        "image_size": arguments.image_size,
        "precision": vision.precision,
        "device": str(execution.device),
        "cores": os.cpu_count(),
    }
    print(json.dumps({**facts, **figures}))


def training(vision: VisionConfig, execution: Execution, steps: int) -> dict[str, float]:
    """Covers per second of both, and ours over bare."""
    n = steps * vision.batch_size
    examples, shape = _examples(execution.scratch, n), square(vision.schedule.image_size)
    targets = vision.objective.targets(
        torch.from_numpy(examples.factors), vision.objective.statistics(examples.factors)
    ).to(execution.device)
    batches = TrainBatches(examples, vision, shape, targets, execution)
    loop = Loop(_network(vision, execution), vision, batches, execution.device, Listeners())
    inputs = normalize(_batch(vision, execution, vision.batch_size), loop.normalization)
    bare_loop = Loop(_network(vision, execution), vision, batches, execution.device, Listeners())
    bare_loop._to_training()
    network, optimizer = bare_loop.network, bare_loop.descent.optimizer

    def bare() -> None:
        for _ in range(steps):
            mixed = vision.precision == "mixed"
            with torch.autocast(execution.device.type, dtype=torch.bfloat16, enabled=mixed):
                _, outputs = network(inputs)
            loss = vision.objective.loss(outputs.float(), targets[: vision.batch_size])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        _wait(execution)

    return _compared("train", lambda: loop.epoch(1), bare, n, execution)


def embedding(vision: VisionConfig, execution: Execution, steps: int) -> dict[str, float]:
    """Covers per second of both, and ours over bare."""
    network = _network(vision, execution).eval()
    normalization = vision.backbone.normalization()
    size = execution.batch_size
    inputs = normalize(_batch(vision, execution, size), normalization)
    covers = _batch(vision, execution, size).cpu().numpy()

    def ours() -> None:
        for _ in embed_decoded(network, normalization, (covers for _ in range(steps)), execution):
            pass

    def bare() -> None:
        with torch.inference_mode(), freed_memory_kept(execution.device):
            for _ in range(steps):
                network(inputs)
            _wait(execution)

    return _compared("embed", ours, bare, steps * size, execution)


def _compared(
    name: str,
    ours: Callable[[], object],
    bare: Callable[[], object],
    n: int,
    execution: Execution,
) -> dict[str, float]:
    """Rates of alternating rounds, the first of each not counted."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    with freed_memory_kept(execution.device):
        for _ in range(ROUNDS + 1):
            for who, work in (("bare", bare), ("ours", ours)):
                started = time.monotonic()
                work()
                _wait(execution)
                rates[who].append(n / (time.monotonic() - started))
    ratios = [a / b for a, b in zip(rates["ours"][1:], rates["bare"][1:], strict=True)]
    print(name, {who: [round(r, 1) for r in given] for who, given in rates.items()}, flush=True)
    return {
        f"{name}_covers_per_second": statistics.median(rates["ours"][1:]),
        f"{name}_bare_covers_per_second": statistics.median(rates["bare"][1:]),
        f"{name}_vs_bare": statistics.median(ratios),
    }


def _network(vision: VisionConfig, execution: Execution) -> CoverRegressor:
    return on_device(initial_network(vision, FACTORS, None)[0], execution.device)


def _batch(vision: VisionConfig, execution: Execution, n: int) -> Tensor:
    side = vision.schedule.image_size
    generator = torch.Generator().manual_seed(0)
    covers = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=generator)
    return covers.to(execution.device)


def _examples(folder: Path, n: int) -> Examples:
    """Random covers, a few files that many rows name, and random factors."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(16):
        pixels = rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)
        files.append(folder / f"{number}.jpg")
        Image.fromarray(pixels).save(files[-1])
    paths = tuple(files[row % len(files)] for row in range(n))
    return Examples(paths, rng.normal(size=(n, FACTORS)).astype(np.float32))


def _wait(execution: Execution) -> None:
    if execution.device.type == "cuda":
        torch.cuda.synchronize(execution.device)


if __name__ == "__main__":
    main()
