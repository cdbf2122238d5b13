"""The latent space drawn, from nothing to a popular project."""

import numpy as np
import pytest

from cf_pipeline.figures.latent import latent_space
from cf_pipeline.figures.style import BLUE, ORANGE


def test_dots_and_their_medians_are_drawn(look, share):
    rng = np.random.default_rng(0)
    degrees = rng.zipf(1.6, 4000).clip(1, 5000)
    pixels = look(latent_space(np.geomspace(40, 1, 32), degrees**0.5, degrees))
    assert share(pixels, BLUE) > 0.003
    assert share(pixels, ORANGE) > 0.001


@pytest.mark.parametrize("degrees", [[0, 0], [1, 1], [3, 0]])
def test_few_projects_or_none_can_be_drawn(look, degrees):
    degrees = np.array(degrees, dtype=np.int64)
    look(latent_space(np.ones(2), np.array([0.5, 0.2]), degrees))
