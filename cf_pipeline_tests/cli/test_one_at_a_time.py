"""One run at a time: who comes second is refused, or waits, and takes over from who died."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.defs.running import instance_of
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.defs.lab import Lab

PROGRAM = str(Path(sys.executable).with_name("cf-pipeline"))


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


@pytest.mark.slow
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
