"""Loading a `dataset.toml`, the one file in which a user says what their data looks like.

Everything that is wrong with the file is reported at once, with the key, the nearest known key and
what to do. What is hashed for staleness comes from `Dataset.sections`: cut by what it is for, so
that another weight reads no file again, and with paths as written, so that the same data elsewhere
has the same hash.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from cf_pipeline.errors import ConfigError
from cf_pipeline.sources.description import Description

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of annotated `dataset.toml` files to start from."""

_SEE = f"{TEMPLATES / 'dataset.toml'} shows every key."


class Dataset(Description):
    """A loaded `dataset.toml` that knows where it lies."""

    _path: Path = PrivateAttr()

    @property
    def path(self) -> Path:
        """The `dataset.toml`, absolute."""
        return self._path

    @property
    def root(self) -> Path:
        """The folder that relative paths in it start from."""
        return self._path.parent

    @property
    def in_place_of_covers(self) -> str | None:
        """Name of the first of `[[features]]` where there are no pictures, else None."""
        return None if self.covers is not None else self.features[0].name

    def sections(self) -> dict[str, dict[str, Any]]:
        """What the file says, defaults filled in, by what it is for; to be hashed.

        Returns:
            Section name to plain JSON values. `name` and `description` are in none of them, since
            they change no result. Paths stand as written.
        """
        interactions = self.interactions.model_dump(mode="json")
        # Rows of an undeclared kind are turned away while reading, so the names belong to reading.
        interactions["kinds"] = sorted(self.kinds)
        excluded = sorted(set(self.users.exclude_users))
        return {
            "dataset.interactions": interactions,
            "dataset.projects": self.projects.model_dump(mode="json"),
            "dataset.covers": self.covers.model_dump(mode="json") if self.covers else {},
            "dataset.features": {
                "sets": {f.name: f.model_dump(mode="json") for f in self.features},
                "in_place_of_covers": self.in_place_of_covers,
            },
            "dataset.matrix": {
                "kinds": {
                    name: kind.model_dump(mode="json", exclude={"truth"})
                    for name, kind in sorted(self.kinds.items())
                },
                "exclude_users": excluded,
                "owner_user": self.users.owner_user,
            },
            "dataset.truth": {
                "kinds": {name: kind.truth for name, kind in sorted(self.kinds.items())},
                "exclude_users": excluded,
                "owner_user": self.users.owner_user,
                "min_degree": self.truth.min_degree,
            },
            "dataset.split": self.split.model_dump(mode="json"),
            "dataset.words": {"board_user": self.users.board_user},
        }


def load_dataset(path: Path) -> Dataset:
    """Read and check a `dataset.toml`; files it names are not looked at.

    Args:
        path: The file; relative paths start from the current directory.

    Raises:
        ConfigError: There is no such file, it is not TOML, or a key is unknown, missing or wrong.
    """
    path = path.absolute()
    content = _read_toml(path)
    try:
        dataset = Dataset.model_validate(content)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors(include_url=False)]
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ConfigError(f"{path} cannot be used:\n{listed}\n{_SEE}") from error
    dataset._path = path
    return dataset


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word most like a given one, letter case aside, or None when none is like it."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def _read_toml(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, expected a dataset.toml. Pass the file inside it.")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no data set file {path}. Pass the path of a dataset.toml "
            f"(cf-pipeline run --dataset FILE). {_SEE}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 text (byte {error.start}), expected a TOML file. "
            f"Save it as UTF-8, or pass another file."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Check its rights.") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}. {_SEE}") from error


def _problem(detail: ErrorDetails) -> str:
    """One sentence on one thing that is wrong: the key, what was expected, what came."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        close = nearest(location[-1], known)
        remedy = f"did you mean `{close}`?" if close else f"known here: {', '.join(known)}."
        return f"unknown key `{key}`; {remedy}"
    if key == "kinds" and detail["type"] in {"missing", "too_short"}:
        return (
            "no kinds of interaction: add a table [kinds.<name>] with weight, matrix and truth "
            "for each value of the column kind"
        )
    if detail["type"] == "missing":
        return f"missing key `{key}`: add it{_purpose(location)}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"`{key or 'file'}`: {message}, got {_shown(detail['input'])}{_purpose(location)}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = …" for key in value) + "}"
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _purpose(location: Sequence[str]) -> str:
    """The description of a key, in brackets, for a message."""
    model = _model_at(location[:-1])
    field = model.model_fields.get(location[-1]) if model and location else None
    return f" ({field.description.rstrip('.')})" if field and field.description else ""


def _known_keys(location: Sequence[str]) -> list[str]:
    model = _model_at(location)
    return list(model.model_fields) if model else []


def _model_at(location: Sequence[str]) -> type[BaseModel] | None:
    """The model that describes a table of the file; names of kinds are the user's own."""
    model: type[BaseModel] | None = Description
    is_own_name = False
    for part in location:
        if is_own_name:
            is_own_name = False
            continue
        field = model.model_fields.get(part) if model else None
        if field is None:
            return None
        is_own_name = get_origin(field.annotation) is dict
        model = _model_in(field.annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model itself, or the one that an optional or a dictionary holds."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
