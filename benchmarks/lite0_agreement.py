"""Does timm's EfficientNet-Lite0 with renamed weights equal the network they were trained in?

Needs the package efficientnet-lite-pytorch, which is no longer kept up and is no dependency:
    pip install efficientnet-lite-pytorch
    python benchmarks/lite0_agreement.py --size 4
"""

from __future__ import annotations

import argparse
import json
import platform

import timm
import torch

from cf_pipeline.vision.backbones.efficientnet_lite0 import EfficientNetLite0
from cf_pipeline.vision.networks import initialized, read_weights

SIDE = 160


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4, help=f"random {SIDE} px inputs")
    size = parser.parse_args().size

    from efficientnet_lite_pytorch import EfficientNet

    backbone = EfficientNetLite0()
    file = backbone.shipped()
    original = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file)).eval()
    network, digest = initialized(backbone, SIDE)
    # The classifier, which the backbone leaves out: its weights stand last in the file.
    weight, bias = list(read_weights(file).values())[-2:]
    covers = torch.randn(size, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = network.eval()(covers) @ weight.T + bias
        difference = float((ours - original(covers)).abs().max())
    print(f"torch {torch.__version__}, timm {timm.__version__}, {platform.machine()}")
    print(json.dumps({"inputs": size, "largest_difference": difference, "sha256": digest}))


if __name__ == "__main__":
    main()
