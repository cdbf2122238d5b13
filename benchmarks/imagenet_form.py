"""In which form are ImageNet features strongest? Sizes, cropping, and centring, on validation.

Reads a home in which the pipeline has run; writes nothing to it.
    python benchmarks/imagenet_form.py --home data/home --size 0
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Literal, get_args

from cf_pipeline.baselines.config import BaselinesConfig
from cf_pipeline.baselines.imagenet import imagenet_features
from cf_pipeline.benchmark.features import Form, formed_on
from cf_pipeline.benchmark.pool import build_catalog, build_pool
from cf_pipeline.benchmark.queries import measures_of, score_features
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth, truth_events, united_projects
from cf_pipeline.interactions.pruning import representatives
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.sources.purposes import owner_users, truth_kinds
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline.vision.devices import Execution

Shape = tuple[int, Literal["crop", "pad", "squash"]]
SHAPES: tuple[Shape, ...] = (
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
    dataset = load_dataset(configuration.dataset)
    warehouse = Warehouse(home.warehouse_path)
    projects, covers = warehouse.frame("raw_projects"), warehouse.frame("covers")
    stands_for = representatives(covers)
    events = truth_events(
        warehouse.frame("raw_interactions"),
        truth_kinds=truth_kinds(dataset),
        excluded_users=dataset.users.exclude_users,
        representatives=stands_for,
        owner_users=owner_users(dataset, projects),
    )
    splits = warehouse.frame("project_split")
    factor_ids = warehouse.frame("latent_factors", where="side = 'project'")["id"].to_list()
    catalog = build_catalog(united_projects(projects, stands_for), covers, splits, factor_ids)
    pool = build_pool(build_truth(events), catalog, "validation", dataset.truth.min_degree)
    train = warehouse.frame("training_set", where="split = 'train'")["project_id"].to_list()
    train = train[: arguments.size or None]
    ids = tuple(sorted({*train, *pool.project_ids}))
    path_of = dict(covers.select("project_id", "path").iter_rows())
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        how = Execution.of("auto", configuration.resources.n_threads, Path(scratch))
        for side, fit in SHAPES:
            config = BaselinesConfig(imagenet_image_size=side, imagenet_fit=fit)
            extractor = imagenet_features(config, how)
            vectors = IndexedVectors(ids, extractor.extract([Path(path_of[i]) for i in ids]))
            for form in get_args(Form):
                rows = formed_on(form, tuple(train), vectors).rows(pool.project_ids)
                values = score_features(
                    pool,
                    {"imagenet": CosineScorer.of(rows)},
                    measures_of(pool),
                    n_triplets=configuration.benchmark.n_triplets,
                    seed=configuration.benchmark.seed,
                )
                name = f"{side} {fit} {form}"
                figures[name] = {
                    measure: float(columns[~(columns != columns)].mean())
                    for measure, columns in values.values.items()
                }
                print(name, {k: round(v, 4) for k, v in figures[name].items()}, flush=True)
    best = max(figures, key=lambda name: figures[name]["ndcg_at_10"])
    print(json.dumps({"validation_projects": len(pool.project_ids), "best": best, **figures}))


if __name__ == "__main__":
    main()
