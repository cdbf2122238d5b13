"""A trained network for those who do not have this project: torch program, ONNX file, tensors.

Program and ONNX file take pixels, uint8 (N, height, width, 3) of any N, and give features and
predicted factors, both float32; normalization is inside.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.backbones.backbone import Normalization
from cf_pipeline.vision.geometry import Shape
from cf_pipeline.vision.networks import CoverEncoder

INPUT = "pixels"
OUTPUTS = ("features", "predicted_factors")
TOLERANCE = 1e-4
"""How far a written network may be from the trained one: `disagreement`."""

Program = torch.export.ExportedProgram
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class PixelEncoder(nn.Module):
    """A cover encoder with the normalization of its pixels inside.

    Args:
        encoder: the trained network.
        normalization: what it expects of pixels.
    """

    def __init__(self, encoder: CoverEncoder, normalization: Normalization) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean = nn.Buffer(torch.tensor(normalization.mean))
        self.std = nn.Buffer(torch.tensor(normalization.std))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, height, width, 3) to features (N, d) and predicted factors (N, k), float32."""
        covers = ((pixels.float() - self.mean) / self.std).permute(0, 3, 1, 2)
        given: tuple[Tensor, Tensor] = self.encoder(covers)
        return given


def program_of(encoder: CoverEncoder, normalization: Normalization, shape: Shape) -> Program:
    """The network as a program of torch operators, for any number of covers, on the CPU.

    Raises:
        DataError: torch cannot trace it.
    """
    network = PixelEncoder(encoder, normalization).to(memory_format=torch.contiguous_format).eval()
    example = (torch.zeros((2, *shape, 3), dtype=torch.uint8),)
    with _exporters_quiet(), torch.no_grad():
        try:
            program = torch.export.export(network, example, dynamic_shapes=(_any_number(),))
        except Exception as error:  # whatever a backbone of one's own does that cannot be traced
            raise _not_exported("torch.export", error) from error
    for node in program.graph_module.graph.nodes:
        # Where the code lay on the machine that exported it is nobody's business.
        node.meta.pop("stack_trace", None)
    return program


def write_onnx(program: Program, file: Path) -> int:
    """Write the program as ONNX; returns the version of the operator set.

    Raises:
        DataError: an operator of it has no counterpart there.
    """
    with _exporters_quiet():
        try:
            written: Any = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=(_any_number(),),
                verbose=False,
            )
        except Exception as error:  # the exporter wraps what its own parts raise in many ways
            raise _not_exported("torch.onnx", error) from error
        graph = written.model.graph
        # Stack traces, and torch's own names for every tensor.
        graph.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
        written.save(str(file))
    return int(written.model.opset_imports[""])


def write_tensors(encoder: CoverEncoder, backbone_file: Path, head_file: Path) -> None:
    """Write the backbone's tensors under its library's names, and those of the head.

    The head's file holds `center` and `scale` (n_features,), `weight` (n_outputs, n_features) and
    `bias` (n_outputs,), and what the objective remembers of the train factors, `statistics.<name>`.
    """
    regressor = encoder.regressor
    safetensors.torch.save_file(as_stored(regressor.backbone.state_dict()), backbone_file)
    head = {
        "center": regressor.center,
        "scale": regressor.scale,
        "weight": regressor.head.weight,
        "bias": regressor.head.bias,
        **{f"statistics.{name}": value for name, value in encoder.statistics.items()},
    }
    safetensors.torch.save_file(as_stored(head), head_file)


def as_stored(state: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors as safetensors wants them: contiguous, none sharing memory with another."""
    return {name: value.detach().clone(memory_format=torch.contiguous_format)
            for name, value in state.items()}  # fmt: skip


def run_program(file: Path, pixels: Pixels) -> tuple[Matrix, ...]:
    """What a program that was written gives for covers, uint8 (n, height, width, 3)."""
    network = torch.export.load(file).module()
    with torch.inference_mode():
        given = network(torch.from_numpy(pixels))
    return tuple(tensor.numpy() for tensor in given)


def run_onnx(file: Path, pixels: Pixels, threads: int) -> tuple[Matrix, ...]:
    """What an ONNX file gives for covers, uint8 (n, height, width, 3), on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return tuple(cast("list[Matrix]", session.run(list(OUTPUTS), {INPUT: pixels})))


def disagreement(expected: Sequence[Matrix], given: Sequence[Matrix]) -> float:
    """Largest difference of two numbers, relative to the largest number of that row.

    The largest over all rows of pairs of matrices (n, d), n at least 1; infinite where shapes
    differ or a number is not finite. Relative to a row, since what counts is its direction: a
    deviation over a map that hardly varies is a root of almost nothing and never has many digits.
    """
    worst = 0.0
    for one, other in zip(expected, given, strict=True):
        if one.shape != other.shape or not np.isfinite([one, other]).all():
            return float("inf")
        sizes = np.abs(one).max(axis=1)
        differences = np.abs(one.astype(np.float64) - other).max(axis=1)
        relative = differences / np.where(sizes > 0, sizes, 1)
        worst = max(worst, float(relative.max()))
    return worst


def _any_number() -> dict[int, Any]:
    return {0: torch.export.Dim("covers", min=1)}


def _not_exported(what: str, error: Exception) -> DataError:
    said = " ".join(str(error).split())[:300]
    return DataError(
        f"{what} cannot write this network ({type(error).__name__}: {said}). Expected a backbone "
        "and an objective of torch operators whose course does not depend on values; a model of "
        "another backbone can be exported."
    )


@contextmanager
def _exporters_quiet() -> Iterator[None]:
    """Exporters tell of their own insides, by warnings and loggers; their errors are raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
