"""A lab whose data set somebody spoilt, and covers of every awkward kind."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from cf_pipeline_tests.defs.lab import Lab


def spoil_key(lab: Lab) -> None:
    lab.edit_dataset("[truth]", "[truth]\nmin_dgree = 3")


def spoil_column(lab: Lab) -> None:
    lab.edit_dataset('user_id = "user_id"', 'user_id = "userid"')


def spoil_file(lab: Lab) -> None:
    (lab.world / "interactions.parquet").write_text("user_id,project_id\n1,2\n")


def spoil_rows(lab: Lab) -> None:
    file = lab.world / "interactions.parquet"
    pl.read_parquet(file).clear().write_parquet(file)


def spoil_covers(lab: Lab) -> None:
    shutil.rmtree(lab.world / "covers")


def spoil_toml(lab: Lab) -> None:
    (lab.world / "dataset.toml").write_text("name = ")


def leave(_: Lab) -> None:
    """Nothing of the data is wrong."""


def bomb(path: Path) -> None:
    """A PNG of 60,000 x 60,000 pixels by its header, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def awkward_data_set(folder: Path) -> Path:
    """A data set of good covers, and of every kind that is not."""
    covers = folder / "covers"
    covers.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for row in range(20):
        pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(covers / f"good{row}.png")
    photo = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    photo.convert("CMYK").save(covers / "cmyk.jpg")
    photo.rotate(90).quantize(16).save(covers / "palette.png")
    photo.rotate(180).save(covers / "mislabelled.jpg", format="PNG")
    whole = (covers / "good0.png").read_bytes()
    (covers / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (covers / "empty.png").touch()
    (covers / "text.png").write_text("no picture")
    bomb(covers / "bomb.png")
    names = [*sorted(path.name for path in covers.iterdir()), "absent.png"]
    (folder / "projects.csv").write_text("id,cover\n" + "".join(f"{n},{n}\n" for n in names))
    events = "".join(f"u{row % 5},{name},view\n" for row, name in enumerate(names))
    (folder / "interactions.csv").write_text("user,project,kind\n" + events)
    (folder / "dataset.toml").write_text("""
name = "awkward"
[interactions]
files = ["interactions.csv"]
[interactions.columns]
user_id = "user"
project_id = "project"
kind = "kind"
[kinds.view]
[projects]
files = ["projects.csv"]
[projects.columns]
project_id = "id"
cover = "cover"
[covers]
folder = "covers"
""")
    return folder / "dataset.toml"
