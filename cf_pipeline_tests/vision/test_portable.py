"""Networks that leave: programs and ONNX files of any batch, and how far apart two outputs are."""

import numpy as np
import pytest
import torch

from cf_pipeline.errors import DataError
from cf_pipeline.vision.backbones.backbone import BACKBONES
from cf_pipeline.vision.geometry import Shape
from cf_pipeline.vision.networks import CoverEncoder, CoverRegressor, built
from cf_pipeline.vision.objectives.objective import OBJECTIVES
from cf_pipeline.vision.plain_backbones import plain_network
from cf_pipeline.vision.portable import (
    PixelEncoder,
    disagreement,
    program_of,
    run_onnx,
    run_program,
    write_onnx,
    write_tensors,
)

pytestmark = pytest.mark.slow

SHAPE = Shape(32, 48)


def encoder(backbone, objective="regression", n_factors=4):
    """An untrained network; statistics as of a few random factors."""
    torch.manual_seed(0)
    chosen = OBJECTIVES.choose(objective)
    network = built(BACKBONES.choose(backbone), 32)
    regressor = CoverRegressor(network, chosen.n_outputs(n_factors))
    factors = np.random.default_rng(0).normal(size=(20, n_factors)).astype(np.float32)
    return CoverEncoder(regressor, chosen, chosen.statistics(factors)).eval()


def covers(n):
    return np.random.default_rng(n).integers(0, 256, (n, *SHAPE, 3), dtype=np.uint8)


@pytest.mark.parametrize("objective", ["regression", {"name": "pseudo_class", "n_classes": 3}])
def test_any_number_of_covers(tmp_path, objective):
    network = encoder("resnet_small", objective)
    normalization = BACKBONES.choose("resnet_small").normalization()
    program = program_of(network, normalization, SHAPE)
    torch.export.save(program, tmp_path / "a.pt2")
    assert write_onnx(program, tmp_path / "a.onnx") >= 18
    for n in (1, 3):
        with torch.inference_mode():
            given = PixelEncoder(network, normalization)(torch.from_numpy(covers(n)))
        expected = [tensor.numpy() for tensor in given]
        assert [matrix.shape for matrix in expected] == [(n, 256), (n, 4)]
        assert disagreement(expected, run_program(tmp_path / "a.pt2", covers(n))) < 1e-5
        assert disagreement(expected, run_onnx(tmp_path / "a.onnx", covers(n), 1)) < 1e-5


class Curious(torch.nn.Module):
    """Does something else when a picture is dark."""

    def forward(self, x):
        return x.mean(dim=(2, 3)) if x.mean() > 0 else x.amax(dim=(2, 3))


def test_what_depends_on_values_is_refused():
    network = encoder("resnet_small")
    network.regressor = CoverRegressor((Curious(), 3), 4)
    with pytest.raises(DataError, match=r"torch\.export cannot write this network .*another"):
        program_of(network, BACKBONES.choose("resnet_small").normalization(), SHAPE)


def test_how_far_two_outputs_are_apart():
    one = np.array([[1.0, -4.0], [0.1, 0.2]], dtype=np.float32)
    other = one.copy()
    assert disagreement([one], [other]) == 0
    other[1, 0] += 0.02  # a tenth of that row's largest number
    assert disagreement([one, one], [one, other]) == pytest.approx(0.1, rel=1e-5)
    assert disagreement([np.zeros((1, 2))], [np.full((1, 2), 0.5)]) == 0.5
    other[0, 0] = np.nan
    assert disagreement([one], [other]) == disagreement([other], [one]) == np.inf
    assert disagreement([one], [one[:1]]) == np.inf


PLAIN = [
    "efficientnet_lite0",
    "timm:test_resnet",
    "timm:test_vit2",
    "torchvision:shufflenet_v2_x0_5",
    "torchvision:alexnet",
]


@pytest.mark.parametrize("name", PLAIN)
def test_lines_of_a_library_build_the_same_network(tmp_path, name):
    backbone = BACKBONES.choose({"name": name, "weights": "random"})
    size = 64
    network, _ = built(backbone, size)
    regressor = CoverRegressor((network, built(backbone, size)[1]), 4)
    saved = CoverEncoder(regressor, OBJECTIVES.choose("cosine"), {"mean": torch.zeros(4)}).eval()
    write_tensors(saved, tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    lines = plain_network(backbone, size).lines("network")
    library = name.partition(":")[0] if ":" in name else "timm"
    load = 'network.load_state_dict(load_file("a.safetensors"))'
    known = {}
    imports = [f"import torch, {library}", "from safetensors.torch import load_file"]
    text = "\n".join([*imports, *lines, load.replace("a.saf", f"{tmp_path}/a.saf")])
    exec(text, known)
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        assert torch.allclose(known["network"](x), network(x), atol=1e-5)


@pytest.mark.parametrize("name", ["resnet_small", "alexnet"])
def test_what_no_library_has(name):
    assert plain_network(BACKBONES.choose(name), 64) is None
