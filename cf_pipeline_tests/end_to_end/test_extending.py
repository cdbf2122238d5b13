"""`docs/extending.md`: exactly its lines go through the graph, each in a fresh home."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.definitions import defs
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.storage.home import Home
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import PlantedWorld, plant
from cf_pipeline_tests.end_to_end.planted_run import small_choices

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
WORLD = PlantedConfig(n_users=160, n_projects=240, cover_size=32, n_task_images=64)


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def my_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Somebody's module, of all the blocks one after the other."""
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "my_lab.py").write_text("\n".join(blocks()))
    monkeypatch.syspath_prepend(folder)
    yield folder / "my_lab.py"
    sys.modules.pop("my_lab", None)


def test_each_example_is_short() -> None:
    assert len(blocks()) == 4
    for block in blocks():
        lines = [line for line in block.splitlines() if line.strip() and "import" not in line]
        assert len(lines) <= 20, block


def pictures(world: PlantedWorld, folder: Path) -> Path:
    """The planted task as a folder per class."""
    labels = (world.task_folder / "labels.csv").read_text().splitlines()
    columns = labels[0].split(",")
    for line in labels[1:]:
        row = dict(zip(columns, line.split(","), strict=True))
        place = folder / row["label"]
        place.mkdir(parents=True, exist_ok=True)
        with Image.open(world.task_folder / row["path"]) as image:
            image.save(place / f"{Path(row['path']).stem}.png")
    return folder


@pytest.mark.slow
def test_methods_from_outside_go_through_the_graph(my_lab: Path, place: Path) -> None:
    world = plant(place / "world", WORLD)
    home = Home(place / "home")
    home.create()
    chosen = small_choices(world).with_assignments([
        "vision.objective=my_lab:Margin",
        "vision.objective.margin=0.3",
        "factorization.method=my_lab:TruncatedSvd",
        'baselines.extra=["my_lab:Thumbnail"]',
        "benchmark.tasks.mine.name=my_lab:Folders",
        f"benchmark.tasks.mine.folder={pictures(world, place / 'pictures')}",
    ])
    chosen.write(home.config_path)
    outcome = run_pipeline(home, defs())
    assert not outcome.failures
    warehouse = warehouse_of(home)
    judged = warehouse.frame("similarity_scores")["feature_set"].unique().to_list()
    assert "my_lab:Thumbnail" in judged
    probed = warehouse.frame("benchmark_scores")
    assert {"mine", "noto_emoji"} <= set(probed["task"])
    assert "my_lab:Thumbnail" in probed["feature_set"].to_list()
    assert run_pipeline(home, defs()).computed == ()
    # A changed file of somebody's own makes due what chose it.
    before = Choices.read(home.config_path)
    my_lab.write_text(my_lab.read_text().replace("side: int = 8", "side: int = 8  # pixels"))
    due = set(run_pipeline(home, defs()).computed)
    assert {"trained_cnn", "latent_factors", "simple_embeddings", "benchmark_tasks"} <= due
    assert not due & {"raw_interactions", "covers", "pruned_matrix", "imagenet_embeddings"}
    assert Choices.read(home.config_path) == before


@pytest.mark.slow
def test_a_backbone_of_a_library(place: Path) -> None:
    """timm's ResNet-50, with random weights in a file."""
    import safetensors.torch
    import timm

    world = plant(place / "another", WORLD)
    home = Home(place / "of_a_library")
    home.create()
    file = place / "resnet50.safetensors"
    safetensors.torch.save_file(timm.create_model("resnet50").state_dict(), file)
    small_choices(world).with_assignments([
        "vision.backbone=timm:resnet50",
        f"vision.backbone.weights={file}",
        "vision.epochs=1",
    ]).write(home.config_path)
    outcome = run_pipeline(home, defs())
    assert not outcome.failures
    manifest = warehouse_of(home).frame("trained_cnn")["manifest"][0]
    assert "timm:resnet50" in manifest
    shutil.rmtree(home.path)
