"""The exceptions of the project.

    CfPipelineError
    ├── ConfigError       what the user wrote cannot be used: a key, a path, a value
    ├── DataError         what the data holds cannot be used: a column, a row, a file
    ├── HomeBusyError     another run holds the home folder
    └── TrainingDiedError the process that trained ended without an answer

Every message says what was expected, what came, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CfPipelineError(Exception):
    """Base of everything this project raises on purpose."""


class ConfigError(CfPipelineError):
    """A configuration, dataset description or path that cannot be used as written."""


class DataError(CfPipelineError):
    """Data that cannot be used: a missing column, an unreadable file, nothing left."""


class HomeBusyError(CfPipelineError):
    """Another process holds the home folder's lock."""


class TrainingDiedError(CfPipelineError):
    """The process that trained was killed, crashed, or failed in a way nobody foresaw."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'similar'? `, with a blank after it; empty where nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]!r}? " if near else ""
