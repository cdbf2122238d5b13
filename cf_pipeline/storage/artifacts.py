"""Large immutable things as content-addressed folders beside the warehouse.

Weights, decoded covers, sparse matrices and indexes are written into a draft, a folder on the same
file system, hashed over names and contents, and moved into place whole: a reader sees all of an
artifact or nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cf_pipeline.errors import DataError

logger = logging.getLogger(__name__)

_NAME_LENGTH = 16
_KIND = "[a-z][a-z0-9_]*"


@dataclass(frozen=True)
class Artifact:
    """A published artifact.

    Attributes:
        kind: what sort of thing it is.
        version: SHA-256 over its files' names and contents, 64 hexadecimal digits.
        path: its folder, named by the first 16 of them.
        n_bytes: size of its files, bytes.
        files: their names relative to the folder, sorted.
    """

    kind: str
    version: str
    path: Path
    n_bytes: int
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first digits of the version; of a checkpoint that is the model version."""
        return self.path.name


class Artifacts:
    """The artifacts below one folder, `<kind>/<first 16 digits of the version>/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Called so since 0.1.0: what a killed process of an earlier release left is cleared, too.
        self._drafts = folder / ".staging"

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """A fresh folder to write into; whatever was not published is removed afterwards."""
        draft = self._drafts / secrets.token_hex(8)
        draft.mkdir(parents=True)
        try:
            yield draft
        finally:
            if draft.exists():
                shutil.rmtree(draft)

    def clear_drafts(self) -> None:
        """Remove what killed processes left behind; only for the holder of the home's lock."""
        if self._drafts.exists():
            shutil.rmtree(self._drafts)

    def publish(self, draft: Path, kind: str) -> Artifact:
        """Move a folder into place; the same content again keeps what is there.

        Only the holder of the home's lock publishes, so nobody is in the way.

        Args:
            draft: the folder that `draft` gave, or one below it.
            kind: lower-case name, letters, digits and `_`.

        Raises:
            DataError: there are no files, one is a link, or the kind is no name.
        """
        if not re.fullmatch(_KIND, kind):
            raise DataError(f"expected a kind such as 'weights', got {kind!r}.")
        artifact = self._described(draft, kind)
        if artifact.path.exists():
            if _version(artifact.path) == artifact.version:
                shutil.rmtree(draft)
                return artifact
            logger.warning("%s was damaged and is replaced by its content", artifact.path)
            shutil.rmtree(artifact.path)
        for name in artifact.files:
            _sync(draft / name)
            (draft / name).chmod(0o444)
        for below in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
            _sync(below)
        artifact.path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft, artifact.path)
        _sync(artifact.path.parent)
        return artifact

    def has(self, kind: str, version: str) -> bool:
        """Whether an artifact is there."""
        return (self.folder / kind / version[:_NAME_LENGTH]).is_dir()

    def find(self, kind: str, version: str) -> Path:
        """The folder of an artifact; the version may be cut to its first 16 digits.

        Raises:
            DataError: it is not there.
        """
        path = self.folder / kind / version[:_NAME_LENGTH]
        if len(version) < _NAME_LENGTH or not path.is_dir():
            raise DataError(
                f"no artifact {kind} {version!r} at {path}. Materialize the asset that makes it "
                "again with --force, or restore the folder from a copy."
            )
        return path

    def folders(self) -> list[Path]:
        """The folders of all published artifacts, recorded in the warehouse or not, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path
            for kind in self.folder.iterdir()
            if re.fullmatch(_KIND, kind.name) and kind.is_dir()
            for path in kind.iterdir()
            if self._is_published(path)
        )

    def size(self, path: Path) -> int:
        """Size of the files in a folder, bytes."""
        return sum((path / name).stat().st_size for name in _files(path))

    def size_of(self, kind: str, version: str) -> int:
        """Size of an artifact by its version, bytes; 0 where it is not there."""
        return self.size(self.folder / kind / version[:_NAME_LENGTH])

    def remove(self, path: Path) -> None:
        """Take a published artifact away: a reader sees all of it or nothing.

        What a process killed meanwhile leaves is removed by `clear_drafts`. A folder that is
        gone already is no error.

        Raises:
            DataError: the path is not the folder of an artifact in here.
        """
        if path.parent.parent != self.folder or not self._is_published(path):
            if not path.exists():
                return
            raise DataError(
                f"{path} is no artifact in {self.folder}: expected a path as of folders()."
            )
        self._drafts.mkdir(parents=True, exist_ok=True)
        leaving = self._drafts / secrets.token_hex(8)
        os.replace(path, leaving)
        shutil.rmtree(leaving)

    def _described(self, folder: Path, kind: str) -> Artifact:
        files = _files(folder)
        if not files:
            raise DataError(f"{folder} holds no files: write the {kind} before it is published.")
        version = _version(folder)
        path = self.folder / kind / version[:_NAME_LENGTH]
        return Artifact(kind, version, path, self.size(folder), files)

    @staticmethod
    def _is_published(path: Path) -> bool:
        return re.fullmatch(rf"[0-9a-f]{{{_NAME_LENGTH}}}", path.name) is not None and path.is_dir()


def _files(folder: Path) -> tuple[str, ...]:
    """Names of all files below a folder, relative, with `/`, sorted."""
    names = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise DataError(f"{path} is a link or device; an artifact holds plain files only.")
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    return tuple(sorted(names))


def _version(folder: Path) -> str:
    """SHA-256 over name and SHA-256 of every file, in the order of names."""
    digest = hashlib.sha256()
    for name in _files(folder):
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{len(name.encode())}:{name}:{content}\n".encode())
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Have the operating system write a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
