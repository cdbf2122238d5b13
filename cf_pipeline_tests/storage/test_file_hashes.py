from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.storage.file_hashes import hash_files
from cf_pipeline.storage.warehouse import Warehouse


def write(path: Path, content: bytes, age_seconds: float = 60) -> Path:
    path.write_bytes(content)
    when = time.time() - age_seconds
    os.utime(path, (when, when))
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_files_are_hashed_in_the_order_given(warehouse: Warehouse, tmp_path: Path) -> None:
    b, a = write(tmp_path / "b", b"22"), write(tmp_path / "a", b"")
    missing = tmp_path / "missing"
    found = hash_files(warehouse, [b, missing, tmp_path, a, b])
    assert found.rows() == [
        (str(b), 2, sha256(b"22")),
        (str(missing), None, None),
        (str(tmp_path), None, None),
        (str(a), 0, sha256(b"")),
        (str(b), 2, sha256(b"22")),
    ]
    assert hash_files(warehouse, []).columns == ["path", "size_bytes", "sha256"]


def test_a_known_file_is_not_read_again_and_nothing_is_written(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", b"11")
    first = hash_files(warehouse, [path])
    status = path.stat()
    path.write_bytes(b"22")  # behind the back of size and time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    written = warehouse.path.stat().st_mtime_ns
    with warehouse.read():  # a write would have to wait for this reader, and is refused
        assert hash_files(warehouse, [path]).equals(first)
    assert warehouse.path.stat().st_mtime_ns == written
    monkeypatch.chdir(tmp_path)
    assert hash_files(warehouse, [Path("a")]).rows() == [("a", 2, sha256(b"11"))]


def test_new_times_and_sizes_are_read_again(warehouse: Warehouse, tmp_path: Path) -> None:
    touched = write(tmp_path / "touched", b"1")
    changed = write(tmp_path / "changed", b"1")
    grown = write(tmp_path / "grown", b"1")
    gone = write(tmp_path / "gone", b"1")
    paths = [touched, changed, grown, gone]
    assert set(hash_files(warehouse, paths)["sha256"]) == {sha256(b"1")}
    write(touched, b"1", 30)
    write(changed, b"2", 30)
    status = grown.stat()
    grown.write_bytes(b"12")
    os.utime(grown, ns=(status.st_atime_ns, status.st_mtime_ns))
    gone.unlink()
    for _ in range(2):
        found = hash_files(warehouse, paths)["sha256"].to_list()
        assert found == [sha256(b"1"), sha256(b"2"), sha256(b"12"), None]
    assert len(warehouse.frame("file_hashes")) == 4


def test_a_file_that_was_just_written_is_not_trusted(warehouse: Warehouse, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"11", age_seconds=0.5)
    status = path.stat()
    hash_files(warehouse, [path])
    path.write_bytes(b"22")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_files(warehouse, [path])["sha256"].to_list() == [sha256(b"22")]


def test_many_small_files_are_quick_the_second_time(warehouse: Warehouse, tmp_path: Path) -> None:
    paths = [write(tmp_path / str(number), b"%d" % number) for number in range(1000)]
    first = hash_files(warehouse, paths)
    began = time.monotonic()
    assert hash_files(warehouse, paths).equals(first)
    assert time.monotonic() - began < 1
    assert first["sha256"].n_unique() == 1000


def test_a_name_that_no_table_can_hold_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    with pytest.raises(DataError, match="not written in UTF-8"):
        hash_files(warehouse, [path])
