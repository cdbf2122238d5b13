"""What a training leaves: its start, its end, or weights between the two, as validation ranks them.

A network that was fitted to its train projects has learned them and forgotten some of what it knew;
weights on the line between start and end often rank better than either (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). The start is always among the candidates, so that nothing
that is kept ranks below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cf_pipeline.vision.batches import Validation
from cf_pipeline.vision.loop import Loop

SHARES = (0.25, 0.5, 0.75)
"""Of the end, between the start's weights and the end's."""


@dataclass(frozen=True)
class Outcome:
    """What is kept.

    Attributes:
        share: of the end in its weights: 0 is the start, 1 the end.
        figures: of validation, as `Validation.judge` gives them.
    """

    share: float
    figures: dict[str, float]


def outcome(
    loop: Loop,
    validation: Validation,
    floor: Mapping[str, Tensor],
    ends: tuple[dict[str, float], dict[str, float]],
    *,
    between: bool,
) -> Outcome:
    """Choose on validation and leave the network with what is chosen; among equals the later.

    Args:
        loop: whose network has the weights of the end.
        validation: chooses.
        floor: the start's state.
        ends: figures of the start and of the end.
        between: whether weights between the two are candidates; a start that knows nothing is not
            worth going back to half-way.
    """
    network = loop.network
    end = {name: value.clone() for name, value in network.state_dict().items()}
    judged = {0.0: ends[0], 1.0: ends[1]}
    for share in SHARES if between else ():
        network.load_state_dict(blended(floor, end, share))
        outputs = validation.outputs(network, loop.normalization, loop.device)
        judged[share] = validation.judge(outputs)
    best = max(sorted(judged, reverse=True), key=lambda share: validation.merit(judged[share]))
    network.load_state_dict(blended(floor, end, best))
    return Outcome(best, judged[best])


def blended(
    start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """A state between two of one network; whole numbers are the nearer one's."""
    if share in (0.0, 1.0):
        return dict(end if share else start)
    return {
        name: torch.lerp(start[name].to(value.device), value, share)
        if value.is_floating_point()
        else value
        for name, value in end.items()
    }
