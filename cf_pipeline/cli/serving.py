"""`ui`."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cf_pipeline.cli.console import HomeOption, located, out
from cf_pipeline.errors import ConfigError, HomeBusyError
from cf_pipeline.storage.home import Home


def ui(
    port: Annotated[int, typer.Option(help="Port of the webserver.", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    home: HomeOption = None,
) -> None:
    """Start Dagster's webserver and daemon on this home.

    Example: cf-pipeline ui --port 3000
    """
    from cf_pipeline.defs.running import dagster_environment, write_workspace

    place = located(home)
    _check_address(host, port)
    _be_the_only_one(place)
    workspace = write_workspace(place)
    out.print(f"Dagster on http://{host}:{port}, home {escape(str(place.path))}; Ctrl-C stops it")
    dagster = Path(sys.executable).with_name("dagster")
    command = [str(dagster), "dev", "-w", str(workspace), "-p", str(port), "-h", host]
    os.execve(command[0], command, {**os.environ, **dagster_environment(place)})


def _check_address(host: str, port: int) -> None:
    """Whether somebody could listen there: Dagster says it in one line of many and goes on.

    Raises:
        ConfigError: the port is taken, or the interface is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(
            f"nobody can listen on {host}:{port}: {error.strerror or error}. Expected a free port "
            "of this machine: name another with --port, or an interface with --host."
        ) from error


def _be_the_only_one(place: Home) -> None:
    """Hold the home's user interface: two daemons on one home would each start what is due.

    The lock is this process's and stays with it through exec; it is free when the process ends.

    Raises:
        HomeBusyError: another one is running on this home.
    """
    descriptor = os.open(place.path / "ui.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HomeBusyError(
            f"a user interface is running on {place.path} already. Use that one, or stop it first."
        ) from error
    os.set_inheritable(descriptor, True)
