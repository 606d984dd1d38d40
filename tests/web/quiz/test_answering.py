"""Answers count once, move the card as the library would, and can be taken back for ten minutes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fsrs import Card as FsrsCard
from fsrs import Rating, Scheduler

from mlsd_app.accounts.models import User
from mlsd_app.quiz import responses, scheduling, sittings
from mlsd_app.quiz.bank import BankItem, Key, bank
from mlsd_app.quiz.errors import Refused
from mlsd_app.quiz.models import Card, CardState, Instance, Plan, Response, ResponseKind, SittingKind, SittingStatus
from mlsd_app.quiz.queue import due_cards, today
from simulators.errors import InvalidInput
from simulators.units import UnitError
from tests.web.quiz.conftest import CHOICE, EVERY_TYPE, FLASHCARD, FREE, LAB, NOW, NUMBER, ORDER, begin, card_of, give, instance_of, wrong


def replayed(user: User, card: Card) -> dict[str, Any]:
    """The library's own card after the answers that stand."""
    library = Scheduler(enable_fuzzing=False, maximum_interval=scheduling.MAX_INTERVAL_DAYS)
    theirs = FsrsCard(card_id=card.pk, due=NOW)
    taken_back = Response.objects.filter(kind=ResponseKind.UNDO).values_list("of", flat=True)
    rows = Response.objects.filter(user=user, item_id=card.item_id, kind=ResponseKind.ANSWER).exclude(pk__in=taken_back)
    for row in rows.order_by("at"):
        changed = row.amendments.filter(kind=ResponseKind.RATING).last()
        theirs, _ = library.review_card(theirs, Rating((changed or row).rating), row.at)
    return dict(theirs.to_dict())


@pytest.mark.parametrize("key", EVERY_TYPE, ids=lambda key: bank()[key].item.type)
def test_every_type_is_answered_and_scheduled(user: User, instance: Instance, key: Key) -> None:
    row = give(user, begin(user, key), 0, ms=5000)
    card = card_of(user, key)
    assert row.rating == responses.GOOD
    assert row.mark in (None, 1.0) or key == FREE
    assert (card.state, card.reviews, card.learning) == (CardState.ACTIVE, 1, True)
    assert card.fsrs == replayed(user, card)
    assert row.instance_id == (instance.pk if key == LAB else None)


@pytest.mark.parametrize("key", [CHOICE, NUMBER, ORDER, LAB], ids=lambda key: bank()[key].item.type)
def test_a_wrong_answer_comes_again_and_sure_and_wrong_first(user: User, plan: Plan, instance: Instance, key: Key) -> None:
    sitting = begin(user, key, FLASHCARD)
    row = give(user, sitting, 0, wrong(sitting, 0), confidence="sure")
    give(user, sitting, 1, rating=1, now=NOW - timedelta(hours=1))
    card = card_of(user, key)
    assert (row.mark, row.rating, card.sure_and_wrong) == (0.0, responses.AGAIN, True)
    Card.objects.update(learning=False)
    assert [due.key for due in due_cards(plan=plan, now=NOW + timedelta(minutes=2))] == [key, FLASHCARD]


def test_the_state_is_the_librarys_replay_of_the_answers(user: User) -> None:
    """Through mistakes, hints, an answer taken back and one called easy."""
    moment = NOW
    for number, (days, ok, hint) in enumerate([(0, True, 0), (0.01, True, 0), (3, False, 0), (3.01, True, 1), (9, True, 0), (30, True, 0)]):
        moment = NOW + timedelta(days=days)
        sitting = begin(user, CHOICE, now=moment)
        if hint:
            responses.hint_take(user=user, sitting=sitting, place=0, now=moment)
        row = give(user, sitting, 0, None if ok else wrong(sitting, 0), now=moment)
        if number == 4:
            responses.response_undo(user=user, response=row, op_id="taken-back", now=moment)
        if number == 5:
            responses.response_rate(user=user, response=row, rating=4, op_id="was-easy", now=moment + timedelta(minutes=1))
    card = card_of(user, CHOICE)
    assert card.fsrs == replayed(user, card)
    assert card.reviews == 5
    assert [row.rating for row in Response.objects.filter(kind="answer")] == [3, 3, 1, 2, 3, 3], "the rows themselves stay as they were"


# --- once ------------------------------------------------------------------------------------------------------------


def test_the_same_operation_is_answered_with_the_same_row(user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER)
    first = give(user, sitting, 0, op_id="operation-1")
    again = give(user, sitting, 0, wrong(sitting, 0), op_id="operation-1")
    assert (first.pk, first.mark) == (again.pk, again.mark)
    assert card_of(user, CHOICE).reviews == 1


def test_two_devices_answer_the_same_question(user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER)
    give(user, sitting, 0, op_id="on-the-phone")
    with pytest.raises(Refused) as refused:
        give(user, sitting, 0, wrong(sitting, 0), op_id="on-the-laptop")
    assert (refused.value.code, refused.value.status) == ("already_answered", 409)
    assert Response.objects.count() == 1


def test_two_devices_start_the_day_once(user: User, plan: Plan) -> None:
    assert sittings.daily_start(user=user, now=NOW) == sittings.daily_start(user=user, now=NOW + timedelta(hours=1))


def test_what_cannot_be_read_is_no_attempt(user: User) -> None:
    sitting = begin(user, NUMBER)
    with pytest.raises(UnitError) as refused:
        give(user, sitting, 0, {"text": "85,9 GB"})
    assert refused.value.code and refused.value.position >= 0
    for answer in ({}, {"text": 7}, {"text": ""}, {"picked": [1]}):
        with pytest.raises(InvalidInput):
            give(user, sitting, 0, answer)
    assert not Response.objects.exists()
    assert not Card.objects.exists()


@pytest.mark.parametrize(
    "given", [{"op_id": "short"}, {"op_id": "long-enough", "confidence": "maybe"}, {"op_id": "long-enough", "rating": 5}]
)
def test_what_surrounds_the_answer_is_checked(user: User, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        give(user, begin(user, CHOICE), 0, **given)


def test_nothing_is_rated_unseen(user: User) -> None:
    sitting = begin(user, FLASHCARD)
    with pytest.raises(Refused, match="first"):
        responses.response_give(user=user, sitting=sitting, place=0, given=responses.Given({}, "operation", rating=4), now=NOW)
    with pytest.raises(Refused):
        responses.answer_reveal(user=user, sitting=begin(user, CHOICE), place=0, text="", now=NOW)


def test_a_free_answer_keeps_the_text_written_before_looking(user: User) -> None:
    sitting = begin(user, FREE)
    responses.answer_reveal(user=user, sitting=sitting, place=0, text="my own words", now=NOW)
    responses.answer_reveal(user=user, sitting=sitting, place=0, text="copied from the model", now=NOW)
    sent = responses.Given({"text": "copied from the model", "points": [0, 1, 2]}, "operation", rating=3)
    row = responses.response_give(user=user, sitting=sitting, place=0, given=sent, now=NOW)
    assert row.given == {"text": "my own words", "points": [0, 1, 2]}
    assert (row.mark, row.state) == (0.6, "self")


def test_few_points_may_not_be_called_good(user: User) -> None:
    with pytest.raises(InvalidInput, match="half"):
        give(user, begin(user, FREE), 0, {"points": [0]}, rating=3)
    assert give(user, begin(user, FREE), 0, {"points": [0]}, rating=2).mark == 0.2


# --- taking back -----------------------------------------------------------------------------------------------------


def test_an_answer_taken_back_leaves_the_card_as_it_was(user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER, now=NOW - timedelta(days=3))
    give(user, sitting, 0, now=NOW - timedelta(days=3))
    before = {name: getattr(card_of(user, CHOICE), name) for name in responses.CARD_COLUMNS}
    second = begin(user, CHOICE)
    row = give(user, second, 0, wrong(second, 0), confidence="sure")
    responses.response_undo(user=user, response=row, op_id="operation-2", now=NOW + timedelta(minutes=9))
    assert {name: getattr(card_of(user, CHOICE), name) for name in responses.CARD_COLUMNS} == before
    second.refresh_from_db()
    assert second.status == SittingStatus.OPEN
    assert sittings.progress_of(second).here == 0
    assert give(user, second, 0, now=NOW + timedelta(minutes=9)).mark == 1.0


def test_taking_back_has_its_limits(user: User) -> None:
    row = give(user, begin(user, CHOICE), 0)
    with pytest.raises(Refused) as late:
        responses.response_undo(user=user, response=row, op_id="operation-2", now=NOW + timedelta(minutes=11))
    again = give(user, begin(user, CHOICE), 0, now=NOW + timedelta(minutes=5))
    with pytest.raises(Refused) as reviewed:
        responses.response_undo(user=user, response=row, op_id="operation-3", now=NOW + timedelta(minutes=6))
    responses.response_undo(user=user, response=again, op_id="operation-4", now=NOW + timedelta(minutes=6))
    with pytest.raises(Refused) as twice:
        responses.response_undo(user=user, response=again, op_id="operation-5", now=NOW + timedelta(minutes=6))
    assert [late.value.code, reviewed.value.code, twice.value.code] == ["too_late", "reviewed_since", "not_standing"]


def test_only_a_right_answer_is_called_easy(user: User) -> None:
    sitting = begin(user, CHOICE)
    row = give(user, sitting, 0, wrong(sitting, 0))
    with pytest.raises(InvalidInput, match="right"):
        responses.response_rate(user=user, response=row, rating=4, op_id="operation-2", now=NOW)


# --- sittings --------------------------------------------------------------------------------------------------------


def test_a_day_asks_a_card_in_steps_of_minutes_again(user: User, plan: Plan) -> None:
    sitting = begin(user, CHOICE, NUMBER, ORDER, kind=SittingKind.DAILY)
    row = give(user, sitting, 0, wrong(sitting, 0))
    sitting.refresh_from_db()
    assert [place["item"] for place in sitting.items[3:]] == [CHOICE[1]]
    assert sitting.items[3]["seed"] != sitting.items[0]["seed"], "with its options in a fresh order"
    responses.response_undo(user=user, response=row, op_id="operation-2", now=NOW)
    sitting.refresh_from_db()
    assert sittings.progress_of(sitting).total == 3, "the repetition goes with the answer that asked for it"


def test_practice_leaves_the_schedule_alone(user: User) -> None:
    give(user, begin(user, CHOICE, schedules=False), 0)
    assert not Card.objects.exists()


def test_a_timed_sitting_closes_at_its_own_time(user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER, limit_s=60)
    in_time = give(user, sitting, 0, now=NOW + timedelta(seconds=59))
    assert in_time.mark == 1.0
    with pytest.raises(Refused) as refused:
        give(user, sitting, 1, now=NOW + timedelta(seconds=91))
    assert (refused.value.code, refused.value.status) == ("sitting_closed", 410)
    assert sittings.sittings_sweep(now=NOW + timedelta(hours=5)) == 1
    sitting.refresh_from_db()
    assert sitting.closed_at == NOW + timedelta(seconds=90), "the true moment: the limit and the grace for what is on its way"


def test_an_untimed_sitting_stays_open(user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER)
    assert sittings.sittings_sweep(now=NOW + timedelta(days=300)) == 0
    assert give(user, sitting, 0, now=NOW + timedelta(days=300)).mark == 1.0


def test_an_item_changed_meanwhile_is_marked_as_it_was_shown(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sitting = begin(user, CHOICE, NUMBER)
    entry = bank()[CHOICE]
    flipped = tuple(option.model_copy(update={"correct": not option.correct}) for option in entry.item.options)
    changed = entry.item.model_copy(update={"rev": entry.item.rev + 1, "options": flipped})
    monkeypatch.setitem(bank(), CHOICE, BankItem(entry.problem, changed))
    row = give(user, sitting, 0)
    assert (row.rev, row.mark) == (entry.item.rev, 1.0)


def test_an_item_retired_meanwhile_is_asked_to_the_end_and_never_again(user: User, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    sitting = begin(user, CHOICE, NUMBER)
    monkeypatch.delitem(bank(), CHOICE)
    assert give(user, sitting, 0).mark == 1.0
    assert card_of(user, CHOICE).state == CardState.RETIRED
    assert CHOICE not in [due.key for due in due_cards(plan=plan, now=NOW + timedelta(days=30))]


def test_while_a_lab_has_no_numbers_another_item_stands_in(user: User) -> None:
    sitting = begin(user, LAB)
    assert [place["item"] for place in sitting.items] != [LAB[1]]
    assert bank()["vector_search", sitting.items[0]["item"]].item.type in ("choice", "number", "order", "slip")


def test_nobody_meets_the_same_numbers_twice(user: User, other: User) -> None:
    instances = {instance_of(LAB, number).pk for number in (1, 2)}
    met = []
    for _ in range(2):
        sitting = begin(user, LAB)
        met.append(sitting.items[0]["instance"])
        give(user, sitting, 0)
    assert set(met) == instances
    assert begin(user, LAB).items[0]["instance"] is None
    assert begin(other, LAB).items[0]["instance"] in instances


def test_the_day_mixes_problems_and_types(user: User, plan: Plan) -> None:
    keys = [due.key for due in today(plan=plan, now=NOW).new]
    assert len(keys) == scheduling.NEW_WITHOUT_DATE
    assert len({slug for slug, _ in keys}) == len(keys)
    assert len({bank()[key].item.type for key in keys}) >= 5
