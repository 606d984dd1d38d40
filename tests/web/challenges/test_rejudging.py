"""Stored passes judged again: what flips is told, what passed stays passed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.challenges import rejudging
from mlsd_app.challenges.models import Rejudgement, Submission
from mlsd_app.challenges.rejudging import pass_rejudge, passes_due, rejudging_send
from mlsd_app.challenges.services import seeds_of
from simulators.lab import Lab
from tests.web.challenges.conftest import TASK, at, submit, work
from tests.web.runs.conftest import Counter, Queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def passed(queue: Queue, user: User, lab: type[Lab]) -> Submission:
    row = submit(user, lab)
    work(queue)
    row.refresh_from_db()
    assert row.verdict == "pass"
    return row


def again(queue: Queue, seconds: float) -> int:
    """A night: what is sent, done."""
    sent = rejudging_send(now=at(seconds))
    assert [(item["name"], item["queue"], item["priority"]) for item in queue.sent] == [(rejudging.ONE_TASK, "batch", 6)] * sent
    for item in queue.sent:
        pass_rejudge(submission_id=item["args"][0], now=at(seconds))
    queue.sent.clear()
    return sent


def test_the_same_lab_gives_the_same_grade(queue: Queue, passed: Submission) -> None:
    assert again(queue, 100) == 1
    found = Rejudgement.objects.get()
    assert (found.verdict, found.grade, found.lab_version, found.flipped) == ("pass", passed.grade, passed.lab_version, False)
    again(queue, 200)
    assert Rejudgement.objects.get().at == at(200), "one row a version"


def test_a_new_version_that_would_fail_it_is_told_and_the_pass_stays(
    queue: Queue, passed: Submission, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, admin_client: Client
) -> None:
    honest = Counter.run

    def worse(self: Any, params: Any, ctx: Any) -> Any:
        return honest(self, params.model_copy(update={"n": 1}), ctx)

    monkeypatch.setattr(Counter, "version", 2)
    monkeypatch.setattr(Counter, "run", worse)
    again(queue, 100)
    found = Rejudgement.objects.get()
    assert (found.verdict, found.lab_version, found.flipped) == ("fail", 2, True)
    assert "passed under version 1 and fails under 2" in caplog.text
    passed.refresh_from_db()
    assert (passed.verdict, passed.lab_version) == ("pass", 1)
    listed = admin_client.get("/staff/challenges/rejudgement/?verdict__exact=fail").content.decode()
    assert "count_far" in listed and "1 rejudgement" in listed


def test_seeds_are_those_of_the_version_and_never_those_that_were_told(passed: Submission) -> None:
    assert seeds_of(passed, 2, lab_version=passed.lab_version) == seeds_of(passed, 2)
    assert not set(seeds_of(passed, 2, lab_version=2)) & set(seeds_of(passed, 2))


def test_the_longest_unjudged_first_and_no_more_than_a_night_holds(
    queue: Queue, user: User, lab: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    for n in (5, 6, 7):
        rows.append(submit(user, lab, {"n": n, "rate": 5.0}, seconds=100 * n))
        work(queue, 100 * n + 1)
    submit(user, lab, dict(TASK.naive), seconds=1000)
    work(queue, 1001)
    monkeypatch.setattr(rejudging, "A_NIGHT", 2)
    assert again(queue, 2000) == 2 and again(queue, 3000) == 2
    assert {row.submission_id for row in Rejudgement.objects.all()} == {row.pk for row in rows}, "no failed design among them"
    assert list(passes_due())[0].rejudged_at == at(2000)  # type: ignore[attr-defined]


def test_what_cannot_be_judged_any_more_says_why(queue: Queue, passed: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counter, "challenges", ())
    again(queue, 100)
    assert Rejudgement.objects.get().verdict == "" and "count_far" in Rejudgement.objects.get().error
    Submission.objects.filter(pk=passed.pk).update(lab="gone")
    assert again(queue, 200) == 0 and "gone" in Rejudgement.objects.get().error


def test_a_fault_of_the_lab_is_no_flip(queue: Queue, passed: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(Counter, "run", broken)
    again(queue, 100)
    found = Rejudgement.objects.get()
    assert not found.flipped and "error of its own" in found.error
    assert pass_rejudge(submission_id="00000000-0000-0000-0000-000000000000", now=at(1)) is None
