"""What was missed in a mock, mispredicted in a lab or failed in a drill becomes one card each, however often it is asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mlsd_app.accounts.merge import guest_merge
from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import guest_create
from mlsd_app.interviews.models import Attempt, Curveball, Event, ItemScore, RunLink, ScoreState, Status
from mlsd_app.quiz.bank import bank, items_of
from mlsd_app.quiz.cards import card_change, cards_from_attempt
from mlsd_app.quiz.errors import Refused
from mlsd_app.quiz.models import Card, CardState, Response, Source
from mlsd_app.runs.models import Run, RunState, StoredResult
from problems.loader import load_problem
from simulators.errors import InvalidInput
from tests.web.quiz.conftest import CHOICE, LAB, NOW, NUMBER, SLUG, begin, card_of, give

PROBLEM = load_problem(SLUG)
assert PROBLEM.rubric and PROBLEM.interviewer


@pytest.fixture
def attempt(user: User) -> Attempt:
    """A finished mock of which nothing was missed yet: every needed fact was asked for."""
    assert PROBLEM.rubric and PROBLEM.interviewer
    content = {"interviewer": PROBLEM.interviewer.model_dump(mode="json"), "rubric": PROBLEM.rubric.model_dump(mode="json")}
    made = Attempt.objects.create(user=user, problem=SLUG, status=Status.RELEASED, phases=[], content=content)
    needed = [fact.id for fact in PROBLEM.interviewer.facts if fact.needed]
    Event.objects.create(attempt=made, seq=1, at=NOW, kind="question", data={"facts": needed})
    return made


def lose(attempt: Attempt, item: str, points: float | None = 0.0, state: str = ScoreState.AUTO) -> ItemScore:
    return ItemScore.objects.create(attempt=attempt, item_id=item, rubric_version=1, state=state, points=points, max=2)


def predict(attempt: Attempt, value: float | None, lower: float, upper: float, metric: str = "recall@ivf_pq") -> RunLink:
    result = StoredResult.objects.create(cache_key="k", metrics=[{"key": metric, "value": value}], body={})
    run = Run.objects.create(
        **{"user": attempt.user, "problem": SLUG, "lab": "index_tradeoffs", "lab_version": 1, "params": {}, "cache_key": "k"},
        **{"state": RunState.DONE, "result": result},
    )
    prediction = {"metric": metric, "lower": lower, "upper": upper}
    return RunLink.objects.create(
        attempt=attempt, run=run, number=RunLink.objects.count() + 1, phase="deep_dive", at=NOW, prediction=prediction
    )


def repairing(*rubric: str) -> set[str]:
    return {entry.item.id for entry in items_of(SLUG) if set(rubric) & set(entry.item.rubric)}


def keys(cards: list[Card]) -> set[str]:
    return {card.item_id for card in cards}


def test_lost_points_become_the_cards_that_repair_them(user: User, attempt: Attempt) -> None:
    lose(attempt, "deep_dive.filters")
    lose(attempt, "capacity.raw", points=2.0)
    lose(attempt, "deep_dive.plateau", points=None, state=ScoreState.UNGRADED)
    made = cards_from_attempt(user=user, attempt=attempt, now=NOW)
    assert keys(made) == repairing("deep_dive.filters") != set()
    assert {(card.source, card.source_ref, card.state) for card in made} == {(Source.MOCK, f"attempt:{attempt.pk}", CardState.NEW)}


def test_the_mark_that_stands_decides(user: User, attempt: Attempt) -> None:
    first = lose(attempt, "deep_dive.filters")
    first.superseded_by = lose(attempt, "deep_dive.filters", points=2.0, state=ScoreState.HUMAN)
    first.save()
    assert cards_from_attempt(user=user, attempt=attempt, now=NOW) == []


def test_a_fact_nobody_asked_for_becomes_cards(user: User, attempt: Attempt) -> None:
    assert PROBLEM.rubric
    asked_for = {fact: item.id for item in PROBLEM.rubric.items if item.grade == "fact" for fact in item.needs}
    needed = Event.objects.get().data["facts"]
    missed = next(fact for fact in needed if repairing(asked_for.get(fact, "")))
    Event.objects.update(data={"facts": [fact for fact in needed if fact != missed]})
    assert keys(cards_from_attempt(user=user, attempt=attempt, now=NOW)) == repairing(asked_for[missed])


def test_a_failed_drill_becomes_a_question_at_its_lab(user: User, attempt: Attempt) -> None:
    shared: dict[str, Any] = {"attempt": attempt, "phase": "deep_dive", "text": "x", "shown_at": NOW}
    Curveball.objects.create(**shared, key="strange_clients", lab="index_tradeoffs", state="missed")
    Curveball.objects.create(**shared, key="new_model", lab="model_migration", state="recovered")
    made = cards_from_attempt(user=user, attempt=attempt, now=NOW)
    assert [card.source for card in made] == [Source.DRILL]
    assert bank()[made[0].key].item.lab == "index_tradeoffs"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "lower", "upper", "missed"),
    [
        (0.5, 0.4, 0.6, False),
        (0.7, 0.4, 0.6, True),
        (0.3, 0.4, 0.6, True),
        (0.1, 0.0, 1.0, True),
        (0.4, 0.0, 1.0, False),
        (None, 0, 1, False),
    ],
)
def test_a_missed_prediction_becomes_a_lab_card(
    user: User, attempt: Attempt, value: float | None, lower: float, upper: float, missed: bool
) -> None:
    link = predict(attempt, value, lower, upper)
    made = cards_from_attempt(user=user, attempt=attempt, now=NOW)
    assert [(card.key, card.source, card.source_ref) for card in made] == [(LAB, Source.PREDICTION, f"run:{link.run_id}")] * missed


def test_each_reason_makes_exactly_one_card(user: User, attempt: Attempt) -> None:
    lose(attempt, "deep_dive.filters")
    lose(attempt, "deep_dive.plateau")
    predict(attempt, 0.9, 0.1, 0.2)
    predict(attempt, 0.8, 0.1, 0.2)
    first = cards_from_attempt(user=user, attempt=attempt, now=NOW)
    before = list(Card.objects.order_by("pk").values())
    again = cards_from_attempt(user=user, attempt=attempt, now=NOW + timedelta(days=1))
    assert list(Card.objects.order_by("pk").values()) == before
    assert {card.pk for card in first} == {card.pk for card in again}
    assert len(before) == len({row["item_id"] for row in before}) == len(first)


def test_a_card_in_review_is_asked_sooner_and_loses_nothing(user: User, attempt: Attempt) -> None:
    give(user, begin(user, CHOICE), 0)
    give(user, begin(user, CHOICE), 0, now=NOW + timedelta(minutes=10))
    before = card_of(user, CHOICE)
    lose(attempt, "deep_dive.filters")
    later = NOW + timedelta(hours=1)
    cards_from_attempt(user=user, attempt=attempt, now=later)
    after = card_of(user, CHOICE)
    assert after.due_effective == later < before.due_effective
    assert (after.fsrs, after.reviews, after.source) == (before.fsrs, before.reviews, Source.MOCK)


def test_a_suspended_card_stays_suspended(user: User, attempt: Attempt) -> None:
    card_change(user=user, key=CHOICE, action="suspend", now=NOW)
    lose(attempt, "deep_dive.filters")
    cards_from_attempt(user=user, attempt=attempt, now=NOW)
    assert card_of(user, CHOICE).state == CardState.SUSPENDED


def test_marks_that_are_not_released_teach_nothing(user: User, attempt: Attempt) -> None:
    lose(attempt, "deep_dive.filters")
    Attempt.objects.update(kind="assigned", status=Status.GRADED)
    attempt.refresh_from_db()
    with pytest.raises(Refused) as refused:
        cards_from_attempt(user=user, attempt=attempt, now=NOW)
    assert refused.value.code == "not_released"


def test_the_page_makes_cards_of_ones_own_interview_only(mine: Client, other: User, attempt: Attempt) -> None:
    lose(attempt, "deep_dive.filters")
    url = reverse("quiz:from_attempt", args=[attempt.pk])
    assert mine.post(url).url == reverse("quiz:today")  # type: ignore[attr-defined]
    assert Card.objects.count() == len(repairing("deep_dive.filters"))
    stranger = Client()
    assert stranger.post(url).status_code == 404
    stranger.force_login(other)
    assert stranger.post(url).status_code == 404


# --- what one does with a card ---------------------------------------------------------------------------------------


def test_suspend_resume_bury_reset(user: User) -> None:
    give(user, begin(user, CHOICE), 0)
    states = [card_change(user=user, key=CHOICE, action=action, now=NOW).state for action in ("suspend", "resume", "bury", "reset")]
    assert states == [CardState.SUSPENDED, CardState.ACTIVE, CardState.ACTIVE, CardState.NEW]
    card = card_of(user, CHOICE)
    assert (card.fsrs, card.reviews, card.buried_until) == ({}, 0, None)
    with pytest.raises(InvalidInput):
        card_change(user=user, key=CHOICE, action="burn", now=NOW)
    with pytest.raises(InvalidInput):
        card_change(user=user, key=("vector_search", "no.such"), action="reset", now=NOW)


def test_a_buried_card_sleeps_until_four_tomorrow(user: User) -> None:
    card = card_change(user=user, key=CHOICE, action="bury", now=NOW)
    assert card.buried_until == NOW.replace(hour=4) + timedelta(days=1)


# --- a guest signs in ------------------------------------------------------------------------------------------------


def times(user: User, key: tuple[str, str], count: int) -> dict[str, Any]:
    for number in range(count):
        moment = NOW + timedelta(days=number)
        give(user, begin(user, key, now=moment), 0, now=moment)
    return dict(card_of(user, key).fsrs)


@pytest.mark.parametrize(("own", "theirs"), [(1, 3), (3, 1)])
def test_the_card_that_got_further_stays(user: User, own: int, theirs: int) -> None:
    guest = guest_create()
    mine, guests = times(user, CHOICE, own), times(guest, CHOICE, theirs)
    guests_only = times(guest, NUMBER, 1)
    guest_merge(guest=guest, into=user)
    assert card_of(user, CHOICE).fsrs == (mine if own > theirs else guests)
    assert card_of(user, NUMBER).fsrs == guests_only
    assert Card.objects.count() == 2
    assert Response.objects.filter(user=user).count() == own + theirs + 1, "no answer is lost"


def test_a_plan_survives_signing_in(user: User) -> None:
    from mlsd_app.quiz.plans import plan_of, plan_save

    guest = guest_create()
    plan_save(user=guest, now=NOW, interview_date=NOW.date() + timedelta(days=9), minutes_a_day=35)
    guest_merge(guest=guest, into=user)
    assert (plan_of(user).minutes_a_day, plan_of(user).interview_date) == (35, NOW.date() + timedelta(days=9))


def test_the_bank_repairs_what_the_rubric_asks() -> None:
    """Without links from questions to rubric items nothing missed in a mock could come back."""
    linked = {slug for (slug, _), entry in bank().items() if entry.item.rubric}
    assert linked == {slug for slug, _ in bank()}
