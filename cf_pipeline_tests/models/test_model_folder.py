"""A model as a folder: its lines run where this project is not, and its card says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.models.card_usage import FORM, HEAD, ONNX, PLAIN, PROGRAM
from cf_pipeline.models.exporting import export_embeddings
from cf_pipeline.models.model_folder import export_model
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision import portable_folder
from cf_pipeline_tests.models.exported_home import ExportedHome, blocks, filled, run_lines
from cf_pipeline_tests.models.trained_home import TrainedHome

FILES = {
    *("README.md", "backbone.safetensors", "head.safetensors", "form.safetensors"),
    *("model.pt2", "model.onnx", "cover.py", "preprocessing.json"),
}
SCRATCH = {"backbone": "resnet_small", "image_size": 32}
TIMM = {"backbone": "timm:test_resnet", "backbone__weights": "random", "image_size": 32}
TORCHVISION = {
    "backbone": "torchvision:shufflenet_v2_x0_5",
    "backbone__weights": "random",
    "image_size": 32,
}
LITE0 = {"backbone": "efficientnet_lite0", "image_size": 64}


def exported_vectors(held: ExportedHome, file: Path) -> Matrix:
    """Column `collaborative` of `export embeddings`, in the order of the covers."""
    export_embeddings(held.home.home, file, held.model)
    return pl.read_parquet(file).sort("project_id")["collaborative"].to_numpy()


@pytest.mark.parametrize(
    ("vision", "plain"),
    [
        pytest.param(TIMM, "timm", marks=pytest.mark.slow),
        pytest.param(SCRATCH, None, marks=pytest.mark.slow),
        pytest.param(TORCHVISION, "torchvision", marks=pytest.mark.slow),
        pytest.param(LITE0, "timm", marks=pytest.mark.slow),
    ],
    ids=["timm", "resnet_small", "torchvision", "efficientnet_lite0"],
)
def test_every_line_of_the_card_gives_what_the_home_holds(
    trained: TrainedHome, tmp_path: Path, vision: dict[str, object], plain: str | None
) -> None:
    held = filled(trained, tmp_path, **vision)
    trained.score(held.model, 0.5, form="predicted_factors")
    made = export_model(trained.home, tmp_path / "out")
    assert made.version == held.model
    assert max(made.agreement.onnx, made.agreement.program) < 1e-4
    assert {path.name for path in made.folder.iterdir()} == FILES
    lines = blocks((made.folder / "README.md").read_text(encoding="utf-8"))
    ways = [lines[PROGRAM] + lines[FORM], lines[ONNX]]
    if plain is None:
        assert PLAIN not in lines
    else:
        assert len([line for line in lines[PLAIN].splitlines() if line]) <= 10
        assert f"import torch, {plain}" in lines[PLAIN]
        ways.append(lines[PLAIN] + lines[HEAD] + lines[FORM])
    row = -1  # a cover that was held out
    collaborative = exported_vectors(held, tmp_path / "x.parquet")[row]
    for given in run_lines(made.folder, held.paths[row], ways, tmp_path / "results"):
        size = float(np.abs(held.features[row]).max())
        assert given["features"] == pytest.approx(held.features[[row]], abs=1e-4 * size)
        assert given["predicted_factors"] == pytest.approx(held.predicted[[row]], abs=1e-4)
        if "collaborative" in given:
            assert given["collaborative"][0] == pytest.approx(collaborative, abs=1e-4)


@pytest.mark.slow
def test_a_form_beside_imagenet_is_whole(trained: TrainedHome, tmp_path: Path) -> None:
    from cf_pipeline.configuration.choices import Choices, resolve
    from cf_pipeline.models.extraction import execution

    held = filled(trained, tmp_path, **SCRATCH)
    choices = Choices.read(trained.home.config_path)
    chosen = {**choices.set, "baselines.imagenet.image_size": 48, "baselines.imagenet.fit": "crop"}
    choices.model_copy(update={"set": chosen}).write(trained.home.config_path)
    configuration = resolve(Choices.read(trained.home.config_path))
    frozen = configuration.baselines.imagenet.extract(
        held.paths, execution(trained.stage("imagenet_embeddings"))
    )
    rows = pl.DataFrame({
        "project_id": [path.stem for path in held.paths],
        "sha256": "00",
        "feature_set": "imagenet",
        "features": list(frozen),
    })
    trained.publish("imagenet_embeddings", imagenet_embeddings=rows)
    trained.score(held.model, 0.5, form="collaborative beside imagenet")
    made = export_model(trained.home, tmp_path / "out", held.model[:6])
    names = {path.name for path in made.folder.iterdir()}
    assert names == FILES | {"imagenet.safetensors", "imagenet_preprocessing.json"}
    lines = blocks((made.folder / "README.md").read_text(encoding="utf-8"))
    script = lines[PROGRAM] + lines[FORM]
    (given,) = run_lines(made.folder, held.paths[-1], [script], tmp_path / "results")
    expected = exported_vectors(held, tmp_path / "x.parquet")[-1]
    assert given["collaborative"][0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_an_objective_that_reads_its_outputs(trained: TrainedHome, tmp_path: Path) -> None:
    objective = {"objective": "pseudo_class", "objective__n_classes": 4}
    held = filled(trained, tmp_path, **TIMM, **objective)
    made = export_model(trained.home, tmp_path / "out")
    lines = blocks((made.folder / "README.md").read_text(encoding="utf-8"))
    assert HEAD not in lines
    given = run_lines(made.folder, held.paths[0], [lines[ONNX]], tmp_path / "results")
    assert given[0]["predicted_factors"] == pytest.approx(held.predicted[:1], abs=1e-4)


@pytest.mark.slow
class TestCard:
    @pytest.fixture(scope="class")
    def held(self, tmp_path_factory: pytest.TempPathFactory) -> ExportedHome:
        from cf_pipeline.storage.home import Home

        folder = tmp_path_factory.mktemp("exported")
        home = Home(folder / "home")
        home.create()
        return filled(TrainedHome(home), folder, **SCRATCH)

    @pytest.fixture(scope="class")
    def card(self, held: ExportedHome, tmp_path_factory: pytest.TempPathFactory) -> str:
        folder = tmp_path_factory.mktemp("card") / "deep" / "out"
        return (export_model(held.home.home, folder).folder / "README.md").read_text("utf-8")

    def test_its_head_is_what_hubs_read(self, card: str) -> None:
        head = card.split("---\n")[1]
        assert re.search(r"^license: other\nlicense_name: .+\nlicense_link: ", head)
        assert "\nlibrary_name: pytorch\n" in head
        assert "\n- onnx\n" in head

    def test_numbers_of_the_data(self, card: str) -> None:
        assert "24 interactions (24 `collection`) of 5 users with 24 projects" in card
        assert "dated 2026-01-02 to 2026-01-02" in card
        assert "6 test, 12 train, 6 validation" in card

    def test_what_was_not_computed_is_said(self, card: str) -> None:
        assert "it has no scores" in card
        assert "No linear probe" in card
        assert "no form was chosen for this model" in card

    def test_unknown_licences_are_said_to_be_unknown(self, card: str) -> None:
        assert "brought by whoever trained the model; their licence is not known here" in card
        assert "none: training began from random numbers" in card

    def test_where_it_is_wrong_is_computed(self, held: ExportedHome, card: str) -> None:
        assert "For 6 held-out covers" in card
        rows = re.findall(r"^\| a \\\| title of (\d+) &lt;b> \| \d+ \| field\d \| 1 \| (.+) \|$",
                          card, re.M)  # fmt: skip
        assert {name for name, _ in rows} == {path.stem for path in held.paths[-6:]}
        distances = [float(value) for _, value in rows]
        assert distances == sorted(distances, reverse=True)

    def test_a_second_export_is_the_same_and_tells_no_place_of_this_machine(
        self, held: ExportedHome, card: str, tmp_path: Path
    ) -> None:
        (tmp_path / "out").mkdir()
        folder = export_model(held.home.home, tmp_path / "out").folder
        assert (folder / "README.md").read_text("utf-8") == card
        assert PLAIN not in card
        how = json.loads((folder / "preprocessing.json").read_text("utf-8"))
        assert (how["height"], how["width"], how["fit"]) == (32, 32, "whole")
        assert (how["mean"], how["std"]) == ([127.5] * 3, [64.0] * 3)
        places = (held.home.home.path.parent, Path(__file__).parents[2], tmp_path)
        for path in folder.iterdir():
            assert path.stat().st_mode & 0o777 == 0o644
            content = path.read_bytes()
            assert not [place for place in places if str(place).encode() in content], path.name

    def test_a_folder_that_holds_something_is_left_alone(
        self, held: ExportedHome, tmp_path: Path
    ) -> None:
        (tmp_path / "a.txt").write_text("mine")
        for place in (tmp_path, tmp_path / "a.txt"):
            with pytest.raises(DataError, match="holds something already"):
                export_model(held.home.home, place)
        with pytest.raises(DataError, match=r"cannot be written: .*Choose another place"):
            export_model(held.home.home, tmp_path / "a.txt" / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]

    def test_what_does_not_agree_is_not_exported(
        self, held: ExportedHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            portable_folder, "run_onnx", lambda *_: (held.features[:16], -held.predicted[:16])
        )
        with pytest.raises(DataError, match=r"model\.onnx differs from the network by"):
            export_model(held.home.home, tmp_path / "out")
        assert not list(tmp_path.iterdir())

    def test_no_such_model(self, held: ExportedHome, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no version begins with 'xyz'"):
            export_model(held.home.home, tmp_path / "out", "xyz")


def test_a_home_without_a_model(trained: TrainedHome, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no trained model in .* Run cf-pipeline run first"):
        export_model(trained.home, tmp_path / "out")
