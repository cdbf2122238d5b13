"""A commented `dataset.toml` from what was found in a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from cf_pipeline.sources.description import TableFiles
from cf_pipeline.sources.guessing import Guess
from cf_pipeline.sources.matched_vectors import Vectors

_OWN = frozenset({"ownership", "own", "owns", "owned", "upload", "uploaded", "create", "created"})
_PROJECT_ROLES = {
    "project_id": "",
    "cover": "path below covers.folder",
    "title": "shown beside the cover",
    "owners": "an owner's projects are held out together",
    "field": "a label, for evaluation alone",
    "tags": "further labels",
}


def description(found: Guess, name: str, root: str) -> str:
    """The text of a `dataset.toml`.

    Args:
        found: what a folder seems to hold.
        name: of the data set.
        root: what paths begin with, empty where the file lies in the folder.
    """
    return "\n".join(_lines(found, name, root)) + "\n"


def _lines(found: Guess, name: str, root: str) -> Iterator[str]:
    yield "# Written by `cf-pipeline init`, from what lies here: a guess, to be read once."
    yield from (f"# Unsure: {note}." for note in found.notes)
    yield from (f"# Left out: {label}." for label in found.left_out)
    yield from (f"# Not read: {label}: {_one_line(why)}" for label, why in found.unread.items())
    yield "# Every key is explained in the template dataset.toml that ships in sources/templates."
    yield ""
    yield f"name = {_text(name)}"
    yield 'description = ""  # one sentence on what it is, and who the users are'
    yield ""
    yield "# Who did what."
    yield "[interactions]"
    yield from _reading(found.interactions.reading, root)
    yield ""
    yield "[interactions.columns]"
    yield from (f"{key} = {_text(spec)}" for key, spec in found.columns.items())
    yield ""
    yield from _kinds(found)
    yield from _projects(found, root)
    yield from _pictures(found, root)
    if found.owner_user is not None:
        yield "[users]"
        yield f"owner_user = {_text(found.owner_user)}  # how an owner is written as a user"
        yield "# exclude_users = []  # bots, test accounts, boards that name a label"
        yield ""
    yield "# [truth]"
    yield "# min_degree = 10  # fewest events of a project to be judged, where data are dense"


def _kinds(found: Guess) -> Iterator[str]:
    yield "# What a kind counts for: weight and matrix in what is learned, truth in what judges."
    for kind in found.kinds:
        yield f"[kinds.{_key(kind)}]"
        yield f"weight = {3.0 if kind == 'appreciation' else 1.0}"
        yield "matrix = true"
        if kind.casefold() in _OWN:
            yield "truth = false  # it says who made it, not who liked it"
        else:
            yield "truth = true"
        yield ""


def _projects(found: Guess, root: str) -> Iterator[str]:
    yield "# What it was done to."
    yield "[projects]"
    yield from _reading(found.projects.reading, root)
    yield ""
    yield "[projects.columns]"
    columns = dict(found.project_columns)
    if found.pictures is not None:
        columns["cover"] = found.pictures.spec
    for key, why in _PROJECT_ROLES.items():
        if key in columns:
            yield f"{key} = {_text(columns[key])}" + (f"  # {why}" if why else "")
    yield '# split_group = "..."  # projects of one shoot or series: they are held out together'
    yield ""


def _pictures(found: Guess, root: str) -> Iterator[str]:
    if found.pictures is not None:
        yield "[covers]"
        yield f"folder = {_text(_joined(root, found.pictures.folder))}"
        yield ""
    else:
        yield "# [covers]"
        yield '# folder = "..."  # and cover under projects.columns'
        yield ""
    for vectors in found.vectors:
        yield from _features(vectors, root)
        yield ""


def _features(vectors: Vectors, root: str) -> Iterator[str]:
    mark = ""
    if vectors.keys is None:
        mark = "# "
        yield "# Vectors that were found; say what they are and take away the marks."
    yield f"{mark}[[features]]"
    yield f"{mark}name = {_text(vectors.name)}"
    yield f"{mark}files = {_files(vectors.files, root)}"
    for key, value in (vectors.keys or {}).items():
        said = _joined(root, value) if key == "ids" and isinstance(value, str) else value
        yield f"{mark}{key} = {json.dumps(said, ensure_ascii=False)}"
    if vectors.keys is None:
        yield '# ids = "ids.txt"     # of npy: an id a line'
        yield "# dimensions = 4096  # of .b: floats of a vector"


def _files(files: tuple[str, ...], root: str) -> str:
    return f"[{', '.join(_text(_joined(root, file)) for file in files)}]"


def _reading(table: TableFiles, root: str) -> Iterator[str]:
    yield f"files = {_files(table.files, root)}"
    usual = TableFiles(files=table.files)
    for key in ("format", "delimiter", "quote", "escape", "encoding", "header"):
        value = getattr(table, key)
        if value != getattr(usual, key):
            yield f"{key} = {json.dumps(value)}"
    if table.names is not None:
        yield f"names = {json.dumps(list(table.names))}"


def _joined(root: str, path: str) -> str:
    return os.path.join(root, path) if root else path


def _text(value: str) -> str:
    """A TOML string; JSON's is one."""
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if is_bare and name else _text(name)


def _one_line(text: str) -> str:
    return " ".join(text.split())
