"""What a data set says about the matrix, the truth and owners."""

from __future__ import annotations

import polars as pl

from cf_pipeline.sources.purposes import matrix_weights, owner_users, truth_kinds
from cf_pipeline_tests.sources.conftest import DatasetMaker

KINDS = """
[kinds.view]
weight = 1.5
truth = true
[kinds.like]
weight = 3.0
matrix = false
truth = true
[kinds.ownership]
truth = false
"""
PROJECTS = pl.DataFrame(
    {"project_id": ["1", "2", "3"], "owners": [["a", "b"], None, []]},
    schema={"project_id": pl.String, "owners": pl.List(pl.String)},
)


def test_kinds_by_purpose(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset(kinds=KINDS)
    assert matrix_weights(dataset) == {"view": 1.5, "ownership": 1.0}
    assert truth_kinds(dataset) == ["like", "view"]


def test_owners_are_written_as_users(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset(rest="[users]\nowner_user = 'by:{owner}!'")
    assert owner_users(dataset, PROJECTS).rows() == [("1", "by:a!"), ("1", "by:b!")]
    plain = make_dataset()
    assert owner_users(plain, PROJECTS)["user_id"].to_list() == ["a", "b"]
    assert owner_users(plain, PROJECTS.clear()).is_empty()
