"""`similar`, `embed`, `recommend` and `scores`, as a person calls them."""

from __future__ import annotations

import json
import re
import webbrowser
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.models.searchable_home import SearchableHome


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SearchableHome:
    home = Home(tmp_path_factory.mktemp("searchable") / "home")
    home.create()
    return SearchableHome(home).build()


@pytest.fixture
def searchable(built: SearchableHome, monkeypatch: pytest.MonkeyPatch) -> SearchableHome:
    monkeypatch.setenv(HOME_VARIABLE, str(built.home.path))
    return built


def test_a_list_for_people_and_the_same_for_scripts(
    searchable: SearchableHome, cf: Command
) -> None:
    said = cf("similar", "p03", "-k", "3", "--by", "color")
    assert said.code == 0
    first, titles, *rows = said.out.splitlines()
    assert first == f"nearest to p03 by color, model {searchable.version}"
    assert titles.split() == ["rank", "project_id", "cosine", "title", "path"]
    told = json.loads(cf("similar", "p03", "-k", "3", "--by", "color", "--json").out)
    assert [row.split()[:2] for row in rows] == [
        [str(number), found["project_id"]] for number, found in enumerate(told, 1)
    ]
    assert told[0]["path"] == str(searchable.pictures[told[0]["project_id"]])
    picture = searchable.pictures["p03"]
    assert json.loads(cf("similar", picture, "--json").out)[0]["project_id"] == "p03"


def test_a_page_with_the_covers(
    searchable: SearchableHome, cf: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: not opened.append(url))
    said = cf("similar", "p03", "-k", "3", "--open")
    assert said.out.splitlines()[-1] == opened[0]
    file = Path(opened[0].removeprefix("file://"))
    page = file.read_text(encoding="utf-8")
    file.unlink()
    told = json.loads(cf("similar", "p03", "-k", "3", "--json").out)
    assert [page.index(f"<code>{row['project_id']}</code>") for row in told] == sorted(
        page.index(f"<code>{row['project_id']}</code>") for row in told
    )
    assert page.count("<img ") == page.count("data:image/webp") == 4
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert cf("similar", "p03", "--open", "--json").code == 1


def test_recommendations(searchable: SearchableHome, cf: Command) -> None:
    for arguments, column in (
        (["u1"], "project_id"),
        (["--projects", "p01, p02"], "project_id"),
        (["--for", searchable.pictures["p11"]], "user_id"),
    ):
        told = json.loads(cf("recommend", *arguments, "-k", "2", "--json").out)
        assert [row["rank"] for row in told] == [1, 2]
        said = cf("recommend", *arguments, "-k", "2")
        assert said.out.splitlines()[1].split()[1] == told[0][column]


def test_embedding_a_folder(searchable: SearchableHome, cf: Command, tmp_path: Path) -> None:
    folder = searchable.pictures["p01"].parent
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    out = tmp_path / "x.parquet"
    said = cf("embed", folder, bad, "--out", out)
    assert said.code == 0
    first, second = said.out.splitlines()
    assert first.startswith(f"12 pictures embedded by model {searchable.version}, 1 unreadable, in")
    assert "bad.png: expected an image" in second
    assert pl.read_parquet(out).height == 13
    nothing = cf("embed", bad, "--out", out)
    assert nothing.code == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["similar", "p033"], "Did you mean 'p03'"),
        (["similar", "p03", "--by", "imagnet"], "Did you mean 'imagenet'"),
        (["recommend"], "one of three"),
        (["recommend", "--for", "gone.png"], "--for gone.png: expected a picture file"),
        (["embed", "gone", "--out", "x.parquet"], "gone is not there"),
        (["scores", "--split", "train"], "expected test, validation or all"),
        (["scores", "--csv", "--json"], "expected one of them at most"),
        (["export", "embeddings", "x.csv"], "got .csv"),
    ],
)
def test_mistakes_are_told(
    searchable: SearchableHome, cf: Command, arguments: list[str], expected: str
) -> None:
    said = cf(*arguments)
    assert said.code == 1
    assert expected in said.err


def test_scores_in_every_form(searchable: SearchableHome, cf: Command) -> None:
    said = cf("scores")
    assert said.code == 0
    assert "Image similarity, test (9 queries of 8 groups)" in said.out
    assert "collaborative *" in said.out
    rows = json.loads(cf("scores", "--json").out)
    assert {row["measure"] for row in rows} == {"triplet_accuracy", "ndcg_at_10"}
    lines = cf("scores", "--csv").out.splitlines()
    assert lines[0].startswith("benchmark,split,measure,name,chosen,value,low,high")
    assert len(lines) == 3
    markdown = cf("scores", "--markdown").out
    assert "| collaborative * | 0.500 [0.000, 1.000] |" in markdown
    nothing = cf("scores", "--split", "validation")
    assert nothing.code == 1
    assert "nothing was scored yet" in nothing.err


def test_quiet_says_nothing_but_what_was_asked_for(searchable: SearchableHome, cf: Command) -> None:
    assert cf("--quiet", "similar", "p03").out == ""
    assert len(json.loads(cf("--quiet", "similar", "p03", "--json").out)) == 10


def test_the_release_is_said(cf: Command) -> None:
    said = cf("--version")
    assert (said.code, said.out.split()[0]) == (0, "cf-pipeline")
    assert said.out.split()[1].count(".") == 2
