import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cf_pipeline.errors import DataError
from cf_pipeline.vision.backbones.backbone import BACKBONES
from cf_pipeline.vision.embedding import embed_changed, embed_covers
from cf_pipeline.vision.geometry import square
from cf_pipeline.vision.networks import CoverInput, CoverRegressor, built
from cf_pipeline_tests.vision.small_world import examples, on_cpu

SIDE = 64
"""AlexNet sees nothing smaller."""


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return examples(tmp_path_factory.mktemp("covers"), 21, seed=5).paths


def network(name):
    torch.manual_seed(0)
    return CoverRegressor(built(BACKBONES.choose(name), SIDE), n_outputs=3, dropout=0.2)


def cover_input(name, fit="crop"):
    return CoverInput(BACKBONES.choose(name).normalization(), square(SIDE), fit)


class TestEmbedCovers:
    @pytest.mark.parametrize("name", list(BACKBONES.entries))
    def test_a_cover_has_the_same_bits_alone_and_among_many(self, paths, tmp_path, name):
        net, given = network(name), cover_input(name)
        together = embed_covers(net, given, paths, on_cpu(tmp_path, batch_size=8))
        assert [m.shape for m in together] == [(21, net.head.in_features), (21, 3)]
        assert {m.dtype for m in together} == {np.dtype(np.float32)}
        assert np.unique(together[0], axis=0).shape[0] == 21
        for row in (0, 7, 8, 20):
            alone = embed_covers(net, given, [paths[row]], on_cpu(tmp_path, batch_size=8))
            for among, single in zip(together, alone, strict=True):
                assert np.array_equal(among[row], single[0])
        reordered = embed_covers(net, given, paths[::-1], on_cpu(tmp_path, batch_size=8))
        assert np.array_equal(reordered[0][::-1], together[0])

    def test_it_is_the_network_in_evaluation_mode(self, paths, tmp_path):
        net = network("resnet_small").train()
        given = cover_input("resnet_small", "pad")
        before = net.backbone.stem[1].running_mean.clone()
        first = embed_covers(net, given, paths, on_cpu(tmp_path))
        again = embed_covers(net, given, paths, on_cpu(tmp_path))
        assert np.array_equal(first[1], again[1])
        assert torch.equal(net.backbone.stem[1].running_mean, before)

    def test_a_network_of_one_output_and_progress(self, paths, tmp_path):
        seen = []
        (features,) = embed_covers(
            network("resnet_small").backbone,
            cover_input("resnet_small"),
            paths,
            on_cpu(tmp_path, batch_size=10),
            lambda done, total, _: seen.append((done, total)),
        )
        assert features.shape == (21, 256)
        assert seen == [(10, 21), (20, 21), (21, 21)]

    def test_an_unreadable_cover_is_named(self, paths, tmp_path):
        (tmp_path / "bad.png").write_bytes(b"bad")
        given = cover_input("resnet_small")
        with pytest.raises(DataError, match=r"bad\.png"):
            embed_covers(
                network("resnet_small"), given, [*paths, tmp_path / "bad.png"], on_cpu(tmp_path)
            )


COLUMNS = ("features", "predicted_factors")


class Extractor:
    """Vectors from the bytes of a path, and a record of what was asked for."""

    def __init__(self, shift=0.0):
        self.asked, self.shift = [], shift

    def __call__(self, paths: list[Path]):
        self.asked += [path.name for path in paths]
        digests = [hashlib.sha256(path.name.encode()).digest() for path in paths]
        rows = np.array([list(d[:5]) for d in digests], dtype=np.float32) + self.shift
        return rows[:, :3], rows[:, 3:]


def covers(*named):
    """Rows as `project/sha256`; the file is called as its content."""
    pairs = [name.split("/") for name in named]
    return pl.DataFrame({
        "project_id": [project for project, _ in pairs],
        "sha256": [sha for _, sha in pairs],
        "path": [f"covers/{sha}.png" for _, sha in pairs],
        "degree": range(len(pairs)),
    })


class TestEmbedChanged:
    def test_the_first_time_every_content_is_computed_once(self):
        extractor = Extractor()
        table, n = embed_changed(
            covers("p1/b", "p2/a", "p3/b", "p4/c", "p5/b"), None, COLUMNS, extractor
        )
        assert n == 3
        assert sorted(extractor.asked) == ["a.png", "b.png", "c.png"]
        assert table.columns == ["project_id", "sha256", "degree", *COLUMNS]
        assert table["project_id"].to_list() == ["p1", "p2", "p3", "p4", "p5"]
        assert table["features"].dtype == pl.Array(pl.Float32, 3)
        assert table["predicted_factors"].dtype == pl.Array(pl.Float32, 2)
        expected = Extractor()([Path(f"{sha}.png") for sha in table["sha256"]])
        for column, matrix in zip(COLUMNS, expected, strict=True):
            assert np.array_equal(table[column].to_numpy(), matrix)

    def test_known_contents_keep_their_vectors_and_only_new_ones_are_computed(self):
        first, _ = embed_changed(covers("p1/a", "p2/b", "p3/b"), None, COLUMNS, Extractor())
        # Values from another extractor show which vectors are which.
        extractor = Extractor(shift=1000)
        table, n = embed_changed(
            covers("p9/d", "p1/c", "p2/b", "p4/b", "p3/d"), first, COLUMNS, extractor
        )
        assert n == 2
        assert sorted(extractor.asked) == ["c.png", "d.png"]
        assert table["project_id"].to_list() == ["p9", "p1", "p2", "p4", "p3"]
        rows = dict(zip(table["project_id"], table["features"].to_list(), strict=True))
        assert rows["p2"] == rows["p4"] == first["features"].to_list()[1]
        assert min(rows["p9"]) >= 1000
        assert rows["p9"] == rows["p3"] != rows["p1"]

    def test_nothing_new_computes_nothing(self):
        first, _ = embed_changed(covers("p1/a", "p2/b"), None, COLUMNS, Extractor())

        def refuse(paths):
            raise AssertionError(paths)

        again, n = embed_changed(covers("p2/b", "p1/a"), first, COLUMNS, refuse)
        assert n == 0
        assert again.sort("project_id").drop("degree").equals(first.drop("degree"))

    def test_vectors_that_come_back_as_lists_are_taken(self):
        first, _ = embed_changed(covers("p1/a"), None, COLUMNS, Extractor())
        lists = first.with_columns(pl.col(COLUMNS).cast(pl.List(pl.Float32)))
        table, n = embed_changed(covers("p1/a", "p2/b"), lists, COLUMNS, Extractor())
        assert n == 1
        assert table["features"].dtype == pl.Array(pl.Float32, 3)
        assert table["features"].to_list()[0] == first["features"].to_list()[0]

    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    def test_features_that_are_not_finite(self, value):
        def broken(paths):
            matrices = Extractor()(paths)
            matrices[1][-1, 0] = value
            return matrices

        with pytest.raises(DataError, match="NaN or infinite features"):
            embed_changed(covers("p1/a", "p2/b"), None, COLUMNS, broken)
