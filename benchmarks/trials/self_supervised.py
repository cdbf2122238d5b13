"""A start without labels and without behaviour: two views of a cover are to have one place.

SimCLR (Chen et al. 2020): the normalized temperature-scaled cross entropy between views of a batch,
on a projection that is thrown away. What is kept is a weight file, from which a backbone then
starts as from any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cf_pipeline.vision.augmentation import STORED_ABOVE, random_views
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.covers import decode_covers
from cf_pipeline.vision.devices import on_device, seed_everything
from cf_pipeline.vision.geometry import Shape
from cf_pipeline.vision.networks import built, normalize


@dataclass(frozen=True)
class SelfSupervision:
    """Settings of the start; its rate falls along a cosine."""

    epochs: int = 60
    batch_size: int = 256
    learning_rate: float = 1e-3
    temperature: float = 0.2
    crop_area: float = 0.2
    jitter: float = 0.5
    width: int = 128


def write_start(
    covers: Sequence[Path],
    shape: Shape,
    vision: VisionConfig,
    how: SelfSupervision,
    device: torch.device,
    file: Path,
) -> float:
    """Train the backbone of a configuration on covers alone and write its weights.

    Args:
        covers: of projects that are not held out.
        shape: of the views.
        vision: its backbone, fit and seed.
        how: settings.
        device: where.
        file: a state dict.

    Returns:
        The loss of the last epoch, in nats.
    """
    generator = seed_everything(vision.seed)
    backbone, n_features = built(vision.backbone, vision.schedule.image_size)
    projection = nn.Sequential(
        nn.Linear(n_features, n_features), nn.ReLU(), nn.Linear(n_features, how.width)
    )
    network = on_device(nn.Sequential(backbone, projection), device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=how.learning_rate, weight_decay=1e-2)
    batch = min(how.batch_size, len(covers))
    per_epoch = len(covers) // batch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, how.epochs * per_epoch)
    normalization = vision.backbone.normalization()
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        pixels = decode_covers(
            covers, shape.enlarged(STORED_ABOVE), vision.fit, Path(scratch) / "all.covers", 2
        )
        for _ in range(how.epochs):
            losses.clear()
            for rows in torch.randperm(len(covers), generator=generator).split(batch)[:per_epoch]:
                given = normalize(torch.from_numpy(pixels[rows.numpy()]).to(device), normalization)
                views = [
                    random_views(given, shape, how.crop_area, how.jitter, generator)
                    for _ in range(2)
                ]
                loss = nt_xent(network(torch.cat(views)), how.temperature)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: value.cpu() for name, value in backbone.state_dict().items()}, file)
    return sum(losses) / len(losses)


def nt_xent(projected: Tensor, temperature: float) -> Tensor:
    """Cross entropy of each row's other view among all other rows, (2 n, d) to a scalar in nats."""
    unit = F.normalize(projected, dim=1)
    scores = unit @ unit.T / temperature
    scores.fill_diagonal_(float("-inf"))
    n = len(unit) // 2
    others = torch.arange(2 * n, device=unit.device).roll(n)
    return F.cross_entropy(scores, others)
