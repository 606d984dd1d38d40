"""What is due today, in which order: steps of minutes, sure and wrong, the rest by how likely they are forgotten, then new ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.quiz.bank import BankItem, Key, bank, interleaved, readiness_items
from mlsd_app.quiz.days import day_of, day_start
from mlsd_app.quiz.models import Card, CardState, Plan, Response, ResponseKind, Source
from mlsd_app.quiz.plans import scope_of
from mlsd_app.quiz.scheduling import never_seen, new_a_day, recall_at, seen_in_time

GIVEN_A_REASON = (Source.MOCK, Source.PREDICTION, Source.DRILL, Source.INSTRUCTOR)


@dataclass(frozen=True)
class Due:
    key: Key
    new: bool = False


@dataclass(frozen=True)
class Today:
    """What the day holds. `new` are the cards to begin today, out of `unseen` in the plan's scope."""

    due: tuple[Due, ...]
    new: tuple[Due, ...]
    unseen: int
    left_out: int  # unseen cards the interview comes too early for
    expect_s: int

    @property
    def queue(self) -> tuple[Due, ...]:
        return self.due + self.new

    @property
    def minutes(self) -> int:
        return max(1, round(self.expect_s / 60)) if self.queue else 0


def cards_of(user: object) -> QuerySet[Card]:
    return Card.objects.filter(user=user) if isinstance(user, User) else Card.objects.none()


def due_filter(plan: Plan, now: datetime) -> Q:
    """Steps of minutes to the minute; days to the day, whatever the hour of the last review.

    Before an interview also what the date pulls forward, unless it was seen shortly before the date already.
    """
    awake = Q(state=CardState.ACTIVE) & (Q(buried_until=None) | Q(buried_until__lte=now))
    tonight = day_start(plan, day_of(plan, now) + timedelta(days=1))
    own = Q(learning=True, due__lte=now) | Q(learning=False, due__lt=tonight)
    needed_by = seen_in_time(plan, now)
    pulled = Q(due_effective__lt=tonight, last_review__lt=needed_by) if needed_by is not None else Q(pk__in=[])
    return awake & (own | pulled)


def due_cards(*, plan: Plan, now: datetime) -> list[Due]:
    """Every due card of the plan's user, in the order it is asked. One query."""
    columns = ("problem_slug", "item_id", "learning", "sure_and_wrong", "stability", "last_review")
    rows = Card.objects.filter(due_filter(plan, now), user_id=plan.user_id).order_by().values_list(*columns)
    known = bank()
    ordered = sorted(
        (not learning, not sure_wrong, recall_at(stability, seen, now), slug, item)
        for slug, item, learning, sure_wrong, stability, seen in rows
        if (slug, item) in known
    )
    return [Due((slug, item)) for *_, slug, item in ordered]


def today(*, plan: Plan, now: datetime) -> Today:
    due = due_cards(plan=plan, now=now)
    unseen = unseen_items(plan)
    wanted = max(0, new_a_day(len(unseen), plan, now) - begun_today(plan, now)) if unseen else 0
    new = tuple(Due(entry.key, new=True) for entry in unseen[:wanted])
    seconds = sum(bank()[card.key].item.expect_s for card in (*due, *new))
    return Today(tuple(due), new, len(unseen), never_seen(len(unseen), plan, now), seconds)


def unseen_items(plan: Plan) -> list[BankItem]:
    """Items never answered, in the order they are begun: those with a reason of their own, then the scope's, problems in turn.

    Without a chosen scope the questions of the readiness check belong to it.
    """
    rows = list(cards_of(plan.user if plan.user_id else None).values_list("problem_slug", "item_id", "state", "source"))
    seen = {(slug, item) for slug, item, state, _ in rows if state != CardState.NEW}
    reasons = [(slug, item) for slug, item, state, source in rows if state == CardState.NEW and source in GIVEN_A_REASON]
    scope = set(scope_of(plan))
    readiness = {entry.key for entries in readiness_items().values() for entry in entries} if not plan.scope else set()
    first = [bank()[key] for key in reasons if key in bank()]
    rest = [entry for entry in bank().values() if (entry.problem.slug in scope or entry.key in readiness) and entry.key not in seen]
    begun_with = {entry.key for entry in first}
    return first + interleaved([entry for entry in rest if entry.key not in begun_with])


def begun_today(plan: Plan, now: datetime) -> int:
    """How many cards were answered for the first time today."""
    if plan.user_id is None:
        return 0
    since = day_start(plan, day_of(plan, now))
    first_answers = Response.objects.filter(user_id=plan.user_id, kind=ResponseKind.ANSWER, at__gte=since, due_before=None)
    taken_back = Response.objects.filter(user_id=plan.user_id, kind=ResponseKind.UNDO, at__gte=since).values("of")
    return first_answers.filter(sitting__schedules=True).exclude(pk__in=taken_back).count()
