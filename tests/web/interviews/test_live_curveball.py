"""An event on the real site: from the moment it is thrown to the first picture of the design under it."""

from __future__ import annotations

import json

import pytest

from tests.live import LiveSite

EVENTS = ("strange_clients", "corpus_grows", "filter_narrows", "tenant_leaves")
ROUNDS = 3
P95_S = 3.0

SCRIPT = """
import json, time
from django.utils import timezone
from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.interviewer.throwing import curveball_send
from mlsd_app.interviews.models import Curveball
from mlsd_app.interviews.runs import attempt_run_start, run_finished, run_pin
from mlsd_app.runs import channel
from problems.loader import load_problem
from simulators.registry import get_lab

problem, took = load_problem("vector_search"), {{}}

def until(met, what):
    end = time.monotonic() + 120
    while not met():
        assert time.monotonic() < end, what
        time.sleep(0.02)

def shown(run):
    run.refresh_from_db()
    kinds = [fields["kind"] for _, fields in channel.connection().xrange(channel.stream_key(run.pk))]
    return run.state == "done" or "frame" in kinds

for number in range({rounds}):
    user = User.objects.create_user(f"thrown-{{number}}-{{time.time_ns()}}")
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=timezone.now(), seed=number)
    attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=timezone.now())
    for key in {events}:
        change = next(ball.change for ball in problem.interviewer.curveballs if ball.key == key)
        lab, values = get_lab(problem.slug, change.lab), {{**change.start, "ef_search": 60 + number}}
        own = attempt_run_start(attempt=attempt, lab=lab, values=values, now=timezone.now())
        until(lambda: run_finished(link=own) == [] and not own.run.active, f"own run of {{key}}")
        assert own.run.state == "done", (key, own.run.state)
        run_pin(link=own, pinned=True, label="mine", now=timezone.now())
        begin = time.monotonic()
        curveball_send(attempt=attempt, key=key, actor=None, now=timezone.now())
        ball = Curveball.objects.select_related("broken__run").get(attempt=attempt, key=key)
        assert ball.base == own
        until(lambda: shown(ball.broken.run), f"broken run of {{key}}")
        took[f"{{key}} {{number}}"] = time.monotonic() - begin
    lifecycle.attempt_submit(attempt=attempt, actor=user, now=timezone.now())
print(json.dumps(took))
"""


@pytest.mark.slow
def test_the_broken_design_is_seen_within_three_seconds(live_site: LiveSite) -> None:
    told = live_site.manage("shell", "-c", SCRIPT.format(events=EVENTS, rounds=ROUNDS))
    took = json.loads(told.strip().splitlines()[-1])
    assert len(took) == ROUNDS * len(EVENTS)
    ordered = sorted(took.values())
    assert ordered[int(0.95 * (len(ordered) - 1))] <= P95_S, took
