"""The whole site as its users get it: `manage.py up` in a var folder of its own, with its Redis, database, web server and workers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests
from redis import Redis
from supervisor.xmlrpc import SupervisorTransport

from mlsd_app.core.paths import short_socket_path
from mlsd_app.core.presence import QUEUES, presence_key

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 300.0  # `up` allows itself 180 after the demo is seeded
_OURS = ("LOOP45_", "DATABASE_URL", "REDIS_URL")


class LiveSite:
    """A running site. Processes go by their names in the Procfile: "web", "redis", "worker-measure", ..."""

    def __init__(self, var: Path, port: int, process: subprocess.Popen[bytes], redis_url: str | None = None) -> None:
        self.var, self.port, self.process = var, port, process
        self.url = f"http://127.0.0.1:{port}"
        self.redis_url = redis_url or f"unix://{short_socket_path(var / 'redis.sock')}?db=0"

    @property
    def output(self) -> str:
        """What `up` has printed so far."""
        return (self.var / "up.out").read_text()

    def health(self) -> dict[str, Any]:
        """What /healthz says; {} while the web server does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, http.client.HTTPException):
            return {}

    def wait_until(self, met: Callable[[dict[str, Any]], bool], timeout_s: float = 60.0) -> None:
        """Waits for a health that meets `met`; TimeoutError names the last one seen."""
        wait_until(lambda: met(self.health()), timeout_s, lambda: f"the site's health is {self.health()}\n{self.output}")

    def wait_until_ready(self, timeout_s: float = READY_WITHIN_S) -> None:
        self.wait_until(lambda health: health.get("status") == "ok" and self._workers_live(), timeout_s)

    def _workers_live(self) -> bool:
        """Whether those who last reported for the queues are there; the word of a killed worker stands some seconds longer than itself."""
        with Redis.from_url(self.redis_url, decode_responses=True) as client:
            reported: Any = client.mget([presence_key(queue) for queue in QUEUES])
        return all(worker and psutil.pid_exists(int(worker.rpartition("-")[2])) for worker in reported)

    def pid(self, name: str) -> int:
        """Process id of a process; 0 while it is down."""
        return int(self._ask("getProcessInfo", name)["pid"])

    def kill(self, name: str, with_signal: int = signal.SIGKILL) -> None:
        """Kills a process; supervisor starts it again."""
        os.kill(self.pid(name), with_signal)

    def stop(self, name: str) -> None:
        """Stops a process for good, until `start`; waits until it is down."""
        self._ask("stopProcess", name)

    def start(self, name: str) -> None:
        self._ask("startProcess", name)

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def manage(self, *arguments: str) -> str:
        """Runs `manage.py` against the site's database; what it prints."""
        environment = site_environment(self.var, self.port)
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def _ask(self, method: str, name: str) -> Any:
        """Calls supervisor's XML-RPC method for a process."""
        transport = SupervisorTransport(None, None, f"unix://{short_socket_path(self.var / 'supervisor.sock')}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(_full_name(name))


def _full_name(name: str) -> str:
    return name if name == "redis" else f"site:{name}"


def wait_until(met: Callable[[], bool], timeout_s: float, describe: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:.0f} s {describe()}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def site_environment(var: Path, port: int, **extra: str) -> dict[str, str]:
    """The environment of a site of its own: nothing of the caller's Loop45 settings, database or Redis reaches it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**inherited, "LOOP45_VAR": str(var), "LOOP45_PORT": str(port), **extra}


def _hear_hang_up() -> None:
    """The site ends with its terminal even where the tests themselves run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def running_site(var: Path, **extra: str) -> Iterator[LiveSite]:
    """A site in `var` (environment variables in `extra`), ready; it is stopped in the end."""
    var.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with (var / "up.out").open("wb") as output:
        command = [sys.executable, "manage.py", "up"]
        environment = site_environment(var, port, **extra)
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, preexec_fn=_hear_hang_up)
    site = LiveSite(var, port, process, extra.get("REDIS_URL"))
    try:
        wait_until(lambda: "Stop: Ctrl-C" in site.output or process.poll() is not None, READY_WITHIN_S, lambda: site.output)
        if process.poll() is not None:
            raise RuntimeError(f"`manage.py up` ended with code {process.returncode}:\n{site.output}")
        site.wait_until_ready()
        yield site
    finally:
        process.terminate()
        process.wait(timeout=60)


def sign_in(session: requests.Session, site_url: str, username: str, password: str) -> None:
    """Signs `session` in; RuntimeError when the site does not take the log-in."""
    address = f"{site_url}/account/login/"
    session.get(address, timeout=30).raise_for_status()
    form = {"login": username, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    answer = session.post(address, data=form, timeout=30, allow_redirects=False)
    if answer.status_code != 302:
        raise RuntimeError(f"{username} could not sign in: {answer.status_code} {answer.text[:300]}")
