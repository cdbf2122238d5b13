"""wandb without an account or a network: what was written is read back from its file."""

import io
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import wandb
from matplotlib.figure import Figure
from PIL import Image

from cf_pipeline.errors import ConfigError
from cf_pipeline.tracking import Tracker
from cf_pipeline_tests.wandb_log import read_run

CONFIGURATION = {"vision": {"epochs": 3, "fit": "crop"}, "recipe": "modern", "weights": None}
EPOCHS = [
    {"train_loss": 2.5, "validation_cosine": 0.1},
    {"train_loss": 1.25, "validation_cosine": 0.3},
    {"train_loss": 0.5, "validation_cosine": 0.2},
]


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _service_ends():
    """wandb's service outlives its runs, up to the end of the process."""
    yield
    wandb.teardown()


def logs(folder):
    """Logs below a folder, whole: the service may still write when a run is finished."""
    wandb.teardown()
    return sorted(folder.rglob("*.wandb"))


@pytest.mark.slow
def test_an_offline_run_is_read_back(tmp_path):
    tracker = Tracker(tmp_path / "wandb", "portfolio", "offline")
    with tracker.run("trained_cnn", group="run-7", configuration=CONFIGURATION) as run:
        location = Path(run.location)
        for epoch, figures in enumerate(EPOCHS, start=1):
            run.log(figures, step=epoch)
        run.summarize({"best_epoch": 2, "model_version": "0a1b", "best_cosine": 0.3})
    (log,) = logs(tmp_path / "wandb")
    assert log.parent == location
    found = read_run(log)
    assert (found["run"].project, found["run"].display_name) == ("portfolio", "trained_cnn")
    assert found["run"].run_group == "run-7"
    assert {name: found["config"][name] for name in CONFIGURATION} == CONFIGURATION
    assert [row["_step"] for row in found["history"]] == [1, 2, 3]
    assert [{name: row[name] for name in EPOCHS[0]} for row in found["history"]] == EPOCHS
    wanted = {"best_epoch": 2, "model_version": "0a1b", "best_cosine": 0.3, **EPOCHS[-1]}
    assert {name: found["summary"][name] for name in wanted} == wanted
    assert found["exit_code"] == 0


SCORES = pl.DataFrame({
    "feature_set": ["collaborative", "imagenet", None],
    "value": [0.75, None, 0.5],
    "n_queries": [40, 40, 0],
    "chosen": [True, False, None],
})


def png(color):
    written = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(written, format="PNG")
    return written.getvalue()


def test_an_evaluation_has_tables_pictures_and_versions(tmp_path):
    versions = {
        "model_version": "0a1b",
        "data_versions": {"similarity_scores": "ff", "covers": "e"},
    }
    figure = Figure(figsize=(1, 1), dpi=50)
    figure.add_subplot().plot([1, 2])
    tracker = Tracker(tmp_path, "portfolio", "offline")
    with tracker.run(
        "similarity_scores", group="run-7", configuration=versions, kind="evaluation"
    ) as run:
        run.summarize({"triplet_accuracy": 0.75})
        run.table("scores", SCORES)
        run.image("neighbors", png("red"), "six queries")
        run.image("curves", figure, "loss by epoch")
    (log,) = logs(tmp_path)
    found = read_run(log)
    assert (found["run"].job_type, found["run"].run_group) == ("evaluation", "run-7")
    assert {name: found["config"][name] for name in versions} == versions
    (row,) = found["history"]
    table = json.loads((log.parent / "files" / row["scores.path"]).read_text())
    assert table == {"columns": SCORES.columns, "data": [list(row) for row in SCORES.rows()]}
    assert row["neighbors.caption"] == "six queries"
    with Image.open(log.parent / "files" / row["neighbors.path"]) as image:
        assert np.array_equal(np.asarray(image), np.full((30, 40, 3), (255, 0, 0)))
    with Image.open(log.parent / "files" / row["curves.path"]) as image:
        assert image.size == (50, 50)
    assert found["summary"]["scores.path"] == row["scores.path"]
    assert found["summary"]["triplet_accuracy"] == 0.75


def test_tables_and_pictures_do_not_move_the_steps(tmp_path):
    with Tracker(tmp_path, "portfolio", "offline").run("a", group="g", configuration={}) as run:
        for epoch, figures in enumerate(EPOCHS, start=1):
            run.log(figures, step=epoch)
            run.image("neighbors", png("blue"), "c")
            run.table("scores", SCORES)
    (log,) = logs(tmp_path)
    found = read_run(log)["history"]
    assert [row["_step"] for row in found] == [1, 2, 3]
    assert [{name: row[name] for name in EPOCHS[0]} for row in found] == EPOCHS
    assert all({"scores.path", "neighbors.path"} <= row.keys() for row in found)


def test_runs_of_one_process_are_apart_and_long_ones_are_whole(tmp_path):
    tracker = Tracker(tmp_path, "portfolio", "offline")
    counts = {"short": 2, "long": 400}
    locations = {}
    for name, n in counts.items():
        with tracker.run(name, group="g", configuration={"n": n}) as run:
            locations[name] = Path(run.location)
            for step in range(1, n + 1):
                run.log({"loss": 1 / step}, step=step)
    for name, n in counts.items():
        (log,) = logs(locations[name])
        found = read_run(log)
        assert found["run"].display_name == name
        assert found["config"]["n"] == n
        assert [row["loss"] for row in found["history"]] == [1 / s for s in range(1, n + 1)]
    # More than one block of the file, so that records are split.
    assert log.stat().st_size > 2 * 32 * 1024


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_passes_and_the_run_is_finished_as_failed(tmp_path, error):
    tracker = Tracker(tmp_path, "portfolio", "offline")

    def fail():
        with tracker.run("trained_cnn", group="g", configuration={}) as run:
            run.log(EPOCHS[0], step=1)
            raise error("the loss became NaN")

    with pytest.raises(error, match="became NaN"):
        fail()
    (log,) = logs(tmp_path)
    found = read_run(log)
    assert found["exit_code"] == 1
    assert found["history"][0]["train_loss"] == 2.5


def test_disabled_listens_to_nothing(tmp_path):
    tracker = Tracker(tmp_path / "wandb", "portfolio", "disabled")
    with tracker.run("trained_cnn", group="g", configuration=CONFIGURATION) as run:
        run.log(EPOCHS[0], step=1)
        run.summarize({"best_epoch": 1})
        run.table("scores", SCORES)
        run.image("neighbors", b"not looked at", "c")
        assert run.location is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", [None, ""])
def test_online_needs_a_key_from_the_environment(tmp_path, monkeypatch, key):
    if key is not None:
        monkeypatch.setenv("WANDB_API_KEY", key)
    tracker = Tracker(tmp_path / "wandb", "portfolio", "online")
    with (
        pytest.raises(ConfigError, match=r"WANDB_API_KEY is not set.*tracking\.mode to offline"),
        tracker.run("trained_cnn", group="g", configuration={}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_environment_is_left_as_it_was_and_the_users_words_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "elsewhere"))
    before = dict(os.environ)
    seen = {}
    with Tracker(tmp_path, "portfolio", "offline").run("a", group="g", configuration={}):
        seen.update(os.environ)
    assert seen["WANDB_CACHE_DIR"] == str(tmp_path / "elsewhere")
    assert seen["WANDB_ERROR_REPORTING"] == "false"
    # wandb keeps its own mark of a running service.
    assert {n: v for n, v in os.environ.items() if n != "WANDB_SERVICE"} == before


@contextmanager
def listening_proxy():
    """A proxy that answers nobody and remembers who called."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                calls.append(connection.recv(200))
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
        server.shutdown(socket.SHUT_RDWR)


def children_of(pid):
    """Command lines of processes that name the process as the one that they serve."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(b"wandb" in word for word in words) and str(pid).encode() in words:
            found.append(b" ".join(words))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)"])
def test_no_process_no_call_and_no_file_outside_the_folder_remain(tmp_path, ending):
    home, temporary, work = (tmp_path / name for name in ("home", "tmp", "work"))
    for folder in (home, temporary, work):
        folder.mkdir()
    script = f"""
        import os, sys
        from pathlib import Path
        import polars as pl
        from cf_pipeline.tracking import Tracker
        print(os.getpid(), flush=True)
        tracker = Tracker(Path({str(tmp_path / "wandb")!r}), "portfolio", "offline")
        with tracker.run("trained_cnn", group="g", configuration={{"a": 1}}) as run:
            run.log({{"loss": 1.0}}, step=1)
            run.table("scores", pl.DataFrame({{"a": [1, 2]}}))
            run.image("neighbors", {png("red")!r}, "one")
            assert Path(run.location).is_dir()
            {ending}
    """
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("XDG_", "WANDB_"))}
    with listening_proxy() as (proxy, calls):
        proxies = {n: proxy for n in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
        child = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={
                **inherited,
                **proxies,
                **{name.lower(): value for name, value in proxies.items()},
                "NO_PROXY": "",
                "no_proxy": "",
                "HOME": str(home),
                "TMPDIR": str(temporary),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert child.returncode == (0 if ending == "pass" else 3), child.stderr
    assert child.stderr == ""
    assert children_of(child.stdout.strip()) == []
    assert calls == []
    for folder in (home, temporary, work):
        assert list(folder.rglob("*")) == []
    (log,) = logs(tmp_path / "wandb")
    assert read_run(log)["exit_code"] == (0 if ending == "pass" else 1)
