"""`ui`: what it starts, and where it refuses to before Dagster's many processes are there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.defs.lab import Lab

PROGRAM = str(Path(sys.executable).with_name("cf-pipeline"))
STARTS_SOMETHING_ELSE = """
import os, sys
real = os.execve
def execve(file, command, environment):
    print(*command, environment["DAGSTER_HOME"], flush=True)
    real("/bin/sleep", ["sleep", "60"], environment)
os.execve = execve
from cf_pipeline.cli.app import main
main()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    place = Home(tmp_path / "home")
    monkeypatch.setenv(HOME_VARIABLE, str(place.path))
    return place


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_that_is_taken_and_an_interface_that_is_not_here(cf: Command, home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        taken = cf("ui", "--port", port)
    assert taken.code == 1
    assert f"nobody can listen on 127.0.0.1:{port}: Address already in use" in taken.err
    assert "name another with --port, or an interface with --host" in taken.err
    foreign = cf("ui", "--host", "192.0.2.1", "--port", str(free_port()))
    assert foreign.code == 1
    assert "nobody can listen on 192.0.2.1:" in foreign.err
    assert cf("ui", "--port", "70000").code == 2


def test_one_user_interface_a_home_for_as_long_as_what_it_started_lives(
    cf: Command, home: Home
) -> None:
    port = str(free_port())
    first = subprocess.Popen(
        [sys.executable, "-c", STARTS_SOMETHING_ELSE, "ui", "--port", port],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None
        said, command = first.stdout.readline(), first.stdout.readline().split()
        assert said.startswith(f"Dagster on http://127.0.0.1:{port}, home {home.path}")
        workspace = home.dagster_path / "workspace.yaml"
        assert command[1:] == [
            *("dev", "-w", str(workspace), "-p", port, "-h", "127.0.0.1"),
            str(home.dagster_path),
        ]
        assert workspace.is_file()
        second = cf("ui", "--port", str(free_port()))
        assert second.code == 1
        assert f"a user interface is running on {home.path} already" in second.err
    finally:
        first.kill()
        first.communicate()
    # Nothing is left to clear away: the operating system frees the lock.
    third = subprocess.Popen(
        [sys.executable, "-c", STARTS_SOMETHING_ELSE, "ui", "--port", port],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert third.stdout is not None
        assert third.stdout.readline().startswith("Dagster on ")
    finally:
        third.kill()
        third.communicate()


@pytest.mark.slow
def test_ui_serves_this_home(at_home: Lab) -> None:
    port = free_port()
    process = subprocess.Popen(
        [PROGRAM, "ui", "--port", str(port)], stderr=subprocess.DEVNULL, env=os.environ
    )
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
        again = [PROGRAM, "ui", "--port", str(free_port())]
        refused = subprocess.run(again, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "a user interface is running" in refused.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert '"count":0' not in answer.replace(" ", "")
