"""Dagster's webserver and daemon as a person starts them, asked through GraphQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cf_pipeline.defs.running import dagster_environment
from cf_pipeline.storage.home import Home

REPOSITORY = Path(__file__).parents[2]
UNFINISHED = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}

INSTIGATORS = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
  sensors { name sensorState { status } }
  schedules { name scheduleState { status } cronSchedule } } } } }"""
RUNS = """{ runsOrError { ... on Runs { results {
  runId status startTime assetSelection { path } tags { key value } } } } }"""
HEALTH = """{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"""


@dataclass(frozen=True)
class Run:
    """A run as the UI lists it."""

    run_id: str
    status: str
    assets: tuple[str, ...]
    started_by: str


@dataclass(frozen=True)
class Served:
    """A webserver that answers."""

    address: str
    log: Path

    def ask(self, query: str) -> Any:
        """GraphQL, the answer's data."""
        request = urllib.request.Request(
            f"{self.address}/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def runs(self) -> list[Run]:
        """Newest first."""
        found = []
        for run in self.ask(RUNS)["runsOrError"]["results"]:
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            assets = tuple(sorted(key["path"][-1] for key in run["assetSelection"] or ()))
            started_by = tags.get("cf_pipeline/started_by", "")
            found.append(Run(run["runId"], run["status"], assets, started_by))
        return found

    def wait_for(self, what: str, holds: Callable[[], Any], seconds: float) -> Any:
        """What `holds` gives as soon as it gives something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = holds()
            if value:
                return value
            time.sleep(1)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log.read_text()[-4000:]}")


@contextmanager
def served(home: Home, log: Path, command: Sequence[str]) -> Iterator[Served]:
    """Start a command that serves on the port that is put in for `PORT`, in the repository."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binaries = Path(sys.executable).parent
    words = [str(port) if word == "PORT" else word for word in command]
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(binaries / words[0]), *words[1:]],
            cwd=REPOSITORY,
            env={
                **os.environ,
                **dagster_environment(home),
                "PATH": f"{binaries}:{os.environ['PATH']}",
            },
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = Served(f"http://127.0.0.1:{port}", log)
        server.wait_for("the webserver", lambda: _answers(server), 120)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(server: Served) -> bool:
    try:
        with urllib.request.urlopen(f"{server.address}/server_info", timeout=5):
            return bool(server.ask(INSTIGATORS)["repositoriesOrError"].get("nodes"))
    except (urllib.error.URLError, ConnectionError, TimeoutError, json.JSONDecodeError):
        return False
