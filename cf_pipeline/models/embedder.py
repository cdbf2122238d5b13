"""From picture files to places in the spaces of a home, by one of its models."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, LATENT_FACTORS, PREDICTED_FACTORS
from cf_pipeline.configuration.choices import Choices, Configuration, resolve
from cf_pipeline.models.placement import Placement, placement_of
from cf_pipeline.models.spaces import Space, space_of
from cf_pipeline.recompute.stage import open_warehouse
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import Indices, Matrix, Progress, silent

if TYPE_CHECKING:
    from cf_pipeline.vision.checkpoint import Manifest
    from cf_pipeline.vision.devices import Execution
    from cf_pipeline.vision.networks import CoverEncoder

_OURS = frozenset({COLLABORATIVE, PREDICTED_FACTORS, LATENT_FACTORS})


@dataclass(frozen=True)
class Embedded:
    """Vectors of files of which some may not be pictures.

    Attributes:
        rows: of the files that could be read, shape (n,).
        vectors: `collaborative` in the form that validation chose, `features` and
            `predicted_factors` as table `embeddings` holds them; float32 (n, d) each.
        reasons: row of a file that could not be read, to what is wrong with it.
    """

    rows: Indices
    vectors: Mapping[str, Matrix]
    reasons: Mapping[int, str]


class Embedder:
    """A network, and the spaces that its pictures have a place in.

    Torch is imported when a picture is looked at; what stands in the home is read once.
    """

    def __init__(self, home: Home, version: str) -> None:
        """One model version of a home.

        Raises:
            ConfigError: the home's configuration cannot be read.
        """
        self.home, self.version = home, version
        self.configuration: Configuration = resolve(Choices.read(home.config_path))
        self.warehouse: Warehouse = open_warehouse(home, self.configuration)
        self._spaces: dict[str, Space] = {}

    @cached_property
    def network(self) -> tuple[CoverEncoder, Manifest]:
        """The torch module in evaluation mode, and what its checkpoint says of it.

        Raises:
            DataError: the checkpoint is gone or damaged.
        """
        from cf_pipeline.vision.checkpoint import load_checkpoint

        artifacts = Artifacts(self.home.artifacts_path)
        return load_checkpoint(artifacts.find("checkpoint", self.version))

    @cached_property
    def placement(self) -> Placement:
        """How predictions become places in latent space.

        Raises:
            DataError: the factors that the model was trained on are gone.
        """
        return placement_of(self.warehouse, self.version)

    def space(self, name: str) -> Space:
        """One of `models.spaces.SPACES`, with everything that stands there."""
        if name not in self._spaces:
            form = self.configuration.benchmark.imagenet_form
            self._spaces[name] = space_of(self.warehouse, name, self.version, form)
        return self._spaces[name]

    def layers(self, paths: Sequence[Path], progress: Progress = silent) -> dict[str, Matrix]:
        """What the network gives of pictures, `collaborative` and `predicted_factors`, float32.

        They are what columns `features` and `predicted_factors` of table `embeddings` hold.

        Raises:
            DataError: a picture cannot be read (named).
        """
        from cf_pipeline.vision.checkpoint import checkpoint_input
        from cf_pipeline.vision.embedding import embed_covers

        network, manifest = self.network
        if not paths:
            sizes = (manifest.n_features, manifest.n_factors)
            features, predicted = (np.empty((0, d), dtype=np.float32) for d in sizes)
            return {COLLABORATIVE: features, PREDICTED_FACTORS: predicted}
        with self._execution(len(paths)) as execution:
            features, predicted = embed_covers(
                network, checkpoint_input(manifest), paths, execution, progress
            )
        return {COLLABORATIVE: features, PREDICTED_FACTORS: predicted}

    def place(self, space: str, paths: Sequence[Path], progress: Progress = silent) -> Matrix:
        """Places of pictures in a space, float32 of unit norm, shape (n, d).

        Raises:
            DataError: a picture cannot be read (named).
        """
        where = self.space(space)
        if not paths:  # no network takes no picture at all
            return where.places().vectors[:0]
        ours = self.layers(paths, progress) if _OURS & set(where.parts) else {}
        return self._placed(where, ours, paths, progress)

    def place_readable(self, paths: Sequence[Path], progress: Progress = silent) -> Embedded:
        """Vectors of what can be read; what cannot is told, not raised."""
        from cf_pipeline.vision.checkpoint import checkpoint_input
        from cf_pipeline.vision.embedding import embed_readable

        network, manifest = self.network
        with self._execution(len(paths)) as execution:
            found = embed_readable(network, checkpoint_input(manifest), paths, execution, progress)
        n = (manifest.n_features, manifest.n_factors)
        nothing = tuple(np.empty((0, d), dtype=np.float32) for d in n)
        features, predicted = found.matrices or nothing
        ours = {COLLABORATIVE: features, PREDICTED_FACTORS: predicted}
        read, where = [paths[row] for row in found.rows], self.space(COLLABORATIVE)
        # No network takes no picture at all.
        places = self._placed(where, ours, read, silent) if read else where.places().vectors[:0]
        vectors = {
            COLLABORATIVE: places,
            "features": features,
            "predicted_factors": predicted,
        }
        return Embedded(found.rows, vectors, found.reasons)

    def _placed(
        self,
        where: Space,
        ours: Mapping[str, Matrix],
        paths: Sequence[Path],
        progress: Progress,
    ) -> Matrix:
        """Places of pictures of which our layers are known; what else it takes is computed."""
        given = dict(ours)
        if LATENT_FACTORS in where.parts:
            given[LATENT_FACTORS] = self.placement.of(given[PREDICTED_FACTORS])
        baselines = self.configuration.baselines
        for reference in (baselines.imagenet, baselines.color):
            if reference.name in where.parts:
                with self._execution(len(paths)) as execution:
                    given[reference.name] = reference.extract(paths, execution, progress)
        return where.of(given)

    @contextmanager
    def _execution(self, n: int) -> Iterator[Execution]:
        """Device, threads and batch as the home's configuration grants them, for so many pictures.

        A batch is padded to its size, so one picture is no batch of 64.
        """
        from cf_pipeline.vision.devices import Execution

        resources = self.configuration.resources
        with tempfile.TemporaryDirectory(prefix="cf-pipeline-") as scratch:
            granted = Execution.of(
                resources.device,
                resources.n_threads,
                Path(scratch),
                batch_size=max(1, min(n, resources.embedding_batch)),
            )
            yield replace(granted, max_pixels=self.configuration.covers.max_pixels)
