"""What somebody chose: said on a command line, written to a file, read again, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("vision.epochs=40", 40),
        ("vision.epochs = 40 ", 40),
        ("vision.dropout=1e-3", 1e-3),
        ("vision.augment=false", False),
        ("vision.backbone=resnet_small", "resnet_small"),
        ('vision.backbone="resnet_small"', "resnet_small"),
        ("vision.backbone.weights=/a/b=c.safetensors", "/a/b=c.safetensors"),
        ("tracking.project=2026 spring", "2026 spring"),
        ('tracking.project="7"', "7"),
        ("resources.training=same", "same"),
        ("benchmark.tasks.mine=/data/mine", "/data/mine"),
    ],
)
def test_assignments_are_toml_or_text(assignment: str, value: object) -> None:
    chosen = Choices().with_assignments([assignment])
    [(key, parsed)] = chosen.set.items()
    assert (key, parsed) == (assignment.partition("=")[0].strip(), value)
    assert type(parsed) is type(value)
    resolve(chosen)


def test_an_assignment_is_one_value_and_no_more() -> None:
    with pytest.raises(ConfigError, match=r"vision.epochs"):
        resolve(Choices().with_assignments(["vision.epochs=1\nvalue2 = 3"]))
    for assignment in ("vision.epochs", "", "40"):
        with pytest.raises(ConfigError, match=r"expected key=value, as vision.epochs=40"):
            Choices().with_assignments([assignment])


def test_the_last_assignment_holds_and_others_stay() -> None:
    chosen = Choices(set={"split.seed": 3}).with_assignments(["split.seed=4", "split.seed=5"])
    chosen = chosen.with_assignments(["vision.epochs=2"])
    assert chosen.set == {"split.seed": 5, "vision.epochs": 2}


def test_taking_a_choice_back() -> None:
    chosen = Choices(budget="demo", set={"split.seed": 3, "vision.epochs": 2})
    assert chosen.without("split.seed").set == {"vision.epochs": 2}
    assert chosen.without("budget").budget == "full"
    assert chosen.without("budget").set == chosen.set
    message = "split.test was not chosen; choices made: budget, split.seed, vision.epochs"
    with pytest.raises(ConfigError, match=message):
        chosen.without("split.test")
    with pytest.raises(ConfigError, match="split was not chosen"):
        chosen.without("split")
    with pytest.raises(ConfigError, match="recipe was not chosen; choices made: none"):
        Choices().without("recipe")


@pytest.mark.parametrize(
    "key",
    [
        "vision.backbone.weights",
        "baselines.imagenet.backbone.weights",
        "benchmark.tasks.noto_emoji",
        "benchmark.tasks.mine.folder",
    ],
)
def test_chosen_paths_are_absolute_from_where_they_were_chosen(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = Choices().with_assignments([f"{key}=somewhere/file"])
    assert chosen.set[key] == str(tmp_path / "somewhere" / "file")


def test_words_that_look_like_paths_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {
        "vision.backbone.weights": "random",
        "benchmark.tasks.mine": "labels_csv",
        "benchmark.tasks.other": "my_lab:Folders",
        "tracking.project": "some/where",
    }
    for key, word in words.items():
        assert Choices().with_assignments([f"{key}={word}"]).set == {key: word}
    table = ['benchmark.tasks.mine={name = "labels_csv", folder = "mine"}']
    assert Choices().with_assignments(table).set["benchmark.tasks.mine.folder"] == str(
        tmp_path / "mine"
    )


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = {
    "vision.epochs": st.integers(1, 10**9),
    "vision.dropout": st.floats(0, 0.99),
    "vision.augment": st.booleans(),
    "vision.backbone": TEXT,
    "vision.backbone.weights": TEXT,
    "vision.objective.temperature": st.floats(0.01, 1),
    "tracking.project": TEXT,
    "benchmark.tasks.mine": TEXT,
    "benchmark.tasks.mine.folder": TEXT,
    "benchmark.tasks.name": TEXT,
    "benchmark.tasks.other-1": st.text(max_size=3, alphabet="ab /\\'\""),
    "baselines.extra": st.just(["my_lab:Thumbnail", {"name": "my_lab:Other", "side": 4}]),
}


@given(
    chosen=st.fixed_dictionaries({}, optional=VALUES),
    dataset=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, chosen: dict[str, object], dataset: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "config.toml"
    choices = Choices(dataset=dataset, budget="demo", set=chosen)
    choices.write(path)
    assert Choices.read(path) == choices


def test_a_file_is_replaced_whole_and_one_that_is_not_there_chooses_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.toml"
    assert Choices.read(path) == Choices()
    Choices(set={"vision.epochs": 3}).write(path)
    Choices(set={"split.seed": 3}).write(path)
    assert Choices.read(path).set == {"split.seed": 3}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"vision.epochs = ", "config.toml is not TOML: .* Mend or delete it"),
        (b"\xff\xfe", "config.toml is not TOML"),
        (b"dataset = 3", "config.toml: dataset: .*valid string"),
        (b"nonsense = 3", "unknown configuration key 'nonsense'"),
        (b"[vision]\nepoch = 3", "unknown configuration key 'vision.epoch'"),
        (b"[set]\nx = 3", "unknown configuration key 'set.x'"),
        (b"[vision.epochs]\nname = 3", "unknown configuration key 'vision.epochs.name'"),
    ],
)
def test_a_file_that_was_spoilt_by_hand(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        resolve(Choices.read(path))
