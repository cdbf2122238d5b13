"""From covers to vectors with a network that is done learning, and only for covers that changed.

Batches have one fixed size, the last one padded: convolution kernels are chosen by shape, so a
cover gets the same bits whether it is embedded alone or among thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Indices, Matrix, Progress, silent
from cf_pipeline.vision.backbones.backbone import Normalization
from cf_pipeline.vision.covers import open_cover
from cf_pipeline.vision.devices import Execution, freed_memory_kept, on_device
from cf_pipeline.vision.geometry import fit_cover
from cf_pipeline.vision.networks import CoverInput, normalize

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Extract = Callable[[Sequence[Path]], tuple[Matrix, ...]]
"""Cover files to one or more matrices with a row per file."""


@dataclass(frozen=True)
class Embedded:
    """What a network makes of files of which some may not be pictures.

    Attributes:
        rows: of the files that could be read, shape (n,).
        matrices: one float32 (n, d) per tensor that the network gives; none where n is 0.
        reasons: row of a file that could not be read, to what is wrong with it.
    """

    rows: Indices
    matrices: tuple[Matrix, ...]
    reasons: Mapping[int, str]


def embed_covers(
    network: nn.Module,
    cover_input: CoverInput,
    paths: Sequence[Path],
    execution: Execution,
    progress: Progress = silent,
) -> tuple[Matrix, ...]:
    """Run a network over cover files.

    Args:
        network: gives a tensor (N, d) or a tuple of such; it is put into evaluation mode.
        cover_input: what it expects.
        paths: n cover files, all readable.
        execution: device, covers at once, threads that decode beside the network.
        progress: called after every batch.

    Returns:
        One float32 matrix (n, d) per tensor that the network gives.

    Raises:
        DataError: a cover cannot be read.
    """

    def refuse(row: int, error: DataError) -> None:
        raise error

    return _embedded(network, cover_input, paths, execution, progress, refuse).matrices


def embed_readable(
    network: nn.Module,
    cover_input: CoverInput,
    paths: Sequence[Path],
    execution: Execution,
    progress: Progress = silent,
) -> Embedded:
    """Run a network over files that nobody has looked at; what cannot be read is told, not raised.

    Each file is opened once. See `embed_covers` for the arguments.
    """
    reasons: dict[int, str] = {}

    def note(row: int, error: DataError) -> None:
        reasons[row] = str(error)

    found = _embedded(network, cover_input, paths, execution, progress, note)
    return replace(found, reasons=reasons)


def _embedded(
    network: nn.Module,
    cover_input: CoverInput,
    paths: Sequence[Path],
    execution: Execution,
    progress: Progress,
    unreadable: Callable[[int, DataError], None],
) -> Embedded:
    """Vectors of what can be read; `unreadable(row, error)` hears of the rest."""
    rows: list[int] = []

    def readable() -> Iterator[Pixels]:
        for batch in _decoded_batches(paths, cover_input, execution):
            for row, given in batch:
                if isinstance(given, DataError):
                    unreadable(row, given)
            pixels = [(row, p) for row, p in batch if not isinstance(p, DataError)]
            if pixels:
                rows.extend(row for row, _ in pixels)
                yield np.stack([p for _, p in pixels])
            progress(batch[-1][0] + 1, len(paths), {})

    parts = list(embed_decoded(network, cover_input.normalization, readable(), execution))
    matrices = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    return Embedded(np.array(rows, dtype=np.int64), matrices, {})


def embed_decoded(
    network: nn.Module,
    normalization: Normalization,
    covers: Iterable[Pixels],
    execution: Execution,
) -> Iterator[tuple[Matrix, ...]]:
    """Run a network over batches of covers, uint8 (N, height, width, 3), batch by batch.

    Args:
        network: gives a tensor (N, d) or a tuple of such; it is put into evaluation mode.
        normalization: of pixels.
        covers: no batch longer than `execution.batch_size`; shorter ones are padded to it.
        execution: device, covers at once.
    """
    device, batch_size = execution.device, execution.batch_size
    network = on_device(network.eval(), device)
    with freed_memory_kept(device):
        for batch in covers:
            padded = np.concatenate([batch, np.repeat(batch[:1], batch_size - len(batch), 0)])
            with torch.inference_mode():  # not around the loop, whose caller runs in between
                given = network(normalize(torch.from_numpy(padded).to(device), normalization))
            tensors: tuple[Tensor, ...] = given if isinstance(given, tuple) else (given,)
            yield tuple(t[: len(batch)].float().cpu().numpy() for t in tensors)


def _decoded_batches(
    paths: Sequence[Path], cover_input: CoverInput, execution: Execution
) -> Iterator[list[tuple[int, Pixels | DataError]]]:
    """Batches of row and uint8 (height, width, 3), the next one decoded while one is in use.

    Of a file that cannot be read there is the error.
    """

    def decode(path: Path) -> Pixels | DataError:
        try:
            image = open_cover(path, execution.max_pixels)
        except DataError as error:
            return error
        return fit_cover(image, cover_input.shape, cover_input.fit)

    batch_size = execution.batch_size
    starts = range(0, len(paths), batch_size)
    with ThreadPoolExecutor(max_workers=execution.threads) as pool:
        pending = [pool.submit(decode, p) for p in paths[: starts.step]] if paths else []
        for start in starts:
            following = paths[start + batch_size : start + 2 * batch_size]
            upcoming = [pool.submit(decode, path) for path in following]
            yield [(start + row, future.result()) for row, future in enumerate(pending)]
            pending = upcoming


def embed_changed(
    covers: pl.DataFrame, known: pl.DataFrame | None, columns: Sequence[str], extract: Extract
) -> tuple[pl.DataFrame, int]:
    """Vectors for every cover, computed only for bytes that are not known yet.

    Args:
        covers: `sha256, path` and whatever else; one row per cover, all readable.
        known: `sha256` and the columns, from an earlier run of the same extractor; None: nothing.
        columns: names of the vector columns, one per matrix that extract gives.
        extract: computes vectors of cover files.

    Returns:
        covers without `path`, with the vector columns added, and how many were computed.

    Raises:
        DataError: extract gave a vector that is not finite.
    """
    wanted = covers.unique("sha256", keep="first", maintain_order=True).sort("sha256")
    have = known.unique("sha256", keep="first") if known is not None else None
    fresh = wanted if have is None else wanted.join(have, on="sha256", how="anti")
    vectors = have.select("sha256", *columns) if have is not None else None
    if fresh.height:
        matrices = extract([Path(path) for path in fresh["path"]])
        if not all(np.isfinite(matrix).all() for matrix in matrices):
            raise DataError(
                "the network gave NaN or infinite features. Train it again with a lower "
                "vision.learning_rate, or check the weight file."
            )
        computed = fresh.select("sha256").with_columns(
            pl.Series(name, matrix, dtype=pl.Array(pl.Float32, matrix.shape[1]))
            for name, matrix in zip(columns, matrices, strict=True)
        )
        if vectors is None:
            vectors = computed
        else:
            vectors = pl.concat([vectors.cast(computed.schema), computed])
    assert vectors is not None  # no rows at all is refused where covers are read
    table = covers.drop("path").join(vectors, on="sha256", how="left", maintain_order="left")
    return table, fresh.height
