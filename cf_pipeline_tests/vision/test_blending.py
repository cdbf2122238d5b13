"""What a training leaves: its start, its end, or weights between the two."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cf_pipeline.vision.blending import SHARES, blended, outcome

START, END = {"weight": torch.tensor([[0.0]])}, {"weight": torch.tensor([[1.0]])}


class Peak:
    """Validation that likes weights best at one place."""

    def __init__(self, at):
        self.at = at

    def outputs(self, network, normalization, device):
        return network.weight.detach().clone()

    def judge(self, outputs):
        return {"validation_ndcg": 1 - abs(float(outputs) - self.at)}

    def merit(self, figures):
        return figures["validation_ndcg"]


def left(at, *, between=True):
    network = nn.Linear(1, 1, bias=False)
    network.load_state_dict(END)
    loop = SimpleNamespace(network=network, normalization=None, device=torch.device("cpu"))
    ends = tuple({"validation_ndcg": 1 - abs(place - at)} for place in (0.0, 1.0))
    found = outcome(loop, Peak(at), START, ends, between=between)
    return found, network.weight.item()


@pytest.mark.parametrize("at", [0.0, *SHARES, 1.0])
def test_the_best_of_start_end_and_what_lies_between(at):
    found, weight = left(at)
    assert found.share == weight == at
    assert found.figures == {"validation_ndcg": 1.0}


def test_without_what_lies_between_the_better_end_and_the_later_of_equals():
    assert [left(at, between=False)[1] for at in (0.4, 0.5, 0.6)] == [0.0, 1.0, 1.0]


def test_whole_numbers_are_the_ends():
    start = {"w": torch.zeros(2), "n": torch.tensor(3)}
    end = {"w": torch.ones(2), "n": torch.tensor(9)}
    half = blended(start, end, 0.5)
    assert half["w"].tolist() == [0.5, 0.5]
    assert int(half["n"]) == 9
    assert blended(start, end, 0.0) == start
