"""The README keeps its word: tables as the results give them, links that lead somewhere, commands
that the command line takes."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import click
import pytest
import typer

from cf_pipeline.cli.app import app
from cf_pipeline_tests.readme import README, REPOSITORY, commands

DOCUMENTS = sorted(
    path for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"))
)  # fmt: skip


@pytest.fixture
def scoreboard(monkeypatch: pytest.MonkeyPatch):
    """The script that writes the tables."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import scoreboard as script

    yield script
    for name in [n for n in sys.modules if n == "scoreboard" or n.split(".")[0] == "trials"]:
        del sys.modules[name]


def test_tables_are_those_of_the_saved_results(scoreboard) -> None:
    files = sorted(scoreboard.RESULTS.glob("*.json"))
    assert files
    between = dict(
        zip(
            ("headline", "tables"),
            (
                README.split(begin)[1].split(end)[0].strip()
                for begin, end in (scoreboard.HEADLINE, scoreboard.TABLES)
            ),
            strict=True,
        )
    )
    assert between["headline"] == scoreboard.headline(files)
    assert between["tables"] == "\n\n".join(scoreboard.folded(file) for file in files)


@pytest.mark.parametrize("name", ["factor_table", "recipe_table", "task_table"])
def test_a_table_of_a_page_is_that_of_the_saved_results(scoreboard, name: str) -> None:
    """Beside the other script, whose fixture has put their folder on the path."""
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / f"{name}.py"))
    begins, ends = script["MARKS"]
    page = script["PAGE"].read_text(encoding="utf-8")
    table = page.partition(begins)[2].partition(ends)[0].strip()
    assert table.count("\n") > 6
    assert table == script["table_of"](script["RESULTS"])


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), target


def test_every_document_is_linked() -> None:
    linked = {(REPOSITORY / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", README)}
    lacking = [
        str(page.relative_to(REPOSITORY))
        for page in DOCUMENTS
        if page.name != "README.md" and page.parent.name != "decisions" and page not in linked
    ]
    assert lacking == []


def every_command() -> list[str]:
    """Those of the code blocks and those within sentences."""
    inline = re.findall(r"`(cf-pipeline [^`]+)`", README.replace("\n", " "))
    return sorted({*commands(README), *inline})


@pytest.mark.parametrize("line", every_command())
def test_commands_are_taken_as_they_are_written(line: str) -> None:
    """Parsed, not run: a command, argument or option that is gone would be refused here."""
    _, *words = shlex.split(line)
    group = typer.main.get_command(app)
    with click.Context(group) as context:
        name, command, rest = group.resolve_command(context, words)
        command.make_context(name, rest)
    assert name is not None
