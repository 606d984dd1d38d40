"""What the demo candidate has done: a plan with a date, and a first day of cards with mistakes in it."""

from __future__ import annotations

from datetime import datetime, timedelta

from mlsd_app.accounts.models import User
from mlsd_app.quiz import sittings
from mlsd_app.quiz.bank import SELF_TYPES, items_of
from mlsd_app.quiz.models import Plan, Sitting, SittingKind
from mlsd_app.quiz.plans import plan_save
from mlsd_app.quiz.responses import Given, answer_reveal, response_give
from mlsd_app.quiz.served import served

PROBLEM, DAYS_AHEAD, CARDS = "vector_search", 30, 8
MISSED = (3, 5)  # choices answered wrongly, the first of them in full confidence


def demo_quiz(*, user: User, now: datetime) -> bool:
    """Makes it once; False when the user has a plan already."""
    if Plan.objects.filter(user=user).exists():
        return False
    day = (now + timedelta(days=DAYS_AHEAD)).date()
    plan_save(user=user, now=now, interview_date=day, minutes_a_day=25, scope=[PROBLEM, "rag", "llm_serving"])
    begun = now - timedelta(days=1)
    keys = [entry.key for entry in items_of(PROBLEM) if entry.item.type != "lab"][:CARDS]
    sitting = sittings.sitting_create(user=user, kind=SittingKind.DAILY, keys=keys, now=begun, seed=1)
    for place in range(len(keys)):
        _answer(user, sitting, place, begun + timedelta(seconds=40 * place))
    sittings.sitting_close(sitting=sitting, now=begun + timedelta(minutes=10))
    return True


def _answer(user: User, sitting: Sitting, place: int, at: datetime) -> None:
    asked = served(sitting, place)
    right = asked.question.right()
    if asked.item.type in SELF_TYPES:
        answer_reveal(user=user, sitting=sitting, place=place, text="", now=at)
        given = Given(right, f"demo-answer-{place}", ms=22_000, rating=3)
    else:
        answer = {"picked": [int(0 in right["picked"])]} if place in MISSED else right
        given = Given(answer, f"demo-answer-{place}", confidence="sure" if place == MISSED[0] else "think", ms=31_000)
    response_give(user=user, sitting=sitting, place=place, given=given, now=at)
