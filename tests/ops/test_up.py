"""`manage.py up` as its users meet it: it serves, refuses in words, heals, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from tests.live import ROOT, LiveSite, free_port, running_site, site_environment, wait_until

pytestmark = pytest.mark.live
GONE_WITHIN_S = 25.0
PROCESSES = ("redis", "web", "worker-interactive", "worker-measure", "worker-batch")


def processes_of(var: Path) -> list[psutil.Process]:
    """Every process whose environment names the var folder: supervisor, Redis, web, workers, their pools."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("LOOP45_VAR") == str(var):
                found.append(process)
        except psutil.Error:
            continue
    return found


def up(var: Path, port: int, **extra: str) -> subprocess.CompletedProcess[str]:
    """`up` run to its end, for starts that are refused."""
    var.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "manage.py", "up"]
    return subprocess.run(command, cwd=ROOT, env=site_environment(var, port, **extra), capture_output=True, text=True, timeout=60)


def test_it_says_where_it_is_and_who_may_enter(live_site: LiveSite) -> None:
    said = live_site.output
    assert f"{live_site.url}/" in said and str(live_site.var / "log") in said
    for name in ("candidate", "instructor", "staff"):
        assert name in said


def test_every_process_has_a_log(live_site: LiveSite) -> None:
    logs = {path.stem for path in (live_site.var / "log").glob("*.log")}
    assert logs >= {*PROCESSES, "supervisord"}


def test_a_second_start_is_refused_with_the_address(live_site: LiveSite) -> None:
    first = {name: live_site.pid(name) for name in PROCESSES}
    second = up(live_site.var, free_port())
    assert second.returncode == 1
    assert "running already" in second.stderr and live_site.url in second.stderr
    assert {name: live_site.pid(name) for name in PROCESSES} == first
    live_site.wait_until_ready()


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up(tmp_path / "var", port)
    assert refused.returncode == 1
    assert f"Port {port}" in refused.stderr and "LOOP45_PORT=" in refused.stderr and "Traceback" not in refused.stderr


def test_redis_listens_on_its_socket_only_and_refuses_writes_when_full(live_site: LiveSite) -> None:
    redis = psutil.Process(live_site.pid("redis"))
    assert redis.net_connections(kind="inet") == []
    with Redis.from_url(live_site.redis_url, decode_responses=True) as client:
        config: Any = client.config_get("maxmemory*")
    assert config["maxmemory-policy"] == "noeviction", "evicting would drop tasks without a word"
    assert int(config["maxmemory"]) > 0


@pytest.mark.parametrize("name", ["redis", "web", "worker-interactive", "worker-measure"])
def test_a_killed_process_comes_back(live_site: LiveSite, name: str) -> None:
    before = live_site.pid(name)
    children = psutil.Process(before).children(recursive=True)
    live_site.kill(name)
    wait_until(lambda: live_site.pid(name) not in (0, before), 30, lambda: f"{name} is still down")
    live_site.wait_until_ready()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == [], "the pool of a killed worker goes with it"


def test_a_stopped_worker_is_missed_and_a_started_one_reported(live_site: LiveSite) -> None:
    live_site.stop("worker-batch")
    live_site.wait_until(lambda health: not health["queues"]["batch"], 15)
    assert live_site.health()["status"] == "degraded"
    live_site.start("worker-batch")
    live_site.wait_until(lambda health: health["queues"]["batch"], 120)  # its pool imports the labs again


def kill_up(site: LiveSite) -> None:
    site.process.kill()


def kill_supervisor(site: LiveSite) -> None:
    os.kill(int((site.var / "supervisord.pid").read_text()), signal.SIGKILL)


ENDS: dict[str, Callable[[LiveSite], None]] = {
    "SIGTERM": lambda site: site.process.send_signal(signal.SIGTERM),
    "SIGHUP": lambda site: site.process.send_signal(signal.SIGHUP),
    "SIGINT": lambda site: site.process.send_signal(signal.SIGINT),
    "SIGKILL of up": kill_up,
    "SIGKILL of supervisor": kill_supervisor,
}


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("end", list(ENDS))
def test_nothing_outlives_it(tmp_path: Path, end: str) -> None:
    with running_site(tmp_path / "var", LOOP45_DEMO="0") as site:
        members = processes_of(site.var)
        assert len(members) > 8
        ENDS[end](site)
        _, alive = psutil.wait_procs(members, timeout=GONE_WITHIN_S)
        assert alive == []
        assert processes_of(site.var) == []
        if "SIGKILL" not in end:
            assert site.process.wait(timeout=5) == 0


@pytest.mark.live
@pytest.mark.slow
def test_a_second_start_keeps_what_was_there(tmp_path: Path) -> None:
    count = "from mlsd_app.accounts.models import User; print(User.objects.count())"
    with running_site(tmp_path / "var") as site:
        before = site.manage("shell", "-c", count)
    with running_site(tmp_path / "var") as site:
        assert site.manage("shell", "-c", count) == before
