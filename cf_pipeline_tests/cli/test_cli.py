"""The command line as a person meets it: what it prints, what it refuses, how it exits."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import polars as pl
import pytest
from PIL import Image

from cf_pipeline.cli import app as cli
from cf_pipeline.defs.running import instance_of
from cf_pipeline.configuration.choices import Choices
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline_tests.defs.lab import Lab

COMMANDS = ("run", "ui", "status", "config", "doctor", "export")
PROGRAM = str(Path(sys.executable).with_name("cf-pipeline"))


@dataclass(frozen=True)
class Said:
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def cf(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`cf-pipeline` with arguments, in this process."""

    def call(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["cf-pipeline", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exited:
            cli.main()
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(int(exited.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def at_home(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab's home is the one that the environment names."""
    monkeypatch.setenv("CF_PIPELINE_HOME", str(lab.home.path))
    return lab


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(cf: Command, command: str) -> None:
    said = cf(command, "--help")
    assert said.code == 0
    assert f"Example: cf-pipeline {command}" in " ".join(said.out.split())


def test_help_lists_the_commands(cf: Command) -> None:
    said = cf("--help")
    assert said.code == 0
    assert all(command in said.out for command in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['cf-pipeline', 'run', '--help']\n"
        "from cf_pipeline.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'dagster', 'torch', 'polars', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# What a run prints ------------------------------------------------------------------------------


def test_a_run_says_what_changed_and_what_was_done(at_home: Lab, cf: Command) -> None:
    said = cf("run", "--select", "project_split, pruned_matrix", "--set", "split.seed=5")
    assert said.code == 0
    assert said.out.splitlines()[0] == "split.seed: 0 -> 5"
    assert said.out.splitlines()[1].startswith("1 assets computed, 1 unchanged, 0 failed in 0:0")
    # One line per asset, and nothing of Dagster's own.
    lines = {line.split()[1]: line.split(maxsplit=2)[2] for line in said.err.splitlines()}
    assert lines.keys() == {"pruned_matrix", "project_split"}
    assert lines["pruned_matrix"] == "unchanged"
    assert lines["project_split"].startswith("done in ")
    again = cf("run", "--select", "project_split")
    assert "split.seed" not in again.out
    assert Choices.read(at_home.home.config_path).set["split.seed"] == 5
    forced = cf("run", "--select", "project_split", "--force")
    assert forced.out.startswith("1 assets computed")


def test_the_first_choices_are_stored_with_absolute_paths(
    lab: Lab,
    cf: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_home: Callable[[Path], Home],
) -> None:
    monkeypatch.chdir(lab.world)
    home = make_home(tmp_path / "new").path
    arguments = ["--home", home, "--dataset", "dataset.toml", "--budget", "demo"]
    said = cf("run", *arguments, "--select", "raw_projects", "--set", "vision.init=scratch")
    assert said.code == 0
    choices = Choices.read(home / "config.toml")
    assert choices.dataset == str(lab.world / "dataset.toml")
    assert (choices.budget, choices.set) == ("demo", {"vision.init": "scratch"})
    assert "budget: full -> demo" in said.out
    assert "vision.image_size: 128 -> 80" in said.out


# What a run refuses -----------------------------------------------------------------------------


def spoil_key(lab: Lab) -> None:
    lab.edit_dataset("[truth]", "[truth]\nmin_dgree = 3")


def spoil_column(lab: Lab) -> None:
    lab.edit_dataset('user_id = "user_id"', 'user_id = "userid"')


def spoil_file(lab: Lab) -> None:
    (lab.world / "interactions.parquet").write_text("user_id,project_id\n1,2\n")


def spoil_rows(lab: Lab) -> None:
    file = lab.world / "interactions.parquet"
    pl.read_parquet(file).clear().write_parquet(file)


def spoil_covers(lab: Lab) -> None:
    shutil.rmtree(lab.world / "covers")


def spoil_toml(lab: Lab) -> None:
    (lab.world / "dataset.toml").write_text("name = ")


def leave(_: Lab) -> None:
    """Nothing of the data is wrong."""


@pytest.mark.parametrize(
    ("spoil", "arguments", "expected"),
    [
        (leave, ["--dataset", "no/dataset.toml"], ["no/dataset.toml", "Pass the path of a data"]),
        (spoil_toml, [], ["dataset.toml is not valid TOML", "shows every key"]),
        (spoil_key, [], ["dataset.toml", "unknown key `truth.min_dgree`", "mean `min_degree`?"]),
        (spoil_column, [], ["raw_interactions: ", "interactions.parquet", "user_id", "userid"]),
        (spoil_file, [], ["interactions.parquet is not what its name says", "Export it again"]),
        (spoil_rows, [], ["interactions.parquet", "no row", "Export"]),
        (spoil_covers, [], ["covers does not exist", "put it there or change covers.folder"]),
        (leave, ["--set", "pruning.min_user_degree=999"], ["nothing left", "Lower pruning.min_u"]),
        (leave, ["--set", "visoin.epochs=3"], ["'visoin.epochs'", "Did you mean vision.epochs"]),
        (leave, ["--set", "vision.epochs=0"], ["vision.epochs", "greater than or equal to 1"]),
        (leave, ["--recipe", "talk2051"], ["'talk2051' is not one of ['modern'"]),
        (leave, ["--budget", "huge"], ["'huge' is not one of ['demo', 'full']"]),
        (leave, ["--select", "matrix"], ["no asset 'matrix'; the assets are ", "pruned_matrix"]),
    ],
)
def test_bad_input_is_named_and_what_was_there_stays(
    at_home: Lab,
    cf: Command,
    spoil: Callable[[Lab], None],
    arguments: list[str],
    expected: list[str],
) -> None:
    tables = ("raw_interactions", "raw_projects", "covers", "pruned_matrix")
    before = {table: at_home.rows(table) for table in tables}
    spoil(at_home)
    selected = (
        [] if "--select" in arguments else ["--select", "raw_interactions,covers,pruned_matrix"]
    )
    said = cf("run", *selected, *arguments)
    assert said.code == 1
    for words in expected:
        assert words in said.err
    for table, rows in before.items():
        assert at_home.rows(table).equals(rows)


def test_a_file_where_the_home_should_be(
    cf: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "home"
    in_the_way.write_text("mine")
    monkeypatch.setenv("CF_PIPELINE_HOME", str(in_the_way / "below"))
    for command in (["run"], ["run", "--home", in_the_way], ["status"], ["config"]):
        said = cf(*command)
        assert said.code == 1
        assert f"the home {in_the_way}" in said.err
        assert "name another one with --home DIR or CF_PIPELINE_HOME" in said.err
    assert in_the_way.read_text() == "mine"


def bomb(path: Path) -> None:
    """A PNG of 60,000 x 60,000 pixels by its header, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.fixture
def awkward_covers(tmp_path: Path) -> Path:
    """A data set of good covers, and of every kind that is not."""
    covers = tmp_path / "data" / "covers"
    covers.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for row in range(20):
        pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(covers / f"good{row}.png")
    photo = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    photo.convert("CMYK").save(covers / "cmyk.jpg")
    photo.rotate(90).quantize(16).save(covers / "palette.png")
    photo.rotate(180).save(covers / "mislabelled.jpg", format="PNG")
    whole = (covers / "good0.png").read_bytes()
    (covers / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (covers / "empty.png").touch()
    (covers / "text.png").write_text("no picture")
    bomb(covers / "bomb.png")
    names = [*sorted(path.name for path in covers.iterdir()), "absent.png"]
    folder = covers.parent
    (folder / "projects.csv").write_text("id,cover\n" + "".join(f"{n},{n}\n" for n in names))
    events = "".join(f"u{row % 5},{name},view\n" for row, name in enumerate(names))
    (folder / "interactions.csv").write_text("user,project,kind\n" + events)
    (folder / "dataset.toml").write_text("""
name = "awkward"
[interactions]
files = ["interactions.csv"]
[interactions.columns]
user_id = "user"
project_id = "project"
kind = "kind"
[kinds.view]
[projects]
files = ["projects.csv"]
[projects.columns]
project_id = "id"
cover = "cover"
[covers]
folder = "covers"
""")
    return folder / "dataset.toml"


def test_awkward_covers_are_recorded_and_stop_nothing(
    cf: Command, awkward_covers: Path, tmp_path: Path, make_home: Callable[[Path], Home]
) -> None:
    home = make_home(tmp_path / "home").path
    select = "raw_interactions,raw_projects,covers"
    said = cf("run", "--home", home, "--dataset", awkward_covers, "--select", select)
    assert said.code == 0, said.err
    covers = Warehouse(home / "warehouse.duckdb", threads=1).frame("covers")
    found = {row["project_id"]: row for row in covers.to_dicts()}
    assert len(found) == 28
    assert covers.filter(status="ok").height == 23
    for name in ("cmyk.jpg", "palette.png", "mislabelled.jpg"):
        assert found[name]["status"] == "ok"
        assert found[name]["look_group"] is not None
    assert found["mislabelled.jpg"]["format"] == "PNG"
    assert found["absent.png"]["status"] == "missing"
    reasons = {
        name: found[name]["reason"]
        for name in ("truncated.png", "empty.png", "text.png", "bomb.png")
    }
    assert {found[name]["status"] for name in reasons} == {"unreadable"}
    assert "truncated" in reasons["truncated.png"]
    assert "empty file" in reasons["empty.png"]
    assert "no decoder recognizes" in reasons["text.png"]
    assert "covers.max_pixels" in reasons["bomb.png"]
    assert "the content is PNG" in found["mislabelled.jpg"]["reason"]
    assert all(found[name]["look_group"] is None for name in reasons)


# One run at a time ------------------------------------------------------------------------------


@pytest.fixture
def stuck_run(at_home: Lab) -> Iterator[subprocess.Popen[str]]:
    """A run of another process that waits for the warehouse, which this process has open."""
    with duckdb.connect(str(at_home.home.warehouse_path)) as con:
        process = subprocess.Popen(
            [PROGRAM, "run", "--select", "project_split"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        process.release = con.close  # type: ignore[attr-defined]
        deadline = time.monotonic() + 60
        while not (holder := holder_of(at_home.home)) or holder.run_id is None:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    process.kill()
    process.wait()


def holder_of(home: Home) -> Holder | None:
    try:
        return Holder(**json.loads(home.holder_path.read_text()))
    except FileNotFoundError:
        return None


def test_a_second_run_is_refused_and_one_that_waits_comes_after(
    at_home: Lab, cf: Command, stuck_run: subprocess.Popen[str]
) -> None:
    holder = holder_of(at_home.home)
    assert holder is not None
    config = at_home.home.config_path.read_bytes()
    started = time.monotonic()
    refused = cf("run", "--set", "split.seed=7")
    assert time.monotonic() - started < 5
    assert refused.code == 1
    assert f"held by process {stuck_run.pid} (cf-pipeline run --select project" in refused.err
    assert "--wait" in refused.err
    # It was refused, so it chose nothing.
    assert at_home.home.config_path.read_bytes() == config

    def die() -> None:
        time.sleep(0.5)
        stuck_run.send_signal(signal.SIGKILL)
        stuck_run.wait()
        stuck_run.release()  # type: ignore[attr-defined]

    killer = threading.Thread(target=die)
    killer.start()
    waited = cf("run", "--wait", "--set", "split.seed=7", "--select", "project_split")
    killer.join()
    assert waited.code == 0, waited.err
    assert "1 assets computed" in waited.out
    assert Choices.read(at_home.home.config_path).set["split.seed"] == 7
    # Nobody else tells Dagster that the first one is gone.
    with instance_of(at_home.home) as instance:
        dead = instance.get_run_by_id(str(holder.run_id))
    assert dead is not None
    assert dead.status == dg.DagsterRunStatus.FAILURE


# The other commands -----------------------------------------------------------------------------


def test_status_shows_states_and_reasons(at_home: Lab, cf: Command) -> None:
    at_home.choose(split__seed=3)
    said = cf("status")
    assert said.code == 0
    rows = {line.split()[0]: line for line in said.out.splitlines()}
    assert "fresh" in rows["covers"]
    assert "stale" in rows["project_split"]
    assert rows["project_split"].rstrip().endswith("configuration changed: split")
    assert rows["trained_cnn"].split()[1:] == ["missing", "never", "materialized"]


def test_config_shows_and_takes_back(at_home: Lab, cf: Command) -> None:
    at_home.choose(split__seed=3)
    shown = cf("config", "--show")
    assert shown.code == 0
    assert f"dataset = {at_home.world / 'dataset.toml'}" in shown.out
    row = next(line for line in shown.out.splitlines() if line.startswith("split.seed"))
    assert row.split()[:3] == ["split.seed", "3", "chosen"]
    assert "another split" in row
    assert cf("config").out == shown.out
    taken = cf("config", "--unset", "split.seed")
    assert (taken.code, taken.out.strip()) == (0, "split.seed: 3 -> 0")
    again = cf("config", "--unset", "split.seed")
    assert again.code == 1
    assert "split.seed was not chosen; choices made: " in again.err


def test_a_stored_key_that_is_not_known_any_more_can_be_taken_back(
    at_home: Lab, cf: Command
) -> None:
    with at_home.home.config_path.open("a") as file:
        file.write("\n[split.old]\nname = 3\n")
    refused = cf("config")
    assert refused.code == 1
    assert "unknown configuration key 'split.old.name'" in refused.err
    assert cf("config", "--unset", "split.old.name").code == 0
    assert cf("config").code == 0


def test_doctor_looks_before_anything_is_computed(at_home: Lab, cf: Command) -> None:
    well = cf("doctor")
    assert well.code == 0
    assert "covers: 80 of 80 covers looked for are there" in well.out
    assert "error" not in well.out
    spoil_column(at_home)
    ill = cf("doctor")
    assert ill.code == 1
    assert "error  interactions: " in ill.out
    assert "userid" in ill.out
    spoil_key(at_home)
    worse = cf("doctor", "--dataset", at_home.world / "dataset.toml")
    assert worse.code == 1
    assert "unknown key `truth.min_dgree`" in worse.err


def test_export_says_what_is_missing(at_home: Lab, cf: Command, tmp_path: Path) -> None:
    said = cf("export", "embeddings", tmp_path / "x.parquet")
    assert said.code == 1
    assert f"no trained model in {at_home.home.path}. Run cf-pipeline run first." in said.err
    other = cf("export", "factors", tmp_path / "x.parquet")
    assert other.code == 1
    assert "export knows embeddings, got 'factors'" in other.err


@pytest.mark.slow
def test_ui_serves_this_home(at_home: Lab) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([PROGRAM, "ui", "--port", str(port)], stderr=subprocess.DEVNULL)
    query = b'{"query": "{assetNodes {assetKey {path}} runsOrError {... on Runs {count}}}"}'
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", query, {"Content-Type": "application/json"}
    )
    try:
        answer, deadline = "", time.monotonic() + 120
        while "pruned_matrix" not in answer:
            assert process.poll() is None
            assert time.monotonic() < deadline, answer
            time.sleep(1)
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    answer = response.read().decode()
            except OSError:
                continue
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert '"count":0' not in answer.replace(" ", "")
