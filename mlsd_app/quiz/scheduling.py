"""When a card comes back: FSRS, with an interview date as the horizon. Pure: plan, card and time come in, nothing is stored.

Two things hold before an interview. No interval is longer than the days left, and every card is due at the latest `final_days` before
the date, however long its own interval is. The first acts only on cards that are being reviewed, the second on all of them.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from django.conf import settings
from fsrs import Card as FsrsCard
from fsrs import Rating, Scheduler, State

from mlsd_app.quiz.days import day_of, day_start, days_left
from mlsd_app.quiz.models import Card, Plan

MAX_INTERVAL_DAYS = 3650
FINAL_DAYS, SHORT_FINAL_DAYS, SHORT_BELOW_DAYS = 2, 1, 7
MAX_NEW_A_DAY = 40
NEW_WITHOUT_DATE = 10
SLOW = 3.0  # times the item's own time
RIGHT, HALF = 1.0, 0.5


def scheduler(plan: Plan, now: datetime) -> Scheduler:
    """21 default parameters, steps of 1 and 10 minutes, no interval beyond the interview."""
    return Scheduler(desired_retention=plan.desired_retention, maximum_interval=cap_days(plan, now), enable_fuzzing=settings.QUIZ_FUZZ)


def cap_days(plan: Plan, now: datetime) -> int:
    """The longest interval a review at `now` may give. Once the date has passed it no longer binds."""
    left = days_left(plan, now)
    return MAX_INTERVAL_DAYS if left is None or left < 0 else max(1, left)


def fsrs_card(card: Card) -> FsrsCard:
    """The library's card. A new one gets our own id: the library would sleep to make one."""
    return FsrsCard.from_dict(card.fsrs) if card.fsrs else FsrsCard(card_id=card.pk, due=card.due)


def card_reviewed(card: Card, rating: int, plan: Plan, now: datetime) -> None:
    """Moves the columns of `card` on by one review; saves nothing."""
    reviewed, _ = scheduler(plan, now).review_card(fsrs_card(card), Rating(rating), counted_at(card, plan, now).astimezone(UTC))
    card.fsrs = dict(reviewed.to_dict())
    card.due = reviewed.due
    card.due_effective = due_effective(reviewed.due, plan, now)
    card.last_review = now
    card.stability = reviewed.stability
    card.learning = reviewed.state != State.Review
    card.reviews += 1


def counted_at(card: Card, plan: Plan, now: datetime) -> datetime:
    """The moment a review counts from: `now`, or the card's own due time when that comes later on the same day.

    The library counts whole periods of 24 hours, so that a card of two days seen ten minutes early would pass for one of one day.
    """
    early = bool(card.reviews) and not card.learning and card.due > now and day_of(plan, card.due) == day_of(plan, now)
    return card.due if early else now


# --- the date --------------------------------------------------------------------------------------------------------


def final_days(plan: Plan, now: datetime) -> int:
    left = days_left(plan, now)
    return SHORT_FINAL_DAYS if left is not None and left < SHORT_BELOW_DAYS else FINAL_DAYS


def last_due(plan: Plan, now: datetime) -> datetime | None:
    """No card is due after this moment; None without a date, or after it."""
    left = days_left(plan, now)
    if plan.interview_date is None or left is None or left < 0:
        return None
    return day_start(plan, plan.interview_date - timedelta(days=final_days(plan, now)))


def due_effective(due: datetime, plan: Plan, now: datetime) -> datetime:
    limit = last_due(plan, now)
    return due if limit is None else min(due, limit)


def seen_in_time(plan: Plan, now: datetime) -> datetime | None:
    """A card last seen at or after this moment needs no further look before the interview, beyond its own due date."""
    if plan.interview_date is None or last_due(plan, now) is None:
        return None
    return day_start(plan, plan.interview_date - timedelta(days=FINAL_DAYS))


# --- recall ----------------------------------------------------------------------------------------------------------


def recall_at(stability: float | None, last_review: datetime | None, at: datetime) -> float:
    """Predicted probability that a card is recalled at `at`; 0 for one never seen."""
    if not stability or last_review is None:
        return 0.0
    card = FsrsCard(card_id=0, state=State.Review, stability=stability, last_review=last_review, due=last_review)
    return float(_DEFAULT.get_card_retrievability(card, at))


_DEFAULT = Scheduler()


# --- ratings ---------------------------------------------------------------------------------------------------------


def rating_of(*, mark: float, confidence: str, ms: int, expect_s: float, hints: int) -> Rating:
    """The rating of an answer marked by rule. Easy is the user's own word, said after a right answer."""
    if mark < HALF:
        return Rating.Again
    slow = ms > SLOW * expect_s * 1000
    return Rating.Hard if mark < RIGHT or confidence == "guess" or slow or hints else Rating.Good


# --- new cards -------------------------------------------------------------------------------------------------------


def new_a_day(unseen: int, plan: Plan, now: datetime) -> int:
    """How many cards to begin today: what the date asks for unless the user set a limit."""
    if plan.new_limit is not None:
        return min(plan.new_limit, unseen)
    left = days_left(plan, now)
    if left is None or left < 0:
        return min(NEW_WITHOUT_DATE, unseen)
    return min(MAX_NEW_A_DAY, math.ceil(unseen / max(1, left - 3)))


def never_seen(unseen: int, plan: Plan, now: datetime) -> int:
    """How many of the unseen cards the interview will come too early for."""
    left = days_left(plan, now)
    if left is None or left < 0:
        return 0
    return max(0, unseen - new_a_day(unseen, plan, now) * max(1, left - 3))
