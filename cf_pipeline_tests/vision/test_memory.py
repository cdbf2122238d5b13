import ctypes
import resource
from pathlib import Path

import pytest
import torch

from cf_pipeline.vision.backbones.efficientnet_lite0 import EfficientNetLite0
from cf_pipeline.vision.devices import activations_checkpointed, freed_memory_kept

CPU = torch.device("cpu")
LITE0 = EfficientNetLite0()

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")


def a_step(network, covers):
    """Loss of one step whose gradients are left in the network."""
    network.zero_grad()
    loss = network(covers).square().mean()
    loss.backward()
    return loss.item()


def kept_bytes(network, covers):
    """Bytes that autograd keeps between the forward and the backward pass."""
    sizes = {}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(covers)
    return sum(sizes.values())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LITE0.build(64).train()


def blocks(network):
    return [network.get_submodule(name) for name in LITE0.checkpointed]


def test_checkpointing_changes_no_bit(network):
    covers = torch.randn(4, 3, 64, 64)
    plain = LITE0.build(64).train()
    plain.load_state_dict(network.state_dict())
    for step in range(2):
        expected = a_step(plain, covers + step)
        with activations_checkpointed(blocks(network)):
            assert a_step(network, covers + step) == expected
        for here, there in zip(network.parameters(), plain.parameters(), strict=True):
            assert torch.equal(here.grad, there.grad)
    # Running statistics and their counters too: the second pass must not count a batch again.
    for (name, here), there in zip(
        network.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        assert torch.equal(here, there), name


def test_checkpointing_keeps_less_and_leaves_no_trace(network):
    covers = torch.randn(4, 3, 64, 64)
    before = kept_bytes(network, covers)
    with activations_checkpointed(blocks(network)):
        within = kept_bytes(network, covers)
    assert within < 0.5 * before
    assert kept_bytes(network, covers) == before


def test_evaluation_is_not_checkpointed(network):
    covers = torch.randn(2, 3, 64, 64)
    network.eval()
    with torch.inference_mode():
        expected = network(covers)
        with activations_checkpointed(blocks(network)):
            assert torch.equal(network(covers), expected)


def page_faults(repeats):
    """Of allocating, filling and freeing 64 MB again and again."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(repeats):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@glibc
def test_freed_memory_is_faulted_in_once():
    page_faults(1)
    outside = page_faults(8)
    with freed_memory_kept(CPU):
        page_faults(1)
        within = page_faults(8)
    assert within < outside / 3  # the first may find a place of its own


@glibc
def test_freed_memory_goes_back_at_the_end():
    before = resident_bytes()
    with freed_memory_kept(CPU):
        torch.ones(64 * 2**20)
        assert resident_bytes() - before > 200e6
    assert resident_bytes() - before < 50e6


def test_a_gpu_has_an_allocator_of_its_own():
    with freed_memory_kept(torch.device("cuda")):
        pass
