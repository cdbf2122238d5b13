from __future__ import annotations

import pytest

from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.doctor import Finding, examine
from cf_pipeline_tests.sources.conftest import (
    INTERACTION_COLUMNS,
    LIMITS,
    PROJECT_COLUMNS,
    DatasetMaker,
)

WITH_OWNERS = PROJECT_COLUMNS + '\nowners = "owner"'


def of(dataset: Dataset, subject: str) -> list[Finding]:
    found = [finding for finding in examine(dataset, LIMITS) if finding.subject == subject]
    assert all(finding.remedy for finding in found if finding.level != "ok")
    return found


def test_nothing_to_complain_about(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset(
        {
            "covers/a.png": "x",
            "covers/b.png": "x",
            "projects.csv": "project,picture,owner\n01398047,a.png,u1\n2,b.png,u3\n",
        },
        project_columns=WITH_OWNERS,
        rest="[users]\nexclude_users = ['u2']",
    )
    findings = examine(dataset, LIMITS)
    assert {finding.level for finding in findings} == {"ok"}
    messages = [f"{finding.subject}: {finding.message}" for finding in findings]
    assert "interactions: interactions.csv: 2 rows; columns user, project, kind" in messages
    assert "kinds: like 1, view 1" in messages or "kinds: view 1, like 1" in messages
    assert "exclude_users: 1 users left out, with 1 of 2 interactions" in messages
    assert "covers: 2 of 2 covers looked for are there" in messages
    assert "owner_user: 1 of 2 owners occur as users, written '{owner}'" in messages
    assert "split: held out by owners, known of 2 of 2 projects" in messages


def test_what_cannot_be_read_is_an_error_and_the_rest_is_still_looked_at(
    make_dataset: DatasetMaker,
) -> None:
    dataset = make_dataset(interactions='files = ["absent.csv"]')
    [interactions] = of(dataset, "interactions")
    assert interactions.level == "error"
    assert "absent.csv" in interactions.message
    [projects] = of(dataset, "projects")
    assert projects.level == "ok"
    [covers] = of(dataset, "covers")
    assert covers.level == "error"
    assert "does not exist" in covers.message


def test_rows_turned_away(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset({"interactions.csv": "user,project,kind\nu1,2,view\n,2,view\nu,2,x\n"})
    [_, rejected] = of(dataset, "interactions")
    assert rejected.level == "warning"
    assert rejected.message == "2 of 3 rows cannot be used: no user 1, unknown kind 1"
    assert "raw_interactions_rejected" in rejected.remedy


def test_a_kind_that_never_occurs(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset({"interactions.csv": "user,project,kind\nu1,2,view\n"})
    [seen, absent] = of(dataset, "kinds")
    assert seen.message == "view 1"
    assert (absent.level, "'like' is declared but" in absent.message) == ("warning", True)


def test_no_kind_for_the_matrix_or_the_truth(make_dataset: DatasetMaker) -> None:
    kinds = "[kinds.view]\nmatrix = false\ntruth = false\n[kinds.like]\nmatrix = false"
    dataset = make_dataset({"interactions.csv": "user,project,kind\nu1,2,view\n"}, kinds=kinds)
    errors = [finding.message for finding in of(dataset, "kinds") if finding.level == "error"]
    assert len(errors) == 2
    assert "nothing to learn from" in errors[0]
    assert "nothing to judge similarity by" in errors[1]


def test_ids_that_match_nowhere(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset({"interactions.csv": "user,project,kind\nu1,x,view\n"})
    [joins] = of(dataset, "joins")
    assert joins.level == "error"
    assert "0 of 1 interactions (0.0%)" in joins.message
    assert "'x'" in joins.remedy


@pytest.mark.parametrize(
    ("ids", "form"),
    [
        (("1398047", "2"), "leading zeros aside"),
        (("01398047.0", "2.0"), "a trailing .0 aside"),
        ((" 01398047", "2"), "spaces around them aside"),
    ],
)
def test_ids_that_are_written_differently(
    make_dataset: DatasetMaker, ids: tuple[str, str], form: str
) -> None:
    text = "user,project,kind\n" + "".join(f"u,{project},view\n" for project in ids)
    [finding] = of(make_dataset({"interactions.csv": text}), "ids")
    assert finding.level == "warning"
    assert form in finding.message


def test_some_interactions_without_a_project(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset({"interactions.csv": "user,project,kind\nu1,x,view\nu1,2,view\n"})
    [joins] = of(dataset, "joins")
    assert joins.level == "warning"
    assert "1 of 2 interactions (50.0%)" in joins.message
    assert "1 of 2 projects (50.0%) have an interaction" in joins.message


def test_covers_that_are_missing_or_not_named(make_dataset: DatasetMaker) -> None:
    files: dict[str, str | bytes] = {
        "covers/a.png": "x",
        "projects.csv": "project,picture\n1,a.png\n2,b.png\n3,\n",
    }
    [covers] = of(make_dataset(files), "covers")
    assert covers.level == "warning"
    assert covers.message == "1 of 2 covers looked for are there; 1 of 3 projects name none"


def test_no_cover_is_there(make_dataset: DatasetMaker) -> None:
    [covers] = of(make_dataset({"covers/c.png": "x"}), "covers")
    assert covers.level == "error"
    assert "'a.png', 'b.png'" in covers.remedy


def test_no_project_names_a_cover(make_dataset: DatasetMaker) -> None:
    files: dict[str, str | bytes] = {
        "covers/a.png": "x",
        "projects.csv": "project,picture\n2,\n3,\n",
    }
    [covers] = of(make_dataset(files), "covers")
    assert covers.level == "error"


def test_excluded_users_that_never_occur(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset(rest="[users]\nexclude_users = ['u1', 'bot', \"o'bot\"]")
    [present, absent] = of(dataset, "exclude_users")
    assert present.message == "1 users left out, with 1 of 2 interactions"
    assert absent.message == "2 of 3 never occur: 'bot', \"o'bot\""


def test_owners_who_are_no_users(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset(
        {"projects.csv": "project,picture,owner\n2,a.png,u2\n"},
        project_columns=WITH_OWNERS,
        rest="[users]\nowner_user = 'contributor:{owner}'",
    )
    [owners] = of(dataset, "owner_user")
    assert owners.level == "warning"
    assert "0 of 1 owners occur as users, written 'contributor:{owner}'" in owners.message


@pytest.mark.parametrize(("pattern", "level"), [("u{board}", "ok"), ("b:{board}", "warning")])
def test_boards_that_do_not_occur(make_dataset: DatasetMaker, pattern: str, level: str) -> None:
    dataset = make_dataset(rest=f"[users]\nboard_user = '{pattern}'")
    [boards] = of(dataset, "board_user")
    assert boards.level == level
    assert boards.message.endswith(f"users are boards, written '{pattern}'")


def test_nothing_to_hold_out_by(make_dataset: DatasetMaker) -> None:
    [split] = of(make_dataset(), "split")
    assert split.level == "warning"
    assert "every project is held out by itself" in split.message


@pytest.mark.parametrize(("time", "level"), [("2024-05-01", "ok"), ("", "error")])
def test_what_ages_needs_a_time(make_dataset: DatasetMaker, time: str, level: str) -> None:
    dataset = make_dataset(
        {"interactions.csv": f"user,project,kind,time\nu1,2,view,{time}\nu2,2,like,\n"},
        interaction_columns=INTERACTION_COLUMNS + '\noccurred_at = "time"',
        kinds="[kinds.view]\nhalf_life_days = 30.0\n[kinds.like]",
    )
    [ages] = of(dataset, "half_life_days")
    assert ages.level == level
    assert "of 1 events of kind 'view', which ages, have a time" in ages.message


@pytest.mark.parametrize(
    ("time", "level"), [("2024-05-01", "ok"), ("20240501", "warning"), ("2999-01-01", "warning")]
)
def test_times_that_were_misread(make_dataset: DatasetMaker, time: str, level: str) -> None:
    dataset = make_dataset(
        {"interactions.csv": f"user,project,kind,time\nu1,2,view,{time}\n"},
        interaction_columns=INTERACTION_COLUMNS + '\noccurred_at = "time"',
    )
    [times] = of(dataset, "times")
    assert times.level == level
