"""A training that was ended goes on after its last whole epoch, and ends with the same weights."""

import pytest
import torch

from cf_pipeline.vision.examples import TrainingData
from cf_pipeline.vision.training import Listeners, train
from cf_pipeline.vision.unfinished import Unfinished
from cf_pipeline_tests.vision.small_world import changed, examples, on_cpu


class Ended(Exception):
    """What ends a training in the middle."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return TrainingData(
        examples(folder / "train", 48, seed=0), examples(folder / "validation", 16, seed=1)
    )


def ended_at(epoch, batch):
    """Listeners that end a training after so many batches of an epoch."""
    seen = []

    def on_batch(done, total, figures):
        seen.append(figures["epoch"])
        if figures["epoch"] == epoch and seen.count(epoch) == batch:
            raise Ended

    return Listeners(on_batch=on_batch)


def weights(result):
    return result.network.state_dict()


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 3, "batch_size": 16, "averaging": 0.9},
        {"epochs": 3, "batch_size": 16, "objective": {"name": "pseudo_class", "n_classes": 4},
         "dropout": 0.3},
        pytest.param(
            {"epochs": 2, "batch_size": 16, "backbone": "efficientnet_lite0",
             "objective": "regression", "degree_weight": 0.5},
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_it_ends_with_the_same_weights(data, tmp_path, values):
    config = changed(**values)
    undisturbed = train(data, config, execution=on_cpu(tmp_path))
    unfinished = Unfinished(tmp_path / "state", "this one")
    for epoch in range(1, config.epochs + 1):
        with pytest.raises(Ended):
            train(
                data,
                config,
                execution=on_cpu(tmp_path),
                listeners=ended_at(epoch, 2),
                unfinished=unfinished,
            )
        state = unfinished.read()
        assert (state is None) == (epoch == 1)
        assert state is None or len(state["history"]) == epoch
    heard = []
    listeners = Listeners(on_epoch=lambda epoch, figures: heard.append(epoch))
    torch.rand(7)
    again = train(
        data, config, execution=on_cpu(tmp_path), listeners=listeners, unfinished=unfinished
    )
    assert same(weights(undisturbed), weights(again))
    timeless = [
        [{n: v for n, v in figures.items() if n != "covers_per_second"} for figures in r.history]
        for r in (undisturbed, again)
    ]
    assert timeless[0] == timeless[1]
    assert heard == list(range(config.epochs + 1))
    assert again.manifest == undisturbed.manifest


def test_the_state_of_another_training_is_left_aside(data, tmp_path):
    config = changed(epochs=2)
    file = tmp_path / "state"
    train(data, config, execution=on_cpu(tmp_path), unfinished=Unfinished(file, "one"))
    assert Unfinished(file, "one").read() is not None
    assert Unfinished(file, "another").read() is None
    batches = []
    listeners = Listeners(on_batch=lambda done, total, figures: batches.append(done))
    train(
        data,
        config,
        execution=on_cpu(tmp_path),
        listeners=listeners,
        unfinished=Unfinished(file, "another"),
    )
    assert len(batches) == 2
    assert Unfinished(file, "one").read() is None


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_state_is_told_and_the_training_begins_anew(tmp_path, content, caplog):
    unfinished = Unfinished(tmp_path / "state", "this one")
    unfinished.write({"history": [{"a": 1.0}], "loop": {"t": torch.ones(3)}})
    whole = unfinished.file.read_bytes()
    assert unfinished.read()["history"] == [{"a": 1.0}]
    unfinished.file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert unfinished.read() is None
    assert "training starts from its beginning" in caplog.text


def test_nothing_is_left_beside_a_state_that_cannot_be_written(tmp_path):
    unfinished = Unfinished(tmp_path / "state", "this one")
    with pytest.raises((TypeError, AttributeError, RuntimeError)):
        unfinished.write({"history": (figure for figure in ())})
    assert list(tmp_path.iterdir()) == []
