"""Reading attempts. Another person's attempt does not exist here; what staff of a cohort may see stands in `cohorts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.db.models import Aggregate, Func, JSONField, OuterRef, QuerySet, Subquery

from mlsd_app.accounts.models import User
from mlsd_app.interviews import clock as clocks
from mlsd_app.interviews.models import LIVE, Adjust, Attempt, Event, Move, Status, Stop


def attempts_of(*, user: User | AnonymousUser) -> QuerySet[Attempt]:
    """The user's own attempts; void ones too, their text is kept."""
    return Attempt.objects.filter(user_id=user.pk) if user.is_authenticated else Attempt.objects.none()


def attempt_visible(*, user: User | AnonymousUser, attempt: Attempt) -> bool:
    return user.is_authenticated and attempt.user_id == user.pk


def live_attempt(*, user: User, problem: str) -> Attempt | None:
    return attempts_of(user=user).filter(problem=problem, status__in=LIVE).first()


def is_fetched(attempt: Attempt, rows: str) -> bool:
    """Whether the rows of that name were prefetched with the attempt: then they are read from memory, all of them."""
    return rows in getattr(attempt, "_prefetched_objects_cache", {})


def forget_fetched(attempt: Attempt, rows: str) -> None:
    """They have changed: whoever asks next reads them anew."""
    if is_fetched(attempt, rows):
        attempt.refresh_from_db(fields=[rows])  # drops what was prefetched, without a query


def events_of(attempt: Attempt, *kinds: str) -> list[Event]:
    """The events of these kinds in their order."""
    if is_fetched(attempt, "events"):
        return [event for event in attempt.events.all() if event.kind in kinds]
    return list(attempt.events.filter(kind__in=kinds).order_by("seq"))


def clock_of(attempt: Attempt) -> clocks.Clock:
    """Everything stored about the attempt that decides its clock. Uses prefetched stops, adjusts and moves where there are any."""
    return _clock(
        attempt,
        stops=[clocks.Stop(row.begin, row.end, row.cap_s, cast(clocks.StopKind, row.kind)) for row in attempt.stops.all()],
        adjusts=[clocks.Adjust(row.from_phase, row.seconds) for row in attempt.adjusts.all()],
        moves=[clocks.Move(row.at, row.to_phase) for row in attempt.moves.all()],
    )


def _clock(
    attempt: Attempt, *, stops: Sequence[clocks.Stop], adjusts: Sequence[clocks.Adjust], moves: Sequence[clocks.Move]
) -> clocks.Clock:
    return clocks.Clock(
        phases=tuple(clocks.PhaseBudget(phase["key"], phase["title"], phase["budget_s"]) for phase in attempt.phases),
        mode=cast(clocks.Mode, attempt.mode),
        multiplier=attempt.multiplier,
        extra_s=attempt.extra_s,
        opens_at=attempt.opens_at,
        closes_at=attempt.closes_at,
        started_at=attempt.started_at,
        closed_at=attempt.closed_at,
        moves=tuple(moves),
        stops=tuple(stops),
        adjusts=tuple(adjusts),
        overtime_s=attempt.overtime_s,
        net_grace_s=attempt.net_grace_s,
    )


class _JSONRow(Func):
    """A row's values as a JSON list. Django's own JSONObject first asks SQLite, under the write lock, whether it knows JSON at all."""

    function = "JSON_ARRAY"
    output_field = JSONField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="JSONB_BUILD_ARRAY", **context)


class _JSONRows(Aggregate):
    """The rows of a sub-query as one JSON list."""

    function = "JSON_GROUP_ARRAY"
    output_field = JSONField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="JSONB_AGG", **context)


def with_clock(attempts: QuerySet[Attempt]) -> QuerySet[Attempt]:
    """Attempts with all that `clock_in` needs, and without their content: one query where `clock_of` takes four."""
    return attempts.defer("content").annotate(
        clock_stops=_rows(Stop, "kind", "begin", "end", "cap_s"),
        clock_adjusts=_rows(Adjust, "from_phase", "seconds"),
        clock_moves=_rows(Move, "at", "to_phase"),
    )


def _rows(model: type[Stop] | type[Adjust] | type[Move], *fields: str) -> Subquery:
    rows = model._base_manager.filter(attempt=OuterRef("pk")).order_by().values("attempt")
    return Subquery(rows.annotate(rows=_JSONRows(_JSONRow(*fields))).values("rows"))


def clock_in(attempt: Attempt) -> clocks.Clock:
    """The clock of an attempt read through `with_clock`."""
    stored: Any = attempt
    return _clock(
        attempt,
        stops=[
            clocks.Stop(_moment(begin), _moment(end) if end else None, cap_s, kind) for kind, begin, end, cap_s in stored.clock_stops or ()
        ],
        adjusts=[clocks.Adjust(from_phase, seconds) for from_phase, seconds in stored.clock_adjusts or ()],
        moves=[clocks.Move(_moment(at), to_phase) for at, to_phase in stored.clock_moves or ()],
    )


def _moment(text: str) -> datetime:
    """SQLite's JSON holds UTC without saying so."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def state_of(attempt: Attempt, now: datetime) -> clocks.ClockState:
    return clocks.phase_at(now, clock_of(attempt))


def phase_key(attempt: Attempt, state: clocks.ClockState) -> str:
    """The key of the phase the clock is in; "" before the start."""
    return "" if state.phase_index is None else str(attempt.phases[state.phase_index]["key"])


def phase_of_tag(attempt: Attempt, tag: str) -> Mapping[str, Any] | None:
    """The phase that holds `tag` in this attempt's plan."""
    return next((phase for phase in attempt.phases if tag in phase["tags"]), None)


def score_visible(attempt: Attempt) -> bool:
    """Whether the candidate may see marks: released, and not switched off by whoever assigned it."""
    return attempt.status == Status.RELEASED and attempt.show_score


def questions_visible(attempt: Attempt) -> bool:
    """Whether the candidate may look back at what was asked and written: it is over, and whoever assigned it shows it."""
    return attempt.status not in LIVE and attempt.show_questions
