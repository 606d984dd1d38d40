"""Cards that come from somewhere: a rubric point or fact missed in a mock, a lab mispredicted, a drill that failed.

Each makes one card of each question that repairs it; a card that exists already is asked sooner. Running it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.interviews.models import Attempt, Curveball, Event, ItemScore, RunLink, ScoreState, Status
from mlsd_app.interviews.selectors import score_visible
from mlsd_app.quiz.bank import BankItem, Key, bank, items_of
from mlsd_app.quiz.days import day_of, day_start
from mlsd_app.quiz.errors import conflict
from mlsd_app.quiz.models import Card, CardState, Source
from mlsd_app.quiz.plans import plan_of
from mlsd_app.quiz.responses import own_card
from problems.quiz_schema import LabQuestion, QuizItem
from simulators.errors import InvalidInput

FAR_OFF = 2.0  # a prediction is off when the value lies outside its interval, or its middle is wrong by this factor
MARKED = (Status.GRADED, Status.RELEASED)


@dataclass(frozen=True)
class Wanted:
    """A question to be asked, and why."""

    key: Key
    source: Source
    ref: str


# --- an attempt ------------------------------------------------------------------------------------------------------


@transaction.atomic
def cards_from_attempt(*, user: User, attempt: Attempt, now: datetime) -> list[Card]:
    """Cards for what the user's own attempt missed. Raises Refused while its marks are not to be seen."""
    if attempt.status not in MARKED or (attempt.kind == "assigned" and not score_visible(attempt)):
        raise conflict("not_released", "The marks of this interview are not released yet; there is nothing to learn from them so far.")
    wanted = {found.key: found for found in reversed([*_missed(attempt), *_mispredicted(attempt)])}  # the first reason stands
    return [card_ask(user=user, wanted=wanted[key], now=now) for key in sorted(wanted)]


def _missed(attempt: Attempt) -> Iterable[Wanted]:
    ref = f"attempt:{attempt.pk}"
    lost = lost_items(attempt) | _items_of_facts(attempt, missed_facts(attempt))
    for lab in Curveball.objects.filter(attempt=attempt, state="missed").exclude(lab="").values_list("lab", flat=True):
        if (entry := question_at(attempt.problem, lab)) is not None:
            yield Wanted(entry.key, Source.DRILL, ref)
    for entry in items_of(attempt.problem):
        if lost.intersection(entry.item.rubric):
            yield Wanted(entry.key, Source.MOCK, ref)


def lost_items(attempt: Attempt) -> set[str]:
    """Ids of rubric items that stand below their full points; what nobody marked is not lost."""
    standing = ItemScore.objects.filter(attempt=attempt, superseded_by=None).exclude(state=ScoreState.UNGRADED).exclude(points=None)
    return {score.item_id for score in standing if score.points is not None and score.points < score.max}


def missed_facts(attempt: Attempt) -> set[str]:
    """Ids of the interviewer's needed facts that no question asked for."""
    facts = attempt.content.get("interviewer", {}).get("facts", ())
    events = Event.objects.filter(attempt=attempt, kind="question").values_list("data", flat=True)
    asked = {fact for data in events for fact in data.get("facts", ())}
    return {fact["id"] for fact in facts if fact.get("needed")} - asked


def _items_of_facts(attempt: Attempt, facts: set[str]) -> set[str]:
    """Ids of the rubric items that are earned by asking for any of `facts`."""
    rubric = attempt.content.get("rubric", {}).get("items", ())
    return {str(item["id"]) for item in rubric if item.get("grade") == "fact" and facts.intersection(item.get("needs", ()))}


# --- predictions -----------------------------------------------------------------------------------------------------


def _mispredicted(attempt: Attempt) -> Iterable[Wanted]:
    links = RunLink.objects.filter(attempt=attempt).exclude(prediction=None).select_related("run__result")
    for link in links:
        if (
            link.prediction is not None
            and missed(link)
            and (entry := question_at(link.run.problem, link.run.lab, link.prediction["metric"]))
        ):
            yield Wanted(entry.key, Source.PREDICTION, f"run:{link.run_id}")


def missed(link: RunLink) -> bool:
    """Whether the value lay outside the interval said before the run, or its middle is off by more than a factor of two."""
    value = predicted_value(link)
    if value is None or link.prediction is None:
        return False
    lower, upper = float(link.prediction["lower"]), float(link.prediction["upper"])
    return not lower <= value <= upper or _far_off((lower + upper) / 2, value)


def predicted_value(link: RunLink) -> float | None:
    """What the run gave for the metric that was predicted; None while it has no result, or the metric is undefined."""
    result = link.run.result
    wanted = (link.prediction or {}).get("metric")
    metrics: list[dict[str, Any]] = result.metrics if result else []
    return next((metric["value"] for metric in metrics if metric["key"] == wanted), None)


def _far_off(middle: float, value: float) -> bool:
    if middle == value:
        return False
    return middle * value <= 0 or max(middle / value, value / middle) > FAR_OFF


def question_at(slug: str, lab: str, metric: str = "") -> BankItem | None:
    """The question at that lab: best a lab question about that metric, then any, then one that is shown in the lab."""
    found = [entry for entry in items_of(slug) if lab in (getattr(entry.item, "lab", ""), entry.item.see.lab)]
    return min(found, key=lambda entry: _distance(entry.item, metric), default=None)


def _distance(item: QuizItem, metric: str) -> int:
    if not isinstance(item, LabQuestion):
        return 2
    return int(_base(item.metric) != _base(metric))


def _base(metric: str) -> str:
    return metric.partition("@")[0]


# --- one card --------------------------------------------------------------------------------------------------------


def card_ask(*, user: User, wanted: Wanted, now: datetime) -> Card:
    """The card of the item, to be asked next; the same reason again changes nothing."""
    card = own_card(user=user, key=wanted.key, now=now, source=wanted.source)
    if card.source_ref == wanted.ref or card.state in (CardState.SUSPENDED, CardState.RETIRED):
        return card
    card.source, card.source_ref = wanted.source, wanted.ref
    card.due, card.due_effective = min(card.due, now), min(card.due_effective, now)
    card.save(update_fields=["source", "source_ref", "due", "due_effective"])
    return card


@transaction.atomic
def card_change(*, user: User, key: Key, action: str, now: datetime) -> Card:
    """`suspend`, `resume`, `bury` (until tomorrow) or `reset` (as if never seen) one's own card. Raises InvalidInput."""
    if key not in bank():
        raise InvalidInput(f"There is no question {key[1][:80]!r}.", field="item")
    card = own_card(user=user, key=key, now=now)
    match action:
        case "suspend":
            card.state = CardState.SUSPENDED
        case "resume":
            card.state = CardState.ACTIVE if card.reviews else CardState.NEW
        case "bury":
            plan = plan_of(user)
            card.buried_until = day_start(plan, day_of(plan, now) + timedelta(days=1))
        case "reset":
            _reset(card, now)
        case _:
            raise InvalidInput(f"{action[:20]!r} is nothing a card does; it can suspend, resume, bury and reset.", field="action")
    card.save()
    return card


def _reset(card: Card, now: datetime) -> None:
    card.state, card.fsrs, card.due, card.due_effective = CardState.NEW, {}, now, now
    card.last_review, card.stability, card.learning, card.reviews = None, None, False, 0
    card.last_mark, card.sure_and_wrong, card.buried_until = None, False, None


def cards_retire(*, user: User) -> int:
    """Retires cards whose item has left the bank; how many."""
    rows = Card.objects.filter(user=user).exclude(state=CardState.RETIRED).values_list("pk", "problem_slug", "item_id")
    gone = [pk for pk, slug, item in rows if (slug, item) not in bank()]
    return Card.objects.filter(pk__in=gone).update(state=CardState.RETIRED) if gone else 0
