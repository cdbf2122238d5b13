"""Does a training that is killed at any moment end with the weights of an undisturbed one?

A small planted world is trained in a child process, as a run does it. Each trial kills the child
(SIGKILL) at a random moment and runs it again to its end, on the state that the last whole epoch
left; the checkpoint's bytes are compared.
    python benchmarks/killed_training.py --size 20
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from cf_pipeline.errors import TrainingDiedError
from cf_pipeline.vision.checkpoint import WEIGHTS
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.job import TrainingSpec
from cf_pipeline.vision.training import Listeners
from cf_pipeline.worker import train_in_child

VISION = VisionConfig(
    backbone="resnet_small",
    objective={"name": "pseudo_class", "n_classes": 4},
    image_size=32,
    epochs=10,
    batch_size=16,
    dropout=0.2,
    averaging=0.9,
)
COVERS, FACTORS = 400, 4


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=20, help="kills")
    size = parser.parse_args().size
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        spec = planted(place)
        started = time.monotonic()
        expected, training = trained(spec, place / "undisturbed")
        print(f"undisturbed: {time.monotonic() - started:.1f} s, of it {training:.1f} s of steps")
        n_killed = n_equal = number = 0
        while n_killed < size:
            moment = moments.uniform(0, training)
            killed = end_after(spec, place / f"{number}-killed", moment)
            state = spec.unfinished is not None and spec.unfinished.exists()
            weights, _ = trained(spec, place / str(number))
            n_killed += killed
            n_equal += weights == expected
            print(f"kill {number}: after {moment:.2f} s, killed {killed}, state {state}, "
                  f"equal {weights == expected}", flush=True)  # fmt: skip
            number += 1
            if spec.unfinished:
                spec.unfinished.unlink(missing_ok=True)
    print(json.dumps({"kills": n_killed, "trials": number, "same_weights": n_equal}))


def planted(place: Path) -> TrainingSpec:
    """Covers whose colour says where their project lies, and what is asked for."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(COVERS, FACTORS)).astype(np.float32)
    paths = []
    for number, factor in enumerate(factors):
        colour = tuple(int(c) for c in np.clip(128 + 50 * factor[:3], 0, 255))
        paths.append(str(place / f"{number:03}.png"))
        Image.new("RGB", (48, 48), colour).save(paths[-1])
    n_train = COVERS * 3 // 4
    table = pl.DataFrame({
        "project_id": [f"p{number:03}" for number in range(COVERS)],
        "path": paths,
        "factors": pl.Series(factors, dtype=pl.Array(pl.Float32, FACTORS)),
        "split": ["train"] * n_train + ["validation"] * (COVERS - n_train),
        "width": 48,
        "height": 48,
        "degree": 5,
    })
    scratch = place / "scratch"
    scratch.mkdir()
    table.write_parquet(scratch / "training_set.parquet")
    return TrainingSpec(
        training_set=scratch / "training_set.parquet",
        vision=VISION,
        device="cpu",
        threads=1,
        unfinished=place / "unfinished",
        identity="killed_training",
    )


def trained(spec: TrainingSpec, out: Path) -> tuple[bytes, float]:
    """The checkpoint's bytes, and seconds between the first step and the last."""
    out.mkdir()
    steps: list[float] = []
    heard = Listeners(on_batch=lambda done, total, figures: steps.append(time.monotonic()))
    train_in_child(spec, out, heard)
    return (out / WEIGHTS).read_bytes(), steps[-1] - steps[0] if steps else 0.0


def end_after(spec: TrainingSpec, out: Path, seconds: float) -> bool:
    """Kill the child so long after its first step; whether it had not ended by itself."""
    out.mkdir()
    timers: list[threading.Timer] = []

    def kill() -> None:
        for file in Path("/proc/self/task").glob("*/children"):  # Linux tells a thread's own
            for child in file.read_text().split():
                os.kill(int(child), signal.SIGKILL)

    def on_batch(done: int, total: int, figures: dict[str, float]) -> None:
        if not timers:
            timers.append(threading.Timer(seconds, kill))
            timers[0].start()

    try:
        train_in_child(spec, out, Listeners(on_batch=on_batch))
    except TrainingDiedError:
        return True
    finally:
        for timer in timers:
            timer.cancel()
    return False


if __name__ == "__main__":
    main()
