"""The file as it stands: whole, safe, the same every time, and loading nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.gallery.content import Gallery, Misplacements, Retrieval
from cf_pipeline.gallery.page import histogram, page_files, page_of
from cf_pipeline_tests.gallery.world import HOSTILE, pictured

VOID = {"meta", "link", "input", "br", "img", "hr", "wbr"}


class Read(HTMLParser):
    """Every element with its attributes; complains of tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


@pytest.fixture(scope="module")
def read(page_file: Path) -> Read:
    return Read(page_file.read_text(encoding="utf-8"))


def test_it_is_well_formed_and_ids_are_unique(read: Read) -> None:
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in read.elements:
        for name in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
            assert attributes.get(name, ids[0]) in ids
        target = attributes.get("href", "")
        if target.startswith("#"):
            assert target[1:] in ids
    headings = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1


def test_nothing_is_loaded(read: Read, page_file: Path) -> None:
    loading = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}
    for tag, attributes in read.elements:
        for name in loading & set(attributes):
            assert re.match(r"data:|#", attributes[name]), f"{tag} {name}={attributes[name][:40]}"
    style = "".join(read.texts["style"])
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?://|fetch\(|XMLHttpRequest", page_file.read_text(encoding="utf-8"))
    [policy] = [a["content"] for _, a in read.elements if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_every_picture_has_words(read: Read) -> None:
    for tag, attributes in read.elements:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg" and attributes.get("aria-hidden") != "true":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
    labels = {a["aria-label"] for tag, a in read.elements if tag == "svg" and "aria-label" in a}
    assert "Disc number 7" in labels


def test_a_cover_is_there_once_and_titles_are_text(read: Read, content: Gallery) -> None:
    images = [a for tag, a in read.elements if tag == "image"]
    assert len(images) == len(content.pictured()) == len({a["id"] for a in images})
    assert HOSTILE in {a.get("aria-label") for _, a in read.elements}
    assert not any(tag == "img" for tag, _ in read.elements)
    [packed] = [text for text in read.texts["script"] if text.startswith("{")]
    data = json.loads(packed)
    assert data["titles"][0] == HOSTILE
    assert data["ids"] == list(content.map.project_ids)


def test_the_same_content_gives_the_same_bytes(content: Gallery, page_file: Path) -> None:
    assert page_of(content, *pictured(content)) == page_file.read_bytes()


def test_a_page_too_large_is_refused(content: Gallery) -> None:
    with pytest.raises(DataError, match=r"factorization\.n_clusters"):
        page_of(content, *pictured(content), most_bytes=10_000)


def test_a_home_with_little_to_show(content: Gallery) -> None:
    """No task, nothing held out, no cluster, nothing that can be judged."""
    bare = dataclasses.replace(
        content,
        boards={},
        headlines=(),
        clusters=(),
        retrieval=Retrieval("ndcg_at_10", "collaborative", 0, {"best": (), "median": ()}),
        wrong=Misplacements((), (), ()),
    )
    read = Read(page_of(bare, *pictured(bare)).decode())
    assert "Where the network is wrong" in read.texts["h2"]


def test_the_histogram_says_what_it_draws() -> None:
    assert histogram([]) is None
    drawn = histogram([0.1] * 5 + [1.0] * 10)
    assert drawn is not None
    assert [bar["height"] for bar in drawn["bars"] if bar["height"]] == [75.0, 150.0]
    assert drawn["median"] == 1.0
    assert drawn["said"].startswith("Half of 15 held-out covers are within 1.00")


def test_what_the_page_depends_on_beside_code() -> None:
    names = {path.name for path in page_files()}
    assert {"page.html", "page.css", "view.js"} <= names
    for path in page_files():
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 300
        assert "</script" not in text or path.suffix == ".html"
