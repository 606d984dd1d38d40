"""Answering. Rows are only added: an answer, later perhaps another rating of it, or a row that takes it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import transaction
from django.utils.dateparse import parse_datetime

from mlsd_app.accounts.models import User
from mlsd_app.quiz import sittings
from mlsd_app.quiz.bank import SELF_TYPES, Key, bank
from mlsd_app.quiz.errors import already_answered, conflict
from mlsd_app.quiz.models import (
    CARD_PROGRESS,
    Card,
    CardState,
    Plan,
    Response,
    ResponseKind,
    ResponseState,
    Sitting,
    SittingKind,
    SittingStatus,
    Source,
)
from mlsd_app.quiz.plans import plan_of
from mlsd_app.quiz.scheduling import HALF, RIGHT, card_reviewed, fsrs_card, rating_of, scheduler
from mlsd_app.quiz.served import Served, served
from simulators.errors import InvalidInput

CONFIDENCES = ("sure", "think", "guess")
AGAIN, HARD, GOOD, EASY = 1, 2, 3, 4
UNDO_FOR = timedelta(minutes=10)
TEXT_CHARACTERS = 10_000
LONGEST_MS = 3_600_000  # a question left open over lunch counts as an hour
CARD_COLUMNS = (*CARD_PROGRESS, "buried_until")
CARD_TIMES = ("due", "due_effective", "last_review", "buried_until")


@dataclass(frozen=True)
class Given:
    """What was sent: `answer` as the item's type takes it; `rating` 1 to 4 where the user rates."""

    answer: Mapping[str, Any]
    op_id: str
    confidence: str = ""
    ms: int = 0
    rating: int | None = None


def response_give(*, user: User, sitting: Sitting, place: int, given: Given, now: datetime) -> Response:
    """Marks and keeps one answer, and moves the card on. The same op_id gets the same row back.

    Raises Refused (409 already_answered, 410 sitting_closed) and InvalidInput; an answer that cannot be read is none.
    """
    _check(given)
    with transaction.atomic():
        if (known := Response.objects.filter(user=user, op_id=given.op_id).first()) is not None:
            return known
        held = sittings.locked(sitting_id=sitting.pk, user=user, now=now)
        asked = served(held, place)
        if place in sittings.answers_of(held):
            raise already_answered()
        row = _row(user, held, asked, given, now)
        if held.schedules:
            _review(row, asked, held, now)
        row.save()
        if sittings.progress_of(held).complete:
            sittings.sitting_close(sitting=held, now=now)
    return row


def _check(given: Given) -> None:
    if not 8 <= len(given.op_id) <= 40 or not given.op_id.isascii():
        raise InvalidInput("Every answer carries an op_id of 8 to 40 characters that names the attempt to send it.", field="op_id")
    if given.confidence not in ("", *CONFIDENCES):
        raise InvalidInput(f"{given.confidence[:20]!r} is no confidence; say sure, think or guess.", field="confidence")
    if given.rating is not None and not AGAIN <= given.rating <= EASY:
        raise InvalidInput(f"{given.rating} is no rating; expected 1 (again) to 4 (easy).", field="rating")


def _row(user: User, sitting: Sitting, asked: Served, given: Given, now: datetime) -> Response:
    hints = int(asked.place in sitting.hints)
    row = Response(
        user=user,
        sitting=sitting,
        place=asked.place,
        problem_slug=asked.problem.slug,
        item_id=asked.item.id,
        rev=asked.item.rev,
        instance_id=sitting.items[asked.place]["instance"],
        draw_seed=asked.seed,
        confidence=given.confidence,
        hints_used=hints,
        ms=min(max(0, given.ms), LONGEST_MS),
        at=now,
        op_id=given.op_id,
    )
    if asked.item.type in SELF_TYPES:
        _self_marked(row, sitting, asked, given)
    else:
        _machine_marked(row, asked, given)
    return row


def _machine_marked(row: Response, asked: Served, given: Given) -> None:
    marked = asked.question.mark(given.answer)
    mark = marked.mark or 0.0
    row.given, row.mark, row.state = marked.given, mark, ResponseState.AUTO
    rated = rating_of(mark=mark, confidence=given.confidence, ms=row.ms, expect_s=asked.item.expect_s, hints=row.hints_used)
    row.rating = EASY if given.rating == EASY and mark >= RIGHT else int(rated)


def _self_marked(row: Response, sitting: Sitting, asked: Served, given: Given) -> None:
    """A flashcard or free answer: looked at first, then rated; the text is the one written before looking."""
    revealed = sitting.revealed.get(str(asked.place))
    if revealed is None:
        raise conflict("not_revealed", "Look at the answer first, then rate yours.")
    if given.rating is None:
        raise InvalidInput("Rate your answer: 1 again, 2 hard, 3 good, 4 easy.", field="rating")
    marked = asked.question.mark({**given.answer, "text": revealed["text"], "points": given.answer.get("points", [])})
    row.state, row.rating = ResponseState.SELF, given.rating
    row.given, row.mark = marked.given, marked.mark
    if marked.mark is not None and marked.mark < HALF and given.rating > HARD:
        raise InvalidInput("Fewer than half of the points are ticked; rate it again (1) or hard (2).", field="rating")


# --- the card --------------------------------------------------------------------------------------------------------


def _review(row: Response, asked: Served, sitting: Sitting, now: datetime) -> None:
    plan = plan_of(row.user)
    card = own_card(user=row.user, key=asked.key, now=now, source=_source(sitting))
    row.card_before = card_columns(card)
    if card.reviews:
        row.due_before = card.due
        row.retrievability_before = round(scheduler(plan, now).get_card_retrievability(fsrs_card(card), now), 6)
    _move(card, row, plan, now, retired=asked.key not in bank())
    if sitting.kind == SittingKind.DAILY and card.due <= now + sittings.SOON and sittings.repeat_within(sitting, asked.place):
        _ask_again(sitting, asked, row.user)


def own_card(*, user: User, key: Key, now: datetime, source: str = Source.BANK) -> Card:
    """The user's card of the item, locked; a new one if there is none."""
    made = {"due": now, "due_effective": now, "source": source}
    return Card.objects.select_for_update().get_or_create(user=user, problem_slug=key[0], item_id=key[1], defaults=made)[0]


def _source(sitting: Sitting) -> str:
    return {SittingKind.READINESS: Source.READINESS, SittingKind.ASSIGNED: Source.INSTRUCTOR}.get(
        cast(SittingKind, sitting.kind), Source.BANK
    )


def _move(card: Card, row: Response, plan: Plan, now: datetime, *, retired: bool) -> None:
    card_reviewed(card, cast(int, row.rating), plan, now)
    card.state = CardState.RETIRED if retired else CardState.ACTIVE
    card.last_mark = row.mark
    card.sure_and_wrong = row.confidence == "sure" and row.mark is not None and row.mark < HALF
    card.buried_until = None
    card.save()


def _ask_again(sitting: Sitting, asked: Served, user: User) -> None:
    """Puts the item at the end, with fresh numbers; not when it has left the bank, changed, or its lab has no more numbers."""
    entry = bank().get(asked.key)
    if entry is None or entry.item.rev != asked.item.rev:
        return
    instance = sittings.lab_numbers(entry, user, {row["instance"] for row in sitting.items})
    if instance is None and asked.instance is not None:
        return
    place = sittings.place_of(entry, sitting.seed, len(sitting.items), instance, again=asked.place)
    sitting.items = [*sitting.items, place]
    sitting.save(update_fields=["items"])


def card_columns(card: Card) -> dict[str, Any]:
    columns = {name: getattr(card, name) for name in CARD_COLUMNS}
    return {name: value.isoformat() if name in CARD_TIMES and value else value for name, value in columns.items()}


def _put_back(card: Card, columns: dict[str, Any]) -> None:
    for name, value in columns.items():
        setattr(card, name, parse_datetime(value) if name in CARD_TIMES and value else value)


# --- looking first ---------------------------------------------------------------------------------------------------


@transaction.atomic
def answer_reveal(*, user: User, sitting: Sitting, place: int, text: str, now: datetime) -> Sitting:
    """Shows the back of a flashcard or the points of a free answer; what was written before stays as it was. Raises as response_give."""
    if len(text) > TEXT_CHARACTERS:
        raise InvalidInput(f"The answer has {len(text):,} characters; a free answer holds {TEXT_CHARACTERS:,}.", field="text")
    held = sittings.locked(sitting_id=sitting.pk, user=user, now=now)
    asked = served(held, place)
    if asked.item.type not in SELF_TYPES:
        raise conflict("marked_by_rule", "This question is marked by rule; answer it to see the explanation.")
    if str(place) not in held.revealed:
        held.revealed = {**held.revealed, str(place): {"text": text.replace("\0", ""), "at": now.isoformat()}}
        held.save(update_fields=["revealed"])
    return held


@transaction.atomic
def hint_take(*, user: User, sitting: Sitting, place: int, now: datetime) -> Sitting:
    held = sittings.locked(sitting_id=sitting.pk, user=user, now=now)
    served(held, place)
    if place not in held.hints:
        held.hints = [*held.hints, place]
        held.save(update_fields=["hints"])
    return held


# --- afterwards ------------------------------------------------------------------------------------------------------


@transaction.atomic
def response_undo(*, user: User, response: Response, op_id: str, now: datetime) -> Response:
    """Takes an answer back: the card stands as before, the question is open again. Raises Refused (409)."""
    if (known := Response.objects.filter(user=user, op_id=op_id).first()) is not None:
        return known
    sitting = Sitting.objects.select_for_update().get(pk=response.sitting_id, user=user)
    card = _changeable(user, sitting, response, now)
    if sitting.limit_s is not None or sitting.closes_at is not None or not sitting.feedback:
        raise conflict("timed", "In a timed or assigned quiz an answer stands.")
    row = _amendment(response, ResponseKind.UNDO, op_id, now)
    row.save()
    if card is not None and response.card_before is not None:
        _put_back(card, response.card_before)
        card.save()
    _reopen(sitting, response.place)
    return row


@transaction.atomic
def response_rate(*, user: User, response: Response, rating: int, op_id: str, now: datetime) -> Response:
    """Calls a right answer easy: the card is reviewed again as of then, with the new rating. Raises Refused (409) and InvalidInput."""
    if (known := Response.objects.filter(user=user, op_id=op_id).first()) is not None:
        return known
    if rating != EASY or response.state != ResponseState.AUTO or (response.mark or 0) < RIGHT:
        raise InvalidInput("Only a right answer that was marked by rule can be called easy (4).", field="rating")
    sitting = Sitting.objects.select_for_update().get(pk=response.sitting_id, user=user)
    card = _changeable(user, sitting, response, now)
    row = _amendment(response, ResponseKind.RATING, op_id, now)
    row.rating = rating
    row.save()
    if card is not None and response.card_before is not None:
        _put_back(card, response.card_before)
        response.rating = rating
        _move(card, response, plan_of(user), response.at, retired=card.key not in bank())
        _drop_repeat(sitting, response.place)
        sitting.save(update_fields=["items"])
    return row


def _changeable(user: User, sitting: Sitting, response: Response, now: datetime) -> Card | None:
    """The card, if the answer may still be changed; None where the sitting moves no card."""
    if response.kind != ResponseKind.ANSWER or response.amendments.filter(kind=ResponseKind.UNDO).exists():
        raise conflict("not_standing", "This answer was taken back already.")
    if now - response.at > UNDO_FOR:
        raise conflict("too_late", "An answer can be changed for ten minutes; this one is older.")
    if not sitting.schedules:
        return None
    card = own_card(user=user, key=(response.problem_slug, response.item_id), now=now)
    if card.last_review != response.at:
        raise conflict("reviewed_since", "This card was reviewed again since; the later answer would lose its ground.")
    return card


def _amendment(response: Response, kind: ResponseKind, op_id: str, now: datetime) -> Response:
    same = ("user_id", "sitting_id", "place", "problem_slug", "item_id", "rev", "draw_seed")
    return Response(**{name: getattr(response, name) for name in same}, kind=kind, of=response, op_id=op_id, at=now)


def _reopen(sitting: Sitting, place: int) -> None:
    sitting.revealed = {key: value for key, value in sitting.revealed.items() if key != str(place)}
    sitting.status, sitting.closed_at = SittingStatus.OPEN, None
    _drop_repeat(sitting, place)
    sitting.save(update_fields=["revealed", "status", "closed_at", "items"])


def _drop_repeat(sitting: Sitting, place: int) -> None:
    """The repetition an answer asked for goes with it."""
    answered = sittings.answers_of(sitting)
    sitting.items = [
        {**row, "dropped": True} if row.get("again") == place and number not in answered else row
        for number, row in enumerate(sitting.items)
    ]
