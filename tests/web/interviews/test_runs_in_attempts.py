"""Runs inside an attempt: numbered, with what was told put in, predicted, pinned; ordinary runs in everything else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.interviewer.questions import question_ask
from mlsd_app.interviews.interviewer.record import values_of
from mlsd_app.interviews.models import Attempt, RunLink
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.runs import MAX_PINNED, attempt_run_start, links_of, prediction_due, run_finished, run_pin
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import RunRefused
from mlsd_app.runs.upkeep import runs_prune
from simulators.errors import InvalidInput
from simulators.params import InvalidParams
from simulators.registry import get_lab, labs_of
from tests.web.interviews.bench import Bench
from tests.web.interviews.conftest import LIMIT_S, NOW, at
from tests.web.runs.conftest import Queue, queue  # noqa: F401 - a fixture

INDEX = get_lab("vector_search", "index_tradeoffs")
FILTERS = get_lab("vector_search", "filters")


def refused(code: str, status: int) -> Any:
    return pytest.raises(Refused, check=lambda error: (error.code, error.status) == (code, status))


def run(attempt: Attempt, seconds: float, **options: Any) -> RunLink:
    values = options.pop("values", {"ef_search": 50 + round(seconds) % 900})
    return attempt_run_start(attempt=attempt, lab=options.pop("lab", INDEX), values=values, now=at(seconds), **options)


# --- starting --------------------------------------------------------------------------------------------------------


def test_runs_are_numbered_over_all_labs_with_phase_and_time(running: Attempt, user: User, bench: Bench) -> None:
    first = run(running, 10)
    lifecycle.attempt_move(attempt=running, to_phase=1, actor=user, now=at(310))
    second = run(running, 400, lab=FILTERS, values={})
    assert [(link.number, link.phase, link.active_ms, link.run.lab) for link in links_of(running)] == [
        (1, "clarify", 10_000, "index_tradeoffs"),
        (2, "capacity", 400_000, "filters"),
    ]
    assert (first.run.user, second.run.problem) == (user, "vector_search")
    events = list(running.events.filter(kind="run").values_list("data", flat=True))
    assert [(data["number"], data["lab"], data["by"]) for data in events] == [
        (1, "index_tradeoffs", "candidate"),
        (2, "filters", "candidate"),
    ]
    assert events[0]["run"] == str(first.run_id)


def test_what_was_told_goes_into_the_run_whatever_the_page_sends(running: Attempt, bench: Bench) -> None:
    free = run(running, 10, values={"target_n": 7_000_000})
    assert free.run.params["target_n"] == 7_000_000
    question_ask(attempt=running, text="how many vectors do we store", now=at(20))
    held = run(running, 30, values={"target_n": 7_000_000})
    assert held.run.params["target_n"] == values_of(running)["corpus_size"]


def test_a_known_result_answers_at_once_under_a_number_of_its_own(running: Attempt, bench: Bench) -> None:
    first, again = run(running, 10, values={}), run(running, 20, values={})
    assert (first.number, again.number) == (1, 2)
    assert again.run_id != first.run_id and again.run.result_id == first.run.result_id and again.run.state == RunState.DONE


def test_runs_start_only_while_the_clock_runs(ready: Attempt, user: User, bench: Bench) -> None:
    with refused("wrong_state", 409):
        run(ready, 0)
    attempt = lifecycle.attempt_start(attempt=ready, actor=user, now=NOW)
    lifecycle.attempt_pause(attempt=attempt, actor=user, now=at(10))
    with refused("paused", 423):
        run(attempt, 11)
    lifecycle.attempt_resume(attempt=attempt, actor=user, now=at(20))
    run(attempt, LIMIT_S + 9)
    with refused("closed", 423):
        run(attempt, LIMIT_S + 11)
    lifecycle.attempt_submit(attempt=attempt, actor=user, now=at(LIMIT_S + 12))
    attempt.refresh_from_db()
    with refused("closed", 423):
        run(attempt, LIMIT_S + 13)
    assert len(bench.asked) == attempt.runlinks.count() == 1


def test_what_a_lab_refuses_leaves_nothing_behind(running: Attempt, bench: Bench) -> None:
    with pytest.raises(InvalidParams):
        run(running, 10, values={"ef_search": -1})
    bench.refuse = True
    with pytest.raises(RunRefused):
        run(running, 10)
    with pytest.raises(InvalidInput, match="not a lab of this problem"):
        run(running, 10, lab=labs_of("llm_serving")[0], values={})
    assert not running.runlinks.exists() and not running.events.filter(kind="run").exists()


# --- predictions -----------------------------------------------------------------------------------------------------


def test_only_the_first_run_of_a_lab_is_predicted(running: Attempt, bench: Bench) -> None:
    said = {"metric": "recall", "lower": 0.9, "upper": 0.95}
    assert prediction_due(running, "index_tradeoffs")
    assert run(running, 10, prediction=said).prediction == said
    assert not prediction_due(running, "index_tradeoffs") and prediction_due(running, "filters")
    assert run(running, 20, prediction=said).prediction is None, "it is no prediction once a run was seen"
    assert run(running, 30, lab=FILTERS, values={}).prediction is None, "skipped"


@pytest.mark.parametrize(
    "said",
    [
        {"metric": "recall", "lower": 2, "upper": 1},
        {"metric": "recall", "lower": 1},
        {"metric": "", "lower": 0, "upper": 1},
        {"metric": "recall", "lower": 0, "upper": float("nan")},
        {"metric": "recall", "lower": True, "upper": 2},
        {"metric": "x" * 121, "lower": 0, "upper": 1},
    ],
)
def test_a_prediction_is_a_metric_and_a_range(running: Attempt, bench: Bench, said: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as fault:
        run(running, 10, prediction=said)
    assert fault.value.field == "prediction" and not running.runlinks.exists()


# --- pins ------------------------------------------------------------------------------------------------------------


def test_a_pin_makes_evidence_with_words(running: Attempt, bench: Bench) -> None:
    link = run(running, 10)
    run_pin(link=link, pinned=True, label="  the knee ", now=at(30))
    assert (link.pinned, link.label, link.pinned_ms) == (True, "the knee", 30_000)
    run_pin(link=link, pinned=True, label=None, now=at(40))
    assert (link.label, link.pinned_ms) == ("the knee", 30_000), "pinned once, at that time"
    run_pin(link=link, pinned=False, label=None, now=at(50))
    assert (link.pinned, link.pinned_ms) == (False, None)
    assert [event.data["pinned"] for event in running.events.filter(kind="pin")] == [True, False]


def test_twelve_pins_and_eighty_characters(running: Attempt, bench: Bench) -> None:
    links = [run(running, 10 + number) for number in range(MAX_PINNED + 1)]
    for link in links[:MAX_PINNED]:
        run_pin(link=link, pinned=True, label="x" * 80, now=at(60))
    with refused("pin_limit", 409):
        run_pin(link=links[-1], pinned=True, label="", now=at(61))
    run_pin(link=links[0], pinned=True, label="renamed", now=at(62))
    run_pin(link=links[0], pinned=False, label=None, now=at(63))
    run_pin(link=links[-1], pinned=True, label="", now=at(64))
    with pytest.raises(InvalidInput, match="at most 80 characters"):
        run_pin(link=links[-1], pinned=True, label="x" * 81, now=at(65))
    assert running.runlinks.filter(pinned=True).count() == MAX_PINNED


def test_a_run_begun_in_time_may_end_and_be_pinned_until_the_hard_close(running: Attempt, bench: Bench) -> None:
    bench.hold = True
    link = run(running, LIMIT_S - 1)
    with refused("not_done", 409):
        run_pin(link=link, pinned=True, label="", now=at(LIMIT_S - 1))
    bench.finish(link.run)
    assert run_finished(link=link) == []
    run_pin(link=link, pinned=True, label="", now=at(LIMIT_S + running.net_grace_s - 1))
    with refused("closed", 423):
        run_pin(link=link, pinned=False, label="", now=at(LIMIT_S + running.net_grace_s + 1))
    link.refresh_from_db()
    assert link.pinned


# --- through the real pipeline and the pages -------------------------------------------------------------------------


@pytest.mark.parametrize("state", [RunState.LOST, RunState.EXPIRED, RunState.CANCELLED])
def test_a_number_in_an_interview_outlives_the_clearing_away(running: Attempt, bench: Bench, state: RunState) -> None:
    """What the text calls [run 1] stays run 1, with what was expected of it, even if it came to nothing."""
    bench.hold = True
    kept = run(running, 60, prediction={"metric": "recall", "lower": 0.9, "upper": 1.0})
    elsewhere = bench.run_start(user=running.user, lab=get_lab("vector_search", "index_tradeoffs"), values={"n": 5000})
    Run.objects.update(state=state, finished_at=timezone.now() - timedelta(days=30))
    runs_prune()
    assert list(Run.objects.all()) == [kept.run] and elsewhere.pk != kept.run.pk
    assert [link.number for link in links_of(running)] == [1]
    kept.refresh_from_db()
    assert kept.prediction and run(running, 90).number == 2


def test_it_is_an_ordinary_run(running: Attempt, queue: Queue) -> None:  # noqa: F811
    link = run(running, 10, values={})
    assert link.run.state == RunState.QUEUED and queue.sent[0]["args"][0] == str(link.run_id)
    Run.objects.filter(pk=link.run_id).update(state=RunState.FAILED)
    assert run_finished(link=link) == []


def test_the_page_is_told_in_words_that_a_pause_allows_no_run(mine: Client, user: User, problem: Any, bench: Bench) -> None:
    begun = timezone.now() - timedelta(seconds=30)
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=begun, seed=7)
    attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=begun)
    address = reverse("interviews:run_start", args=[attempt.pk, "index_tradeoffs"])
    lifecycle.attempt_pause(attempt=attempt, actor=user, now=timezone.now())
    reply = mine.post(address, {"ef_search": "64"})
    assert reply.status_code == 423 and reply.json()["kind"] == "paused"
    assert not attempt.runlinks.exists()


def test_another_persons_runs_are_not_there(client: Client, other: User, running: Attempt, bench: Bench) -> None:
    link = run(running, 10)
    client.force_login(other)
    assert client.post(reverse("interviews:run_start", args=[running.pk, "index_tradeoffs"])).status_code == 404
    reply = client.post(reverse("interviews:run_pin", args=[running.pk, link.number]), "{}", content_type="application/json")
    assert reply.status_code == 404
    assert running.runlinks.count() == 1
