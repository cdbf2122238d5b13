"""Randomness that belongs to ids: the same project draws the same numbers whoever stands beside it.

A generator that is drawn from in turn would deal every project new numbers as soon as one is added.
Here a number is a hash of the seed and the ids it is for, so ties, triplets and random rankings
stay as they were for everybody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
"""uint64, uniform over the whole range."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def id_keys(ids: Sequence[str], seed: int) -> Keys:
    """One key per id, from the seed and the id alone, shape (n,)."""
    salt = seed.to_bytes(8, "little")
    digests = (hashlib.blake2b(id_.encode(), digest_size=8, key=salt).digest() for id_ in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def rank_within(classes: npt.NDArray[np.int64], keys: Keys) -> npt.NDArray[np.int64]:
    """Place of each row among those of its class in the order of keys, from 0, shape (n,)."""
    order = np.lexsort((keys, classes))
    starts = np.flatnonzero(np.r_[True, np.diff(classes[order]) != 0])
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return ranks


def pair_keys(first: Keys, second: Keys) -> Keys:
    """One key per ordered pair, shapes broadcast; (a, b) and (b, a) differ.

    The finalizer is that of splitmix64 (Steele, Lea, Flood 2014), over a + golden * b.
    """
    mixed = np.atleast_1d(first) + _GOLDEN * np.atleast_1d(second)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def keyed_uniforms(keys: Keys, n_draws: int) -> npt.NDArray[np.float64]:
    """n_draws numbers in [0, 1) for every key, shape (n_keys, n_draws)."""
    streams = np.arange(1, n_draws + 1, dtype=np.uint64)
    mixed = pair_keys(keys[:, np.newaxis], streams[np.newaxis, :])
    # 53 bits are what a float64 holds exactly, so 1.0 never occurs.
    return np.asarray((mixed >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
