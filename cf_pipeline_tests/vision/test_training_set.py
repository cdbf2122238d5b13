import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.vision.training_set import example_covers, select_training_set


@pytest.fixture
def tables():
    """Four train, two validation and two test projects."""
    ids = [f"p{i}" for i in range(8)]
    split = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    return {
        "factors": pl.DataFrame({
            "id": ids,
            "factors": pl.Series([[i, -i] for i in range(8)], dtype=pl.Array(pl.Float32, 2)),
            "folded_in": [s != "train" for s in split],
        }),
        "covers": pl.DataFrame({
            "project_id": ids,
            "path": [f"{i}.png" for i in ids],
            "sha256": [f"sha-{i}" for i in ids],
            "status": ["ok"] * 8,
            "width": [20] * 8,
            "height": range(30, 38),
        }),
        "split": pl.DataFrame({"project_id": ids, "split": split}),
        "degrees": pl.DataFrame({"project_id": ids, "degree": range(10, 18)}),
    }


def with_value(table, id_column, id_, column, value):
    return table.with_columns(
        pl
        .when(pl.col(id_column) == id_)
        .then(pl.lit(value))
        .otherwise(pl.col(column))
        .alias(column)
    )


def test_train_and_validation_with_their_factors_and_no_test_project(tables):
    kept = select_training_set(**{k: v.reverse() for k, v in tables.items()})
    assert kept["project_id"].to_list() == [f"p{i}" for i in range(6)]
    assert kept["split"].to_list() == ["train"] * 4 + ["validation"] * 2
    assert kept.row(3, named=True) == {
        "project_id": "p3",
        "sha256": "sha-p3",
        "factors": [3.0, -3.0],
        "degree": 13,
        "split": "train",
        "width": 20,
        "height": 33,
        "path": "p3.png",
    }


@pytest.mark.parametrize("status", ["unreadable", "missing"])
def test_projects_without_a_readable_cover_or_a_factor_are_left_out(tables, status):
    tables["covers"] = with_value(tables["covers"], "project_id", "p1", "status", status)
    tables["factors"] = tables["factors"].filter(pl.col("id") != "p2")
    kept = select_training_set(**tables)
    assert kept["project_id"].to_list() == ["p0", "p3", "p4", "p5"]


@pytest.mark.parametrize(
    ("id_", "folded_in"),
    [("p2", True), ("p4", False), ("p7", False)],
    ids=["train folded in", "validation factorized", "test factorized"],
)
def test_a_planted_leak_is_refused(tables, id_, folded_in):
    tables["factors"] = with_value(tables["factors"], "id", id_, "folded_in", folded_in)
    with pytest.raises(DataError, match=rf"1 projects .*first is '{id_}'.*latent_factors again"):
        select_training_set(**tables)


def test_a_split_that_is_newer_than_the_factors_is_refused(tables):
    tables["split"] = with_value(tables["split"], "project_id", "p6", "split", "train")
    with pytest.raises(DataError, match="factorized as one split and held out as another"):
        select_training_set(**tables)


@pytest.mark.parametrize("half", ["train", "validation"])
def test_an_empty_half(tables, half):
    gone = tables["split"].filter(split=half)["project_id"]
    tables["covers"] = tables["covers"].filter(~pl.col("project_id").is_in(gone.implode()))
    with pytest.raises(DataError, match=f"training_set has no {half} projects"):
        select_training_set(**tables)


def test_examples_are_train_covers_and_the_same_for_the_same_table(tables):
    kept = select_training_set(**tables)
    some = example_covers(kept, 3)
    assert len(set(some)) == 3
    assert {path.name for path in some} <= {f"p{i}.png" for i in range(4)}
    assert example_covers(kept, 3) == some
    assert len(example_covers(kept, 99)) == 4
