from __future__ import annotations

import json
from pathlib import Path

import pytest

from cf_pipeline.errors import ConfigError
from cf_pipeline.sources.dataset import load_dataset, nearest
from cf_pipeline_tests.sources.conftest import write_dataset


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_dataset(path)
    message = str(caught.value)
    assert str(path.absolute()) in message
    return message


def test_defaults_and_place(tmp_path: Path) -> None:
    dataset = load_dataset(write_dataset(tmp_path))
    assert dataset.path == tmp_path / "dataset.toml"
    assert dataset.root == tmp_path
    assert dataset.kinds["view"].weight == 1.0
    assert dataset.kinds["view"].matrix
    assert dataset.kinds["view"].truth
    assert dataset.users.owner_user == "{owner}"
    assert dataset.split.max_component_share == 0.05
    assert dataset.truth.min_degree == 1


def test_no_such_file_says_what_to_pass(tmp_path: Path) -> None:
    message = refused(tmp_path / "absent.toml")
    assert "no data set file" in message
    assert "--dataset FILE" in message


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "Pass the file inside it" in refused(tmp_path)


def test_not_toml_says_the_line(tmp_path: Path) -> None:
    path = tmp_path / "dataset.toml"
    path.write_text('name = "x"\nthis is not toml\n')
    assert "line 2" in refused(path)


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "dataset.toml"
    path.write_bytes(b'name = "\xff\xfe"\n')
    assert "not UTF-8" in refused(path)


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    message = refused(write_dataset(tmp_path, rest="[users]\nexclude_user = ['bot']"))
    assert "unknown key `users.exclude_user`" in message
    assert "did you mean `exclude_users`?" in message


def test_unknown_key_of_a_kind(tmp_path: Path) -> None:
    message = refused(write_dataset(tmp_path, kinds="[kinds.view]\nwieght = 1.0"))
    assert "unknown key `kinds.view.wieght`; did you mean `weight`?" in message


def test_unknown_table_like_no_other_lists_what_is_known(tmp_path: Path) -> None:
    message = refused(write_dataset(tmp_path, rest="[zzz]"))
    assert "unknown key `zzz`; known here: name, description" in message


def test_a_key_named_like_an_attribute_is_still_unknown(tmp_path: Path) -> None:
    assert "unknown key `covers.path`" in refused(write_dataset(tmp_path, rest='path = "x"'))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"rest": "[truth]\nmin_degree = '3'"}, "`truth.min_degree`: Input should be a valid int"),
        ({"kinds": "[kinds.view]\nmatrix = 'no'"}, "`kinds.view.matrix`: Input should be a valid"),
        ({"kinds": "[kinds.view]\nweight = -1"}, "`kinds.view.weight`: Input should be greater"),
        ({"kinds": "[kinds.view]\nweight = nan"}, "`kinds.view.weight`: Input should be"),
        ({"kinds": ""}, "no kinds of interaction: add a table [kinds.<name>]"),
        ({"kinds": "[kinds]"}, "no kinds of interaction: add a table [kinds.<name>]"),
        ({"interactions": "files = []"}, "`interactions.files`"),
        ({"interactions": "files = 'a.csv'"}, "`interactions.files`: Input should be a valid tup"),
        ({"interactions": "files = ['a.csv']\nformat = 'xls'"}, "`interactions.format`"),
        ({"interactions": "files = ['a.csv']\nheader = false"}, "needs names"),
        ({"interactions": "files = ['a.csv']\nquote = ','"}, "quote and delimiter must differ"),
        (
            {"project_columns": 'project_id = "p"'},
            "[covers] and projects.columns.cover go together",
        ),
        ({"rest": "[[features]]\nname = 'a_ridge'\nfiles = ['a.b']"}, "is that of a ridge"),
        ({"rest": "[users]\nowner_user = 'contributor:'"}, "must contain {owner}"),
        ({"rest": "[split]\nmax_component_share = 2"}, "`split.max_component_share`"),
    ],
)
def test_wrong_values_name_the_key(tmp_path: Path, parts: dict[str, str], expected: str) -> None:
    assert expected in refused(write_dataset(tmp_path, **parts))


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, kinds="[kinds.view]\nweight = -1", rest="[truht]")
    message = refused(path)
    assert "kinds.view.weight" in message
    assert "did you mean `truth`?" in message


def test_sections_do_not_depend_on_the_place(tmp_path: Path) -> None:
    sections = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        sections.append(load_dataset(write_dataset(tmp_path / name)).sections())
    assert sections[0] == sections[1]
    assert str(tmp_path) not in json.dumps(sections)


def changed_sections(tmp_path: Path, **parts: str) -> set[str]:
    before = load_dataset(write_dataset(tmp_path)).sections()
    after = load_dataset(write_dataset(tmp_path, **parts)).sections()
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"kinds": "[kinds.view]\nweight = 5.0\n[kinds.like]\nweight = 2.0"}, {"dataset.matrix"}),
        (
            {"kinds": "[kinds.view]\nmatrix = false\n[kinds.like]\nweight = 2.0"},
            {"dataset.matrix"},
        ),
        ({"kinds": "[kinds.view]\ntruth = false\n[kinds.like]\nweight = 2.0"}, {"dataset.truth"}),
        (
            {"kinds": "[kinds.view]"},
            {"dataset.interactions", "dataset.matrix", "dataset.truth"},
        ),
        ({"rest": "[users]\nexclude_users = ['bot']"}, {"dataset.matrix", "dataset.truth"}),
        ({"rest": "[users]\nowner_user = 'c:{owner}'"}, {"dataset.matrix", "dataset.truth"}),
        ({"rest": "[truth]\nmin_degree = 10"}, {"dataset.truth"}),
        ({"rest": "[split]\nmax_component_share = 0.1"}, {"dataset.split"}),
        (
            {"interaction_columns": 'user_id="u"\nproject_id="p"\nkind="k"'},
            {"dataset.interactions"},
        ),
        ({"project_columns": 'project_id="p"\ncover="c"\nfield="f"'}, {"dataset.projects"}),
    ],
)
def test_a_change_reaches_only_the_sections_it_is_for(
    tmp_path: Path, parts: dict[str, str], expected: set[str]
) -> None:
    assert changed_sections(tmp_path, **parts) == expected


def test_order_of_excluded_users_is_no_change(tmp_path: Path) -> None:
    first = load_dataset(write_dataset(tmp_path, rest="[users]\nexclude_users = ['a', 'b', 'a']"))
    second = load_dataset(write_dataset(tmp_path, rest="[users]\nexclude_users = ['b', 'a']"))
    assert first.sections() == second.sections()


def test_nearest_looks_past_case_and_knows_when_nothing_is_near() -> None:
    assert nearest("USERID", ["userId", "movieId"]) == "userId"
    assert nearest("colour", ["user", "project"]) is None
