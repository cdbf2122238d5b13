"""Vectors from outside: whatever they are written in, read = used + rejected, and ids are text."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import TEMPLATES, load_dataset
from cf_pipeline.sources.doctor import examine
from cf_pipeline.sources.feature_files import export_features
from cf_pipeline.sources.reading import Loaded, read_interactions, read_projects
from cf_pipeline_tests.sources import behance
from cf_pipeline_tests.sources.conftest import LIMITS, DatasetMaker

PROJECTS = {"01398047", "2"}
VECTORS = np.array([[1.5, -2.0], [0.25, 3.0]], dtype=np.float32)


def rows(loaded: Loaded, table: str = "user_embeddings") -> pl.DataFrame:
    with duckdb.connect() as con:
        found = con.execute(loaded.tables[table]).fetchall()
        names = [column[0] for column in con.description or ()]
    return pl.DataFrame(found, schema=names, orient="row")


def given(rest: str) -> dict[str, str]:
    return {"rest": f'[[features]]\nname = "mine"\n{rest}'}


def exported(make_dataset: DatasetMaker, tmp_path: Path, rest: str) -> Loaded:
    return export_features(make_dataset(**given(rest)), PROJECTS, tmp_path)


def parquet(path: Path, ids: list[str], vectors: list[list[float]], kind: pa.DataType) -> None:
    pq.write_table(pa.table({"project_id": ids, "features": pa.array(vectors, kind)}), path)


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float32(), 2),
     pa.large_list(pa.float16())],
    ids=str,
)  # fmt: skip
def test_parquet_of_any_kind_of_list(
    make_dataset: DatasetMaker, tmp_path: Path, kind: pa.DataType
) -> None:
    parquet(tmp_path / "v.parquet", ["2", "01398047"], VECTORS.tolist(), kind)
    loaded = exported(make_dataset, tmp_path, 'files = ["v.parquet"]')
    found = rows(loaded)
    assert found["project_id"].to_list() == ["2", "01398047"]
    assert set(found["feature_set"]) == {"user:mine"}
    assert found["features"].to_list() == VECTORS.tolist()
    assert found["sha256"].n_unique() == 2
    assert loaded.summary["user:mine projects without a vector"] == 0


def test_a_matrix_with_a_file_of_ids(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "ids.txt").write_bytes(b"01398047\r\n2\r\n")
    loaded = exported(make_dataset, tmp_path, 'files = ["v.npy"]\nids = "ids.txt"')
    assert rows(loaded)["project_id"].to_list() == ["01398047", "2"]


@pytest.mark.parametrize("compressed", [False, True])
def test_records_zipped_or_not(
    make_dataset: DatasetMaker, tmp_path: Path, compressed: bool
) -> None:
    content = b"01398047" + VECTORS[0].tobytes() + b"2\0\0\0\0\0\0\0" + VECTORS[1].tobytes()
    name = "v.b.gz" if compressed else "v.b"
    (tmp_path / name).write_bytes(gzip.compress(content) if compressed else content)
    loaded = exported(make_dataset, tmp_path, f'files = ["{name}"]\ndimensions = 2')
    assert rows(loaded)["project_id"].to_list() == ["01398047", "2"]
    assert rows(loaded)["features"].to_list() == VECTORS.tolist()


def test_what_cannot_be_used_is_kept_with_its_reason(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    vectors = [*VECTORS.tolist(), [7.0, 7.0], [float("nan"), 0.0]]
    ids = ["2", "2", "x", "01398047"]
    parquet(tmp_path / "v.parquet", ids, vectors, pa.list_(pa.float32()))
    loaded = exported(make_dataset, tmp_path, 'files = ["v.parquet"]')
    turned = rows(loaded, "user_embeddings_rejected")
    assert turned.rows() == [
        ("v.parquet", 2, "second vector of a project", "2"),
        ("v.parquet", 3, "no such project", "x"),
        ("v.parquet", 4, "not finite", "01398047"),
    ]
    summary = loaded.summary
    assert summary["user:mine vectors read"] == 4
    assert (summary["user:mine vectors used"], summary["user:mine vectors rejected"]) == (1, 3)
    assert summary["user:mine projects without a vector"] == 1


def test_without_any_the_tables_are_empty(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    loaded = export_features(make_dataset(), PROJECTS, tmp_path)
    assert rows(loaded).is_empty()
    assert loaded.summary == {"feature_sets": 0}


@pytest.mark.parametrize(
    ("name", "content", "rest", "message"),
    [
        ("v.b", b"0139804", "dimensions = 2", "holds 0 records of 16 bytes and 7 bytes more"),
        ("v.b", b"0" * 32, "", "are records and need dimensions"),
        ("v.b", b"\xff" * 16, "dimensions = 2", "the id of record 1 is"),
        ("v.b.gz", gzip.compress(b"0" * 99)[:20], "dimensions = 2", "cannot be read to its end"),
        ("v.bin", b"0" * 16, "", "the suffix '.bin' does not say how vectors are written"),
        ("v.parquet", b"PAR1", "", "cannot be read as parquet"),
        ("v.npy", b"no", 'ids = "ids.txt"', "cannot be read as a NumPy matrix"),
        ("v.b", b"", "dimensions = 2", "None of the 0 vectors of user:mine can be used: no rows"),
    ],
    ids=range(8),
)
def test_a_file_that_is_not_what_it_should_be_is_told(
    make_dataset: DatasetMaker, tmp_path: Path, name: str, content: bytes, rest: str, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "ids.txt").write_text("2\n")
    with pytest.raises((ConfigError, DataError), match=message):
        exported(make_dataset, tmp_path, f'files = ["{name}"]\n{rest}')


def test_lengths_that_differ_and_ids_that_never_match_are_told(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    parquet(tmp_path / "v.parquet", ["2", "3"], [[1.0], [1.0, 2.0]], pa.list_(pa.float32()))
    with pytest.raises(DataError, match="vectors have 1 to 2 numbers, expected one length"):
        exported(make_dataset, tmp_path, 'files = ["v.parquet"]')
    parquet(tmp_path / "v.parquet", ["a", "b"], VECTORS.tolist(), pa.list_(pa.float32()))
    with pytest.raises(DataError, match=r"None of the 2 vectors .* no such project \(2\)"):
        exported(make_dataset, tmp_path, 'files = ["v.parquet"]')
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "ids.txt").write_text("2\n")
    with pytest.raises(DataError, match=r"has shape \(2, 2\) and .* has 1 ids"):
        exported(make_dataset, tmp_path, 'files = ["v.npy"]\nids = "ids.txt"')


@pytest.mark.parametrize("compressed", [False, True])
def test_the_behance_release_with_its_traps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    behance.write_release(tmp_path / "behance_vista", compressed=compressed)
    monkeypatch.setenv("CF_PIPELINE_DATASETS", str(tmp_path))
    dataset = load_dataset(TEMPLATES / "behance_vista.toml")
    with LIMITS.connect(tmp_path) as con:
        events = read_interactions(con, dataset)
        projects = read_projects(con, dataset)
        first = con.execute("SELECT * FROM loaded_interactions LIMIT 1").fetchall()[0]
        owners = dict(con.execute("SELECT project_id, owners FROM loaded_projects").fetchall())
    assert (events.read, events.used) == (5, 5)
    assert (first[0], first[1], first[2]) == ("276633", "01588231", "appreciation")
    assert str(first[3]) == "2011-06-09 01:34:31"
    assert (projects.read, projects.used) == (5, 5)  # a co-owner's line is used, too
    assert owners == {
        "00485000": ["165550"],
        "01529213": ["1238354", "2137583"],
        "01588231": ["276633"],
        "01398047": ["165550"],
    }
    loaded = export_features(dataset, set(owners), tmp_path)
    found = rows(loaded)
    assert found["project_id"].to_list() == list(behance.WITH_VECTORS)
    assert found["features"].to_list() == behance.vectors().tolist()
    assert loaded.summary["user:vista projects without a vector"] == 1
    findings = examine(dataset, LIMITS)
    assert not [finding for finding in findings if finding.level == "error"]
    said = next(finding for finding in findings if finding.subject == "features")
    assert said.message == "vista: 3 vectors; 3 of 4 projects have one"


def test_a_matrix_without_ids_is_told(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(ConfigError, match="ids is missing in"):
        exported(make_dataset, tmp_path, 'files = ["v.npy"]')
