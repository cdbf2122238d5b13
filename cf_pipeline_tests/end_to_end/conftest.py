"""Where end-to-end tests keep their homes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM = 2**30


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder in memory where there is room: on disk, databases wait for every write."""
    is_roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with tempfile.TemporaryDirectory(dir=MEMORY if is_roomy else None) as folder:
        yield Path(folder)
