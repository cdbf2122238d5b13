"""Meta-classes: the tree of what is taken for what, and what its classifiers say of images."""

import numpy as np
import pytest

from cf_pipeline.baselines.metaclass import Node, label_tree, learn_metaclasses
from cf_pipeline.baselines.metaclass_config import MetaClass
from cf_pipeline.errors import DataError

CONFIG = MetaClass()
KINDS = {"cat": 0, "dog": 0, "wolf": 0, "car": 1, "bus": 1, "oak": 2}
"""Classes and which of three things they share."""


@pytest.fixture(scope="module")
def world():
    """Images whose features say the kind plainly and the class faintly."""
    rng = np.random.default_rng(0)
    labels = [name for name in KINDS for _ in range(60)]
    kinds, faint = np.eye(3) * 4, np.eye(len(KINDS)) * 1.2
    middle = np.array([[*kinds[KINDS[n]], *faint[list(KINDS).index(n)]] for n in labels])
    features = (middle + rng.normal(size=middle.shape)).astype(np.float32)
    return [f"{i}.png" for i in range(len(labels))], labels, features


@pytest.fixture(scope="module")
def learned(world):
    return learn_metaclasses(*world, CONFIG)


def named(learned):
    return [{learned.classes[c] for c in node.classes} for node in learned.nodes]


class TestTree:
    def test_what_is_taken_for_one_another_is_divided_last(self):
        # 0 and 3 are taken for one another, as are 1, 2 and 4.
        near = np.array([
            [50, 1, 0, 20, 0],
            [0, 40, 15, 0, 9],
            [1, 14, 40, 0, 8],
            [22, 0, 0, 50, 1],
            [0, 9, 7, 0, 60],
        ])
        nodes = label_tree(near / near.sum(axis=1, keepdims=True))
        assert [node.classes for node in nodes[:2]] == [(0, 3), (1, 2, 4)]
        assert nodes[:2] == (Node((0, 3), None), Node((1, 2, 4), None))

    @pytest.mark.parametrize("n", [2, 3, 4, 9, 30])
    @pytest.mark.parametrize("confused", [True, False])
    def test_it_is_a_tree_with_every_class_at_its_ends(self, n, confused):
        counts = np.random.default_rng(n).integers(0, 5, (n, n)) if confused else np.eye(n)
        nodes = label_tree((counts + 1e-9) / (counts + 1e-9).sum(axis=1, keepdims=True))
        # Of a binary tree of n leaves, all nodes but the top.
        assert len(nodes) == 2 * n - 2
        assert sorted(node.classes for node in nodes if len(node.classes) == 1) == [
            (c,) for c in range(n)
        ]
        for number, node in enumerate(nodes):
            parts = [set(other.classes) for other in nodes if other.parent == number]
            assert node.parent is None or node.parent < number
            if len(node.classes) > 1:
                first, second = parts
                assert min(len(first), len(second)) >= max(1, len(node.classes) // 4)
                assert first | second == set(node.classes)
                assert not first & second


class TestFeatures:
    def test_kinds_are_found_and_every_class(self, learned):
        assert learned.classes == tuple(sorted(KINDS))
        sets = named(learned)
        assert {"cat", "dog", "wolf"} in sets
        assert {"bus", "car"} in sets
        assert all({name} in sets for name in KINDS)

    def test_scores_say_to_which_an_image_belongs(self, world, learned):
        _, labels, features = world
        scores = learned.describe(features)
        assert scores.shape == (len(labels), 2 * len(KINDS) - 2)
        assert scores.dtype == np.float32
        column = named(learned).index({"cat", "dog", "wolf"})
        is_animal = np.array([KINDS[label] == 0 for label in labels])
        assert ((scores[:, column] > 0) == is_animal).mean() > 0.98

    def test_binary_ones_are_published_so(self, world, learned):
        features = world[2]
        scores = learned.describe(features, binary=True)
        assert set(np.unique(scores)) == {0, 1}
        assert np.array_equal(scores > 0, learned.describe(features) > 0)

    def test_the_order_of_images_does_not_matter(self, world, learned):
        ids, labels, features = world
        turned = np.random.default_rng(1).permutation(len(ids))
        again = learn_metaclasses(
            [ids[i] for i in turned], [labels[i] for i in turned], features[turned], CONFIG
        )
        assert again.nodes == learned.nodes
        assert np.allclose(again.describe(features), learned.describe(features), atol=0.02)

    def test_of_a_large_class_some_images_are_taken(self, world):
        few = learn_metaclasses(*world, MetaClass(most_per_class=10))
        assert few.classes == tuple(sorted(KINDS))
        assert not np.allclose(few.mean, world[2].mean(axis=0))

    def test_classes_of_one_image_say_nothing(self, world):
        ids, labels, features = world
        more = [*ids, "x"], [*labels, "elm"], np.concatenate([features, features[:1]])
        single = learn_metaclasses(*more, CONFIG)
        assert "elm" not in single.classes
        with pytest.raises(DataError, match="three classes of two images or more, there are 2"):
            learn_metaclasses(list("abcdef"), list("aabbcd"), features[:6], CONFIG)
