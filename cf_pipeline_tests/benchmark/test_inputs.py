"""From tables of a warehouse to what is judged and scored."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import SHIPPED
from cf_pipeline.benchmark.inputs import PoolInputs, SimilarityInputs, TruthRules
from cf_pipeline.benchmark.pool import PoolRules
from cf_pipeline.errors import DataError

IDS = ["a", "b", "c", "z"]
RULES = TruthRules(("view",), ("robot",), "owner:{owner}", min_degree=2)


class Shelf:
    """Tables in DuckDB, read as a stage reads them."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()

    def __call__(self, table: str, *columns: str, where: str | None = None) -> pl.DataFrame:
        names = ", ".join(columns) or "*"
        return self.connection.sql(f"select {names} from {table} where {where or 'true'}").pl()

    def put(self, table: str, rows: pl.DataFrame) -> None:
        self.connection.register("rows", rows)
        self.connection.execute(f"create or replace table {table} as from rows")


def vectors(start: float, ids: list[str] = IDS, **columns: str) -> pl.DataFrame:
    features = [[start + row, 1.0] for row in range(len(ids))]
    return pl.DataFrame(
        {"project_id": ids, "features": features},
        schema_overrides={"features": pl.List(pl.Float32)},
    ).with_columns(**{name: pl.lit(value) for name, value in columns.items()})


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.put(
        "raw_interactions",
        pl.DataFrame(
            [
                ("u", "a", "view"),
                ("u", "a", "view"),
                ("v", "z", "view"),
                ("owner:x", "a", "view"),
                ("owner:x", "b", "view"),
                ("robot", "b", "view"),
                ("u", "b", "share"),
            ],
            schema=["user_id", "project_id", "kind"],
            orient="row",
        ),
    )
    n = len(IDS)
    shelf.put(
        "raw_projects",
        pl.DataFrame(
            {
                "project_id": IDS,
                "title": ["t"] * n,
                "owners": [None, ["y"], None, ["x"]],
                **dict.fromkeys(("split_group", "stratum", "field"), [None] * n),
            },
            schema_overrides={
                "owners": pl.List(pl.String),
                **dict.fromkeys(("split_group", "stratum", "field"), pl.String),
            },
        ),
    )
    shelf.put(
        "covers",
        # The cover of z is that of a, byte for byte.
        pl.DataFrame({
            "project_id": IDS,
            "sha256": ["1", "2", "3", "1"],
            "status": ["ok"] * n,
            "path": [f"{id_}.png" for id_ in IDS],
            "look_group": IDS,
            "look_component": IDS,
        }),
    )
    splits = ["train", "train", "test", "train"]
    shelf.put("project_split", pl.DataFrame({"project_id": IDS, "split": splits}))
    factors = vectors(0.0, ["a", "b", "u"]).rename({"project_id": "id", "features": "factors"})
    shelf.put(
        "latent_factors", factors.with_columns(side=pl.Series(["project", "project", "user"]))
    )
    shelf.put(
        "embeddings",
        pl.concat([
            vectors(start, model_version=model).with_columns(predicted_factors="features")
            for start, model in ((10.0, "old"), (20.0, "new"))
        ]),
    )
    for table, start in (("imagenet_embeddings", 30.0), ("ridge_embeddings", 40.0)):
        names = [row.name for row in SHIPPED if row.table == table]
        sets = [vectors(start + step, feature_set=name) for step, name in enumerate(names)]
        shelf.put(table, pl.concat(sets))
    shelf.put(
        "simple_embeddings",
        pl.concat([vectors(50.0, feature_set="random"), vectors(60.0, feature_set="color")]),
    )
    theirs = vectors(0.0, feature_set="user:theirs").with_columns(in_place_of_covers=False)
    shelf.put("user_embeddings", theirs.clear())
    return shelf


def test_who_is_judged_and_by_what(shelf: Shelf) -> None:
    inputs = PoolInputs.read(shelf, RULES)
    # Each pair once, duplicates as one; x owns z and so a: neither that nor a robot's counts.
    assert inputs.events.rows() == [("owner:x", "b"), ("u", "a"), ("v", "a")]
    assert dict(inputs.representatives.iter_rows()) == {"a": "a", "b": "b", "c": "c", "z": "a"}
    assert inputs.factors.ids == ("a", "b")
    assert inputs.min_degree == 2
    catalog = inputs.catalog()
    assert catalog["project_id"].to_list() == ["a", "b", "c"]
    assert catalog["has_factors"].to_list() == [True, True, False]
    assert catalog["owners"].to_list() == [["x"], ["y"], None]
    config = BenchmarkConfig(max_queries=7, max_candidates=9, seed=3)
    assert inputs.pool_rules(config) == PoolRules(2, 7, 9, 3)


def test_every_row_that_has_vectors_is_read_of_the_model_asked_for(shelf: Shelf) -> None:
    inputs = SimilarityInputs.read(shelf, RULES, "new")
    first = {name: float(v.vectors[0, 0]) for name, v in inputs.features.items()}
    assert first == {
        "collaborative": 20.0,
        "predicted_factors": 20.0,
        "imagenet": 30.0,
        "imagenet_levels": 31.0,
        "imagenet_ridge": 40.0,
        "imagenet_levels_ridge": 41.0,
        "random": 50.0,
        "color": 60.0,
    }
    assert inputs.judged.events.equals(PoolInputs.read(shelf, RULES).events)


@pytest.mark.parametrize("name", ["user:mine", "my_lab.features:Gist"])
def test_sets_from_outside_join_by_themselves(shelf: Shelf, name: str) -> None:
    longer = vectors(70.0, feature_set=name).with_columns(
        features=pl.lit([1.0, 2.0, 3.0], pl.List(pl.Float32))
    )
    shelf.put("simple_embeddings", pl.concat([shelf("simple_embeddings"), longer]))
    inputs = SimilarityInputs.read(shelf, RULES, "new")
    assert inputs.features[name].n_dimensions == 3
    assert len(inputs.features) == 9


@pytest.mark.parametrize("name", ["imagenet", "ensemble", "chance"])
def test_a_name_that_is_taken_is_refused(shelf: Shelf, name: str) -> None:
    more = pl.concat([shelf("simple_embeddings"), vectors(70.0, feature_set=name)])
    shelf.put("simple_embeddings", more)
    with pytest.raises(DataError, match=rf"\['{name}'\], which are rows of the scoreboard"):
        SimilarityInputs.read(shelf, RULES, "new")


def test_what_nobody_made_is_named(shelf: Shelf) -> None:
    with pytest.raises(DataError, match="embeddings holds no vectors of collaborative"):
        SimilarityInputs.read(shelf, RULES, "nobody")
    shelf.put("ridge_embeddings", vectors(1.0, feature_set="another"))
    with pytest.raises(DataError, match="ridge_embeddings holds no vectors of imagenet_ridge"):
        SimilarityInputs.read(shelf, RULES, "new")
    inputs = PoolInputs.read(shelf, RULES)
    with pytest.raises(DataError, match=r"\['random', 'color'"):
        SimilarityInputs(inputs, {})


def test_an_owner_is_written_by_the_pattern(shelf: Shelf) -> None:
    everyone = TruthRules(("view",))
    assert PoolInputs.read(shelf, everyone).events.height == 5
