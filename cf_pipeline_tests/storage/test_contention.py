"""One DuckDB file and several real processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.storage import connections
from cf_pipeline.storage.connections import _holder
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse

WRITE_AND_READ = """
import sys
from pathlib import Path
import polars as pl
from cf_pipeline.storage.warehouse import Warehouse
warehouse = Warehouse(Path(sys.argv[1]), threads=1, lock_timeout_seconds=60)
for turn in range(4):
    row = {"path": f"/{sys.argv[2]}/{turn}", "size_bytes": turn, "mtime_ns": 0, "sha256": "x"}
    warehouse.merge("file_hashes", pl.DataFrame([row]))
    found = warehouse.frame("file_hashes", where="path = ?", parameters=[row["path"]])
    assert found.rows(named=True) == [row], found
"""

HOLD = """
import sys, time
from pathlib import Path
from cf_pipeline.storage.warehouse import Warehouse
warehouse = Warehouse(Path(sys.argv[1]), threads=1)
try:
    with warehouse.write() as connection:
        connection.execute("DROP TABLE project_split")
        print("held", flush=True)
        sys.stdin.readline()
        time.sleep(0.3)
        raise ZeroDivisionError
except ZeroDivisionError:
    print("released", flush=True)
sys.stdin.readline()
"""


NOTEBOOK = """import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(
    warehouse: Warehouse, draft: Callable[..., Draft], splits: Callable[..., pl.DataFrame]
) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a write to a warehouse that has rows."""
    warehouse.publish(draft("project_split"), Write({"project_split": splits("test", "a")}))
    process = _start(HOLD, warehouse.path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def _start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_processes_that_write_and_read_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"  # not there yet: the first to come makes it
    processes = [_start(WRITE_AND_READ, path, number) for number in range(3)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(Warehouse(path).frame("file_hashes")) == 12
    assert [entry.name for entry in tmp_path.iterdir()] == ["warehouse.duckdb"]


def test_a_held_file_is_waited_for_and_an_exception_frees_it(
    holder: subprocess.Popen[str], warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    hasty = Warehouse(warehouse.path, lock_timeout_seconds=0.1)
    for attempt in (hasty.tables, partial(hasty.merge, "file_hashes", hashes("/a"))):
        with pytest.raises(DataError, match=rf"by process {holder.pid} \(.*python") as caught:
            attempt()
        assert str(warehouse.path) in str(caught.value)
        assert "Close the notebook" in str(caught.value)
    caplog.clear()
    assert holder.stdin is not None
    holder.stdin.write("raise\n")
    holder.stdin.flush()
    assert warehouse.frame("project_split").rows() == [("a", "test")]
    assert caplog.records == []  # processes that take turns say nothing
    assert holder.stdout is not None
    assert holder.stdout.readline() == "released\n"
    assert holder.poll() is None  # the exception freed the file, not the end of the process
    warehouse.merge("file_hashes", hashes("/a"))


@pytest.mark.slow
def test_a_long_wait_says_who_has_the_file_once_and_again_later(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connections._FIRST_WORD_SECONDS + connections._LONGEST_SLEEP_SECONDS < 2
    assert connections._NEXT_WORD_SECONDS == 30
    warehouse.merge("file_hashes", hashes("/a"))
    hasty = Warehouse(warehouse.path, lock_timeout_seconds=1)
    monkeypatch.setattr(connections, "_FIRST_WORD_SECONDS", 0.1)
    for following, is_repeated in ((30, False), (0.3, True)):
        monkeypatch.setattr(connections, "_NEXT_WORD_SECONDS", following)
        caplog.clear()
        with (
            _open_elsewhere(warehouse.path, read_only=False) as notebook,
            pytest.raises(DataError, match="not free within 1 s"),
        ):
            hasty.tables()
        words = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert (len(words) > 1) == is_repeated
        assert words[0].startswith(
            f"waiting for {warehouse.path} for 0 s: process {notebook.pid} ("
        )
        assert words[0].endswith(" has it open")


def test_the_message_names_a_notebook_by_its_command_line(
    warehouse: Warehouse, draft: Callable[..., Draft], splits: Callable[..., pl.DataFrame]
) -> None:
    """One that only reads keeps writers out, one that may write keeps readers out, too."""
    warehouse.publish(draft("project_split"), Write({"project_split": splits("test", "a")}))
    hasty = Warehouse(warehouse.path, lock_timeout_seconds=0.05)
    for read_only in (True, False):
        with _open_elsewhere(warehouse.path, read_only) as notebook:
            named = rf"locked by process {notebook.pid} \(\S*python\S* -c import duckdb, sys .*"
            with pytest.raises(DataError, match=named + "kernel-7.json"):
                hasty.merge("file_hashes", hashes("/a"))
            if read_only:
                assert hasty.frame("project_split").rows() == [("a", "test")]
            else:
                with pytest.raises(DataError, match=named):
                    hasty.tables()
    hasty.merge("file_hashes", hashes("/a"))


def test_a_long_command_line_is_cut(warehouse: Warehouse) -> None:
    warehouse.merge("file_hashes", hashes("/a"))
    with _open_elsewhere(warehouse.path, False, "x" * 500, "the-end") as notebook:
        hasty = Warehouse(warehouse.path, lock_timeout_seconds=0.05)
        named = rf"process {notebook.pid} \(\S*python\S* -c import .* \.\.\. x+ the-end\) and"
        with pytest.raises(DataError, match=named) as caught:
            hasty.tables()
    assert "x" * 300 not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (f"held in /usr/bin/x (PID {2**31 - 1}).", f"process {2**31 - 1}"),  # nobody has it
        ("held in unknown (PID 0).", "another process"),
        ("Could not set lock on file.", "another process"),
    ],
)
def test_a_holder_that_cannot_be_looked_up_is_named_as_far_as_known(
    message: str, named: str
) -> None:
    assert _holder(message) == named


@contextlib.contextmanager
def _open_elsewhere(
    path: Path, read_only: bool, *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    process = _start(NOTEBOOK, path, read_only, "kernel-7.json", *arguments)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.communicate("close\n")


def test_a_killed_writer_leaves_the_old_rows(
    holder: subprocess.Popen[str], warehouse: Warehouse
) -> None:
    holder.kill()
    holder.wait()
    assert warehouse.frame("project_split").rows() == [("a", "test")]
    warehouse.merge("file_hashes", hashes("/a"))
    assert warehouse.tables() == ["asset_records", "file_hashes", "project_split", "record_history"]


def hashes(path: str) -> pl.DataFrame:
    return pl.DataFrame([{"path": path, "size_bytes": 1, "mtime_ns": 1, "sha256": "x"}])
