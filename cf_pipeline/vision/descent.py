"""How weights go down: AdamW with a rate for every stage, a schedule, what they decay to, averages.

The rate rises over a tenth of the steps and falls to zero along a cosine. Decay towards the first
weights is Li et al. 2018 (L2-SP), decoupled as AdamW's own; rates that fall from stage to stage
towards the input are Howard and Ruder's (2018); a moving average of weights is Polyak's.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.networks import CoverRegressor

WARM_UP_SHARE = 0.1
"""Share of the steps in which the learning rate rises; then it falls to zero along a cosine."""
_MAX_NORM = 5.0


class Descent:
    """Optimizer, schedule and average of a network that is on its device.

    Args:
        network: whose parameters move; modules that stay frozen are frozen here.
        config: rates, decay, averaging.
        total_steps: of the whole training.
    """

    def __init__(self, network: CoverRegressor, config: VisionConfig, total_steps: int) -> None:
        self.network, self.config, self.total_steps = network, config, total_steps
        for name in config.frozen:
            network.backbone.get_submodule(name).requires_grad_(requires_grad=False)
        self.optimizer = torch.optim.AdamW(list(_groups(network, config)))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._share)
        self.starts: list[tuple[int, list[Tensor]]] = []
        self.average: dict[str, Tensor] = {}
        self.begin()

    def begin(self) -> None:
        """Take the network's weights as those that the first step begins with."""
        if _keeps_start(self.config):
            self.starts = self._first_weights()
        if self.config.averaging:
            self.average = _floats(self.network, clone=True)

    @property
    def learning_rate(self) -> float:
        """Of the head, at the next step."""
        return float(self.schedule.get_last_lr()[-1])

    def step(self, loss: Tensor) -> None:
        """One step down."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_NORM)
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.optimizer.step()
        with torch.no_grad():
            for group, start in self.starts:
                share = rates[group] * self.config.weight_decay
                for parameter, first in zip(self._parameters(group), start, strict=True):
                    parameter.lerp_(first, share)
            self._follow()
        self.schedule.step()

    @contextlib.contextmanager
    def as_judged(self) -> Iterator[None]:
        """Inside, the network has the averaged weights, where weights are averaged."""
        own = _floats(self.network, clone=True) if self.average else {}
        _write(self.network, self.average)
        try:
            yield
        finally:
            _write(self.network, own)

    def finish(self) -> None:
        """Leave the network with the weights that are judged."""
        _write(self.network, self.average)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the network's own weights that the next step depends on."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "average": self.average,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a descent of the same network and configuration was."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.last_epoch = state["schedule"]["last_epoch"]
        self.schedule._last_lr = [group["lr"] for group in self.optimizer.param_groups]
        for name, value in state["average"].items():
            self.average[name].copy_(value)

    def _follow(self) -> None:
        """Move the average a little towards the weights; at first by more, as they leave fast."""
        if not self.average:
            return
        steps = self.schedule.last_epoch + 1
        decay = min(self.config.averaging, (1 + steps) / (10 + steps))
        for name, value in _floats(self.network).items():
            self.average[name].lerp_(value, 1 - decay)

    def _share(self, step: int) -> float:
        """Of the peak rate: a line up, then half a cosine down to zero at the last step."""
        if step >= self.total_steps:
            return 0.0
        warm_up = max(1, round(WARM_UP_SHARE * self.total_steps))
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (self.total_steps - warm_up)))

    def _first_weights(self) -> list[tuple[int, list[Tensor]]]:
        """Copies of what decays to its start, by the number of its group."""
        return [
            (number, [p.detach().clone() for p in group["params"]])
            for number, group in enumerate(self.optimizer.param_groups)
            if group["to_start"]
        ]

    def _parameters(self, group: int) -> list[nn.Parameter]:
        return list(self.optimizer.param_groups[group]["params"])


def _keeps_start(config: VisionConfig) -> bool:
    return config.decay_to_start and config.backbone.pretrained


def _groups(network: CoverRegressor, config: VisionConfig) -> Iterator[dict[str, Any]]:
    """Parameters with their rate and decay: norms and biases have one dimension, and no decay."""
    rate = config.schedule.learning_rate
    parts = [(share, True, named) for share, named in _stages(network.backbone, config)]
    for share, of_backbone, parameters in [*parts, (1.0, False, list(network.head.parameters()))]:
        trained = [p for p in parameters if p.requires_grad]
        to_start = of_backbone and _keeps_start(config)
        for decays in (True, False):
            yield {
                "params": [p for p in trained if (p.ndim > 1) == decays],
                "lr": rate * share,
                "weight_decay": config.weight_decay if decays and not to_start else 0.0,
                "to_start": decays and to_start,
            }


def _stages(
    backbone: nn.Module, config: VisionConfig
) -> Iterator[tuple[float, list[nn.Parameter]]]:
    """Parameters of a backbone with their share of the rate, by stage where stages differ.

    What comes before the first stage goes with it, what comes after the last with the last.
    """
    names = list(config.backbone.levels)
    share = config.backbone_learning_rate_share if config.backbone.pretrained else 1.0
    if config.stage_rate == 1 or not config.backbone.pretrained or not names:
        yield share, list(backbone.parameters())
        return
    stages: list[list[nn.Parameter]] = [[] for _ in names]
    depth = 0
    for name, parameter in backbone.named_parameters():
        within = [i for i, stage in enumerate(names) if name.startswith(f"{stage}.")]
        depth = within[0] if within else depth
        stages[depth].append(parameter)
    for depth, parameters in enumerate(stages):
        yield share * config.stage_rate ** (len(names) - 1 - depth), parameters


def _floats(network: nn.Module, *, clone: bool = False) -> dict[str, Tensor]:
    """Weights and statistics by name, copies if so asked."""
    state = {n: v.detach() for n, v in network.state_dict().items() if v.is_floating_point()}
    return {n: v.clone() for n, v in state.items()} if clone else state


def _write(network: nn.Module, values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        own = network.state_dict()
        for name, value in values.items():
            own[name].copy_(value)
