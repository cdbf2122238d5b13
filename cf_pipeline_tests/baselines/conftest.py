"""Every test has one thread, whatever the machine's cores, and Pillow set up as covers need it.

pytest hears every warning, and forgets between two tests which ones were turned off.
"""

import pytest
import torch

from cf_pipeline.vision.decoding import set_up_pillow


@pytest.fixture(autouse=True)
def _pillow():
    set_up_pillow(None)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
