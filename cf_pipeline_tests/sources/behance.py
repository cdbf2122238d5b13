"""The Behance release of Vista (He and others, RecSys 2016) in small, byte for byte as it is.

Space-separated without a header; ids are eight characters with leading zeros; an item has a line
for each owner; vectors are records of the id's eight bytes and 4,096 little-endian floats, one item
without.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

APPRECIATE = (
    b"276633 01588231 1307583271\n"
    b"1238354 01529213 1307583273\n"
    b"165550 00485000 1307583337\n"
    b"276633 00485000 1307583343\n"
    b"2173258 01398047 1307583344\n"
)
OWNERS = b"00485000 165550\n01529213 2137583\n01529213 1238354\n01588231 276633\n01398047 165550\n"
WITH_VECTORS = ("01588231", "01529213", "00485000")
WITHOUT = "01398047"
DIMENSIONS = 4096


def vectors() -> np.ndarray:
    return np.random.default_rng(0).random((3, DIMENSIONS), dtype=np.float32)


def records() -> bytes:
    return b"".join(
        item.encode() + struct.pack(f"<{DIMENSIONS}f", *vector)
        for item, vector in zip(WITH_VECTORS, vectors().tolist(), strict=True)
    )


def write_release(folder: Path, *, compressed: bool) -> None:
    """As it is downloaded, or unpacked by its user."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("Behance_appreciate_1M", APPRECIATE),
        ("Behance_Item_to_Owners", OWNERS),
    ):
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    (folder / "Behance_Image_Features.b").write_bytes(records())
