"""Probes over tasks and feature sets, and tasks in one table."""

import logging

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cf_pipeline.benchmark import probing, task_tables
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.linear_probe import Labelled, linear_probe
from cf_pipeline.benchmark.probe_notes import origins
from cf_pipeline.benchmark.probing import ProbeInputs, probe_feature_sets
from cf_pipeline.benchmark.task_loaders.labels_csv import LabelsCsv
from cf_pipeline.benchmark.task_tables import read_tasks
from cf_pipeline.benchmark.tasks import DRAW_SCHEMA, FACT_SCHEMA, TaskRules
from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.vectors import silent
from cf_pipeline.vision.config import CoversConfig

CONFIG = BenchmarkConfig(n_resamples=200)
NO_DRAWS = pl.DataFrame(schema=DRAW_SCHEMA)


def facts(*tasks, **given):
    known = {"split_rule": "look", "n_draws": 1, "n_covers": 0, "left_out": [], "told": [], **given}
    rows = [{"task": task, "n_listed": 9, "n_found": 8, "n_used": 7, **known} for task in tasks]
    return pl.DataFrame(rows, schema=FACT_SCHEMA)


def probe(images, features, progress=silent, draws=NO_DRAWS, **given):
    """What the probe makes of labelled images and features, `given` being facts of the tasks."""
    tasks = features["task"].unique().sort()
    inputs = ProbeInputs(
        images, draws, facts(*tasks, **given), features, origins(True), {"art": ("emoji",)}
    )
    return probe_feature_sets(inputs, CONFIG, progress)


@pytest.fixture(scope="module")
def world():
    """Two tasks of three classes; `told` knows the class, `blind` nothing."""
    rng = np.random.default_rng(0)
    images, features = [], []
    for task, n in (("emoji", 90), ("art", 60)):
        for i in range(n):
            image = {"task": task, "image_id": f"{i:02}.png", "labels": [f"class {i % 3}"]}
            split = "test" if i % 4 == 0 else "train"
            images.append({**image, "split": split, "look_component": f"{i - i % 2:02}.png"})
            told = 2 * np.eye(3)[i % 3] + rng.normal(0, 0.3, 3)
            for name, vector in (("told", told), ("blind", rng.normal(size=5))):
                features.append({**image, "feature_set": name, "features": vector.tolist()})
    table = pl.DataFrame(features).with_columns(pl.col("features").cast(pl.List(pl.Float32)))
    return pl.DataFrame(images), table.drop("labels")


@pytest.fixture(scope="module")
def probes(world):
    return probe(*world)


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
            "variant",
            "split_rule",
            "n_listed",
            "n_found",
            "n_used",
            "n_draws",
            "deviation",
            "note",
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
                rows["labels"].to_list(),
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
        again = probe(images.reverse(), features.reverse())
        assert again.scores.equals(probes.scores)

    def test_images_of_one_look_are_drawn_together(self, world):
        images, features = world
        here = images.filter(task="emoji"), features.filter(task="emoji", feature_set="blind")
        one = here[0].with_columns(look_component=pl.lit("all alike"))
        table = probe(one, here[1]).scores
        # One component says nothing about spread: no bounds, as null and not as NaN.
        assert table["low"].null_count() == table["high"].null_count() == table.height
        assert not table["value"].is_nan().any()
        alone = here[0].with_columns(look_component="image_id")
        assert probe(alone, here[1]).scores["low"].null_count() == 0

    def test_summary_names_what_a_reader_must_know(self, world, caplog):
        images, features = world
        relabelled = images.with_columns(
            labels=pl.when(image_id="00.png").then(["unseen"]).otherwise("labels")
        )
        with caplog.at_level(logging.WARNING):
            found = probe(relabelled, features.filter(task="art"))
        figures = probing.summarize(found)
        mean = row(found.scores, "art", "told", "mean_class_accuracy")["value"]
        assert figures["art_told"] == mean
        assert figures["art_told_C"] == found.results["art", "told"].strength
        assert "unseen" in figures["art_told_notes"]
        assert "told on art" in caplog.text

    def test_progress(self, world):
        seen = []
        probe(*world, lambda done, total, _: seen.append((done, total)))
        assert seen == [(i, 4) for i in range(1, 5)]

    def test_an_image_without_features(self, world):
        images, features = world
        holed = features.filter(~((pl.col("image_id") == "07.png") & (pl.col("task") == "art")))
        with pytest.raises(DataError, match=r"1 of 45 ids have no vector, the first is '07\.png'"):
            probe(images, holed)

    def test_features_of_a_task_without_images(self, world):
        images, features = world
        with pytest.raises(DataError, match="at least one"):
            probe(images.filter(task="emoji"), features)

    def test_what_is_known_of_a_task_stands_beside_its_scores(self, world):
        images, features = world
        known = {"variant": "the small one", "split_rule": "draws", "n_draws": 5}
        table = probe(images, features.filter(task="art"), **known).scores
        counts = ("n_listed", "n_found", "n_used", "n_train", "n_test")
        assert set(table.select(*known, *counts).rows()) == {(*known.values(), 9, 8, 7, 45, 15)}

    def test_several_draws_are_told_by_their_mean_and_spread(self, world):
        images, features = world
        art, known = images.filter(task="art"), features.filter(task="art")
        turned = art.with_columns(split=pl.col("split").reverse(), draw=pl.lit(1, pl.Int64))
        left_out = pl.when(image_id="30.png").then(pl.lit("unused")).otherwise("split")
        turned = turned.with_columns(split=left_out)
        both = probe(art, known, draws=turned.select(*DRAW_SCHEMA))
        alone = [probe(one, known) for one in (art, turned.filter(pl.col("split") != "unused"))]
        for name in ("told", "blind"):
            for metric in ("accuracy", "balanced_map"):
                found = row(both.scores, "art", name, metric)
                of_draws = [row(each.scores, "art", name, metric) for each in alone]
                for bound in ("value", "low", "high"):
                    assert found[bound] == pytest.approx(np.mean([r[bound] for r in of_draws]))
                spread = np.std([r["value"] for r in of_draws], ddof=1)
                assert found["deviation"] == pytest.approx(spread)
        differences = [each.differences.row(0, named=True) for each in alone]
        mean = np.mean([each["difference"] for each in differences])
        assert both.differences.row(0, named=True)["difference"] == pytest.approx(mean)
        first = both.classes.row(0, named=True)
        assert first["value"] == pytest.approx(
            np.mean([each.classes["value"][0] for each in alone])
        )
        assert both.classes.height == alone[0].classes.height

    def test_images_of_any_number_of_labels(self, world):
        images, features = world
        several = images.filter(task="art").with_columns(
            labels=pl
            .when(image_id="08.png")
            .then(pl.lit([], pl.List(pl.String)))
            .when(image_id="12.png")
            .then(["class 0", "class 1"])
            .otherwise("labels")
        )
        found = probe(several, features.filter(task="art"))
        assert set(found.scores["metric"]) == {"map", "balanced_map"}
        assert [(task, metric) for task, metric, _ in found.primary()] == [("art", "map")]
        assert row(found.scores, "art", "told", "map")["value"] > 0.8

    def test_what_a_model_could_have_known_is_said(self, world):
        images, features = world
        names = {"told": "imagenet", "blind": "metaclass"}
        renamed = features.filter(task="art").with_columns(
            feature_set=pl.col("feature_set").replace(names)
        )
        seen = probe(images, renamed, told=["imagenet"])
        told = "labels like these were told to the makers of imagenet"
        assert row(seen.scores, "art", "imagenet", "map")["note"] == told
        learned = f"{told}; learned from the labels of emoji"
        assert row(seen.scores, "art", "metaclass", "map")["note"] == learned
        assert learned in probing.summarize(seen)["art_metaclass_notes"]
        ours = features.filter(task="art").with_columns(
            feature_set=pl.col("feature_set").replace({"told": "collaborative"})
        )
        own = row(probe(images, ours, n_covers=4).scores, "art", "collaborative", "map")["note"]
        assert own.startswith("4 of its images are held-out covers of the data set")
        assert row(probe(images, ours).scores, "art", "collaborative", "map")["note"] is None


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
        assert dict(tasks.facts.select("task", "n_test_seen").iter_rows()) == {"emoji": 0, "art": 0}
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
        found = probe(tasks.images, features)
        assert (found.scores.height, found.results) == (0, {})
        assert found.scores.schema["value"] == pl.Float64

    def test_an_optional_set_that_is_not_there_is_absent(self, loaders, tmp_path):
        gone = LabelsCsv(folder=str(tmp_path / "gone"), optional=True)
        tasks = read_tasks({**loaders, "gone": gone}, self.RULES)
        assert set(tasks.images["task"]) == set(tasks.facts["task"]) == {"emoji", "art"}
        assert task_tables.summarize(tasks)["absent"] == "gone"
        # What staleness looks at: that it may come.
        assert gone.files() == [tmp_path / "gone" / "labels.csv"]

    def test_a_folder_that_is_not_there(self, loaders, tmp_path):
        loaders["art"] = LabelsCsv(folder=str(tmp_path / "gone"))
        with pytest.raises(ConfigError, match="gone: expected the folder"):
            read_tasks(loaders, self.RULES)
