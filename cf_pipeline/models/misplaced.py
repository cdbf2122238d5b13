"""Where a model is wrong: held-out covers that it places far from where their users put them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.factorization.cluster_examples import surest_words
from cf_pipeline.models.lineage import Lineage
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import Matrix, Vector, indexed, unit_norm

MIN_COVERS = 5
"""A field or cluster with fewer held-out covers is not told: its mean says little."""
_N_WORDS = 3


@dataclass(frozen=True)
class Misplaced:
    """How far held-out covers land from where they belong.

    A distance is one minus the cosine of predicted to folded-in factors, both less the mean of the
    train factors: 0 is the same direction, 1 is unrelated.

    Attributes:
        covers: `project_id, title, field, cluster, n_users, distance`, farthest first.
        others: mean distance of a prediction to the factors of the other held-out covers.
        words: of each cluster, by its number.
    """

    covers: pl.DataFrame
    others: float
    words: dict[int, str]

    @property
    def mean(self) -> float:
        """Mean distance over all held-out covers."""
        return float(np.mean(self.covers["distance"].to_numpy()))

    def by(self, column: str) -> pl.DataFrame:
        """Mean distance of every field or cluster of MIN_COVERS: `column, n_covers, distance`."""
        grouped = self.covers.drop_nulls(column).group_by(column)
        rows = grouped.agg(n_covers=pl.len(), distance=pl.col("distance").mean())
        enough = rows.filter(pl.col("n_covers") >= MIN_COVERS)
        return enough.sort(["distance", column], descending=[True, False])


def misplaced(
    warehouse: Warehouse, model: str, target_mean: list[float], lineage: Lineage
) -> Misplaced | None:
    """Distances of the test covers of a model that it was neither trained nor chosen on.

    Args:
        warehouse: of the home.
        model: a model version.
        target_mean: of the train factors, as its manifest says.
        lineage: of the model.

    Returns:
        None where there is nothing to compare: no such cover has factors and an embedding, or
        factors were fitted anew since the model was trained.
    """
    record = warehouse.record("latent_factors")
    fitted = {m.data_version for m in lineage.made if m.asset == "latent_factors"}
    if record is None or record.data_version not in fitted:
        return None
    projects = _held_out(warehouse, model)
    if projects.height < 2:
        return None
    ids = projects["project_id"].to_list()
    predicted = indexed(projects, "project_id", "predicted_factors").rows(ids)
    actual = indexed(projects, "project_id", "factors").rows(ids)
    actual -= np.array(target_mean, dtype=np.float32)
    covers = projects.drop("predicted_factors", "factors")
    covers = covers.with_columns(distance=distances(predicted, actual))
    ordered = covers.sort(["distance", "project_id"], descending=[True, False])
    return Misplaced(ordered, _to_others(predicted, actual), _words(warehouse))


def distances(predicted: Matrix, actual: Matrix) -> Vector:
    """One minus the cosine of every row to its own, (n, k) and (n, k) to (n,), 0 to 2.

    Args:
        predicted: places from pixels, the mean of the train factors taken away.
        actual: places from what people did, the same taken away.
    """
    cosines = (unit_norm(predicted) * unit_norm(actual)).sum(axis=1, dtype=np.float64)
    apart: Vector = np.clip(1 - cosines, 0, 2).astype(np.float32)
    return apart


def _to_others(predicted: Matrix, actual: Matrix) -> float:
    """The mean distance of a row to all other rows."""
    given, wanted = (unit_norm(rows).astype(np.float64) for rows in (predicted, actual))
    n = len(given)
    cosines = given.sum(axis=0) @ wanted.sum(axis=0) - (given * wanted).sum()
    return float(1 - cosines / (n * (n - 1)))


def _held_out(warehouse: Warehouse, model: str) -> pl.DataFrame:
    test = warehouse.frame("project_split", ("project_id",), where="split = 'test'")
    of_model = equals("model_version", model)
    seen = warehouse.frame("trained_on", ("project_id",), where=of_model)
    columns = ("project_id", "predicted_factors")
    predicted = warehouse.frame("embeddings", columns, where=of_model)
    factors = warehouse.frame("latent_factors", ("id", "factors"), where="side = 'project'")
    users = warehouse.frame("pruned_matrix", ("project_id",)).group_by("project_id")
    facts = warehouse.frame("raw_projects", ("project_id", "title", "field"))
    clusters = pl.DataFrame(schema={"id": pl.String, "cluster": pl.Int32})
    if warehouse.has("latent_clusters"):
        where = "side = 'project'"
        clusters = warehouse.frame("latent_clusters", ("id", "cluster"), where=where)
    return (
        test
        .join(seen, on="project_id", how="anti")
        .join(predicted, on="project_id")
        .join(factors.rename({"id": "project_id"}), on="project_id")
        .join(facts, on="project_id", how="left")
        .join(clusters.rename({"id": "project_id"}), on="project_id", how="left")
        .join(users.agg(n_users=pl.len()), on="project_id", how="left")
        .with_columns(pl.col("n_users").fill_null(0))
        .sort("project_id")
    )


def _words(warehouse: Warehouse) -> dict[int, str]:
    """The words that tell a cluster apart most, by its number."""
    if not warehouse.has("cluster_words"):
        return {}
    best = surest_words(warehouse.frame("cluster_words", ("cluster", "word", "z")))
    told = best.group_by("cluster", maintain_order=True).agg(pl.col("word").head(_N_WORDS))
    return {cluster: ", ".join(words) for cluster, words in told.iter_rows()}
