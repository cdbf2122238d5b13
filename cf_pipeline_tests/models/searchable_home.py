"""A home with pictures, a small network that nobody trained, and factors: enough to search it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.tables import ASSET_TABLES
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.checkpoint import Manifest, checkpoint_input, save_checkpoint
from cf_pipeline.vision.devices import Execution, choose_device
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.networks import CoverEncoder, CoverRegressor, built, loaded
from cf_pipeline_tests.models.trained_home import START, TrainedHome, empty

SMALL = {
    "vision.backbone": "resnet_small",
    "vision.image_size": 16,
    "baselines.imagenet.backbone": "resnet_small",
    "baselines.imagenet.image_size": 16,
    "resources.threads": 1,
    "resources.device": "cpu",
}
N_PROJECTS, N_USERS, N_FACTORS = 12, 7, 3
PROJECTS = tuple(f"p{number:02}" for number in range(N_PROJECTS))
USERS = tuple(f"u{number}" for number in range(N_USERS))
UNPLACED = "p11"
"""A project with a cover and without factors."""
SPLITS = ("train",) * 8 + ("validation",) * 2 + ("test",) * 2


class SearchableHome(TrainedHome):
    """The tables that searching and recommending read, and the arrays that are in them."""

    version: str
    pictures: dict[str, Path]
    factors: dict[str, Matrix]
    """Of `user` and of `project`, in the order of ids."""
    predicted: Matrix
    came_for: dict[str, list[str]]

    def publish(self, asset: str, scope: str | None = None, **given: Any) -> AssetRecord:
        """With empty companions where none are given."""
        lacking = set(ASSET_TABLES[asset]) - set(given)
        return super().publish(asset, scope, **given, **empty(*lacking))

    def build(self, form: str = "predicted_factors beside imagenet") -> SearchableHome:
        """All of it; validation has chosen the form."""
        weights = self.home.path / "weights.pth"
        Choices(set={**SMALL, "baselines.imagenet.backbone.weights": str(weights)}).write(
            self.home.config_path
        )
        torch.manual_seed(1)
        torch.save(built(resolve(Choices(set=SMALL)).vision.backbone, 16)[0].state_dict(), weights)
        rng = np.random.default_rng(0)
        self.pictures = {project: self._picture(project, rng) for project in PROJECTS}
        self.factors = {
            side: rng.normal(size=(n, N_FACTORS)).astype(np.float32)
            for side, n in (("user", N_USERS), ("project", N_PROJECTS - 1))
        }
        self._publish_projects()
        self._publish_factors(rng)
        self._publish_network()
        self._publish_baselines()
        self.score(self.version, 0.5, form=form)
        return self

    def _picture(self, project: str, rng: np.random.Generator) -> Path:
        path = self.home.path.parent / "covers" / f"{project}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((30, 24), Image.Resampling.BICUBIC).save(path)
        return path

    def _publish_projects(self) -> None:
        nothing = dict.fromkeys(("split_group", "stratum", "field", "subfield"))
        self.publish("raw_projects", raw_projects=pl.DataFrame([
            {
                "project_id": project,
                "title": f"Title of {project}",
                "owners": ["anna", "ben"],
                "tags": ["red", "old"],
                "cover": path.name,
                **nothing,
            }
            for project, path in self.pictures.items()
        ]))  # fmt: skip
        self.publish("covers", covers=pl.DataFrame([
            {
                "project_id": project,
                "path": str(path),
                "sha256": project,
                "width": 30,
                "height": 24,
                "format": "PNG",
                "status": "ok",
                "reason": None,
                "look_group": project,
                "look_component": project,
            }
            for project, path in self.pictures.items()
        ]))  # fmt: skip
        split = pl.DataFrame({"project_id": PROJECTS, "split": SPLITS})
        self.publish("project_split", project_split=split)

    def _publish_factors(self, rng: np.random.Generator) -> None:
        self.came_for = {
            user: sorted(rng.choice(PROJECTS[:8], size=3, replace=False).tolist()) for user in USERS
        }
        pairs = [(user, project, 2.0) for user, came in self.came_for.items() for project in came]
        columns = ["user_id", "project_id", "confidence"]
        matrix = pl.DataFrame(pairs, schema=columns, orient="row").with_columns(
            occurred_at=pl.lit(None, pl.Datetime("us"))
        )
        self.publish("pruned_matrix", pruned_matrix=matrix)
        ids = {"user": USERS, "project": PROJECTS[:-1]}
        rows = pl.concat([
            pl.DataFrame({
                "side": side,
                "id": ids[side],
                "factors": pl.Series(factors, dtype=pl.Array(pl.Float32, N_FACTORS)),
                "folded_in": [side == "project" and row >= 8 for row in range(len(factors))],
            })
            for side, factors in self.factors.items()
        ])
        self.publish("latent_factors", version="factors", latent_factors=rows)
        seen = [row for row, split in enumerate(SPLITS) if split != "test"]
        rows = pl.DataFrame({
            "project_id": [PROJECTS[row] for row in seen],
            "sha256": [PROJECTS[row] for row in seen],
            "factors": self.factors["project"][seen],
            "degree": 3,
            "split": [SPLITS[row] for row in seen],
            "width": 30,
            "height": 24,
            "path": "x.png",
        })
        none = {"query_id": pl.String, "candidate_id": pl.String, "relevance": pl.Float32}
        self.publish(
            "training_set",
            version="set",
            inputs={"latent_factors": "factors"},
            training_set=rows,
            validation_relevances=pl.DataFrame(schema=none),
            **empty("training_vectors"),
        )

    def _publish_network(self) -> None:
        configuration = resolve(Choices.read(self.home.config_path))
        vision, train = configuration.vision, self.factors["project"][:8]
        torch.manual_seed(0)
        network, n_features = built(vision.backbone, 16)
        weights = loaded(network, vision.backbone)
        objective = vision.objective
        encoder = CoverEncoder(
            CoverRegressor((network, n_features), objective.n_outputs(N_FACTORS)),
            objective,
            objective.statistics(train),
        )
        manifest = Manifest(
            backbone=vision.backbone.model_dump(mode="json"),
            objective=objective.model_dump(mode="json"),
            shape=(16, 16),
            fit="squash",
            n_features=n_features,
            n_factors=N_FACTORS,
            target_mean=train.mean(axis=0).tolist(),
            initial_weights=weights,
            best_epoch=0,
            validation_cosine=0.0,
            n_train=8,
            n_validation=2,
            configuration={},
            torch_version="0",
        )
        artifacts = Artifacts(self.home.artifacts_path)
        with artifacts.draft() as draft:
            save_checkpoint(draft, encoder, manifest)
            artifact = artifacts.publish(draft, "checkpoint")
        self.version = artifact.name
        paths = list(self.pictures.values())
        execution = Execution(choose_device("cpu"), 1, self.home.path)
        features, self.predicted = embed_covers(
            encoder, checkpoint_input(manifest), paths, execution
        )
        curve = {"model_version": str, "epoch": pl.Int32, "name": str, "value": float}
        seen = {"project_id": str, "split": str, "model_version": str}
        model = {
            "model_version": self.version,
            "artifact": artifact.version,
            "manifest": manifest.model_dump_json(),
            "trained_at": START.replace(tzinfo=None),
        }
        self.publish(
            "trained_cnn",
            self.version,
            inputs={"training_set": "set"},
            trained_cnn=pl.DataFrame([model]),
            training_history=pl.DataFrame(schema=curve),
            trained_on=pl.DataFrame(schema=seen),
        )
        self.publish("embeddings", self.version, embeddings=pl.DataFrame({
            "project_id": PROJECTS,
            "model_version": self.version,
            "sha256": PROJECTS,
            "features": features,
            "predicted_factors": self.predicted,
        }))  # fmt: skip

    def _publish_baselines(self) -> None:
        baselines = resolve(Choices.read(self.home.config_path)).baselines
        execution = Execution(choose_device("cpu"), 1, self.home.path)
        paths = list(self.pictures.values())
        for table, feature_set in (
            ("imagenet_embeddings", baselines.imagenet),
            ("simple_embeddings", baselines.color),
        ):
            rows = pl.DataFrame({
                "project_id": PROJECTS,
                "sha256": PROJECTS,
                "feature_set": feature_set.name,
                "features": list(feature_set.extract(paths, execution)),
            })
            self.publish(table, **{table: rows})
