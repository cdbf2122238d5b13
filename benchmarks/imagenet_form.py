"""In which form are ImageNet features strongest? Sizes, cropping, and centring, on validation.

Reads a home in which the pipeline has run; writes nothing to it.
    python benchmarks/imagenet_form.py --home data/home --size 0
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import get_args

import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.features import Form, formed_on
from cf_pipeline.benchmark.inputs import PoolInputs, TruthRules, train_ids
from cf_pipeline.benchmark.pool import Pool, build_pool
from cf_pipeline.benchmark.queries import measures_of, score_features
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.home import Home
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline.vision.config import Fit
from cf_pipeline.vision.devices import Execution

SHAPES: tuple[tuple[int, Fit], ...] = (
    (128, "crop"),
    (160, "crop"),
    (192, "crop"),
    (224, "crop"),
    (160, "pad"),
    (160, "squash"),
)


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--size", type=int, default=0, help="train covers for centring; 0: all")
    arguments = parser.parse_args()
    home = Home.locate(arguments.home)
    configuration = resolve(Choices.read(home.config_path))
    warehouse = warehouse_of(home)

    def frame(table: str, *columns: str, where: str | None = None) -> pl.DataFrame:
        return warehouse.frame(table, columns, where=where)

    truth = load_dataset(configuration.dataset).sections()["dataset.truth"]
    inputs = PoolInputs.read(frame, TruthRules.of(truth))
    catalog = inputs.catalog()
    rules = inputs.pool_rules(configuration.benchmark)
    pool = build_pool(build_truth(inputs.events), catalog, "validation", rules)
    train = train_ids(catalog)[: arguments.size or None]
    ids = tuple(sorted({*train, *pool.project_ids}))
    path_of = dict(frame("covers", "project_id", "path").iter_rows())
    paths = [Path(path_of[project]) for project in ids]
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        how = Execution.of("auto", configuration.resources.n_threads, Path(scratch))
        for side, fit in SHAPES:
            shape = {"image_size": side, "fit": fit}
            features = configuration.baselines.imagenet.model_copy(update=shape)
            vectors = IndexedVectors(ids, features.extract(paths, how))
            for form in get_args(Form):
                name = f"{side} {fit} {form}"
                formed = formed_on(form, train, vectors)
                figures[name] = scored(pool, formed, configuration.benchmark)
                print(name, {k: round(v, 4) for k, v in figures[name].items()}, flush=True)
    best = max(figures, key=lambda name: figures[name]["ndcg_at_10"])
    print(json.dumps({"validation_projects": len(pool.project_ids), "best": best, **figures}))


def scored(pool: Pool, vectors: IndexedVectors, config: BenchmarkConfig) -> dict[str, float]:
    """Measure to its mean over the queries of a pool."""
    scorers = {"imagenet": CosineScorer.of(vectors.rows(pool.project_ids))}
    measures = measures_of(pool)
    values = score_features(pool, scorers, measures, n_triplets=config.n_triplets, seed=config.seed)
    return {measure: values.mean("imagenet", measure) for measure in measures}


if __name__ == "__main__":
    main()
