"""What a data set says about the matrix and the truth."""

from __future__ import annotations

from cf_pipeline.benchmark.inputs import TruthRules
from cf_pipeline.interactions.weighting import weighed_kinds
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


def test_kinds_by_purpose(make_dataset: DatasetMaker) -> None:
    sections = make_dataset(kinds=KINDS).sections()
    kinds = weighed_kinds(sections["dataset.matrix"]["kinds"])
    assert {name: kind.weight for name, kind in kinds.items()} == {"view": 1.5, "ownership": 1.0}
    assert TruthRules.of(sections["dataset.truth"]) == TruthRules(kinds=("like", "view"))


def test_who_is_left_out_of_the_truth_and_how_owners_are_written(
    make_dataset: DatasetMaker,
) -> None:
    users = "[users]\nowner_user = 'by:{owner}!'\nexclude_users = ['u9']"
    dataset = make_dataset(rest=f"{users}\n[truth]\nmin_degree = 3")
    rules = TruthRules.of(dataset.sections()["dataset.truth"])
    assert (rules.owner_user, rules.excluded_users, rules.min_degree) == ("by:{owner}!", ("u9",), 3)
