"""How weights go down: rates by stage, what they decay to, averages, and going on where one was."""

import copy

import pytest
import torch

from cf_pipeline.vision.descent import Descent
from cf_pipeline.vision.starting import initial_network
from cf_pipeline_tests.vision.small_world import changed

STEPS = 20


def network_of(**values):
    config = changed(learning_rate=None, objective="regression", **values)
    torch.manual_seed(0)
    return initial_network(config, 4, None)[0].train(), config


def walked(descent, n, *, pull=0.0):
    """n steps along a gradient that is the same in every parameter, times `pull`."""
    for _ in range(n):
        loss = sum(p.sum() for p in descent.network.parameters() if p.requires_grad) * pull
        descent.step(loss)


def test_rates_fall_from_stage_to_stage_towards_the_input():
    network, config = network_of(backbone="efficientnet_lite0", stage_rate=0.5, freeze=False)
    rates = {}
    for group in Descent(network, config, STEPS).optimizer.param_groups:
        for parameter in group["params"]:
            rates[parameter] = group["initial_lr"]
    of = {name: rates[p] / 3e-4 for name, p in network.named_parameters()}
    assert len(of) == len(rates)
    assert of["backbone.blocks.6.0.conv_pw.weight"] == pytest.approx(1)
    assert of["backbone.blocks.5.0.conv_pw.weight"] == pytest.approx(0.5)
    assert of["backbone.blocks.0.0.conv_pw.weight"] == pytest.approx(0.5**6)
    assert of["backbone.conv_stem.weight"] == of["backbone.blocks.0.0.conv_pw.weight"]
    assert of["backbone.conv_head.weight"] == of["head.weight"] == pytest.approx(1)


def test_a_pretrained_backbone_may_decay_to_where_it_started():
    for to_start in (False, True):
        network, config = network_of(
            backbone="efficientnet_lite0", decay_to_start=to_start, weight_decay=50.0
        )
        descent = Descent(network, config, STEPS)
        started = copy.deepcopy(network.state_dict())
        moved = network.backbone.get_submodule("conv_head").weight
        with torch.no_grad():
            moved += 1.0
        walked(descent, STEPS)
        away = (moved - started["backbone.conv_head.weight"]).abs().max().item()
        norm = network.backbone.get_submodule("bn2").weight
        assert torch.equal(norm, started["backbone.bn2.weight"])
        if to_start:
            assert away < 0.9
        else:
            assert moved.abs().max() < 0.9 * (started["backbone.conv_head.weight"] + 1).abs().max()


def test_the_average_is_what_is_judged_and_kept():
    network, config = network_of(averaging=0.9)
    descent = Descent(network, config, STEPS)
    values, average = [], network.head.weight.detach().clone()
    for step in range(1, STEPS + 1):
        walked(descent, 1, pull=1.0)
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * network.head.weight.detach()
        values.append(network.head.weight.detach().clone())
    with descent.as_judged():
        assert torch.allclose(network.head.weight, average, atol=1e-6)
    assert torch.equal(network.head.weight, values[-1])
    descent.finish()
    assert torch.allclose(network.head.weight, average, atol=1e-6)
    assert (average - values[-1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "values",
    [
        {"backbone": "resnet_small", "averaging": 0.9},
        {"backbone": "efficientnet_lite0", "decay_to_start": True, "stage_rate": 0.7},
    ],
)
def test_one_goes_on_where_another_was(values):
    network, config = network_of(**values)
    descent = Descent(network, config, STEPS)
    walked(descent, 7, pull=1.0)
    state = copy.deepcopy((network.state_dict(), descent.state_dict()))
    walked(descent, STEPS - 7, pull=1.0)

    other, _ = network_of(**values)
    later = Descent(other, config, STEPS)
    other.load_state_dict(state[0])
    later.load_state_dict(state[1])
    assert later.learning_rate > 0
    walked(later, STEPS - 7, pull=1.0)
    assert later.learning_rate == descent.learning_rate == 0
    for of in (descent, later):
        of.finish()
    pairs = zip(network.state_dict().items(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for (_, a), b in pairs)
