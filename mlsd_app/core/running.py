"""Starting, watching and stopping the process manager of a site."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from mlsd_app.core.processes import STOP_WAIT_S, supervisor_config
from mlsd_app.core.tether import die_with_parent


class CannotRun(RuntimeError):
    """The site cannot be started or kept running; the message says why and what to do."""


@contextmanager
def only_one(path: Path, address: str) -> Iterator[None]:
    """Holds the lock that lets a var folder have one running site; raises CannotRun with the address of the one that runs."""
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise CannotRun(f"Loop45 is running already: {handle.read().strip()}") from None
        handle.truncate(0)
        handle.write(f"{address} (process {os.getpid()})")
        handle.flush()
        yield
        handle.truncate(0)


def port_check(host: str, port: int) -> None:
    """Raises CannotRun when `port` cannot be served on `host`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotRun(
                f"Port {port} on {host} cannot be used ({reason}). Choose another one: LOOP45_PORT={port + 1} make run"
            ) from None


@contextmanager
def process_manager(processes: Mapping[str, list[str]], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Supervisor running `processes`; on leaving, all of them are stopped.

    It has a session of its own, so that Ctrl-C and a closed terminal reach only us (to supervisor SIGHUP means "start again"), and
    is tied to our life, so that killing us stops the site.
    """
    (settings.VAR_DIR / "log").mkdir(exist_ok=True)
    config = settings.VAR_DIR / "supervisord.conf"
    config.write_text(supervisor_config(processes))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)]
    tie = partial(die_with_parent, signal.SIGTERM)
    manager = subprocess.Popen(command, env=dict(environment), start_new_session=True, preexec_fn=tie)  # noqa: S603
    try:
        yield manager
    finally:
        _stop(manager)


def _stop(manager: subprocess.Popen[bytes]) -> None:
    """Supervisor stops everything but Redis first, then Redis; each step may take STOP_WAIT_S before it kills."""
    manager.terminate()
    try:
        manager.wait(timeout=3 * STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        manager.kill()
        manager.wait()


def wait_until_ready(manager: subprocess.Popen[bytes], host: str, port: int, timeout_s: float) -> dict[str, Any]:
    """The site's health once everything is up, or as it is after `timeout_s`; raises CannotRun if the site does not answer at all."""
    deadline = time.monotonic() + timeout_s
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        if manager.poll() is not None:
            raise CannotRun(stopped_sentence(manager))
        with suppress(OSError, http.client.HTTPException, ValueError):
            found = health_over_http(host, port)
            if found["status"] == "ok":
                return found
        time.sleep(0.1)
    if not found:
        raise CannotRun(f"The site did not answer within {timeout_s:.0f} seconds; {settings.VAR_DIR / 'log' / 'web.log'} says why.")
    return found


def stopped_sentence(manager: subprocess.Popen[bytes]) -> str:
    return f"The process manager ended by itself (code {manager.returncode}); {settings.VAR_DIR / 'log' / 'supervisord.log'} says why."


def health_over_http(host: str, port: int) -> dict[str, Any]:
    """What /healthz says, asked as a proxy in front of a production site would."""
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        name = settings.ALLOWED_HOSTS[0].lstrip(".").replace("*", "localhost")
        connection.request("GET", "/healthz", headers={"Host": name, "X-Forwarded-Proto": "https"})
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
