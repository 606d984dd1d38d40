"""How a design came through an event: every later run of the lab is held against what counts as recovered."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet

from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.interviewer.curveballs import honours
from mlsd_app.interviews.interviewer.record import interviewer_of
from mlsd_app.interviews.models import Attempt, Curveball, RunLink, Status
from mlsd_app.interviews.selectors import state_of
from mlsd_app.runs.models import RunState
from problems.conditions import holds
from problems.interview_schema import LabChange


def change_of(attempt: Attempt, key: str) -> LabChange | None:
    """What the curveball `key` does to a lab; None where it is argued or was free text."""
    return next((ball.change for ball in interviewer_of(attempt).curveballs if ball.key == key), None)


def metrics_of(link: RunLink) -> dict[str, float | None]:
    return {metric["key"]: metric["value"] for metric in link.run.result.metrics} if link.run.result else {}


def runs_since(ball: Curveball) -> QuerySet[RunLink]:
    """The candidate's own finished runs of the lab since the event."""
    since = RunLink.objects.filter(attempt_id=ball.attempt_id, run__lab=ball.lab, at__gte=ball.shown_at, run__state=RunState.DONE)
    shows = Curveball.objects.filter(attempt_id=ball.attempt_id, broken__isnull=False)
    since = since.exclude(pk__in=shows.values("broken")).exclude(pk=ball.base_id or 0)
    return since.select_related("run__result").order_by("number")


def recovery_check(*, ball: Curveball) -> bool:
    """Holds the finished runs since the event against what counts as recovered; whether that is so, told once.

    A design that stands the event as it is has recovered with no run at all. All runs are looked at, so that it does not matter in which
    order they are told to have ended. A closed attempt stays as it is.
    """
    if runs_since(ball).count() == ball.runs_used and not _stands(ball):
        return False
    with transaction.atomic():
        attempt = attempt_lock(attempt=ball.attempt)
        ball.refresh_from_db()
        if attempt.status != Status.OPEN or ball.recovered_at is not None:
            return False
        tried = list(runs_since(ball))
        found = _recovery(ball, tried)
        Curveball.objects.filter(pk=ball.pk).update(runs_used=found[1] if found else len(tried))
        if found:
            _note(attempt, ball, *found)
    return found is not None


def _recovery(ball: Curveball, tried: Sequence[RunLink]) -> tuple[RunLink, int] | None:
    """The run that meets the condition and how many runs it took."""
    if ball.broken and _stands(ball):
        return ball.broken, 0
    return next(((link, number) for number, link in enumerate(tried, 1) if _recovers(link, ball)), None)


def _stands(ball: Curveball) -> bool:
    """Whether the very run that shows the event meets the condition."""
    return ball.broken is not None and ball.broken.run.state == RunState.DONE and _recovers(ball.broken, ball)


def _recovers(link: RunLink, ball: Curveball) -> bool:
    change = change_of(ball.attempt, ball.key)
    return change is not None and honours(link.run.params, ball.locked) and holds(change.recover, metrics_of(link))


def _note(attempt: Attempt, ball: Curveball, link: RunLink, runs_used: int) -> None:
    at = max(link.run.finished_at or link.at, link.at)
    state = state_of(attempt, at)
    active_ms = round(state.active_s * 1000)
    Curveball.objects.filter(pk=ball.pk).update(recovered_at=at, recovered_ms=active_ms, recovery=link, state="recovered")
    data = {"key": ball.key, "run": link.number, "runs_used": runs_used, "took_ms": active_ms - ball.active_ms}
    event_add(attempt=attempt, kind="recovered", now=at, data=data, state=state)
