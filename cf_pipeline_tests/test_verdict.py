"""A verdict passes unless there is a problem, and says each one."""

from cf_pipeline.verdict import Verdict


def test_no_problem_is_soundness() -> None:
    assert Verdict.of([], "All is well.", {"rows": 3}) == Verdict(True, "All is well.", {"rows": 3})


def test_every_problem_is_said() -> None:
    verdict = Verdict.of(["Too few.", "Too flat."], "All is well.", {})
    assert verdict == Verdict(False, "Too few. Too flat.", {})
