"""The two pictures of the README, from a home that `make demo` has filled.

Clusters: those whose words tell them apart most surely, one for each first word. Retrieval: the
best, the median and the worst held-out query by nDCG at 10 of the chosen layer, ours and ImageNet's
neighbours.
    python benchmarks/readme_pictures.py --home data/home
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl

import cf_pipeline
from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET
from cf_pipeline.factorization.cluster_examples import ClusterExample, cluster_examples
from cf_pipeline.figures.panels import captioned_rows, retrieval_panel
from cf_pipeline.gallery.choosing import nearest_of, picked_queries, primary_measure
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse

DOCS = Path(__file__).parents[1] / "docs"
N_CLUSTERS = 4


def main() -> None:
    """Write both, and print one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="of a finished run; none: the default home")
    parser.add_argument("--size", type=int, default=N_CLUSTERS, help="clusters")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures")
    arguments = parser.parse_args()
    model = cf_pipeline.load(arguments.home)
    warehouse = model.embedder.warehouse
    pictures = {
        "clusters.png": clusters(warehouse, arguments.size),
        "retrieval.png": retrieval(warehouse, model.version),
    }
    for name, png in pictures.items():
        (arguments.out / name).write_bytes(png)
    print(json.dumps({name: len(png) for name, png in pictures.items()}))


def clusters(warehouse: Warehouse, n: int) -> bytes:
    """Covers nearest to the centres, under the words."""
    words = warehouse.frame("cluster_words")
    surest = words.group_by("cluster").agg(pl.col("z").max()).sort("z", "cluster", descending=True)
    covers = warehouse.frame("covers", ("project_id", "path", "look_group"), "status = 'ok'")
    every = cluster_examples(warehouse.frame("latent_clusters"), words, covers)
    examples = {example.cluster: example for example in every}
    by_word: dict[str, ClusterExample] = {}
    for cluster in surest["cluster"]:
        by_word.setdefault(examples[cluster].words[0], examples[cluster])
    shown = list(by_word.values())[:n]
    title = "Clusters of latent space, and the words that tell them apart"
    return captioned_rows([e.covers for e in shown], [e.caption for e in shown], title)


def retrieval(warehouse: Warehouse, model: str) -> bytes:
    """Best, median and worst query, a row of ours and a row of ImageNet's each."""
    of_model = equals("model_version", model)
    scores = warehouse.frame("similarity_scores", where=of_model).filter(split="test")
    measure = primary_measure(scores)
    layer = scores.filter("chosen")["feature_set"][0]
    values = warehouse.frame("similarity_queries", where=of_model)
    values = values.filter(split="test", measure=measure)
    picked = picked_queries(values.filter(feature_set=layer), n=1)
    projects = warehouse.frame("raw_projects", ("project_id", "title"))
    paths = {
        project: Path(path)
        for project, path in warehouse.frame(
            "covers", ("project_id", "path"), "status = 'ok'"
        ).iter_rows()
    }
    titles = dict(projects.iter_rows())
    neighbours = warehouse.frame("similar_projects", where=of_model)
    rows, captions = [], []
    for which, queries in picked.items():
        for name, space, scored in (
            ("ours", COLLABORATIVE, layer),
            ("ImageNet", IMAGENET, IMAGENET),
        ):
            (query,) = queries
            near = nearest_of(neighbours, space, [query], paths)[query]
            value = values.filter(feature_set=scored, project_id=query)["value"].item()
            rows.append([paths[project] for project in (query, *near)])
            captions.append(f"{titles[query] or query}, {name}: {measure} {value:.2f} ({which})")
    return retrieval_panel(rows, captions, "Held-out queries (left) and what lies nearest")


if __name__ == "__main__":
    main()
