"""What do keeping freed memory and checkpointing activations cost and save?

Each way runs in a process of its own, on random covers, on the CPU:
    python benchmarks/step_memory.py --size 8
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from multiprocessing.queues import Queue

BATCH, SIDE, FACTORS = 64, 128, 64
WAYS = {
    "plain": (False, False),
    "kept": (True, False),
    "kept_checkpointed": (True, True),
}


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8, help=f"steps of {BATCH} covers")
    size = parser.parse_args().size
    figures: dict[str, float] = {}
    for way, (kept, checkpointed) in WAYS.items():
        context = multiprocessing.get_context("spawn")
        answers: Queue[dict[str, float]] = context.Queue()
        process = context.Process(target=measure, args=(answers, size, kept, checkpointed))
        process.start()
        measured = answers.get()
        process.join()
        print(way, measured, flush=True)
        figures |= {f"{way}_{name}": value for name, value in measured.items()}
    for what in ("train", "embed"):
        name = f"{what}_covers_per_second"
        figures[f"{what}_kept_over_plain"] = figures[f"kept_{name}"] / figures[f"plain_{name}"]
    print(json.dumps({"steps": size, "batch": BATCH, "cores": os.cpu_count(), **figures}))


def measure(answers: Queue[dict[str, float]], size: int, kept: bool, checkpointed: bool) -> None:
    """One way: rates in covers per second, peak of resident memory in MiB."""
    import torch

    from cf_pipeline.vision.backbones.efficientnet_lite0 import EfficientNetLite0
    from cf_pipeline.vision.devices import activations_checkpointed, freed_memory_kept, on_device
    from cf_pipeline.vision.networks import CoverRegressor, built, normalize

    torch.manual_seed(0)
    backbone = EfficientNetLite0()
    normalization = backbone.normalization()
    features, n_features = built(backbone, SIDE)
    regressor = CoverRegressor((features, n_features), FACTORS, 0.2)
    network = on_device(regressor, torch.device("cpu"))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    covers = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8)

    def train() -> None:
        _, predicted = network(normalize(covers, normalization))
        optimizer.zero_grad(set_to_none=True)
        predicted.square().mean().backward()
        optimizer.step()

    def embed() -> None:
        with torch.inference_mode():
            network(normalize(covers, normalization))

    blocks = [network.backbone.get_submodule(name) for name in backbone.checkpointed]
    with contextlib.ExitStack() as ways:
        if kept:
            ways.enter_context(freed_memory_kept(torch.device("cpu")))
        if checkpointed:
            ways.enter_context(activations_checkpointed(blocks))
        network.eval()
        embedding = rate(embed, size)
        network.train()
        training = rate(train, size)
    answers.put({
        "train_covers_per_second": training,
        "embed_covers_per_second": embedding,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    })


def rate(step: Callable[[], None], size: int) -> float:
    """Covers per second, after one step that is not counted."""
    step()
    started = time.monotonic()
    for _ in range(size):
        step()
    return size * BATCH / (time.monotonic() - started)


if __name__ == "__main__":
    main()
