"""Weight files that several tests write."""

import safetensors.torch
import torch


def saved_weights(state, path):
    """The path that a state dict was written to, in the format of its ending."""
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path
