"""Folds pooled into one table: against a slow twin, and what is refused."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.pooling import POOLED_SCHEMA, pooled_table
from cf_pipeline.errors import DataError

REFERENCES = ("imagenet", "imagenet_ridge", "imagenet_levels_ridge")
SETS = ("chance", *REFERENCES, "collaborative", "predicted_factors")
CHOSEN = {"0": "collaborative", "1": "predicted_factors", "2": "collaborative"}
LAYERS = pl.DataFrame({"fold": list(CHOSEN), "feature_set": list(CHOSEN.values())})


def folds(measures: tuple[str, ...] = ("triplet_accuracy", "ndcg_at_10")) -> pl.DataFrame:
    """Three folds of different sizes, whose groups bear the same numbers."""
    rng = np.random.default_rng(0)
    rows = []
    for fold, n in (("0", 20), ("1", 31), ("2", 12)):
        for row in range(n):
            for measure in measures:
                # The second measure leaves some queries out.
                if measure == measures[-1] and row % 4 == 0:
                    continue
                rows += [
                    {
                        "fold": fold,
                        "feature_set": name,
                        "measure": measure,
                        "project_id": f"f{fold}p{row}",
                        "bootstrap_group": row // 3,
                        "value": rng.random(),
                    }
                    for name in SETS
                ]
    return pl.DataFrame(rows)


def slow_row(queries: pl.DataFrame, name: str, measure: str, reference: str) -> dict:
    """One row in loops: whole groups are drawn, and their queries strung together."""
    value = {
        (r["fold"], r["project_id"], r["feature_set"]): r["value"]
        for r in queries.filter(measure=measure).iter_rows(named=True)
    }
    members = defaultdict(list)
    ours = []
    for fold, project, group in (
        queries
        .filter(measure=measure)
        .select("fold", "project_id", "bootstrap_group")
        .unique()
        .sort("fold", "bootstrap_group", "project_id")
        .iter_rows()
    ):
        layer = CHOSEN[fold] if name == "chosen" else name
        mine = value[fold, project, layer]
        ours.append(mine)
        members[fold, group].append(mine - value[fold, project, reference])
    groups = list(members.values())
    rng = np.random.default_rng(7)
    drawn = rng.integers(0, len(groups), size=(300, len(groups)))
    means = [np.concatenate([groups[g] for g in row]).mean() for row in drawn]
    return {
        "value": np.mean(ours),
        "difference": np.concatenate(groups).mean(),
        "low": np.percentile(means, 2.5),
        "high": np.percentile(means, 97.5),
        "n_queries": len(ours),
        "n_groups": len(groups),
    }


def test_every_row_equals_its_slow_twin() -> None:
    queries = folds()
    table = pooled_table(queries, LAYERS, n_resamples=300, seed=7)
    assert table.schema == POOLED_SCHEMA
    for row in table.iter_rows(named=True):
        slow = slow_row(queries, row["feature_set"], row["measure"], row["reference"])
        for figure, expected in slow.items():
            assert row[figure] == pytest.approx(expected), (row, figure)
    # Seven groups, eleven and four: equal numbers in two homes are two groups.
    assert table.filter(measure="triplet_accuracy")["n_groups"].unique().to_list() == [22]


def test_one_row_per_set_measure_and_reference_and_the_chosen_layers_last() -> None:
    table = pooled_table(folds(), LAYERS, n_resamples=100, seed=0)
    of_triplets = table.filter(measure="triplet_accuracy")
    assert of_triplets.select("feature_set", "reference").rows() == [
        (name, reference)
        for name in (*SETS, "chosen")
        for reference in REFERENCES
        if name != reference
    ]
    assert table["measure"].unique(maintain_order=True).to_list() == [
        "ndcg_at_10",
        "triplet_accuracy",
    ]
    assert set(table.filter("chosen")["feature_set"]) == {"chosen"}


def test_the_order_of_rows_does_not_matter() -> None:
    queries = folds()
    table = pooled_table(queries, LAYERS, n_resamples=100, seed=0)
    shuffled = queries.sample(fraction=1, shuffle=True, seed=1)
    assert pooled_table(shuffled, LAYERS, n_resamples=100, seed=0).equals(table)


def test_a_set_that_some_folds_lack_is_paired_where_it_is() -> None:
    queries = folds(("triplet_accuracy",))
    rare = queries.filter((pl.col("feature_set") != "chance") | (pl.col("fold") != "1"))
    table = pooled_table(rare, LAYERS, n_resamples=100, seed=0)
    row = table.filter(feature_set="chance", reference="imagenet").row(0, named=True)
    kept = queries.filter(pl.col("fold") != "1").pivot(
        on="feature_set", index="project_id", values="value"
    )
    assert row["n_queries"] == kept.height == 24
    assert row["value"] == pytest.approx(kept["chance"].mean())
    assert row["difference"] == pytest.approx((kept["chance"] - kept["imagenet"]).mean())


def test_one_group_has_no_interval() -> None:
    queries = folds(("triplet_accuracy",)).filter(fold="0", bootstrap_group=0)
    table = pooled_table(queries, LAYERS.filter(fold="0"), n_resamples=100, seed=0)
    assert table["low"].null_count() == table.height
    assert table["difference"].null_count() == 0


def test_a_project_is_queried_in_one_fold() -> None:
    queries = folds()
    again = queries.filter(fold="0", project_id="f0p1").with_columns(fold=pl.lit("1"))
    with pytest.raises(DataError, match=r"1 are in several, the first is 'f0p1'.*split\.fold"):
        pooled_table(pl.concat([queries, again]), LAYERS, n_resamples=100, seed=0)


@pytest.mark.parametrize(
    ("kept", "layers", "words"),
    [
        (pl.col("feature_set") != "imagenet_ridge", LAYERS, r"\['imagenet_ridge'\] are missing"),
        (pl.col("feature_set") != "predicted_factors", LAYERS, r"fold 1.*predicted_factors"),
        (pl.lit(True), LAYERS.head(2), r"fold 2: expected rows of one chosen layer"),
        (pl.lit(True), pl.concat([LAYERS, LAYERS]), r"fold 0: expected rows of one chosen layer"),
    ],
)
def test_a_fold_that_cannot_be_pooled_is_named(kept, layers, words) -> None:
    with pytest.raises(DataError, match=words):
        pooled_table(folds().filter(kept), layers, n_resamples=100, seed=0)


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="'bootstrap_group'"):
        pooled_table(folds().drop("bootstrap_group"), LAYERS, n_resamples=100, seed=0)
