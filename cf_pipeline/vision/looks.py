"""Looks: which covers show the same picture.

Of a cover its pixels' hash, a perceptual hash and a thumbnail squashed to a square are remembered.
Two are a confirmed pair when their 64-bit perceptual hashes are close and their thumbnails agree;
equal pixels (and so equal bytes) always are. A look component is a connected component of
confirmed pairs, a look group a cluster of them by complete linkage, every member confirmed
against every other. Pairs are found by banding: hashes that differ in at most d bits agree
exactly in at least one of d + 1 bands, so nothing is missed and no n x n matrix is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.fft import dctn
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cf_pipeline.vectors import Indices
from cf_pipeline.vision.config import CoversConfig

THUMBNAIL_SIDE = 32
HASH_BITS = 64

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, the weights of Pillow's mode L
_FLAT = 2 / 255
"""A thumbnail that deviates from its own mean by less than this shows nothing: a blank cover."""
_MAX_ASPECT_RATIO = 1.25
"""Thumbnails are squashed, so a circle equals an ellipse there: proportions must agree too."""
_MAX_LINKED = 2048
"""Members up to which a component's distance matrix is made (16 MB); above, groups are greedy."""
_BLOCK = 1 << 22
"""Hash pairs compared at once."""
_PAIRS_AT_ONCE = 128
"""Thumbnail pairs compared at once: few enough to stay in the processor's cache."""


def _lowest_frequencies() -> tuple[Indices, Indices]:
    """Row and column of the 64 lowest frequencies of a DCT, diagonal by diagonal, mean left out."""
    side = range(THUMBNAIL_SIDE)
    order = sorted(((i, j) for i in side for j in side), key=lambda ij: (ij[0] + ij[1], ij[0]))
    rows, columns = np.array(order[1 : HASH_BITS + 1], dtype=np.int64).T
    return rows, columns


_FREQUENCIES = _lowest_frequencies()


@dataclass(frozen=True, eq=False, slots=True)
class LookSignature:
    """What is compared of a cover.

    Attributes:
        pixels: SHA-256 of size and RGB values, hexadecimal; equal for equal pictures in any format.
        hash: perceptual hash, 64 bits.
        thumbnail: uint8, shape (32, 32, 3), the cover squashed to a square.
        width: of the cover in pixels.
        height: of the cover in pixels.
    """

    pixels: str
    hash: int
    thumbnail: npt.NDArray[np.uint8]
    width: int
    height: int


def look_signature(image: Image.Image) -> LookSignature:
    """The signature of an RGB image."""
    width, height = image.size
    small = image.resize(
        (THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0
    )
    thumbnail = np.asarray(small, dtype=np.uint8)
    digest = hashlib.sha256(f"{width} x {height}:".encode())
    digest.update(image.tobytes())
    return LookSignature(digest.hexdigest(), perceptual_hash(thumbnail), thumbnail, width, height)


def perceptual_hash(thumbnail: npt.NDArray[np.uint8]) -> int:
    """64 bits of an RGB thumbnail of shape (32, 32, 3).

    Bit b says whether the b-th lowest frequency of the grey picture's cosine transform is above
    half the mean magnitude of the 64. The usual threshold, their median, is near zero, and so is
    every other coefficient of a symmetric drawing: rounding then decides half the bits. On Open
    Clip Art it left 97 % of near-identical pairs of stars further than 12 bits apart; this
    threshold keeps them within 8. A blank cover's hash is 0.
    """
    # Rounding turns the 1e-13 that is left of a flat picture into 0.
    coefficients = dctn(thumbnail @ _LUMA, norm="ortho")[_FREQUENCIES].round(3)
    bits = coefficients > 0.5 * np.abs(coefficients).mean()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@dataclass(frozen=True, eq=False, slots=True)
class _Looks:
    """Signatures as arrays, one row per cover, with the thresholds they are compared by."""

    hashes: npt.NDArray[np.uint64]
    thumbnails: npt.NDArray[np.uint8]
    variances: npt.NDArray[np.float64]
    log_aspects: npt.NDArray[np.float64]
    config: CoversConfig

    @classmethod
    def of(cls, signatures: Sequence[LookSignature], config: CoversConfig) -> _Looks:
        thumbnails = np.array([s.thumbnail for s in signatures], dtype=np.uint8)
        return cls(
            np.array([s.hash for s in signatures], dtype=np.uint64),
            thumbnails.reshape(len(signatures), -1),
            np.array([(t / 255).var(axis=(0, 1)).mean() for t in thumbnails]),
            np.log([s.width / s.height for s in signatures]),
            config,
        )

    def confirm(
        self, first: Indices, second: Indices
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
        """Of hash-close pairs: which are confirmed, and their RMS difference in 0..1."""
        difference = np.empty(len(first))
        for start in range(0, len(first), _PAIRS_AT_ONCE):
            block = slice(start, start + _PAIRS_AT_ONCE)
            gap = self.thumbnails[first[block]].astype(np.int32) - self.thumbnails[second[block]]
            difference[block] = np.einsum("ij,ij->i", gap, gap)  # at most 2e8: exact in int32
        difference = np.sqrt(difference / self.thumbnails.shape[1]) / 255
        variance = self.variances[first] + self.variances[second]
        # Two different pictures on white agree in the white. What they draw is their variance,
        # and drawings that have nothing in common differ by all of it.
        drawn = difference <= self.config.max_relative_difference * np.sqrt(variance)
        aspect = np.abs(self.log_aspects[first] - self.log_aspects[second])
        drawn &= aspect <= np.log(_MAX_ASPECT_RATIO)
        flat = np.maximum(self.variances[first], self.variances[second]) < _FLAT**2
        return (difference <= self.config.max_pixel_difference) & (drawn | flat), difference

    def close(self, rows: Indices, columns: Indices) -> tuple[Indices, Indices]:
        """Positions in `rows` and `columns` of the pairs whose hashes are close."""
        bits = np.bitwise_count(self.hashes[rows][:, None] ^ self.hashes[columns][None, :])
        first, second = np.nonzero(bits <= self.config.max_hash_distance)
        return first, second


def _bands(n_bands: int) -> list[np.uint64]:
    """Masks that cut 64 bits into `n_bands` runs of nearly equal length."""
    return [
        np.uint64(sum(1 << int(bit) for bit in bits))
        for bits in np.array_split(np.arange(HASH_BITS), n_bands)
    ]


def _confirmed_blocks(looks: _Looks) -> Iterator[Indices]:
    """Every confirmed pair once, in blocks of shape (n, 2).

    Confirmed means all of: hashes differ in at most `max_hash_distance` bits; the root mean
    square difference of the thumbnails is at most `max_pixel_difference`; it is at most
    `max_relative_difference` of what both draw (the root of their summed variances); the
    proportions differ by at most a quarter. Of two blank covers only the first two are asked.
    """
    masks = _bands(looks.config.max_hash_distance + 1)
    for band, mask in enumerate(masks):
        key = looks.hashes & mask
        order = np.argsort(key, kind="stable")
        bounds = np.flatnonzero(np.diff(key[order])) + 1
        for bucket in np.split(order, bounds):
            step = max(1, _BLOCK // len(bucket))
            for start in range(0, len(bucket) - 1, step):
                rest = bucket[start:]
                i, j = looks.close(rest[:step], rest)
                first, second = rest[i[i < j]], rest[j[i < j]]
                differing = looks.hashes[first] ^ looks.hashes[second]
                # A pair that shares an earlier band was met there.
                new = np.ones(len(first), dtype=bool)
                for earlier in masks[:band]:
                    new &= (differing & earlier) != 0
                first, second = first[new], second[new]
                confirmed, _ = looks.confirm(first, second)
                yield np.stack([first[confirmed], second[confirmed]], axis=1)


def look_components(n_covers: int, blocks: Iterable[Indices]) -> Indices:
    """Connected components of confirmed pairs: a label per cover, int64 of shape (n_covers,).

    Args:
        n_covers: how many covers there are.
        blocks: arrays of pairs, each of shape (n, 2); none is kept once it is merged.
    """
    labels = np.arange(n_covers, dtype=np.int64)
    waiting: list[Indices] = []

    def merged() -> Indices:
        first, second = labels[np.concatenate(waiting)].T
        graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(n_covers, n_covers))
        component = connected_components(graph, directed=False)[1]
        return np.asarray(component[labels], dtype=np.int64)

    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) > n_covers:
            labels, waiting = merged(), []
    return merged() if waiting else labels


def look_groups(
    signatures: Sequence[LookSignature], components: Indices, config: CoversConfig
) -> Indices:
    """Clusters within components: a label per cover, int64 of shape (n_covers,).

    Every member of a cluster is confirmed against every other. Up to 2,048 covers a component is
    cut by complete linkage of the RMS difference; in a larger one each cover, in the order given,
    joins the first cluster that it is confirmed against as a whole, which needs no matrix.
    """
    looks = _Looks.of(signatures, config) if len(signatures) else None
    groups = np.empty(len(signatures), dtype=np.int64)
    n_groups = 0
    order = np.argsort(components, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(components[order])) + 1):
        if looks is None or len(members) < 2:
            inside = np.zeros(len(members), dtype=np.int64)
        elif len(members) <= _MAX_LINKED:
            inside = _linked(looks, members)
        else:
            inside = _greedy(looks, members)
        groups[members] = inside + n_groups
        n_groups += int(inside.max(initial=-1)) + 1
    return groups


def _linked(looks: _Looks, members: Indices) -> Indices:
    """Complete linkage: a label from 0 per member."""
    n = len(members)
    i, j = looks.close(members, members)
    i, j = i[i < j], j[i < j]
    confirmed, difference = looks.confirm(members[i], members[j])
    i, j, difference = i[confirmed], j[confirmed], difference[confirmed]
    # Differences are at most 1; what is not confirmed stands beyond the cut. SciPy takes no inf.
    distances = np.full(n * (n - 1) // 2, 2.0)
    distances[n * i - i * (i + 1) // 2 + j - i - 1] = difference
    labels = fcluster(linkage(distances, method="complete"), t=1.0, criterion="distance")
    return np.asarray(labels, dtype=np.int64) - 1


def _greedy(looks: _Looks, members: Indices) -> Indices:
    """First cluster that is confirmed as a whole: a label from 0 per member."""
    labels = np.zeros(len(members), dtype=np.int64)
    sizes = np.zeros(len(members), dtype=np.int64)
    for row in range(len(members)):
        _, before = looks.close(members[row : row + 1], members[:row])
        confirmed, _ = looks.confirm(np.full(len(before), members[row]), members[before])
        agreeing = np.bincount(labels[before[confirmed]], minlength=len(members))
        whole = np.flatnonzero((agreeing == sizes) & (sizes > 0))
        labels[row] = whole[0] if len(whole) else np.count_nonzero(sizes)
        sizes[labels[row]] += 1
    return labels


def assign_looks(
    project_ids: Sequence[str], signatures: Sequence[LookSignature | None], config: CoversConfig
) -> tuple[list[str | None], list[str | None]]:
    """Look group and look component of every project, each named by its smallest project id.

    Covers of equal pixels are one cover here. The order of the projects changes nothing.

    Args:
        project_ids: unique ids.
        signatures: one per project; None where there is no readable cover.
        config: the thresholds.

    Returns:
        look_group and look_component, in the order given; None where there is no signature.
    """
    rows = sorted(
        (row for row, signature in enumerate(signatures) if signature is not None),
        key=lambda row: project_ids[row],
    )
    first: dict[str, int] = {}
    unique: list[LookSignature] = []
    copies = []
    for row in rows:
        signature = signatures[row]
        assert signature is not None
        if signature.pixels not in first:
            first[signature.pixels] = len(unique)
            unique.append(signature)
        copies.append(first[signature.pixels])
    blocks = _confirmed_blocks(_Looks.of(unique, config)) if unique else iter(())
    components = look_components(len(unique), blocks)
    groups = look_groups(unique, components, config)
    look_group: list[str | None] = [None] * len(project_ids)
    look_component: list[str | None] = [None] * len(project_ids)
    for names, labels in ((look_group, groups), (look_component, components)):
        smallest: dict[int, str] = {}
        for row, copy in zip(rows, copies, strict=True):
            # Rows come in the order of their ids: the first of a label is its smallest.
            names[row] = smallest.setdefault(int(labels[copy]), project_ids[row])
    return look_group, look_component
