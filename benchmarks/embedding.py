"""How much of the bare loop's rate does `cf-pipeline embed` keep?

Ours: files nobody has looked at, decoded beside the network, features in the exported form, rows
with what cannot be read, a Parquet file. Bare: decode a batch, run the network, next batch, by the
same threads; the result is thrown away. Where the exported form stands beside ImageNet's features,
the bare loop runs that network, too. Rounds of both alternate; what is told is the median ratio.
    python benchmarks/embedding.py --home data/home --size 1000
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn

import cf_pipeline
from cf_pipeline.benchmark.feature_sets import IMAGENET
from cf_pipeline.models.embedder import Embedder
from cf_pipeline.models.picture_files import embed_files
from cf_pipeline.vision.checkpoint import checkpoint_input
from cf_pipeline.vision.covers import open_cover
from cf_pipeline.vision.devices import choose_device, freed_memory_kept, on_device
from cf_pipeline.vision.geometry import fit_cover, square
from cf_pipeline.vision.networks import CoverInput, CoverRegressor, built, loaded, normalize


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="of a trained model; none: the default home")
    parser.add_argument("--size", type=int, default=1000, help="covers")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = cf_pipeline.load(arguments.home)
    embedder = model.embedder
    covers = embedder.warehouse.frame("covers", ("path",), where="status = 'ok'")["path"]
    files = [Path(path) for path in itertools.islice(itertools.cycle(covers), arguments.size)]
    networks = _networks(embedder)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "embedded.parquet"
        embed_files(embedder, files[:64], out)  # loads the network
        _bare(embedder, networks, files[:64])
        rounds = [
            (
                _rate(lambda: embed_files(embedder, files, out), len(files)),
                _rate(lambda: _bare(embedder, networks, files), len(files)),
            )
            for _ in range(arguments.rounds)
        ]
    print(
        json.dumps({
            "covers": len(files),
            "form": model.form,
            "device": str(choose_device(embedder.configuration.resources.device)),
            "cores": os.cpu_count(),
            "ours_per_second": round(statistics.median(ours for ours, _ in rounds), 1),
            "bare_per_second": round(statistics.median(bare for _, bare in rounds), 1),
            "vs_bare": round(statistics.median(ours / bare for ours, bare in rounds), 3),
        })
    )


def _rate(work: Callable[[], object], n: int) -> float:
    started = time.perf_counter()
    work()
    return n / (time.perf_counter() - started)


def _networks(embedder: Embedder) -> list[tuple[nn.Module, CoverInput]]:
    """Every network that the exported form takes, with its input."""
    network, manifest = embedder.network
    found: list[tuple[nn.Module, CoverInput]] = [(network, checkpoint_input(manifest))]
    if IMAGENET in embedder.space("collaborative").parts:
        chosen = embedder.configuration.baselines.imagenet
        backbone = built(chosen.backbone, chosen.image_size)
        loaded(backbone[0], chosen.backbone)
        whole = CoverRegressor(backbone, n_outputs=1, levels=chosen.backbone.levels)
        shape = square(chosen.image_size)
        found.append((whole, CoverInput(chosen.backbone.normalization(), shape, chosen.fit)))
    return found


def _bare(
    embedder: Embedder, networks: Sequence[tuple[nn.Module, CoverInput]], files: Sequence[Path]
) -> None:
    resources = embedder.configuration.resources
    device, step = choose_device(resources.device), resources.embedding_batch
    for network, wanted in networks:
        ready = on_device(network.eval(), device)

        def decode(path: Path, wanted: CoverInput = wanted) -> np.ndarray:
            return fit_cover(open_cover(path), wanted.shape, wanted.fit)

        with (
            ThreadPoolExecutor(resources.n_threads) as pool,
            freed_memory_kept(device),
            torch.inference_mode(),
        ):
            for start in range(0, len(files), step):
                covers = np.stack(list(pool.map(decode, files[start : start + step])))
                batch = normalize(torch.from_numpy(covers).to(device), wanted.normalization)
                for tensor in ready(batch):
                    tensor.cpu()


if __name__ == "__main__":
    main()
