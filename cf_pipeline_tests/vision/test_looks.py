import os
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.vision import looks
from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.covers import inspect_covers
from cf_pipeline.vision.looks import (
    LookSignature,
    assign_looks,
    look_components,
    look_groups,
    look_signature,
    perceptual_hash,
)
from cf_pipeline_tests.vision.pictures import drawing

CONFIG = CoversConfig()


def crafted(hash_, thumbnail=None, aspect=1.0):
    """A signature from its parts."""
    if thumbnail is None:
        thumbnail = np.zeros((32, 32, 3), dtype=np.uint8)
    return LookSignature("", int(hash_), thumbnail, round(1000 * aspect), 1000)


def family(seed, n=40):
    """Signatures around a few centres, so that pairs lie on both sides of every threshold."""
    rng = np.random.default_rng(seed)
    centres = [
        np.asarray(drawing(int(s)).resize((32, 32)), dtype=float) for s in rng.integers(0, 4, 4)
    ]
    covers = []
    for _ in range(n):
        centre = centres[rng.integers(4)]
        other = centres[rng.integers(4)]
        mixed = centre + rng.uniform(0, 0.3) * (other - centre)
        thumbnail = mixed.round().astype(np.uint8)
        base = perceptual_hash(centre.astype(np.uint8))
        flips = sum(1 << int(b) for b in rng.choice(64, rng.integers(0, 6), replace=False))
        covers.append(crafted(base ^ flips, thumbnail, rng.uniform(0.9, 1.2)))
    return covers


def brute_force(signatures, config):
    """The definition, pair by pair."""
    pairs = []
    for i, j in combinations(range(len(signatures)), 2):
        a, b = signatures[i], signatures[j]
        x, y = a.thumbnail / 255, b.thumbnail / 255
        difference = np.sqrt(((x - y) ** 2).mean())
        variances = [t.var(axis=(0, 1)).mean() for t in (x, y)]
        aspects = (a.width / a.height, b.width / b.height)
        blank = max(variances) < (2 / 255) ** 2
        if (
            (a.hash ^ b.hash).bit_count() <= config.max_hash_distance
            and difference <= config.max_pixel_difference
            and (blank or difference <= config.max_relative_difference * sum(variances) ** 0.5)
            and (blank or max(aspects) / min(aspects) <= 1.25)
        ):
            pairs.append((i, j))
    return pairs


def confirmed_pairs(signatures, config):
    """Every confirmed pair, i < j, sorted."""
    blocks = looks._confirmed_blocks(looks._Looks.of(signatures, config)) if signatures else ()
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int64), *blocks])
    pairs.sort(axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


class TestPairs:
    @settings(max_examples=60, deadline=None)
    @given(
        base=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3),
        flips=st.lists(
            st.tuples(st.integers(0, 2), st.sets(st.integers(0, 63), max_size=14)), max_size=25
        ),
        distance=st.integers(0, 15),
    )
    def test_banding_finds_what_comparing_all_finds(self, base, flips, distance):
        config = CoversConfig(max_hash_distance=distance)
        hashes = [base[k % len(base)] ^ sum(1 << bit for bit in bits) for k, bits in flips]
        expected = [
            (i, j)
            for i, j in combinations(range(len(hashes)), 2)
            if (hashes[i] ^ hashes[j]).bit_count() <= distance
        ]
        found = confirmed_pairs([crafted(h) for h in hashes], config)
        assert [tuple(pair) for pair in found.tolist()] == expected

    @pytest.mark.parametrize("seed", range(6))
    def test_all_conditions_as_defined(self, seed):
        signatures = family(seed)
        found = [tuple(pair) for pair in confirmed_pairs(signatures, CONFIG).tolist()]
        expected = brute_force(signatures, CONFIG)
        assert found == expected
        assert 0 < len(expected) < len(signatures) * (len(signatures) - 1) / 2

    def test_small_blocks_change_nothing(self, monkeypatch):
        signatures = family(1, n=80)
        whole = confirmed_pairs(signatures, CONFIG)
        monkeypatch.setattr(looks, "_BLOCK", 7)
        monkeypatch.setattr(looks, "_PAIRS_AT_ONCE", 3)
        assert (confirmed_pairs(signatures, CONFIG) == whole).all()

    def test_none_and_one(self):
        assert confirmed_pairs([], CONFIG).shape == (0, 2)
        assert confirmed_pairs([crafted(3)], CONFIG).shape == (0, 2)


def union_find(n, pairs):
    parent = list(range(n))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in pairs:
        parent[root(i)] = root(j)
    return [root(i) for i in range(n)]


def same_partition(one, other):
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), n=st.integers(1, 30))
def test_components_are_those_of_the_graph_however_the_pairs_come(data, n):
    row = st.integers(0, n - 1)
    blocks = data.draw(st.lists(st.lists(st.tuples(row, row), max_size=40), max_size=4))
    arrays = [np.array(block, dtype=np.int64).reshape(-1, 2) for block in blocks]
    found = look_components(n, arrays).tolist()
    assert same_partition(found, union_find(n, [pair for block in blocks for pair in block]))


class TestGroups:
    @pytest.mark.parametrize("linked", [2048, 1])
    @pytest.mark.parametrize("seed", range(5))
    def test_every_member_is_confirmed_against_every_other(self, seed, linked, monkeypatch):
        monkeypatch.setattr(looks, "_MAX_LINKED", linked)
        signatures = family(seed, n=60)
        pairs = confirmed_pairs(signatures, CONFIG)
        components = look_components(len(signatures), [pairs])
        groups = look_groups(signatures, components, CONFIG)
        confirmed = {tuple(pair) for pair in pairs.tolist()}
        inside = [(i, j) for i, j in combinations(range(60), 2) if groups[i] == groups[j]]
        assert inside
        assert confirmed.issuperset(inside)
        # Groups refine components, and some component is cut.
        assert all(components[i] == components[j] for i, j in inside)
        assert len(set(groups.tolist())) > len(set(components.tolist()))

    @pytest.mark.parametrize("linked", [2048, 1])
    @pytest.mark.parametrize("seed", range(3))
    def test_two_groups_could_not_be_one(self, seed, linked, monkeypatch):
        monkeypatch.setattr(looks, "_MAX_LINKED", linked)
        signatures = family(seed, n=60)
        pairs = confirmed_pairs(signatures, CONFIG)
        groups = look_groups(signatures, look_components(60, [pairs]), CONFIG)
        confirmed = {tuple(pair) for pair in pairs.tolist()}
        members = {label: np.flatnonzero(groups == label) for label in set(groups.tolist())}
        for one, other in combinations(members.values(), 2):
            across = {(min(i, j), max(i, j)) for i in one.tolist() for j in other.tolist()}
            assert not across <= confirmed

    def test_a_chain_is_one_component_and_several_groups(self):
        chain = [
            crafted(0, np.full((32, 32, 3), value, dtype=np.uint8)) for value in range(0, 90, 9)
        ]
        components = look_components(10, [confirmed_pairs(chain, CONFIG)])
        groups = look_groups(chain, components, CONFIG)
        assert len(set(components.tolist())) == 1
        assert len(set(groups.tolist())) == 5  # 9/255 apart is 0.035; 18/255 is 0.07

    def test_none(self):
        assert look_groups([], np.empty(0, dtype=np.int64), CONFIG).shape == (0,)


class TestAssign:
    def test_names_are_smallest_ids_and_unreadable_covers_have_none(self):
        signatures = [
            look_signature(drawing(1)),
            None,
            look_signature(drawing(1)),
            look_signature(drawing(2)),
            look_signature(drawing(1, side=64)),
        ]
        group, component = assign_looks(["d", "a", "c", "b", "010"], signatures, CONFIG)
        assert group == ["010", None, "010", "b", "010"]
        assert component == group

    def test_nothing_and_nothing_readable(self):
        assert assign_looks([], [], CONFIG) == ([], [])
        assert assign_looks(["a"], [None], CONFIG) == ([None], [None])

    @settings(max_examples=15, deadline=None)
    @given(order=st.permutations(range(40)))
    def test_order_changes_nothing(self, order):
        signatures = family(2, n=40)
        # Distinct pixels for distinct covers, and two exact copies.
        signatures = [
            LookSignature(str(i // 2 if i < 4 else i), s.hash, s.thumbnail, s.width, s.height)
            for i, s in enumerate(signatures)
        ]
        signatures[1], signatures[3] = signatures[0], signatures[2]
        ids = [f"p{i:02}" for i in range(40)]
        group, component = assign_looks(ids, signatures, CONFIG)
        shuffled = assign_looks([ids[i] for i in order], [signatures[i] for i in order], CONFIG)
        assert shuffled == ([group[i] for i in order], [component[i] for i in order])

    def test_many_copies_of_one_picture_are_compared_once(self):
        copy = look_signature(drawing())
        n = 30_000
        group, component = assign_looks([f"{i:05}" for i in range(n)], [copy] * n, CONFIG)
        assert set(group) == set(component) == {"00000"}


def open_clip_art():
    given = os.environ.get("CF_PIPELINE_DATASETS")
    folders = [Path(given) / "openclipart"] if given else []
    folders.append(Path(__file__).parents[2] / "data" / "openclipart")
    return next((folder for folder in folders if (folder / "projects.parquet").exists()), None)


@pytest.mark.slow
def test_open_clip_art_has_its_looks():
    """Counts that another machine or Pillow may move a little, thresholds a lot."""
    folder = open_clip_art()
    if folder is None:
        pytest.skip("data/openclipart is not there")
    projects = pl.read_parquet(folder / "projects.parquet")
    paths = [folder / "covers" / cover for cover in projects["cover"]]
    found = inspect_covers(paths, CONFIG.max_pixels, 2)
    assert all(inspection.status == "ok" for inspection in found)
    ids = projects["project_id"].to_list()
    group, component = assign_looks(ids, [inspection.signature for inspection in found], CONFIG)
    groups, components = Counter(group), Counter(component)
    assert 5200 < len(components) < 5500
    assert 5450 < len(groups) < 5800
    is_star = projects["source_path"].str.starts_with("shapes/stars/").to_list()
    stars = Counter(c for c, flag in zip(component, is_star, strict=True) if flag)
    others = Counter(g for g, flag in zip(group, is_star, strict=True) if not flag)
    assert stars.most_common(1)[0][1] > 1100
    blank, *rest = others.most_common(4)
    assert 120 <= blank[1] <= 130
    assert max(count for _, count in rest) <= 15
