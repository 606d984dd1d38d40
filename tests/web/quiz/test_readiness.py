"""The readiness score against values computed by hand, the check of 15 questions, and the statistics."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.interviews.models import Attempt, RunLink, Status, Verdict
from mlsd_app.quiz import readiness, statistics
from mlsd_app.quiz.bank import bank, items_of, readiness_items
from mlsd_app.quiz.models import Card, CardState, Plan, Response, SittingKind
from mlsd_app.quiz.readiness import Part, ProblemScore, Score, combined, mock_part, numbers_part, recall_part
from mlsd_app.quiz.scheduling import recall_at
from mlsd_app.quiz.sittings import readiness_start
from mlsd_app.quiz.statistics import statistics_of, streak_of
from mlsd_app.runs.models import Run, RunState, StoredResult
from tests.web.quiz.conftest import CHOICE, FLASHCARD, NOW, NUMBER, ORDER, SLUG, begin, give, wrong

VALUES = {"recall": 80.0, "mock": 60.0, "numbers": 50.0}
BY_HAND = {  # (recall, mock, numbers known) -> (low, high): 50, 30 and 20 of 100
    (True, True, True): (68, 68),
    (True, True, False): (58, 78),
    (True, False, True): (50, 80),
    (True, False, False): (40, 90),
    (False, True, True): (28, 78),
    (False, True, False): (18, 88),
    (False, False, True): (10, 90),
    (False, False, False): (0, 100),
}


@pytest.mark.parametrize("known", list(product([True, False], repeat=3)), ids=str)
def test_what_is_not_known_makes_a_range(known: tuple[bool, bool, bool]) -> None:
    parts = [Part(key, value if is_known else None) for (key, value), is_known in zip(VALUES.items(), known, strict=True)]
    score = combined(parts)
    assert (score.low, score.high) == pytest.approx(BY_HAND[known])


def test_recall_counts_unseen_items_as_forgotten() -> None:
    assert recall_part([0.9] * 12, 24).value == pytest.approx(45)
    assert recall_part([0.9] * 11, 24).value is None
    assert recall_part([0.9] * 11, 24).missing == "answer 1 more question"
    assert recall_part([0.9] * 10, 24).missing == "answer 2 more questions"


def test_the_last_two_mocks_count_the_newest_twice() -> None:
    assert mock_part([]).value is None
    assert mock_part([70]).value == 70
    assert mock_part([90, 60, 0]).value == pytest.approx(80)


def test_numbers_take_the_last_twenty_and_calibration() -> None:
    assert numbers_part([1.0] * 4, []).value is None
    assert numbers_part([1.0] * 20 + [0.0] * 20, []).value == 100
    assert numbers_part([1.0, 0.5, 0.5, 0.0, 0.0], []).value == pytest.approx(40)
    assert numbers_part([1.0] * 5, [True, False]).value == 100, "two predictions exclude nothing"
    assert numbers_part([1.0] * 5, [True] * 5 + [False] * 15).value == 90, "5 of 20 is clearly not 80 %"
    assert numbers_part([1.0] * 5, [True] * 40).value == 90, "always right is too wide"
    assert numbers_part([0.0] * 5, [False] * 20).value == 0, "not below nothing"


def mock_of(user: User, score: float | None, days_ago: int, **changes: Any) -> Attempt:
    closed = NOW - timedelta(days=days_ago)
    values = {"user": user, "problem": SLUG, "status": Status.RELEASED, "phases": [], "closed_at": closed, **changes}
    attempt = Attempt.objects.create(**values)
    Verdict.objects.create(attempt=attempt, rubric_version=1, rule_version=1, level="senior", state="auto", score=1.0)
    Verdict.objects.create(attempt=attempt, rubric_version=2, rule_version=1, level="senior", state="auto", score=score)
    return attempt


def seen(user: User, count: int, stability: float = 10.0) -> None:
    for entry in items_of(SLUG)[:count]:
        values = {"state": CardState.ACTIVE, "due": NOW, "due_effective": NOW, "last_review": NOW, "stability": stability, "reviews": 2}
        Card.objects.create(user=user, problem_slug=SLUG, item_id=entry.item.id, **values)


def score_of(plan: Plan, slug: str = SLUG) -> ProblemScore:
    return next(row for row in readiness.readiness_of(plan=plan, now=NOW).problems if row.problem.slug == slug)


def values_of(score: ProblemScore) -> dict[str, float | None]:
    return {part.key: part.value for part in score.parts}


def test_a_person_is_scored_from_cards_mocks_and_answers(user: User, plan: Plan) -> None:
    seen(user, 14)
    mock_of(user, 55.0, days_ago=9)
    mock_of(user, 85.0, days_ago=2)
    mock_of(user, None, days_ago=1)
    for number in range(5):
        sitting = begin(user, NUMBER, schedules=False)
        give(user, sitting, 0, wrong(sitting, 0) if number == 0 else None, now=NOW + timedelta(minutes=number))
    score = score_of(plan)
    items = len(items_of(SLUG))
    assert values_of(score) == pytest.approx({"recall": 100 * 14 / items, "mock": 75.0, "numbers": 80.0})
    assert score.score.known
    assert score.score.low == pytest.approx(0.5 * 100 * 14 / items + 0.3 * 75 + 0.2 * 80)


def test_recall_is_that_of_the_interview_day(user: User, plan: Plan) -> None:
    seen(user, 12)
    today = values_of(score_of(plan))["recall"]
    plan.interview_date = NOW.date() + timedelta(days=20)
    plan.save()
    then = values_of(score_of(plan))["recall"]
    expected = 100 * 12 * recall_at(10.0, NOW, NOW.replace(hour=4) + timedelta(days=20)) / len(items_of(SLUG))
    assert then == pytest.approx(expected)
    assert today is not None and then < today


@pytest.mark.parametrize("changes", [{"status": Status.GRADED}, {"show_score": False}, {"status": Status.VOID}], ids=str)
def test_marks_one_may_not_see_count_nowhere(user: User, plan: Plan, changes: dict[str, Any]) -> None:
    mock_of(user, 90.0, days_ago=1, kind="assigned", **changes)
    assert values_of(score_of(plan))["mock"] is None


def test_predictions_are_read_from_runs(user: User, plan: Plan) -> None:
    attempt = mock_of(user, 50.0, days_ago=1)
    result = StoredResult.objects.create(cache_key="k", metrics=[{"key": "recall", "value": 0.9}], body={})
    for number in range(20):
        run = Run.objects.create(
            **{"user": user, "problem": SLUG, "lab": "filters", "lab_version": 1, "params": {}, "cache_key": "k"},
            **{"state": RunState.DONE, "result": result},
        )
        prediction = {"metric": "recall", "lower": 0.1, "upper": 0.2}
        RunLink.objects.create(attempt=attempt, run=run, number=number, phase="x", at=NOW, prediction=prediction)
    for number in range(5):
        give(user, begin(user, NUMBER, schedules=False), 0, now=NOW + timedelta(minutes=number))
    assert values_of(score_of(plan))["numbers"] == 90


def test_overall_is_the_mean_of_what_is_in_scope(user: User, plan: Plan) -> None:
    seen(user, 14)
    plan.scope = [SLUG, "rag"]
    plan.save()
    ready = readiness.readiness_of(plan=plan, now=NOW)
    assert [row.problem.slug for row in ready.problems] == ["rag", SLUG]
    assert ready.overall.low == pytest.approx(sum(row.score.low for row in ready.problems) / 2)


def test_the_next_step_is_the_one_that_brings_most(user: User, plan: Plan) -> None:
    plan.scope = [SLUG]
    plan.save()
    assert readiness.readiness_of(plan=plan, now=NOW).step.kind == "new"  # type: ignore[union-attr]
    seen(user, len(items_of(SLUG)), stability=1000.0)
    assert readiness.readiness_of(plan=plan, now=NOW).step.kind == "mock"  # type: ignore[union-attr]
    mock_of(user, 95.0, days_ago=1)
    assert readiness.readiness_of(plan=plan, now=NOW).step.kind == "numbers"  # type: ignore[union-attr]


def test_what_to_leave_out_is_what_was_least_begun() -> None:
    rows = [
        ProblemScore(bank()[key].problem, (), Score(0, 100), 15, seen, 0) for key, seen in ((CHOICE, 9), (("rag", "rag.free.readiness"), 2))
    ]
    assert [row.problem.slug for row in readiness.least_begun(rows, 5)] == ["rag"]
    assert readiness.least_begun(rows, 0) == []


# --- the check -------------------------------------------------------------------------------------------------------


def test_the_check_asks_the_fifteen_questions_rule_first(user: User) -> None:
    assert sorted(readiness_items()) == list(range(1, 16))
    for entries in readiness_items().values():
        types = [entry.item.type for entry in entries]
        assert types[-1] == "free"
        assert "free" not in types[:-1]


def test_the_check_tells_the_time_its_parts_take_and_gives_as_much(mine: Client, user: User) -> None:
    expected_s = sum(entry.item.expect_s for entries in readiness_items().values() for entry in entries)
    limit_s = readiness_start(user=user, now=NOW, timed=True).limit_s
    assert limit_s is not None and expected_s <= limit_s < expected_s + 300
    page = mine.get("/quiz/readiness/").content.decode()
    assert f"about {limit_s // 60} minutes" in page


def test_a_question_is_held_when_every_part_earns_half(user: User, plan: Plan) -> None:
    sitting = begin(user, CHOICE, NUMBER, kind=SittingKind.READINESS)
    for key, number in ((CHOICE, 3), (NUMBER, 3)):
        sitting.content["/".join(key)]["readiness"] = number
    sitting.save()
    assert readiness.question_results(sitting) == {3: None}
    give(user, sitting, 0)
    assert readiness.question_results(sitting) == {3: True}
    give(user, sitting, 1, wrong(sitting, 1))
    assert readiness.question_results(sitting) == {3: False}


def test_a_check_repeated_soon_is_marked_as_such(user: User, plan: Plan) -> None:
    for days in (0, 6, 20):
        moment = NOW + timedelta(days=days)
        give(user, readiness_start(user=user, now=moment, timed=False), 0, now=moment)
    readiness_start(user=user, now=NOW + timedelta(days=21), timed=False)  # nothing answered: not taken
    checks = readiness.checks_of(user.pk)
    assert [check.repeated for check in checks] == [False, True, False]
    assert all((check.held, check.of) == (1, 15) for check in checks)
    assert [row.number for row in readiness.check_table(checks)] == list(range(1, 16))


# --- statistics ------------------------------------------------------------------------------------------------------


def test_statistics_count_what_stands(user: User, plan: Plan) -> None:
    for days in (0, 0.01, 3, 4):
        moment = NOW + timedelta(days=days)
        sitting = begin(user, CHOICE, FLASHCARD, ORDER, now=moment)
        give(user, sitting, 0, wrong(sitting, 0) if days == 4 else None, now=moment, ms=30_000)
    later = NOW + timedelta(days=4)
    found = statistics_of(plan=plan, now=later)
    assert (found.answers, found.retention.hits, found.retention.n) == (4, 1, 2)
    low, high = found.retention.interval  # type: ignore[misc]
    assert 0 < low < 0.5 < high < 1
    assert [(row.name, row.n) for row in found.by_type] == [("Choice", 4)]
    assert found.by_type[0].mark == 0.75
    assert (len(found.days), sum(day.reviews for day in found.days)) == (statistics.DAYS_BACK, 4)
    assert sum(day.minutes for day in found.days) == pytest.approx(2.0)
    assert [(hard.entry.key, hard.again, hard.n) for hard in found.hardest] == [(CHOICE, 1, 4)]
    assert sum(count for _, count in found.forecast) == 1
    assert streak_of(plan, later) == 2
    assert streak_of(plan, later + timedelta(days=2)) == 0


def test_without_answers_nothing_is_claimed(user: User, plan: Plan) -> None:
    found = statistics_of(plan=plan, now=NOW)
    assert (found.answers, found.retention.value, found.retention.interval, found.weak_tags) == (0, None, None, ())
    assert not Response.objects.exists()
