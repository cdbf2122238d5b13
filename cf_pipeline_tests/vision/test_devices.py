import numpy as np
import pytest
import torch

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.residual_network import SmallResNet
from cf_pipeline.vision.devices import Execution, choose_device, on_device, seed_everything


def test_auto_takes_what_there_is():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["gpu", "", "tpu", "meta", "cpu:x"])
def test_unknown_devices(name):
    with pytest.raises(ConfigError, match=r"resources\.device is .*expected auto, cpu or cuda"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there(name):
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        choose_device(name)


def test_no_threads_means_what_torch_uses(tmp_path):
    assert Execution.of("cpu", 0, tmp_path).threads == torch.get_num_threads()
    assert Execution.of("cpu", 3, tmp_path).threads == 3


def test_weights_are_channels_last():
    network = on_device(SmallResNet(), torch.device("cpu"))
    weight = network.stages[1].body[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_the_same_seed_draws_the_same_everywhere():
    def drawn(seed):
        generator = seed_everything(seed)
        # What layers of other libraries draw from is seeded too, the legacy generator included.
        legacy = np.random.random(2)  # noqa: NPY002
        return (*torch.rand(2).tolist(), *torch.rand(2, generator=generator).tolist(), *legacy)

    assert drawn(1) == drawn(1) != drawn(2)
