"""The date pulls cards forward, lets them go again, and is asked for anew once it has passed."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mlsd_app.accounts.models import User
from mlsd_app.catalog.models import PhaseWork
from mlsd_app.quiz import queue, scheduling
from mlsd_app.quiz.bank import bank, items_of, readiness_items
from mlsd_app.quiz.days import day_start
from mlsd_app.quiz.models import Card, CardState, Plan, Source
from mlsd_app.quiz.plans import plan_of, plan_save, scope_of
from simulators.errors import InvalidInput
from tests.web.quiz.conftest import CHOICE, FLASHCARD, NOW, NUMBER, ORDER, SLUG, begin, card_of, give

TODAY = date(2026, 3, 2)


def save(user: User, now: datetime = NOW, **values: Any) -> Plan:
    return plan_save(user=user, now=now, **{"interview_date": None, **values})


def known(user: User, key: tuple[str, str] = CHOICE) -> Card:
    """A card in review, due in some days."""
    for minutes in (0, 10):
        give(user, begin(user, key, now=NOW), 0, now=NOW + timedelta(minutes=minutes))
    Card.objects.filter(user=user).update(due=NOW + timedelta(days=59), due_effective=NOW + timedelta(days=59))
    return card_of(user, key)


def test_a_date_set_later_pulls_cards_that_exist(user: User) -> None:
    card = known(user)
    plan = save(user, interview_date=TODAY + timedelta(days=30))
    card.refresh_from_db()
    assert card.due_effective == day_start(plan, TODAY + timedelta(days=28))
    assert card.due == NOW + timedelta(days=59), "its own date stays"
    due = [day for day in range(30) if queue.due_cards(plan=plan, now=NOW + timedelta(days=day))]
    assert due == [28, 29]


def test_a_date_moved_away_lets_cards_go_again(user: User) -> None:
    known(user)
    save(user, interview_date=TODAY + timedelta(days=10))
    save(user, interview_date=TODAY + timedelta(days=100))
    assert card_of(user, CHOICE).due_effective == NOW + timedelta(days=59)
    save(user, interview_date=TODAY + timedelta(days=5))
    assert card_of(user, CHOICE).due_effective < NOW + timedelta(days=5)
    save(user, interview_date=None)
    assert card_of(user, CHOICE).due_effective == NOW + timedelta(days=59)


def test_a_date_that_has_passed_pulls_no_longer(user: User) -> None:
    known(user)
    plan = save(user, interview_date=TODAY + timedelta(days=10))
    assert queue.due_cards(plan=plan, now=NOW + timedelta(days=9))
    assert not queue.due_cards(plan=plan, now=NOW + timedelta(days=11))


@pytest.mark.parametrize("cards", [1, 3])
def test_every_active_card_is_due_before_the_date(user: User, cards: int) -> None:
    plan = save(user, interview_date=TODAY + timedelta(days=12))
    for key in (CHOICE, NUMBER, FLASHCARD)[:cards]:
        give(user, begin(user, key), 0)
        give(user, begin(user, key), 0, now=NOW + timedelta(minutes=10))
    limit = scheduling.last_due(plan, NOW)
    assert limit is not None
    assert all(card.due_effective <= limit for card in Card.objects.filter(state=CardState.ACTIVE))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("interview_date", TODAY - timedelta(days=1)), ("interview_date", date(2126, 1, 1)), ("minutes_a_day", 0), ("new_limit", -1)),
        *(("desired_retention", 0.5), ("scope", ["nothing"]), ("timezone", "Mars/Olympus")),
    ],
)
def test_a_plan_that_cannot_be_is_refused_and_nothing_is_saved(user: User, field: str, value: Any) -> None:
    save(user, minutes_a_day=45)
    with pytest.raises(InvalidInput) as refused:
        save(user, **{field: value})
    assert refused.value.field == field
    assert plan_of(user).minutes_a_day == 45


def test_a_passed_date_may_stay_while_the_rest_changes(user: User) -> None:
    save(user, interview_date=TODAY)
    later = NOW + timedelta(days=3)
    assert save(user, now=later, interview_date=TODAY, minutes_a_day=50).minutes_a_day == 50
    with pytest.raises(InvalidInput):
        save(user, now=later, interview_date=TODAY + timedelta(days=1))


def test_today_is_where_the_plan_is(user: User) -> None:
    """Late in the evening in California it is tomorrow in London."""
    evening = datetime(2026, 3, 3, 5, 0, tzinfo=UTC)  # 21:00 on the 2nd in Los Angeles
    known(user)
    tonight = datetime(2026, 3, 3, 12, 30, tzinfo=UTC)  # after 04:00 on the 3rd there
    Card.objects.update(due=tonight, due_effective=tonight)
    assert not queue.due_cards(plan=save(user, now=evening, timezone="America/Los_Angeles"), now=evening)
    assert queue.due_cards(plan=save(user, now=evening, timezone="Europe/London"), now=evening)
    assert save(user, now=evening, timezone="America/Los_Angeles", interview_date=TODAY).interview_date == TODAY


# --- the queue -------------------------------------------------------------------------------------------------------


def active(user: User, key: tuple[str, str], **values: Any) -> Card:
    day_ago = NOW - timedelta(days=1)
    made = {"state": CardState.ACTIVE, "due": day_ago, "due_effective": day_ago, "last_review": NOW - timedelta(days=9), "stability": 8.0}
    return Card.objects.create(user=user, problem_slug=key[0], item_id=key[1], reviews=3, **{**made, **values})


def test_the_order_of_the_queue(user: User, plan: Plan) -> None:
    active(user, CHOICE, stability=50.0)
    active(user, NUMBER, stability=2.0)
    active(user, FLASHCARD, stability=90.0, sure_and_wrong=True)
    active(user, ORDER, learning=True)
    assert [due.key for due in queue.due_cards(plan=plan, now=NOW)] == [ORDER, FLASHCARD, NUMBER, CHOICE]


@pytest.mark.parametrize(
    "values", [{"state": CardState.SUSPENDED}, {"state": CardState.RETIRED}, {"buried_until": NOW + timedelta(hours=1)}]
)
def test_what_sleeps_is_not_asked(user: User, plan: Plan, values: dict[str, Any]) -> None:
    active(user, CHOICE, **values)
    assert queue.due_cards(plan=plan, now=NOW) == []


def test_new_cards_come_from_what_was_started_and_the_readiness_questions(user: User, plan: Plan) -> None:
    assert set(scope_of(plan)) == {slug for slug, _ in bank()}, "before anything was started: everything"
    PhaseWork.objects.create(user=user, problem=SLUG, phase="clarify")
    readiness = {entry.key for entries in readiness_items().values() for entry in entries}
    unseen = {entry.key for entry in queue.unseen_items(plan)}
    assert unseen == {entry.key for entry in items_of(SLUG)} | readiness
    chosen = save(user, scope=["rag"])
    assert {entry.problem.slug for entry in queue.unseen_items(chosen)} == {"rag"}


def test_what_was_missed_elsewhere_is_begun_first(user: User) -> None:
    plan = save(user, scope=["rag"])
    active(user, NUMBER, state=CardState.NEW, source=Source.MOCK)
    assert queue.today(plan=plan, now=NOW).new[0].key == NUMBER


def test_cards_begun_today_count(user: User, plan: Plan) -> None:
    assert len(queue.today(plan=plan, now=NOW).new) == scheduling.NEW_WITHOUT_DATE
    give(user, begin(user, CHOICE), 0)
    assert len(queue.today(plan=plan, now=NOW).new) == scheduling.NEW_WITHOUT_DATE - 1
    assert len(queue.today(plan=plan, now=NOW + timedelta(days=1)).new) == scheduling.NEW_WITHOUT_DATE


def test_five_thousand_cards_take_two_queries(user: User) -> None:
    save(user, interview_date=TODAY + timedelta(days=20))
    rows = [
        Card(
            **{
                "user": user,
                "problem_slug": f"problem_{number % 17}",
                "item_id": f"item.{number}",
                "state": CardState.ACTIVE,
                "reviews": 2,
            },
            **{"due": NOW - timedelta(hours=number % 900), "due_effective": NOW - timedelta(hours=number % 900)},
            **{"last_review": NOW - timedelta(days=3), "stability": 1 + number % 50, "fsrs": {"stability": 1.0}},
        )
        for number in range(5000)
    ]
    Card.objects.bulk_create(rows)
    active(user, CHOICE)
    with CaptureQueriesContext(connection) as queries:
        begun = time.process_time()
        due = queue.due_cards(plan=plan_of(user), now=NOW)
        seconds = time.process_time() - begun
    assert len(queries) == 2
    assert [card.key for card in due] == [CHOICE], "items that have left the bank are asked no more"
    assert seconds < 0.5
