"""What `publish` refuses, and that nothing is changed when it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, cast

import duckdb
import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.storage.checking import check_rows
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.schema import ANY_PATH, Column, Table
from cf_pipeline.storage.tables import TABLES as DECLARED
from cf_pipeline.storage.warehouse import Warehouse

Drafts = Callable[..., Draft]
Published = tuple[Warehouse, dict[str, list[Any]]]

SCORES: dict[str, Any] = {
    "model_version": ["m"],
    "split": ["test"],
    "feature_set": ["color"],
    "measure": ["ndcg_at_10"],
    "value": [0.5],
    "low": [0.4],
    "high": [0.6],
    "n_queries": [10],
    "n_groups": [5],
    "chosen": [False],
}
FACTORS: dict[str, Any] = {
    "side": ["user", "user"],
    "id": ["1", "2"],
    "factors": [[1.0, 2.0], [3.0, 4.0]],
    "folded_in": [False, False],
}
DIFFERENCES = (
    "SELECT '' AS model_version, '' AS split, '' AS feature_set, '' AS reference, '' AS measure, "
    "0.0 AS difference, 0.0 AS low, 0.0 AS high LIMIT 0"
)
QUERIES = (
    "SELECT '' AS model_version, '' AS split, '' AS feature_set, '' AS measure, '' AS project_id, "
    "0 AS bootstrap_group, 0.0 AS value LIMIT 0"
)
FORMS = (
    "SELECT '' AS model_version, '' AS form, '' AS measure, 0.0 AS value, 0 AS n_queries, "
    "true AS exported LIMIT 0"
)
LEAKS = (
    "SELECT '' AS model_version, '' AS split, '' AS feature_set, '' AS quantity, "
    "0.0 AS correlation, 0 AS n_projects LIMIT 0"
)
COMPANIONS = {
    "similarity_differences": DIFFERENCES,
    "similarity_queries": QUERIES,
    "exported_forms": FORMS,
    "popularity_leaks": LEAKS,
}

TABLES = (
    "latent_factors",
    "similarity_scores",
    "similarity_differences",
    "similarity_queries",
    "exported_forms",
    "popularity_leaks",
    "project_split",
    "asset_records",
    "record_history",
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A warehouse with rows that no refused write may change, and all of them."""
    warehouse = Warehouse(tmp_path_factory.mktemp("published") / "warehouse.duckdb", threads=1)
    draft = Draft("", "code", "config", {}, "run-1", datetime(2026, 1, 1, tzinfo=UTC), 1.0)
    publish = partial(_publish, warehouse, draft)
    publish("latent_factors", {"latent_factors": pl.DataFrame(FACTORS)})
    scores = {"similarity_scores": pl.DataFrame(SCORES), **COMPANIONS}
    publish("similarity_scores", scores, "m")
    split = "SELECT 'a' AS project_id, 'train' AS split"
    publish("project_split", {"project_split": split})
    rows = everything(warehouse)
    assert sorted(rows) == sorted(TABLES)
    return warehouse, rows


def _publish(
    warehouse: Warehouse,
    draft: Draft,
    asset: str,
    tables: dict[str, pl.DataFrame | str],
    scope: str | None = None,
) -> None:
    warehouse.publish(replace(draft, asset=asset), Write(tables, scope=scope))


def everything(warehouse: Warehouse) -> dict[str, list[Any]]:
    with warehouse.read() as connection:
        names = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
        return {name: connection.execute(f"FROM {name}").fetchall() for name in names}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"side": ["user", "owner"]},
            r"side: 1 rows hold none of the words project, user, .*'owner'",
        ),
        ({"id": ["1", "1"]}, r"\('user', '1'\) occurs 2 times"),
        ({"id": ["1", None]}, "id: 1 rows hold no value"),
        ({"id": [1, 2]}, "id expects VARCHAR, but the values are BIGINT"),
        ({"factors": [[1.0, 2.0], None]}, "factors: 1 rows hold no value"),
        ({"factors": [[1.0, 2.0], [1.0]]}, "vectors of 1 to 2 floats; expected one length"),
        ({"factors": [[1.0, 2.0], [1.0, None]]}, "NaN, infinity or a gap"),
        ({"factors": [[1.0, 2.0], [1.0, float("nan")]]}, "NaN, infinity or a gap"),
        ({"factors": [[1.0, float("inf")], [1.0, float("-inf")]]}, "2 rows hold"),
        ({"factors": [[], []]}, "an empty vector"),
        ({"factors": ["1, 2", "3, 4"]}, r"factors expects FLOAT\[n\], but the values are VARCHAR"),
        ({"folded_in": [0, 1]}, "folded_in expects BOOLEAN"),
        ({"more": [1, 2]}, "missing: none, not declared: more"),
        ({"folded_in": None}, "missing: folded_in, not declared: none"),
    ],
)
def test_rows_that_break_a_rule_are_refused_and_nothing_changes(
    published: Published, draft: Drafts, changes: dict[str, Any], message: str
) -> None:
    warehouse, before = published
    rows = {name: value for name, value in {**FACTORS, **changes}.items() if value is not None}
    with pytest.raises(DataError, match=message):
        warehouse.publish(draft("latent_factors"), Write({"latent_factors": pl.DataFrame(rows)}))
    assert everything(warehouse) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_set": ["colour"]}, r"feature_set: 1 rows hold none of the words .*'colour'"),
        ({"feature_set": ["user:"]}, "feature_set: 1 rows hold none of .*'user:'"),
        ({"measure": ["recall_at_20"]}, "measure: 1 rows hold none of .*'recall_at_20'"),
        ({"split": ["dev"]}, "split: 1 rows hold none of the words test, train, validation"),
        ({"value": [float("nan")]}, "value: 1 rows hold NaN or infinity"),
        ({"n_queries": [1.5]}, "n_queries expects BIGINT, but the values are DOUBLE"),
        ({"model_version": ["other"]}, "hold another value than 'm'"),
    ],
)
def test_words_and_scope_are_enforced_in_scoped_tables(
    published: Published, draft: Drafts, changes: dict[str, Any], message: str
) -> None:
    warehouse, before = published
    bad = pl.DataFrame({**SCORES, **changes})
    tables = {"similarity_scores": bad, **COMPANIONS}
    with pytest.raises(DataError, match=message):
        warehouse.publish(draft("similarity_scores"), Write(tables, scope="m"))
    assert everything(warehouse) == before


def test_a_users_own_feature_set_is_a_word(warehouse: Warehouse, draft: Drafts) -> None:
    rows = pl.DataFrame({**SCORES, "feature_set": ["user:clip"], "value": [None], "low": [None]})
    tables = {"similarity_scores": rows, **COMPANIONS}
    warehouse.publish(draft("similarity_scores"), Write(tables, scope="m"))
    assert warehouse.frame("similarity_scores")["feature_set"].to_list() == ["user:clip"]


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        ("metaclass", True),
        ("my_lab.losses:Margin", True),
        ("timm:resnet50", True),
        ("Loss", False),
        ("my lab:Margin", False),
        (":Margin", False),
        ("lab:", False),
        ("1lab:Margin", False),
    ],
)
def test_the_path_of_a_class_outside_may_be_a_word(word: str, allowed: bool) -> None:
    vocabulary = frozenset({"metaclass", "timm:<name>", ANY_PATH})
    table = Table("things", ".", (Column("word", "VARCHAR", ".", vocabulary),), key=())
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE things AS SELECT ? AS word", [word])
        if allowed:
            assert check_rows(connection, table, "things", None) == {}
        else:
            with pytest.raises(DataError, match=r"none of the words <module>:<name>, metaclass"):
                check_rows(connection, table, "things", None)


def test_rows_are_read_once_and_their_keys_once_more() -> None:
    """Several rules, two vectors: an example is looked for only where a rule is broken."""
    seen: list[str] = []

    class Listening:
        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self._connection = connection

        def execute(self, query: str) -> duckdb.DuckDBPyConnection:
            seen.append(query)
            return self._connection.execute(query)

    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE rows AS SELECT 'p' AS project_id, 'm' AS model_version, '0' AS sha256, "
            "[1, 2]::FLOAT[] AS features, [3]::FLOAT[] AS predicted_factors"
        )
        listening = cast(duckdb.DuckDBPyConnection, Listening(connection))
        lengths = check_rows(listening, DECLARED["embeddings"], "rows", "m")
    assert lengths == {"features": 2, "predicted_factors": 1}
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 'a' AS project_id, 'dev' AS split", r"\"split\"\) = \('a', 'dev'\)"),
        ("SELECT 'a' AS project_id, 'test' AS split FROM range(2)", "occurs 2 times"),
        ("SELECT 7 AS project_id, 'test' AS split", "project_id expects VARCHAR"),
        ("SELECT 'a' AS project_id", "missing: split"),
        ("SELECT nothing AS project_id, 'test' AS split", "cannot be computed: .*nothing"),
        ("SELECT 'a' AS project_id, error('torn') AS split", "cannot be computed"),
        ("SELEC 1", "cannot be computed"),
    ],
)
def test_a_select_meets_the_same_rules(
    published: Published, draft: Drafts, query: str, message: str
) -> None:
    warehouse, before = published
    with pytest.raises(DataError, match=message):
        warehouse.publish(draft("project_split"), Write({"project_split": query}))
    assert everything(warehouse) == before


def test_values_out_of_range_are_refused(warehouse: Warehouse, draft: Drafts) -> None:
    query = (
        "SELECT 'u' AS user_id, 'p' AS project_id, 1e300 AS confidence, "
        "NULL::TIMESTAMP AS occurred_at"
    )
    with pytest.raises(DataError, match="pruned_matrix cannot be computed"):
        warehouse.publish(draft("pruned_matrix"), Write({"pruned_matrix": query}))
    assert warehouse.tables() == []


@pytest.mark.parametrize(
    "occurred_at",
    [
        pl.Series([datetime(2026, 3, 1, 12, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC")),
        pl.Series([datetime(2026, 3, 1, 12)], dtype=pl.Datetime("ms")),
        pl.Series(
            [datetime(2026, 3, 1, 12, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC")
        ).dt.convert_time_zone("Asia/Tokyo"),
    ],
)
def test_times_are_stored_in_utc(
    warehouse: Warehouse, draft: Drafts, occurred_at: pl.Series
) -> None:
    rows = pl.DataFrame({"user_id": ["u"], "project_id": ["01398047"], "kind": ["view"]})
    rows = rows.with_columns(occurred_at=occurred_at, count=pl.lit(1, pl.UInt8))
    rejected = "SELECT '' AS file, 1 AS row_number, '' AS reason, '' AS content LIMIT 0"
    tables = {"raw_interactions": rows, "raw_interactions_rejected": rejected}
    warehouse.publish(draft("raw_interactions"), Write(tables))
    (row,) = warehouse.frame("raw_interactions").rows()
    assert row == ("u", "01398047", "view", datetime(2026, 3, 1, 12), 1)


def test_a_date_is_a_time_at_midnight(warehouse: Warehouse, draft: Drafts) -> None:
    rows = pl.DataFrame({
        "user_id": ["u"] * 2,
        "project_id": ["p"] * 2,
        "kind": ["view"] * 2,
        "occurred_at": [date(2026, 3, 1), None],
        "count": [1, 1],
    })
    rejected = "SELECT '' AS file, 1 AS row_number, '' AS reason, '' AS content LIMIT 0"
    tables = {"raw_interactions": rows, "raw_interactions_rejected": rejected}
    warehouse.publish(draft("raw_interactions"), Write(tables))
    times = warehouse.frame("raw_interactions")["occurred_at"].to_list()
    assert times == [datetime(2026, 3, 1), None]


def test_an_asset_is_published_with_exactly_its_tables(warehouse: Warehouse, draft: Drafts) -> None:
    rows = pl.DataFrame(SCORES)
    with pytest.raises(DataError, match="with the tables similarity_scores, similarity_diff"):
        warehouse.publish(draft("similarity_scores"), Write({"similarity_scores": rows}, scope="m"))
    with pytest.raises(DataError, match="no asset 'nothing'"):
        warehouse.publish(draft("nothing"), Write({}))
    tables = {"similarity_scores": rows, **COMPANIONS}
    with pytest.raises(DataError, match="scoped by model_version; got the scope None"):
        warehouse.publish(draft("similarity_scores"), Write(tables))
    with pytest.raises(DataError, match="scoped by nothing; got the scope 'm'"):
        warehouse.publish(draft("latent_factors"), Write({"latent_factors": rows}, scope="m"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"computed_at": datetime(2026, 1, 1)}, "has no time zone"),
        ({"metadata": {"loss": float("nan")}}, "cannot be written as JSON"),
        ({"metadata": {"rows": pl.Series([1])}}, "cannot be written as JSON"),
    ],
)
def test_a_record_that_cannot_be_kept_takes_the_rows_with_it(
    warehouse: Warehouse, draft: Drafts, changes: dict[str, Any], message: str
) -> None:
    tables = {"latent_factors": pl.DataFrame(FACTORS)}
    with pytest.raises(DataError, match=message):
        warehouse.publish(draft("latent_factors", **changes), Write(tables))
    assert warehouse.tables() == []
