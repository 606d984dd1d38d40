"""The clock of a mock interview: how long it takes to read, and how late 200 interviews that end together are closed and graded."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta

import requests

from benchmarks._measure import own_site, percentile_ms, setup_django, table
from tests.live import LiveSite

ATTEMPTS = 200
READS = 500
LEAD_S = 60.0  # for making them
LOOK_S = 0.2
GRADED_WITHIN_S = 600.0


def clock_times_s(site: LiveSite) -> list[float]:
    """Seconds of each read of the clock of one's own running interview."""
    with requests.Session() as session:
        session.get(f"{site.url}/interviews/").raise_for_status()
        headers = {"X-CSRFToken": session.cookies["csrftoken"]}
        made = session.post(f"{site.url}/interviews/new", {"problem": "vector_search", "preset": "five_phase"}, headers=headers)
        attempt = f"{site.url}/interviews/{made.url.rstrip('/').split('/')[-2]}"
        headers = {"X-CSRFToken": session.cookies["csrftoken"]}
        session.post(f"{attempt}/start", headers=headers).raise_for_status()
        return [session.get(f"{attempt}/clock").elapsed.total_seconds() for _ in range(READS)]


def begin_together(count: int, begun_at: datetime) -> list[object]:
    """Ids of running interviews of as many people, all begun at the same moment."""
    from mlsd_app.accounts.models import User
    from mlsd_app.interviews import lifecycle
    from problems.loader import load_problem

    problem, ids = load_problem("vector_search"), []
    for number in range(count):
        user = User.objects.create_user(f"sitter{number}")
        attempt = lifecycle.attempt_create(user=user, problem=problem, now=begun_at)
        ids.append(lifecycle.attempt_start(attempt=attempt, actor=user, now=begun_at).pk)
    return ids


def lags_s(ids: list[object], hard_close: datetime) -> tuple[list[float], list[float]]:
    """Seconds from the hard close until each interview was seen closed, and until it was graded."""
    from mlsd_app.interviews.models import Attempt, Event

    attempts = Attempt.objects.filter(pk__in=ids)
    closed = _seen_closed_s(ids, hard_close)
    until = time.monotonic() + GRADED_WITHIN_S
    while attempts.exclude(status="released").exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{attempts.exclude(status='released').count()} interviews were not graded in {GRADED_WITHIN_S:g} s")
        time.sleep(1)
    if wrong := attempts.exclude(closed_at=hard_close - timedelta(seconds=30)).count():
        raise ValueError(f"{wrong} interviews have a closing time that is not their deadline")
    graded = Event.objects.filter(attempt__in=ids, kind="graded").values_list("at", flat=True)
    return closed, [(at - hard_close).total_seconds() for at in graded]


def _seen_closed_s(ids: list[object], hard_close: datetime) -> list[float]:
    """Looks every LOOK_S; `processed_at` would say when the sweep that closed them began."""
    from django.utils import timezone

    from mlsd_app.interviews.models import Attempt

    seen: list[float] = []
    while len(seen) < len(ids):
        time.sleep(LOOK_S)
        closed = Attempt.objects.filter(pk__in=ids).exclude(status="open").count()
        seen += [(timezone.now() - hard_close).total_seconds()] * (closed - len(seen))
    return seen


def main() -> None:
    with own_site() as site:
        os.environ["LOOP45_VAR"] = str(site.var)  # the same database and Redis
        setup_django()
        from django.utils import timezone

        reads = clock_times_s(site)
        hard_close = timezone.now() + timedelta(seconds=LEAD_S)
        closed, graded = lags_s(begin_together(ATTEMPTS, hard_close - timedelta(seconds=2730)), hard_close)
    rows = [(name, *(f"{percentile_ms(values, q):,.1f}" for q in (50, 95, 99))) for name, values in (("clock read", reads),)]
    rows += [
        (f"{name}, {ATTEMPTS} together", *(f"{percentile_ms(values, q):,.0f}" for q in (50, 95, 99)))
        for name, values in (("hard close to closed", closed), ("hard close to graded", graded))
    ]
    print(table(["what", "p50 (ms)", "p95 (ms)", "p99 (ms)"], rows))


if __name__ == "__main__":
    main()
