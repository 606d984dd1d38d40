"""Submitting designs: limits, seeds, repeats, lost workers, verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.challenges import judging
from mlsd_app.challenges.models import State, Submission, SubmissionSeed
from mlsd_app.challenges.selectors import best_of, submissions_of
from mlsd_app.challenges.services import seeds_of, submission_cancel
from mlsd_app.core import presence
from mlsd_app.runs import channel
from mlsd_app.runs.services import RunRefused
from simulators.challenge import STAGE_1, STAGE_2
from simulators.lab import Lab
from simulators.params import InvalidParams
from tests.web.challenges.conftest import TASK, at, submit, work
from tests.web.runs.conftest import Counter, Queue

pytestmark = pytest.mark.django_db


def test_a_good_design_passes_on_the_secret_seeds(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab)
    assert (row.state, queue.sent[0]["queue"]) == (State.QUEUED, "batch")
    assert work(queue) == STAGE_1 + STAGE_2, "one task a seed, and the last says the verdict"
    row.refresh_from_db()
    assert (row.state, row.verdict, row.grade["stage"]) == (State.DONE, "pass", 2)
    score = row.grade["assertions"][0]
    assert (score["mean"], score["margin"], score["passed"]) == (25.0, 5.0, True)
    assert row.grade["cost"] == 5.0 and row.finished_at == at(1)
    assert SubmissionSeed.objects.filter(submission=row, stage=2).count() == STAGE_2


def test_a_clear_miss_ends_with_the_first_seeds(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab, dict(TASK.naive))
    assert work(queue) == STAGE_1
    row.refresh_from_db()
    assert (row.verdict, row.grade["stage"], row.grade["pass_rate"]) == ("fail", 1, 0.5)


def test_everything_at_maximum_breaks_the_ceiling(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab, dict(TASK.maxed))
    work(queue)
    row.refresh_from_db()
    assert [item["passed"] for item in row.grade["assertions"]] == [True, False]


def test_the_same_design_again_costs_nothing(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab)
    work(queue)
    again = submit(user, lab, {"rate": 5, "n": 5.0}, seconds=2)  # within the minute, in another order
    assert again.pk == row.pk and not queue.sent
    assert Submission.objects.count() == 1


def test_what_somebody_else_found_on_the_first_seeds_is_taken_over(queue: Queue, user: User, other: User, lab: type[Lab]) -> None:
    first = submit(user, lab)
    work(queue)
    second = submit(other, lab)
    assert seeds_of(first, 1) == seeds_of(second, 1), "they follow from the design"
    assert not set(seeds_of(first, 2)) & set(seeds_of(second, 2)), "the secret ones are one's own"
    assert work(queue) == STAGE_2
    second.refresh_from_db()
    assert second.verdict == "pass"


def test_in_one_scope_everybody_meets_the_same_secret_seeds(queue: Queue, user: User, other: User, lab: type[Lab]) -> None:
    first, design = submit(user, lab, scope="assignment:1", most=3), {"n": 4, "rate": 6.0}
    work(queue)
    second = submit(other, lab, design, scope="assignment:1", most=3)
    assert seeds_of(first, 2) == seeds_of(second, 2) != seeds_of(submit_unstored(first, "assignment:2"), 2)


def submit_unstored(row: Submission, scope: str) -> Submission:
    row.scope = scope
    return row


# --- refusals ----------------------------------------------------------------------------------------------------------


def test_what_the_brief_fixes_cannot_be_set(queue: Queue, user: User, lab: type[Lab]) -> None:
    with pytest.raises(InvalidParams) as caught:
        submit(user, lab, {"n": 5, "trap": "bug"})
    assert "fixed by the brief" in caught.value.errors["trap"]
    assert not Submission.objects.exists() and not queue.sent


def test_one_at_a_time_a_minute_apart_ten_a_day(queue: Queue, user: User, lab: type[Lab], settings: Any) -> None:
    submit(user, lab)
    with pytest.raises(RunRefused, match="being judged"):
        submit(user, lab, {"n": 6}, seconds=100)
    work(queue)
    with pytest.raises(RunRefused, match="Try again in 20 s"):
        submit(user, lab, {"n": 6}, seconds=40)
    for number in range(1, settings.CHALLENGE_LIMITS["a_day"]):
        submit(user, lab, {"n": 10 + number}, seconds=60 * number)
        work(queue, 60 * number + 1)
    with pytest.raises(RunRefused, match="within a day") as caught:
        submit(user, lab, {"n": 50}, seconds=1000)
    assert caught.value.status == 429
    submit(user, lab, {"n": 50}, seconds=86_401)


def test_an_assignment_has_its_own_bound(queue: Queue, user: User, lab: type[Lab]) -> None:
    submit(user, lab, {"n": 1}, scope="assignment:1", most=1)
    work(queue)
    with pytest.raises(RunRefused, match="1 designs, the most this assignment"):
        submit(user, lab, {"n": 2}, seconds=61, scope="assignment:1", most=1)


def test_without_workers_nothing_is_stored(queue: Queue, user: User, lab: type[Lab]) -> None:
    channel.connection().delete(presence.presence_key("batch"))
    with pytest.raises(RunRefused) as caught:
        submit(user, lab)
    assert caught.value.kind == "no_worker" and not Submission.objects.exists()


# --- stops and repeats -------------------------------------------------------------------------------------------------


def test_a_cancelled_design_goes_on_where_it_was(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab)
    work(queue, steps=3)
    submission_cancel(submission=row, now=at(2))
    assert row.state == State.CANCELLED
    assert work(queue) == 1 and row.seeds.count() == 3, "the step that was under way does nothing"
    again = submit(user, lab, seconds=61)
    assert again.pk == row.pk
    assert work(queue) == STAGE_1 + STAGE_2 - 3
    row.refresh_from_db()
    assert row.verdict == "pass"


def test_a_step_that_comes_twice_changes_nothing(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab)
    queue.sent.append(dict(queue.sent[0]))
    steps = work(queue)
    row.refresh_from_db()
    assert row.verdict == "pass" and row.seeds.count() == STAGE_1 + STAGE_2
    assert steps <= STAGE_1 + STAGE_2 + 2
    grade = row.grade
    judging.submission_step(submission_id=str(row.pk), now=at(99))
    row.refresh_from_db()
    assert row.grade == grade and row.finished_at == at(1)


def test_the_seed_that_another_worker_stored_meanwhile_is_left_to_him(
    queue: Queue, user: User, lab: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = submit(user, lab)
    real = judging.run_seed

    def slow(*args: Any, **options: Any) -> Any:
        found = real(*args, **options)
        SubmissionSeed.objects.get_or_create(submission=row, stage=1, number=0, defaults={"values": dict(found.values), "ms": 1})
        return found

    monkeypatch.setattr(judging, "run_seed", slow)
    assert work(queue, steps=1) == 1 and not queue.sent


def test_a_lost_worker_is_noticed_and_given_up_in_the_end(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab)
    work(queue, steps=2)
    queue.sent.clear()  # the third step died with its worker
    channel.connection().delete(channel.alive_key(row.pk))
    assert judging.submissions_reap(now=at(30)) == 0, "not silent for long enough"
    assert judging.submissions_reap(now=at(62)) == 1 and len(queue.sent) == 1
    work(queue, 63)
    row.refresh_from_db()
    assert row.verdict == "pass"
    lost = submit(user, lab, {"n": 7}, seconds=200)
    for turn in range(judging.MOST_REQUEUED + 1):
        queue.sent.clear()
        judging.submissions_reap(now=at(300 + 61 * turn))
    lost.refresh_from_db()
    assert lost.state == State.FAILED and "does not count" in lost.error


def test_nothing_is_decided_while_a_worker_holds_the_lease_or_none_is_there(queue: Queue, user: User, lab: type[Lab]) -> None:
    row = submit(user, lab)
    queue.sent.clear()
    client = channel.connection()
    client.set(channel.alive_key(row.pk), "1")
    assert judging.submissions_reap(now=at(300)) == 0
    client.delete(channel.alive_key(row.pk))
    client.delete(presence.presence_key("batch"))
    assert judging.submissions_reap(now=at(300)) == 0


def test_a_fault_of_the_lab_gives_no_verdict(queue: Queue, user: User, lab: type[Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(Counter, "run", broken)
    row = submit(user, lab)
    work(queue)
    row.refresh_from_db()
    assert (row.state, row.verdict) == (State.FAILED, "") and "does not count" in row.error


def test_a_lab_that_was_updated_meanwhile_is_not_mixed(queue: Queue, user: User, lab: type[Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    row = submit(user, lab)
    work(queue, steps=2)
    monkeypatch.setattr(Counter, "version", 2)
    work(queue)
    row.refresh_from_db()
    assert row.state == State.CANCELLED and "updated" in row.error
    assert submit(user, lab, seconds=61).pk != row.pk


def test_one_reads_ones_own(queue: Queue, user: User, other: User, lab: type[Lab]) -> None:
    row = submit(user, lab)
    assert list(submissions_of(user)) == [row] and not submissions_of(other).exists()


def test_the_best_is_the_best_verdict_then_the_widest_margin() -> None:
    def row(verdict: str, slack: float, rate: float = 1.0) -> Submission:
        return Submission(state=State.DONE, verdict=verdict, grade={"slack": slack, "pass_rate": rate})

    rows = [row("fail", 50, 0.5), row("pass", 1), row("pass", 4), row("narrow_pass", 90)]
    assert best_of(rows) is rows[2] and best_of(rows[:1]) is rows[0] and best_of([]) is None
