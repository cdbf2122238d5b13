"""Probes over tasks and feature sets, and tasks in one table."""

import logging

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cf_pipeline.benchmark import probing, task_tables
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.linear_probe import Labelled, linear_probe
from cf_pipeline.benchmark.probing import probe_feature_sets
from cf_pipeline.benchmark.task_loaders.labels_csv import LabelsCsv
from cf_pipeline.benchmark.task_tables import read_tasks
from cf_pipeline.benchmark.tasks import TaskRules
from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.vision.config import CoversConfig

CONFIG = BenchmarkConfig(n_resamples=200)


@pytest.fixture(scope="module")
def world():
    """Two tasks of three classes; `told` knows the class, `blind` nothing."""
    rng = np.random.default_rng(0)
    images, features = [], []
    for task, n in (("emoji", 90), ("art", 60)):
        for i in range(n):
            image = {"task": task, "image_id": f"{i:02}.png", "label": f"class {i % 3}"}
            split = "test" if i % 4 == 0 else "train"
            images.append({**image, "split": split, "look_component": f"{i - i % 2:02}.png"})
            told = 2 * np.eye(3)[i % 3] + rng.normal(0, 0.3, 3)
            for name, vector in (("told", told), ("blind", rng.normal(size=5))):
                features.append({**image, "feature_set": name, "features": vector.tolist()})
    table = pl.DataFrame(features).with_columns(pl.col("features").cast(pl.List(pl.Float32)))
    return pl.DataFrame(images), table.drop("label")


@pytest.fixture(scope="module")
def probes(world):
    return probe_feature_sets(*world, CONFIG)


def row(table, task, name, metric):
    return table.row(
        by_predicate=(pl.col("task") == task)
        & (pl.col("feature_set") == name)
        & (pl.col("metric") == metric),
        named=True,
    )


class TestProbing:
    def test_a_row_for_every_task_feature_set_and_metric(self, probes):
        assert probes.scores.columns == [
            "task",
            "feature_set",
            "metric",
            "value",
            "low",
            "high",
            "n_train",
            "n_test",
        ]
        assert probes.scores.height == 2 * 2 * 5
        assert probes.classes.height == 2 * 2 * 2 * 3
        assert list(probes.results) == [
            ("art", "blind"), ("art", "told"), ("emoji", "blind"), ("emoji", "told")
        ]  # fmt: skip
        metrics = {"mean_class_accuracy", "accuracy", "knn_accuracy", "map", "balanced_map"}
        assert set(probes.scores["metric"]) == metrics
        counts = probes.scores.select("task", "n_train", "n_test").unique().sort("task").rows()
        assert counts == [("art", 45, 15), ("emoji", 67, 23)]

    def test_features_that_know_the_class_score_and_others_do_not(self, probes):
        told = row(probes.scores, "emoji", "told", "mean_class_accuracy")
        blind = row(probes.scores, "emoji", "blind", "mean_class_accuracy")
        assert told["value"] > 0.95
        assert blind["value"] < 0.6
        for found in (told, blind):
            assert found["low"] <= found["value"] <= found["high"]

    def test_it_is_the_linear_probe_on_rows_in_the_order_of_ids(self, world, probes):
        images, features = world
        of_task = images.filter(task="art").sort("image_id")
        given = {
            split: of_task.filter(split=split).join(
                features.filter(task="art", feature_set="told"),
                on="image_id",
                maintain_order="left",
            )
            for split in ("train", "test")
        }
        sides = [
            Labelled(
                rows["image_id"].to_list(),
                np.array(rows["features"].to_list(), dtype=np.float32),
                [[label] for label in rows["label"]],
            )
            for rows in given.values()
        ]
        expected = linear_probe(*sides, seed=CONFIG.seed)
        found = probes.results["art", "told"]
        assert found.strength == expected.strength
        assert np.array_equal(found.scores, expected.scores)
        is_correct = expected.predictions == expected.labels
        assert row(probes.scores, "art", "told", "accuracy")["value"] == is_correct.mean()

    def test_differences_are_to_every_reference_over_the_same_resamples(self, world, probes):
        apart = probes.differences
        assert set(apart.select("feature_set", "reference").rows()) == {
            ("told", "blind"), ("blind", "told")
        }  # fmt: skip
        for here in apart.to_dicts():
            ours, theirs = (
                row(probes.scores, here["task"], here[of], here["metric"])["value"]
                for of in ("feature_set", "reference")
            )
            assert here["difference"] == pytest.approx(ours - theirs)
            assert here["low"] <= here["difference"] <= here["high"]

    def test_the_order_of_rows_does_not_matter(self, world, probes):
        images, features = world
        again = probe_feature_sets(images.reverse(), features.reverse(), CONFIG)
        assert again.scores.equals(probes.scores)

    def test_images_of_one_look_are_drawn_together(self, world):
        images, features = world
        here = images.filter(task="emoji"), features.filter(task="emoji", feature_set="blind")
        one = here[0].with_columns(look_component=pl.lit("all alike"))
        table = probe_feature_sets(one, here[1], CONFIG).scores
        # One component says nothing about spread: no bounds, as null and not as NaN.
        assert table["low"].null_count() == table["high"].null_count() == table.height
        assert not table["value"].is_nan().any()
        alone = here[0].with_columns(look_component="image_id")
        assert probe_feature_sets(alone, here[1], CONFIG).scores["low"].null_count() == 0

    def test_summary_names_what_a_reader_must_know(self, world, caplog):
        images, features = world
        relabelled = images.with_columns(
            label=pl.when(image_id="00.png").then(pl.lit("unseen")).otherwise("label")
        )
        with caplog.at_level(logging.WARNING):
            found = probe_feature_sets(relabelled, features.filter(task="art"), CONFIG)
        figures = probing.summarize(found)
        mean = row(found.scores, "art", "told", "mean_class_accuracy")["value"]
        assert figures["art_told"] == mean
        assert figures["art_told_C"] == found.results["art", "told"].strength
        assert "unseen" in figures["art_told_notes"]
        assert "told on art" in caplog.text

    def test_progress(self, world):
        seen = []
        probe_feature_sets(*world, CONFIG, lambda done, total, _: seen.append((done, total)))
        assert seen == [(i, 4) for i in range(1, 5)]

    def test_an_image_without_features(self, world):
        images, features = world
        holed = features.filter(~((pl.col("image_id") == "07.png") & (pl.col("task") == "art")))
        with pytest.raises(DataError, match=r"1 of 45 ids have no vector, the first is '07\.png'"):
            probe_feature_sets(images, holed, CONFIG)

    def test_features_of_a_task_without_images(self, world):
        images, features = world
        with pytest.raises(DataError, match="at least one"):
            probe_feature_sets(images.filter(task="emoji"), features, CONFIG)


@pytest.fixture
def loaders(tmp_path):
    """Two labelled sets; the second names an image that is not there."""
    for number, name in enumerate(("emoji", "art")):
        (tmp_path / name).mkdir()
        lines = ["path,label"]
        for i in range(12):
            rng = np.random.default_rng(100 * number + i)
            image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            image.save(tmp_path / name / f"{i:02}.png")
            lines.append(f"{i:02}.png,class {i % 2}")
        if name == "art":
            lines.append("gone.png,class 0")
        (tmp_path / name / "labels.csv").write_text("\n".join(lines))
    return {name: LabelsCsv(folder=str(tmp_path / name)) for name in ("emoji", "art")}


class TestTasks:
    RULES = TaskRules(test_share=0.3, seed=CONFIG.seed, covers=CoversConfig())

    def test_all_tasks_in_one_table(self, loaders):
        seen = []
        tasks = read_tasks(loaders, self.RULES, lambda done, total, _: seen.append((done, total)))
        assert dict(tasks.images.group_by("task").len().iter_rows()) == {"emoji": 12, "art": 12}
        assert tasks.rejected.select("task", "image_id").rows() == [("art", "gone.png")]
        assert tasks.n_test_seen == {"emoji": 0, "art": 0}
        figures = task_tables.summarize(tasks)
        assert figures["rejected"] == 1
        assert figures["art_train_images"] + figures["art_test_images"] == 12
        assert figures["emoji_train_classes"] == 2
        assert figures["emoji_test_images_seen_in_train"] == 0
        assert seen[-1] == (12, 12)

    def test_without_a_task_tables_and_scores_are_empty(self, loaders):
        tasks = read_tasks({}, self.RULES)
        there = read_tasks(loaders, self.RULES)
        assert tasks.images.is_empty()
        assert tasks.images.schema == there.images.schema
        assert tasks.rejected.schema == there.rejected.schema
        assert task_tables.summarize(tasks) == {"rejected": 0}
        features = pl.DataFrame(
            schema={"task": str, "image_id": str, "feature_set": str, "features": pl.List(float)}
        )
        found = probe_feature_sets(tasks.images, features, CONFIG)
        assert (found.scores.height, found.results) == (0, {})
        assert found.scores.schema["value"] == pl.Float64

    def test_a_folder_that_is_not_there(self, loaders, tmp_path):
        loaders["art"] = LabelsCsv(folder=str(tmp_path / "gone"))
        with pytest.raises(ConfigError, match="gone: expected the folder"):
            read_tasks(loaders, self.RULES)
