"""The seam of training: this process and a child give the same; a child never outlives its run."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import polars as pl
import pytest
import torch
from pydantic import ValidationError

from cf_pipeline.errors import ConfigError, DataError, TrainingDiedError
from cf_pipeline.vision.checkpoint import MANIFEST, WEIGHTS, load_checkpoint
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.job import TrainingSpec, run_training
from cf_pipeline.vision.training import Listeners
from cf_pipeline.worker import _died, train_in_child
from cf_pipeline_tests.vision.small_world import N_FACTORS, changed, examples

VISION = changed(epochs=2, batch_size=16, seed=4)
LONG = VISION.model_copy(update={"epochs": 100_000})
"""A training that is still going on whenever something is done to it."""

NOISE = """
    import logging, os, sys, threading, time, warnings
    os.write(1, b"a library greets\\n")
    os.write(2, b"x" * 200_000 + b"\\na library complains\\n")
    def talk():
        while sys.stdout is not sys.stderr:
            time.sleep(0.01)
        while True:
            os.write(1, b'{"event": "done", "folder": "", "history": []}\\n')
            print('{"event": "error"}')
            time.sleep(0.05)
    threading.Thread(target=talk, daemon=True).start()
    def tell():
        while not logging.getLogger().handlers:
            time.sleep(0.01)
        logging.getLogger("some.library").info("not for the parent")
        logging.getLogger("some.library").warning("ran low")
        warnings.warn("old ways")
    threading.Thread(target=tell, daemon=True).start()
"""
"""Runs in the child as it starts: what libraries write, to both outputs and to the log."""


@pytest.fixture(scope="module")
def covers(tmp_path_factory):
    """32 train and 8 validation covers, as rows of training_set in no order."""
    folder = tmp_path_factory.mktemp("covers")
    drawn = examples(folder, 40)
    table = pl.DataFrame({
        "project_id": [f"p{i:02}" for i in range(40)],
        "path": [str(path) for path in drawn.paths],
        "factors": pl.Series(drawn.factors, dtype=pl.Array(pl.Float32, N_FACTORS)),
        "split": ["train"] * 32 + ["validation"] * 8,
        "width": 48,
        "height": 48,
        "degree": 3,
    })
    return table.sample(fraction=1, shuffle=True, seed=1)


@pytest.fixture
def spec(covers, tmp_path):
    return spec_below(tmp_path, covers)


@pytest.fixture
def out(tmp_path):
    return folder(tmp_path / "out")


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """A library in every child that writes wherever it can."""
    place = folder(tmp_path / "noise")
    (place / "sitecustomize.py").write_text(textwrap.dedent(NOISE))
    monkeypatch.setenv("PYTHONPATH", str(place))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Here and in children, for the same sums in the same order."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def spec_below(place, table, vision=VISION):
    path = folder(place / "scratch") / "training_set.parquet"
    table.write_parquet(path)
    return TrainingSpec(training_set=path, vision=vision, device="cpu", threads=1)


def folder(path):
    path.mkdir(parents=True)
    return path


def listening():
    """Listeners and the lists that they fill."""
    batches, epochs = [], []
    return Listeners(
        on_batch=lambda *step: batches.append(step), on_epoch=lambda *step: epochs.append(step)
    ), (batches, epochs)


def timeless(history):
    return [{**figures, "covers_per_second": 0} for figures in history]


def worker_of(out):
    """Process id of the child that trains into a folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"cf_pipeline.worker" in words and str(out).encode() in words:
                return int(entry.name)
    return None


def is_gone(pid):
    """Not there, not even as a zombie."""
    return not Path(f"/proc/{pid}").exists()


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.usefixtures("noisy")
@pytest.mark.slow
def test_a_child_writes_and_tells_what_this_process_does(covers, tmp_path):
    logs, told, outs, histories = [], {}, {}, {}
    for name in ("here", "there"):
        spec, outs[name] = spec_below(tmp_path / name, covers), folder(tmp_path / name / "out")
        listeners, told[name] = listening()
        if name == "here":
            histories[name] = run_training(spec, outs[name], listeners)
        else:
            histories[name] = train_in_child(
                spec, outs[name], listeners, lambda *record: logs.append(record)
            )
    assert timeless(histories["here"]) == timeless(histories["there"])
    for (batches, epochs), history in zip(told.values(), histories.values(), strict=True):
        assert [step[:2] for step in batches] == [(16, 64), (32, 64), (48, 64), (64, 64)]
        assert epochs == list(enumerate(history))
    assert told["here"][0] == told["there"][0]
    for path in outs["there"].iterdir():
        assert path.read_bytes() == (outs["here"] / path.name).read_bytes()
    # Decoded covers, the spec and standard error lay in scratch and are gone.
    for name, place in outs.items():
        assert {path.name for path in place.iterdir()} == {WEIGHTS, MANIFEST}
        assert {path.name for path in place.parent.iterdir()} == {"out", "scratch"}
        scratch = tmp_path / name / "scratch"
        assert [path.name for path in scratch.iterdir()] == ["training_set.parquet"]
    assert logs[0] == ("INFO", "a library greets")
    assert ("WARNING", "ran low") in logs
    assert any(level == "WARNING" and "UserWarning: old ways" in text for level, text in logs)
    assert not any("not for the parent" in text for _, text in logs)


def test_the_checkpoint_is_of_this_training(spec, out):
    history = run_training(spec, out)
    network, manifest = load_checkpoint(out)
    assert manifest.configuration == VISION.model_dump(mode="json")
    assert (manifest.n_train, manifest.n_validation, manifest.n_factors) == (32, 8, N_FACTORS)
    assert manifest.best_epoch in {0, 2}
    assert manifest.validation_cosine == history[manifest.best_epoch]["validation_cosine"]
    assert network(torch.zeros(1, 3, 32, 32))[1].shape == (1, N_FACTORS)


@pytest.mark.parametrize(("version", "expected"), [(None, "out"), ("0a1b", "0a1b")])
def test_a_training_continues_from_a_checkpoint(spec, out, tmp_path, version, expected):
    run_training(spec, out)
    warm = spec.model_copy(update={"start": out, "start_version": version})
    again = folder(tmp_path / "again")
    history = run_training(TrainingSpec.model_validate_json(warm.model_dump_json()), again)
    _, manifest = load_checkpoint(again)
    assert manifest.started_from == expected
    assert history[1]["train_loss"] < run_training(spec, folder(tmp_path / "x"))[1]["train_loss"]
    (out / WEIGHTS).unlink()
    with pytest.raises(DataError, match="is missing"):
        run_training(warm, folder(tmp_path / "nothing"))


def test_the_order_of_rows_does_not_matter(spec, tmp_path):
    written = []
    for seed in (2, 3):
        table = pl.read_parquet(spec.training_set).sample(fraction=1, shuffle=True, seed=seed)
        table.write_parquet(spec.training_set)
        out = folder(tmp_path / str(seed) / "out")
        run_training(spec, out)
        written.append((out / WEIGHTS).read_bytes())
    assert written[0] == written[1]


@pytest.mark.slow
@pytest.mark.parametrize("way", [run_training, train_in_child])
def test_a_training_that_fails_says_so_and_leaves_nothing(covers, tmp_path, out, way, caplog):
    spec = spec_below(tmp_path, covers.filter(split="train")).model_copy(update={"device": "auto"})
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(DataError, match="at least 2 train covers and 1 validation cover") as caught,
    ):
        way(spec, out)
    assert type(caught.value) is DataError
    assert list(out.iterdir()) == []
    assert list(spec.training_set.parent.iterdir()) == [spec.training_set]
    # What the rooms have to say reaches the log of this process, from a child too.
    assert "device: auto chose" in caplog.text


@needs_proc
@pytest.mark.usefixtures("noisy")
@pytest.mark.slow
def test_a_child_that_is_killed_is_an_error_that_names_the_signal(covers, tmp_path, out):
    spec = spec_below(tmp_path, covers, LONG)
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    seen = []

    def kill(*_):
        pid = worker_of(out)
        seen.extend(os.path.realpath(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
        os.kill(pid, signal.SIGKILL)

    message = r"was ended by SIGKILL.*memory runs out: lower vision.batch_size.*with:\n\{.event"
    with pytest.raises(TrainingDiedError, match=message):
        train_in_child(spec, out, Listeners(on_batch=kill))
    os.close(lock)
    assert seen
    assert str(tmp_path / "lock") not in seen
    assert list(out.iterdir()) == []
    assert list(spec.training_set.parent.iterdir()) == [spec.training_set]


@needs_proc
@pytest.mark.slow
def test_an_interrupt_leaves_no_child_and_no_zombie(covers, tmp_path, out):
    spec, pids = spec_below(tmp_path, covers, LONG), []
    # A shell starts what it sends to the background deaf to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(*_):
        pids.append(worker_of(out))
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    try:
        with pytest.raises(KeyboardInterrupt):
            train_in_child(spec, out, Listeners(on_batch=interrupt))
    finally:
        signal.signal(signal.SIGINT, before)
    assert is_gone(pids[0])
    assert list(spec.training_set.parent.iterdir()) == [spec.training_set]


PARENT = """
    import os, sys, time
    from pathlib import Path
    from types import SimpleNamespace
    from cf_pipeline.vision.job import TrainingSpec
    from cf_pipeline.worker import train_in_child

    def on_batch(*_):
        global forked
        if not forked:
            forked = os.fork() or time.sleep(60) or os._exit(0)
            print(forked, flush=True)

    forked = None
    spec = TrainingSpec.model_validate_json(sys.argv[1])
    train_in_child(spec, Path(sys.argv[2]), SimpleNamespace(
        on_batch=on_batch, on_epoch=lambda *_: None))
"""
"""A run that trains; a forked process of its own keeps the pipe to the child open."""


@needs_proc
@pytest.mark.slow
def test_a_child_dies_with_a_parent_that_is_killed(covers, tmp_path, out):
    spec = spec_below(tmp_path, covers, LONG)
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), spec.model_dump_json(), str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        forked = int(parent.stdout.readline())
        pid = worker_of(out)
        assert pid
        parent.kill()
        try:
            # Whoever reaps orphans may take a while, so a zombie counts as dead here.
            wait_for(lambda: is_gone(pid) or " Z " in Path(f"/proc/{pid}/stat").read_text())
        finally:
            os.kill(forked, signal.SIGKILL)


def start_worker(spec, out, parent):
    path = spec.training_set.with_name("spec.json")
    path.write_text(spec.model_dump_json(), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "cf_pipeline.worker", str(path), str(out), str(parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_child_ends_with_its_standard_input_while_the_parent_lives(spec, out):
    with start_worker(spec, out, os.getpid()) as child:
        child.stdin.close()
        assert child.wait(10) == 1
        assert child.stderr.read() == b""
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks who the parent is")
def test_a_child_whose_parent_is_gone_already_does_not_start(spec, out):
    with start_worker(spec, out, parent=2**22 + 1) as child:
        assert child.wait(10) == 1
        assert child.stderr.read() == b""


@pytest.mark.slow
def test_without_a_parent_it_is_a_command(spec, out):
    """By hand, with nothing on standard input; and what nobody foresaw is a traceback."""
    broken = spec.training_set.with_name("spec.json")
    broken.write_text("{}")
    child = subprocess.run(
        [sys.executable, "-m", "cf_pipeline.worker", str(broken), str(out)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (child.returncode, child.stdout) == (1, "")
    assert "ValidationError" in child.stderr


@pytest.mark.parametrize(
    ("status", "words", "message"),
    [
        (-signal.SIGSEGV, "Fatal Python error", r"SIGSEGV. A native library.*\nFatal Python error"),
        (-signal.SIGBUS, "", "SIGBUS. A full disk.*free space"),
        (-signal.SIGTERM, "", r"SIGTERM. Somebody stopped it"),
        (-signal.SIGRTMIN - 3, "", r"signal \d+"),
        (1, "a\nKeyError: 'x'", r"status 1 and no checkpoint. .*\na\nKeyError: 'x'$"),
        (0, "", r"status 0 and no checkpoint"),
    ],
)
def test_how_a_child_died_and_what_to_do(status, words, message):
    with pytest.raises(TrainingDiedError, match=message):
        raise _died(status, words)


@pytest.mark.slow
def test_a_child_finds_methods_that_lie_on_the_path(covers, tmp_path, out, monkeypatch):
    (tmp_path / "child_lab.py").write_text(
        "from cf_pipeline.vision.objectives.regression import Regression\n"
        "class Halved(Regression):\n"
        "    def loss(self, outputs, targets):\n"
        "        return super().loss(outputs, targets) / 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    vision = VisionConfig(**{**VISION.model_dump(), "objective": "child_lab:Halved", "epochs": 1})
    train_in_child(spec_below(tmp_path, covers, vision), out)
    assert load_checkpoint(out)[1].objective["name"] == "child_lab:Halved"
    sys.modules.pop("child_lab")
    # A child that does not find it says so in the words of this package.
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(ConfigError, match=r"child_lab.*PYTHONPATH"):
        train_in_child(spec_below(tmp_path / "again", covers, vision), folder(tmp_path / "none"))


def test_a_spec_is_checked(spec):
    text = spec.model_dump_json()
    assert TrainingSpec.model_validate_json(text) == spec
    with pytest.raises(ValidationError, match="epoch_count"):
        TrainingSpec.model_validate_json(text.replace('"epochs"', '"epoch_count"'))


@pytest.mark.slow
@needs_proc
def test_killed_in_any_epoch_it_ends_with_the_same_weights(covers, tmp_path):
    """`benchmarks/killed_training.py` does the same twenty times, at random moments."""
    vision = VISION.model_copy(update={"epochs": 4})
    spec = spec_below(tmp_path, covers, vision).model_copy(
        update={"unfinished": tmp_path / "state", "identity": "this one"}
    )
    undisturbed = folder(tmp_path / "undisturbed")
    train_in_child(spec, undisturbed)
    spec.unfinished.unlink()
    expected = (undisturbed / WEIGHTS).read_bytes()
    for number, last in enumerate((1, 4, 8)):  # of eight steps in all
        killed = folder(tmp_path / f"killed-{number}")

        def kill(done, total, figures, killed=killed, last=last):
            if done == 16 * last:
                os.kill(worker_of(killed), signal.SIGKILL)

        with pytest.raises(TrainingDiedError, match="SIGKILL"):
            train_in_child(spec, killed, Listeners(on_batch=kill))
        again, heard = folder(tmp_path / f"again-{number}"), []
        train_in_child(spec, again, Listeners(on_batch=lambda done, *_, h=heard: h.append(done)))
        assert (again / WEIGHTS).read_bytes() == expected
        # What whole epochs had done before is not done again.
        assert len(heard) <= 8 - 2 * ((last - 1) // 2)
        spec.unfinished.unlink()


@pytest.mark.slow
def test_a_panel_of_neighbours_reaches_the_parent(covers, tmp_path, out):
    ids = sorted(covers.filter(split="validation")["project_id"])
    pairs = [{"query_id": a, "candidate_id": b, "relevance": float(a < b)}
             for a in ids for b in ids if a != b]  # fmt: skip
    spec = spec_below(tmp_path, covers)
    file = spec.training_set.with_name("relevances.parquet")
    pl.DataFrame(pairs, schema_overrides={"relevance": pl.Float32}).write_parquet(file)
    heard = []
    listeners = Listeners(on_neighbours=lambda epoch, rows: heard.append((epoch, rows)))
    train_in_child(spec.model_copy(update={"relevances": file}), out, listeners)
    assert [epoch for epoch, _ in heard] == [0, 1, 2]
    for _, rows in heard:
        assert len(rows) == 8
        assert all(len(set(row)) == 7 and set(row) <= set(range(8)) for row in rows)
