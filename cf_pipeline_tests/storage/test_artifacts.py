from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.storage.artifacts import Artifact, Artifacts


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def publish(artifacts: Artifacts, files: dict[str, bytes], kind: str = "weights") -> Artifact:
    with artifacts.draft() as draft:
        for name, content in files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(content)
        return artifacts.publish(draft, kind)


def drafts(artifacts: Artifacts) -> list[Path]:
    return list((artifacts.folder / ".staging").iterdir())


def test_a_folder_is_moved_into_place_whole(artifacts: Artifacts) -> None:
    artifact = publish(artifacts, {"a.bin": b"123", "sub/b.bin": b"4567"})
    assert artifact.path == artifacts.folder / "weights" / artifact.version[:16]
    assert artifact.files == ("a.bin", "sub/b.bin")
    assert artifact.n_bytes == 7
    assert (artifact.path / "sub" / "b.bin").read_bytes() == b"4567"
    assert not os.stat(artifact.path / "a.bin").st_mode & 0o222
    assert artifacts.find("weights", artifact.version) == artifact.path
    assert artifacts.find("weights", artifact.version[:16]) == artifact.path
    assert drafts(artifacts) == []


def test_the_version_follows_names_and_contents_only(artifacts: Artifacts) -> None:
    files = {"a": b"1", "b": b"2"}
    same = publish(artifacts, dict(reversed(files.items())), "other")
    assert publish(artifacts, files).version == same.version
    others = [{"a": b"2", "b": b"1"}, {"a": b"1", "c": b"2"}, {"a": b"12", "b": b""}, {"a": b"1"}]
    versions = {publish(artifacts, changed).version for changed in others}
    assert len(versions | {same.version}) == 5


def test_the_same_content_again_keeps_what_is_there(artifacts: Artifacts) -> None:
    first = publish(artifacts, {"a": b"1"})
    inode = os.stat(first.path / "a").st_ino
    assert publish(artifacts, {"a": b"1"}) == first
    assert os.stat(first.path / "a").st_ino == inode


def test_what_is_published_is_listed_measured_and_removed(artifacts: Artifacts) -> None:
    assert artifacts.folders() == []
    first = publish(artifacts, {"a": b"123", "sub/b": b"4"})
    second = publish(artifacts, {"a": b"1"}, "index")
    (artifacts.folder / "weights" / "notes").mkdir()
    with artifacts.draft():
        assert artifacts.folders() == sorted([first.path, second.path])
    assert artifacts.size(first.path) == first.n_bytes == 4
    for _ in range(2):
        artifacts.remove(first.path)
    assert artifacts.folders() == [second.path]
    assert drafts(artifacts) == []
    for path in (artifacts.folder / "weights" / "notes", artifacts.folder, second.path / "a"):
        with pytest.raises(DataError, match="is no artifact in"):
            artifacts.remove(path)
    assert artifacts.folders() == [second.path]


def test_damage_is_mended_by_publishing_again(
    artifacts: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = publish(artifacts, {"a": b"1"})
    (artifact.path / "a").chmod(0o644)
    (artifact.path / "a").write_bytes(b"2")
    with caplog.at_level(logging.WARNING):
        assert publish(artifacts, {"a": b"1"}) == artifact
    assert "was damaged and is replaced" in caplog.text
    assert (artifact.path / "a").read_bytes() == b"1"


def test_what_is_not_published_is_removed(artifacts: Artifacts) -> None:
    with artifacts.draft() as draft:
        (draft / "half").write_bytes(b"1")
    with pytest.raises(ZeroDivisionError), artifacts.draft() as draft:
        raise ZeroDivisionError
    assert drafts(artifacts) == []
    assert [path.name for path in artifacts.folder.iterdir()] == [".staging"]


def test_what_killed_processes_left_can_be_cleared(artifacts: Artifacts) -> None:
    artifacts.clear_drafts()
    kept = publish(artifacts, {"a": b"1"})
    left = artifacts.folder / ".staging" / "left"
    left.mkdir()
    artifacts.clear_drafts()
    assert not left.exists()
    assert artifacts.find("weights", kept.version).is_dir()


@pytest.mark.parametrize("version", ["0" * 64, "0" * 16, "", "00"])
def test_what_is_not_there_is_named(artifacts: Artifacts, version: str) -> None:
    publish(artifacts, {"a": b"1"})
    with pytest.raises(DataError, match=r"no artifact weights .* Materialize the asset"):
        artifacts.find("weights", version)


def test_nothing_links_and_bad_kinds_are_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    with artifacts.draft() as draft:
        with pytest.raises(DataError, match="holds no files"):
            artifacts.publish(draft, "weights")
        (draft / "link").symlink_to(tmp_path)
        with pytest.raises(DataError, match="is a link or device"):
            artifacts.publish(draft, "weights")
        for kind in ("../weights", "", "Weights", ".staging"):
            with pytest.raises(DataError, match="expected a kind"):
                artifacts.publish(draft, kind)
