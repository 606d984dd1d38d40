"""What a person sees when a worker or Redis is killed in the middle of a run: words, never silence, and the next run works."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import requests

from tests.live import LiveSite
from tests.load.test_tweaking import events

LAB = "/labs/vector_search/index_tradeoffs/"
SLOW_RUN = {"kind": ["hnsw"], "n": 60_000, "d": 128, "ef_construction": 200, "fresh": "1"}  # builds for many seconds
QUICK_RUN = {"kind": ["ivf_flat"], "n": 2_000, "d": 16}
WITHIN_S = 60.0


@pytest.fixture
def person(live_site: LiveSite) -> requests.Session:
    session = requests.Session()
    session.get(f"{live_site.url}{LAB}", timeout=WITHIN_S).raise_for_status()
    return session


def post(site: LiveSite, person: requests.Session, path: str, data: dict[str, Any], **options: Any) -> requests.Response:
    return person.post(f"{site.url}{path}", data=data, headers={"X-CSRFToken": person.cookies["csrftoken"]}, timeout=WITHIN_S, **options)


def follow(
    site: LiveSite, person: requests.Session, values: dict[str, Any], *, once_running: Callable[[], object] | None = None
) -> list[tuple[str, Any]]:
    """All events of a new run; `once_running` happens beside it after the first progress."""
    seen: list[tuple[str, Any]] = []
    with post(site, person, f"{LAB}runs", {**values, "slot": "tab"}, stream=True) as response:
        assert response.status_code == 200, response.text
        for event in events(response):
            seen.append(event)
            if once_running and event[0] in ("progress", "frame"):
                threading.Thread(target=once_running).start()
                once_running = None
    return seen


def kill_the_worker_in_charge(site: LiveSite) -> None:
    """The pool process that runs the lab, then the one that would replace it: kill -9 as the kernel's out-of-memory killer does it."""
    pool = psutil.Process(site.pid("worker-measure")).children(recursive=True)
    for process in pool:
        os.kill(process.pid, signal.SIGKILL)
    site.kill("worker-measure")


@pytest.mark.slow
def test_a_killed_worker_is_told_and_the_next_run_works(live_site: LiveSite, person: requests.Session) -> None:
    seen = follow(live_site, person, SLOW_RUN, once_running=lambda: kill_the_worker_in_charge(live_site))
    kind, data = seen[-1]
    assert kind == "lost" and "run it again" in data["message"]
    live_site.wait_until_ready()
    assert follow(live_site, person, QUICK_RUN)[-1][0] == "done"


@pytest.mark.slow
def test_a_killed_redis_is_told_and_nothing_that_finished_is_lost(live_site: LiveSite, person: requests.Session) -> None:
    seen = follow(live_site, person, SLOW_RUN, once_running=lambda: live_site.kill("redis"))
    assert seen[-1][0] in ("done", "lost"), seen[-1]
    if seen[-1][0] == "done":
        assert seen[-1][1]["figures"]
    live_site.wait_until_ready()
    assert follow(live_site, person, {**QUICK_RUN, "n": 3_000})[-1][0] == "done"


@pytest.mark.slow
def test_without_redis_runs_are_refused_in_words_and_known_results_still_come(live_site: LiveSite, person: requests.Session) -> None:
    known = {**QUICK_RUN, "n": 4_000}
    assert follow(live_site, person, known)[-1][0] == "done"
    live_site.stop("redis")
    try:
        refused = post(live_site, person, f"{LAB}runs", {**QUICK_RUN, "n": 5_000, "slot": "tab"})
        assert refused.status_code == 503 and refused.json()["kind"] == "no_redis"
        assert follow(live_site, person, known)[-1][0] == "done"
        for page in ("/", "/problems/vector_search/clarify/", LAB, "/runs/"):
            assert person.get(f"{live_site.url}{page}", timeout=WITHIN_S).status_code == 200
    finally:
        live_site.start("redis")
    live_site.wait_until_ready()


@pytest.mark.slow
def test_without_workers_a_run_is_refused_in_words(live_site: LiveSite, person: requests.Session) -> None:
    live_site.stop("worker-measure")
    try:
        live_site.wait_until(lambda health: not health["queues"]["measure"])
        refused = post(live_site, person, f"{LAB}runs", {**QUICK_RUN, "n": 6_000, "slot": "tab"})
        assert refused.status_code == 503 and refused.json()["kind"] == "no_worker"
    finally:
        live_site.start("worker-measure")
    live_site.wait_until_ready()
