import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cf_pipeline.benchmark.task_loaders.labels_csv import LabelsCsv
from cf_pipeline.benchmark.task_loaders.loader import REPOSITORY, Draws, TaskLoader
from cf_pipeline.benchmark.task_splits import drawn_split, split_by_look
from cf_pipeline.benchmark.task_tables import example_images, read_tasks
from cf_pipeline.benchmark.tasks import SeenError, TaskRules, read_task
from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.vision.config import CoversConfig

RULES = TaskRules(test_share=0.3, seed=0, covers=CoversConfig())


def noise(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((48, 48))


class ByName(TaskLoader):
    """As short as a loader from outside can be: labels are in the names of files."""

    name: str = "by_name"
    folder: str

    def folder_read(self):
        return Path(self.folder) / "images"

    def files(self):
        return sorted(self.folder_read().glob("*.png"))

    def read(self):
        names = pl.Series([file.name for file in self.files()])
        number = names.str.head(2).cast(int)
        return pl.DataFrame({"image_id": names, "path": map(str, self.files())}).with_columns(
            label=pl.when(number % 2 == 0).then(pl.lit("even")).otherwise(pl.lit("odd")),
            reason=pl.when(number == 59).then(pl.lit("expected nothing of the last")),
        )


@pytest.fixture
def folder(tmp_path):
    """A task of 60 images in 3 classes; images 0 and 1 are near copies, 2 and 3 exact ones."""
    (tmp_path / "images").mkdir()
    lines = ["path,label"]
    for i in range(60):
        image = noise({1: 0, 3: 2}.get(i, i))
        path = f"images/{i:02}.png"
        if i == 1:
            image = image.resize((96, 96))
        image.save(tmp_path / path)
        lines.append(f"{path},class {i % 3}")
    write(tmp_path, lines)
    return tmp_path


def write(folder, lines):
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def lines_of(folder):
    return (folder / "labels.csv").read_text().splitlines()


def read(folder, rules=RULES):
    return read_task("toy", LabelsCsv(folder=str(folder)), rules)


class TestReading:
    def test_table(self, folder):
        task = read(folder)
        assert task.images.columns == [
            "task",
            "image_id",
            "path",
            "sha256",
            "label",
            "labels",
            "split",
            "look_component",
        ]
        assert task.images.null_count().sum_horizontal()[0] == 0
        row = task.images.row(7, named=True)
        assert row["image_id"] == "images/07.png"
        assert row["path"] == str(folder / "images/07.png")
        assert row["sha256"] == hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest()
        assert (row["task"], row["label"]) == ("toy", "class 1")
        assert (task.rejected.height, task.facts["n_test_seen"]) == (0, 0)

    def test_what_looks_alike_is_one_component_on_one_side(self, folder):
        for seed in range(5):
            images = read(folder, replace(RULES, seed=seed)).images
            names = images["look_component"].to_list()
            assert names[:4] == ["images/00.png"] * 2 + ["images/02.png"] * 2
            assert len(set(names)) == 58
            sides = images.group_by("look_component").agg(pl.col("split").n_unique())["split"]
            assert sides.max() == 1

    def test_labels_and_paths_stay_text_and_other_columns_are_left_alone(self, folder):
        lines = [
            f"{path},{group},{'007' if label == 'class 0' else '1e3'}"
            for path, label in (line.split(",") for line in lines_of(folder)[1:])
            for group in ["whatever"]
        ]
        write(folder, ["path,group,label", *lines])
        assert set(read(folder).images["label"]) == {"007", "1e3"}

    def test_rows_that_cannot_be_used_come_back_with_a_reason(self, folder):
        (folder / "images/10.png").write_bytes(b"no image")
        (folder / "images/11.png").unlink()
        (folder / "images/12.png").write_bytes(b"")
        extra = ["images/20.png,class 9", "images/21.png,class 0", ",class 0", "images/x.png,", ""]
        lines = lines_of(folder)
        write(folder, lines + extra)
        task = read(folder)
        reasons = dict(task.rejected.select("image_id", "reason").iter_rows())
        assert reasons["images/10.png"].startswith("unreadable: expected an image")
        assert reasons["images/11.png"].startswith("missing: ")
        assert reasons["images/12.png"] == "unreadable: expected an image, came an empty file"
        assert "several" in reasons["images/20.png"]
        assert "listed before" in reasons["images/21.png"]
        assert "expected a label" in reasons["images/x.png"]
        assert "expected an image in the column path" in reasons[None]
        # Of two labels neither is taken; of a repetition the first is.
        assert "images/20.png" not in task.images["image_id"]
        assert task.images["image_id"].to_list().count("images/21.png") == 1
        assert task.images.height + task.rejected.height == 60 + len(extra)

    def test_a_byte_order_mark_and_windows_line_ends(self, folder):
        text = "\r\n".join(lines_of(folder))
        (folder / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read(folder).images.height == 60

    def test_files_are_the_labels_and_their_images(self, folder):
        loader = LabelsCsv(folder=str(folder))
        files = loader.files()
        assert files[0] == folder / "labels.csv"
        assert files[1:] == [folder / f"images/{i:02}.png" for i in range(60)]
        (folder / "labels.csv").write_text("nonsense")
        assert loader.files() == [folder / "labels.csv"]
        gone = LabelsCsv(folder=str(folder / "gone"))
        assert gone.files() == [folder / "gone" / "labels.csv"]

    def test_a_relative_folder_starts_at_the_repository(self):
        assert LabelsCsv(folder="data/noto_emoji").folder_read() == REPOSITORY / "data/noto_emoji"
        assert LabelsCsv(folder="~/mine").folder_read() == Path.home() / "mine"

    def test_a_loader_from_outside_says_what_there_is_and_the_rest_is_as_always(self, folder):
        task = read_task("mine", ByName(folder=str(folder)), RULES)
        assert task.rejected.select("image_id", "reason").rows() == [
            ("59.png", "expected nothing of the last")
        ]
        assert set(task.images["task"]) == {"mine"}
        assert set(task.images["label"]) == {"even", "odd"}
        # Near copies have different labels here, and stay on one side all the same.
        assert task.images["look_component"][0] == task.images["look_component"][1]
        assert task.images["split"][0] == task.images["split"][1]


class TestErrors:
    def test_no_folder(self, tmp_path):
        with pytest.raises(ConfigError, match=r"gone: expected the folder.*benchmark\.tasks"):
            read(tmp_path / "gone")

    def test_no_labels(self, tmp_path):
        with pytest.raises(DataError, match=r"labels\.csv: expected a CSV file.*there is none"):
            read(tmp_path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "reading it failed"),
            (b'path,label\na.png,a\n"b.png,b\n', r"could not parse [^\n]*\. Write it again"),
            (b"path,label\n\xff\xfe\xfa,a\n", "reading it failed"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "path and label is missing"),
            (b"path,name\na.png,b\n", "label is missing, came path, name"),
            (b"path,label\n", "a row per image"),
            (b"path,label,split\na.png,b,train\nc.png,d,val\n", r"1 rows differ.*'val'"),
            (b"path,label,split\na.png,b,train\nc.png,d,\n", r"1 rows differ.*None"),
            (b"path,label\na.png,b\nc.png,d\n", "none of its 2 rows can be used.*missing"),
        ],
    )
    def test_unusable_labels(self, tmp_path, content, message):
        (tmp_path / "labels.csv").write_bytes(content)
        with pytest.raises(DataError, match=message) as raised:
            read(tmp_path)
        assert str(tmp_path) in str(raised.value)

    def test_one_class(self, folder):
        write(folder, ["path,label", "images/00.png,a", "images/05.png,a", "gone.png,b"])
        with pytest.raises(DataError, match=r"two classes.*'a' \(1 rows were turned away"):
            read(folder)

    def test_no_test_image(self, folder):
        write(folder, ["path,label", "images/00.png,a", "images/05.png,b"])
        with pytest.raises(DataError, match="expected test images, all 2 are in train"):
            read(folder)


class TestGivenSplit:
    def given(self, folder, test):
        lines = [
            f"{line},{'test' if i in test else 'train'}"
            for i, line in enumerate(lines_of(folder)[1:])
        ]
        write(folder, ["path,label,split", *lines])

    def test_it_is_kept(self, folder):
        self.given(folder, {4, 5, 6})
        task = read(folder)
        expected = ["test" if i in {4, 5, 6} else "train" for i in range(60)]
        assert task.images["split"].to_list() == expected
        assert task.facts["n_test_seen"] == 0

    def test_what_it_leaks_is_counted_and_said(self, folder, caplog):
        self.given(folder, {1, 3, 5})
        with caplog.at_level(logging.WARNING):
            assert read(folder).facts["n_test_seen"] == 2
        assert "2 test images look like a train image" in caplog.text

    def test_a_class_without_a_train_image_is_named(self, folder):
        self.given(folder, set(range(0, 60, 3)))
        with pytest.raises(DataError, match=r"train image of every class.*'class 0'"):
            read(folder)


class TestWhatIsLeftOut:
    def reasons(self, task):
        return dict(task.rejected.select("image_id", "reason").iter_rows())

    def test_labels_by_name(self, folder):
        loader = LabelsCsv(folder=str(folder), leave_out=("class 2", "no such"))
        task = read_task("toy", loader, RULES)
        assert set(task.images["label"]) == {"class 0", "class 1"}
        assert set(self.reasons(task).values()) == {"its label is left out"}
        assert task.facts["n_listed"] == 60
        assert (task.facts["n_found"], task.facts["n_used"]) == (40, 40)

    def test_small_classes_are_named(self, folder):
        (folder / "images/09.png").unlink()  # of class 0, which is left with 19
        task = read_task("toy", LabelsCsv(folder=str(folder), min_per_class=20), RULES)
        assert set(task.images["label"]) == {"class 1", "class 2"}
        assert task.facts["left_out"] == ["class 0"]
        expected = "expected classes of 20 images or more, class 0 has fewer"
        assert self.reasons(task)["images/00.png"] == expected
        assert self.reasons(task)["images/09.png"].startswith("missing: ")
        assert len(task.images) + len(task.rejected) == task.facts["n_listed"]

    def test_covers_that_the_network_is_fitted_to(self, folder):
        digests = dict(read(folder).images.select("image_id", "sha256").iter_rows())
        rules = replace(
            RULES,
            fitted={digests["images/05.png"]},
            held_out={digests[f"images/{i:02}.png"] for i in (6, 7)},
        )
        task = read(folder, rules)
        assert list(self.reasons(task)) == ["images/05.png"]
        assert self.reasons(task)["images/05.png"].startswith("seen: ")
        assert (task.facts["n_used"], task.facts["n_covers"]) == (59, 2)

    @pytest.mark.parametrize("n_left", [0, 1])
    def test_a_set_that_was_seen_is_absent(self, folder, n_left, caplog):
        digests = read(folder).images["sha256"].to_list()
        rules = replace(RULES, fitted=set(digests[n_left:]) - set(digests[:n_left]))
        with pytest.raises(SeenError, match="what the network is trained on"):
            read(folder, rules)
        with caplog.at_level(logging.WARNING):
            tasks = read_tasks({"toy": LabelsCsv(folder=str(folder))}, rules)
        assert (tasks.absent, tasks.images.height) == (("toy",), 0)
        assert "the task is left out" in caplog.text

    @pytest.mark.parametrize("content", [b"gone", None])
    def test_placeholders_by_their_hash(self, folder, content):
        place = folder / "images/05.png"
        if content is not None:  # whether they decode or not
            place.write_bytes(content)

        class Guarded(LabelsCsv):
            def placeholders(self):
                return frozenset({hashlib.sha1(place.read_bytes()).hexdigest()})

        task = read_task("toy", Guarded(folder=str(folder)), RULES)
        assert list(self.reasons(task)) == ["images/05.png"]
        assert self.reasons(task)["images/05.png"].startswith("placeholder: ")
        assert (task.facts["n_found"], task.facts["n_used"]) == (60, 59)


class TestLabels:
    def test_any_number_of_them(self, folder):
        lines = ["path,label"]
        lines += [f"images/{i:02}.png,{'|'.join('ab'[: i % 3])}" for i in range(60)]
        write(folder, lines)
        task = read_task("toy", LabelsCsv(folder=str(folder), separator="|"), RULES)
        row = dict(zip(task.images["image_id"], task.images["labels"], strict=True))
        assert [list(row[f"images/{i:02}.png"]) for i in range(3)] == [[], ["a"], ["a", "b"]]
        alone = dict(zip(task.images["image_id"], task.images["label"], strict=True))
        assert [alone[f"images/{i:02}.png"] for i in range(3)] == [None, "a", None]
        assert task.facts["is_multi_label"]
        assert (task.facts["n_classes"], task.facts["split_rule"]) == (2, "look")

    def test_leaving_one_out_leaves_the_others_of_an_image(self, folder):
        write(folder, ["path,label", *(f"images/{i:02}.png,{'abc'[i % 3]}|d" for i in range(60))])
        loader = LabelsCsv(folder=str(folder), separator="|", leave_out=("d",))
        task = read_task("toy", loader, RULES)
        assert (len(task.images), task.facts["is_multi_label"]) == (60, False)


class Drawn(LabelsCsv):
    def draws(self):
        return Draws(3, 12, 5)


class TestDraws:
    def test_so_many_of_every_class_train_and_test(self, folder):
        task = read_task("toy", Drawn(folder=str(folder)), RULES)
        assert (task.facts["split_rule"], task.facts["n_draws"]) == ("draws", 3)
        first = task.images.select("image_id", "split").with_columns(draw=pl.lit(0, pl.Int64))
        draws = pl.concat([first, task.draws.select("image_id", "split", "draw")])
        of_class = draws.join(task.images.select("image_id", "label"), on="image_id")
        counts = of_class.group_by("draw", "label", "split").len()
        assert counts.height == 27
        sizes = {"train": 12, "test": 5, "unused": 3}
        assert all(sizes[split] == n for split, n in counts.select("split", "len").iter_rows())
        train = draws.filter(split="train").group_by("draw").agg(pl.col("image_id").sort())
        assert train["image_id"].n_unique() == 3

    def test_a_class_that_train_uses_up_is_left_out(self, folder):
        write(folder, lines_of(folder)[:37])
        with pytest.raises(DataError, match="class 0 has fewer"):
            read_task("toy", Drawn(folder=str(folder)), RULES)

    def test_of_images_with_several_labels_none_are_drawn(self, folder):
        write(folder, ["path,label", *(f"images/{i:02}.png,a|b" for i in range(60))])
        with pytest.raises(DataError, match="one label an image where train is drawn"):
            read_task("toy", Drawn(folder=str(folder), separator="|"), RULES)

    def test_another_image_changes_one_place_at_most(self):
        ids, labels = [f"{i}" for i in range(100)], ["a"] * 100
        before = drawn_split(ids, labels, Draws(1, 30), 0, 0)
        after = drawn_split([*ids, "new"], [*labels, "a"], Draws(1, 30), 0, 0)
        assert sum(a != b for a, b in zip(before, after, strict=False)) <= 1
        assert before.count("train") == 30
        assert before != drawn_split(ids, labels, Draws(1, 30), 1, 0)
        assert before != drawn_split(ids, labels, Draws(1, 30), 0, 1)


images = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 30)), min_size=1, max_size=60)


class TestSplitByLook:
    @given(images=images, share=st.floats(0.01, 0.99), seed=st.integers(0, 5))
    def test_components_stay_together_and_every_class_is_trained_on(self, images, share, seed):
        labels = [label for label, _ in images]
        components = [f"c{number}" for _, number in images]
        split = split_by_look([[label] for label in labels], components, share, seed)
        assert set(split) <= {"train", "test"}
        sides = {}
        for component, side in zip(components, split, strict=True):
            assert sides.setdefault(component, side) == side
        in_train = {label for label, side in zip(labels, split, strict=True) if side == "train"}
        assert in_train == set(labels)

    @given(sizes=st.lists(st.integers(1, 8), min_size=1, max_size=6), share=st.floats(0.01, 0.99))
    def test_every_class_of_several_looks_is_scored(self, sizes, share):
        labels = [f"l{k}" for k, size in enumerate(sizes) for _ in range(size)]
        components = [f"c{i}" for i in range(len(labels))]
        split = split_by_look([[label] for label in labels], components, share, 0)
        in_test = {label for label, side in zip(labels, split, strict=True) if side == "test"}
        assert in_test == {f"l{k}" for k, size in enumerate(sizes) if size > 1}

    def test_the_share_and_the_seed(self):
        names = [f"c{i}" for i in range(4000)]
        labels = ["a", "b"] * 2000
        split = split_by_look([[label] for label in labels], names, 0.3, 0)
        assert 0.27 < split.count("test") / 4000 < 0.33
        assert split != split_by_look([[label] for label in labels], names, 0.3, 1)
        assert split == split_by_look([[label] for label in labels], names, 0.3, 0)

    def test_a_new_image_moves_no_other(self):
        names, labels = [f"c{i}" for i in range(400)], ["a", "b"] * 200
        before = split_by_look([[label] for label in labels], names, 0.3, 0)
        after = split_by_look([*([label] for label in labels), ["a"]], [*names, "new"], 0.3, 0)
        assert after[:-1] == before


def data_sets():
    given = os.environ.get("CF_PIPELINE_DATASETS")
    own = Path(__file__).parents[2] / "data"
    return [own, *([Path(given)] if given else [])]


@pytest.mark.parametrize(
    ("name", "n_images", "n_classes", "n_test_seen"),
    [
        ("noto_emoji", 1352, 56, 0),
        pytest.param("caltech101", 4722, 101, 13, marks=pytest.mark.slow),
        pytest.param("wikiart7", 4179, 7, 1, marks=pytest.mark.slow),
    ],
)
def test_real_tasks(name, n_images, n_classes, n_test_seen):
    folder = next((f / name for f in data_sets() if (f / name / "labels.csv").exists()), None)
    if folder is None:
        pytest.skip(f"{name} is not there; CF_PIPELINE_DATASETS names the folder that has it")
    task = read_task(name, LabelsCsv(folder=str(folder)), replace(RULES, n_threads=2))
    assert (task.images.height, task.rejected.height) == (n_images, 0)
    classes = task.images.group_by("split").agg(pl.col("label").n_unique())
    assert dict(classes.iter_rows()) == {"train": n_classes, "test": n_classes}
    assert abs(task.facts["n_test_seen"] - n_test_seen) <= 2


def test_examples_show_every_class_before_any_twice():
    images = pl.DataFrame({
        "task": ["a"] * 6,
        "image_id": ["5", "4", "3", "2", "1", "0"],
        "labels": [["dog"], ["cat"], ["cat"], ["cat"], ["dog"], ["owl"]],
        "path": ["5", "4", "3", "2", "1", "0"],
    })
    shown = [path.name for path in example_images(images, 5)]
    assert shown == ["2", "1", "0", "3", "5"]
    assert example_images(images.clear()) == []
