"""Randomness by id: uniform, and indifferent to who else is there."""

import numpy as np

from cf_pipeline.metrics.keyed import id_keys, keyed_uniforms, pair_keys

IDS = [f"p{i}" for i in range(500)]


def test_a_key_depends_on_seed_and_id_alone() -> None:
    alone = id_keys(["p7"], seed=3)
    among = id_keys(IDS, seed=3)
    assert alone[0] == among[7]
    assert id_keys(["p7"], seed=4)[0] != alone[0]
    assert len(set(among.tolist())) == len(IDS)


def test_pair_keys_differ_by_order_and_seldom_collide() -> None:
    keys = id_keys(IDS, seed=0)
    pairs = pair_keys(keys[:, np.newaxis], keys[np.newaxis, :])
    assert pairs.shape == (500, 500)
    assert len(np.unique(pairs)) == pairs.size
    assert (pairs != pairs.T).sum() == pairs.size - 500


def test_uniforms_are_uniform_and_independent_between_draws() -> None:
    draws = keyed_uniforms(id_keys(IDS, seed=1), 20)
    assert draws.min() >= 0
    assert draws.max() < 1
    # Mean of 10,000 uniforms: 0.5 with deviation 1 / sqrt(12 * 10,000) = 0.0029.
    assert abs(draws.mean() - 0.5) < 4 * 0.0029
    counts = np.histogram(draws, bins=10, range=(0, 1))[0]
    # Chi-squared with 9 degrees of freedom exceeds 27.9 with probability 0.001.
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9
    off_diagonal = np.corrcoef(draws.T)[np.triu_indices(20, 1)]
    # 190 correlations of 500 draws, deviation 0.045 each.
    assert np.abs(off_diagonal).max() < 4.5 * 0.045
