"""The schedule holds its laws for whoever answers however; nothing here touches the database."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from fsrs import Card as FsrsCard
from fsrs import Rating, Scheduler
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.quiz import scheduling
from mlsd_app.quiz.days import date_passed, day_of, day_start, days_left
from mlsd_app.quiz.models import Card, CardState, Plan
from tests.web.quiz.conftest import NOW

DAYS = 30


def plan_for(days: int | None, zone: str = "UTC", **values: object) -> Plan:
    plan = Plan(timezone=zone, **values)
    if days is not None:
        plan.interview_date = day_of(plan, NOW) + timedelta(days=days)
    return plan


def new_card(number: int, now: datetime = NOW) -> Card:
    return Card(pk=number, due=now, due_effective=now, state=CardState.NEW)


def is_due(card: Card, plan: Plan, now: datetime) -> bool:
    """As `queue.due_filter` asks the database."""
    needed_by, tonight = scheduling.seen_in_time(plan, now), day_start(plan, day_of(plan, now) + timedelta(days=1))
    own = card.due <= now if card.learning else card.due < tonight
    seen = card.last_review or now
    return own or (needed_by is not None and card.due_effective < tonight and seen < needed_by)


class Learner:
    """Comes every day at some hour, begins what the plan asks for, answers what is due with a chance of its own to know it."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.random, self.plan = random.Random(seed), plan
        self.known = self.random.uniform(0.5, 0.98)
        self.unseen = [new_card(number) for number in range(self.random.randint(3, 15))]
        self.active: list[Card] = []
        self.reviewed: dict[int, list[int]] = {}

    def live(self, days: int) -> None:
        for day in range(days):
            self.day(day, NOW.replace(hour=5) + timedelta(days=day, minutes=self.random.randint(0, 900)))

    def day(self, day: int, now: datetime) -> None:
        for _ in range(scheduling.new_a_day(len(self.unseen), self.plan, now)):
            self.active.append(self.unseen.pop())
            self.answer(self.active[-1], day, now)
        for card in [card for card in self.active if is_due(card, self.plan, now)]:
            self.answer(card, day, now)

    def answer(self, card: Card, day: int, now: datetime) -> None:
        for step in range(4):  # steps of minutes are taken at one sitting
            rating = 3 if self.random.random() < self.known else self.random.choice((1, 2))
            before = now + timedelta(minutes=11 * step)
            counted = scheduling.counted_at(card, self.plan, before)
            scheduling.card_reviewed(card, rating, self.plan, before)
            self.check(card, before, counted)
            if not card.learning:
                break
        self.reviewed.setdefault(card.pk, []).append(day)

    def check(self, card: Card, now: datetime, counted: datetime) -> None:
        assert self.plan.interview_date is not None
        left = days_left(self.plan, now)
        assert left is not None
        assert card.due - counted <= timedelta(days=max(1, left)), "an interval above the cap"
        last = day_start(self.plan, self.plan.interview_date - timedelta(days=scheduling.final_days(self.plan, now)))
        assert card.due_effective <= last


@pytest.mark.parametrize(("fuzz", "seeds"), [(False, range(50)), (True, range(50, 300))], ids=["exact", "fuzzed"])
def test_three_hundred_learners_see_everything_in_time(settings: Any, fuzz: bool, seeds: range) -> None:
    settings.QUIZ_FUZZ = fuzz
    for seed in seeds:
        learner = Learner(seed, plan_for(DAYS))
        learner.live(DAYS)
        late = [number for number, days in learner.reviewed.items() if days[-1] < DAYS * 2 / 3]
        assert not late, f"learner {seed} saw {late} for the last time before the last third"


def test_all_good_without_a_date_and_with_one() -> None:
    """The intervals the method promises: 2, 11 and 46 days; with a date the third comes before it."""
    assert reviews_of(plan_for(None), 70) == [0, 2, 13, 59]
    assert reviews_of(plan_for(30), 30) == [0, 2, 13, 28]


def reviews_of(plan: Plan, days: int) -> list[int]:
    card, seen = new_card(1), []
    for day in range(days):
        now = NOW + timedelta(days=day)
        if is_due(card, plan, now):
            seen.append(day)
            scheduling.card_reviewed(card, 3, plan, now)
            if card.learning:
                scheduling.card_reviewed(card, 3, plan, now + timedelta(minutes=10))
    return seen


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60 * 24 * 20)), min_size=1, max_size=12))
def test_a_card_is_what_the_library_makes_of_its_reviews(reviews: list[tuple[int, int]]) -> None:
    card, theirs = new_card(7), FsrsCard(card_id=7, due=NOW)
    library = Scheduler(maximum_interval=scheduling.MAX_INTERVAL_DAYS, enable_fuzzing=False)
    now = NOW
    for rating, minutes in reviews:
        counted = scheduling.counted_at(card, plan_for(None), now)
        assert now <= counted < now + timedelta(days=1)
        scheduling.card_reviewed(card, rating, plan_for(None), now)
        theirs, _ = library.review_card(theirs, Rating(rating), counted)
        now += timedelta(minutes=minutes)
    assert card.fsrs == theirs.to_dict()
    assert (card.due, card.stability) == (theirs.due, theirs.stability)


def test_recall_is_the_librarys() -> None:
    card = new_card(7)
    scheduling.card_reviewed(card, 3, plan_for(None), NOW)
    for days in (0, 1, 5, 40):
        at = NOW + timedelta(days=days)
        assert scheduling.recall_at(card.stability, card.last_review, at) == Scheduler().get_card_retrievability(
            scheduling.fsrs_card(card), at
        )
    assert scheduling.recall_at(None, None, NOW) == 0


def test_the_cap_shrinks_day_by_day() -> None:
    plan = plan_for(5)
    assert [scheduling.cap_days(plan, NOW + timedelta(days=day)) for day in range(5)] == [5, 4, 3, 2, 1]
    assert scheduling.cap_days(plan, NOW + timedelta(days=5)) == 1, "on the day itself"
    assert scheduling.cap_days(plan, NOW + timedelta(days=6)) == scheduling.MAX_INTERVAL_DAYS, "afterwards nothing is capped"


def test_a_date_that_has_passed_pulls_nothing() -> None:
    plan, later = plan_for(1), NOW + timedelta(days=3)
    assert date_passed(plan, later)
    assert scheduling.last_due(plan, later) is None
    due = later + timedelta(days=100)
    assert scheduling.due_effective(due, plan, later) == due


def test_the_last_days_ask_each_card_once_more_and_not_twice() -> None:
    """Seen two days before the date: its own due date counts from there on."""
    plan, card = plan_for(30), new_card(1)
    moment = NOW + timedelta(days=28)
    for rating in (3, 3):
        scheduling.card_reviewed(card, rating, plan, moment)
    assert not is_due(card, plan, moment + timedelta(hours=1))


@pytest.mark.parametrize(
    ("mark", "confidence", "seconds", "hints", "rating"),
    [
        (0.0, "sure", 5, 0, Rating.Again),
        (0.49, "guess", 5, 0, Rating.Again),
        (0.5, "sure", 5, 0, Rating.Hard),
        (0.99, "sure", 5, 0, Rating.Hard),
        (1.0, "guess", 5, 0, Rating.Hard),
        (1.0, "sure", 121, 0, Rating.Hard),
        (1.0, "sure", 120, 0, Rating.Good),
        (1.0, "think", 5, 1, Rating.Hard),
        (1.0, "", 5, 0, Rating.Good),
    ],
)
def test_ratings(mark: float, confidence: str, seconds: int, hints: int, rating: Rating) -> None:
    assert scheduling.rating_of(mark=mark, confidence=confidence, ms=seconds * 1000, expect_s=40, hints=hints) == rating


@pytest.mark.parametrize(
    ("unseen", "days", "limit", "wanted", "left_out"),
    [
        (100, 23, None, 5, 0),
        (300, 8, None, 40, 100),
        (100, 23, 3, 3, 40),
        (7, None, None, 7, 0),
        (300, None, None, 10, 0),
        (10, 0, 0, 0, 10),
    ],
)
def test_new_cards_a_day(unseen: int, days: int | None, limit: int | None, wanted: int, left_out: int) -> None:
    plan = plan_for(days, new_limit=limit)
    assert scheduling.new_a_day(unseen, plan, NOW) == wanted
    assert scheduling.never_seen(unseen, plan, NOW) == left_out


# --- days ------------------------------------------------------------------------------------------------------------


def test_the_day_begins_at_four_where_the_plan_is() -> None:
    tokyo = Plan(timezone="Asia/Tokyo")
    assert day_of(tokyo, datetime.fromisoformat("2026-03-02T18:59:00+00:00")) == date(2026, 3, 2), "03:59 there is still yesterday"
    assert day_of(tokyo, datetime.fromisoformat("2026-03-02T19:00:00+00:00")) == date(2026, 3, 3)


@given(
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]),
)
def test_a_day_begins_where_the_one_before_ends(day: date, zone: str) -> None:
    """Also in the nights the clocks change."""
    plan = Plan(timezone=zone)
    start = day_start(plan, day)
    assert day_of(plan, start) == day
    assert day_of(plan, start - timedelta(seconds=1)) < day
