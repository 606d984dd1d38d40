"""Says what is due: the one door for the sweep and for pages that ask for the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from mlsd_app.interviews.clock import Clock, ClockState
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.interviewer import curveballs, prompts
from mlsd_app.interviews.interviewer.record import interviewer_of
from mlsd_app.interviews.interviewer.throwing import catch_up, throw
from mlsd_app.interviews.models import Attempt, Event, Status
from mlsd_app.interviews.scoring.graders import grade_item
from mlsd_app.interviews.scoring.reading import sheet_of
from mlsd_app.interviews.selectors import clock_of
from problems.interview_schema import Curveball, Interviewer

SPOKEN = ("nudge", "probe", "focus", "closing")
ANSWERS = ("save", "question", "confirm", "assumption", "run", "pin", "claim")  # what shows that a probe was taken up


def prompts_due(
    *, attempt: Attempt, now: datetime, state: ClockState, typing_idle_s: float | None = None, online: bool = True
) -> list[Event]:
    """Says everything that is due now and was not said before; the events it became. Also starts what events still lack.

    typing_idle_s   since the candidate's last key, where a page can tell
    online          False where the sweep asks
    Two who ask at once say nothing twice: what is due is found again under the attempt's lock.
    """
    if attempt.status != Status.OPEN or state.state != "running":
        return []
    said: list[Event] = []
    if any(_due(attempt, state, typing_idle_s)):
        with transaction.atomic():
            row = attempt_lock(attempt=attempt)
            if row.status == Status.OPEN:
                said = _say(row, now, state, typing_idle_s, online)
    catch_up(attempt=attempt, now=now)
    return said


def _say(row: Attempt, now: datetime, state: ClockState, typing_idle_s: float | None, online: bool) -> list[Event]:
    spoken, ball = _due(row, state, typing_idle_s)
    events = [
        event_add(
            attempt=row, kind=prompt.kind, now=now, state=state, online=online, data={"key": prompt.key, "text": prompt.text, **prompt.data}
        )
        for prompt in spoken
    ]
    return [*events, *([throw(row=row, ball=ball, now=now, state=state, online=online)] if ball else [])]


def _due(attempt: Attempt, state: ClockState, typing_idle_s: float | None) -> tuple[list[prompts.Prompt], Curveball | None]:
    interviewer = interviewer_of(attempt)
    clock = clock_of(attempt)
    scene = prompts.Scene(
        interviewer=interviewer,
        phases=attempt.phases,
        mode=attempt.mode,
        state=state,
        ends_s=clock.phase_ends_s,
        deep_dive=attempt.content.get("deep_dive", ""),
        scale=clock.granted_s / sum(phase.budget_s for phase in clock.phases),
        said=_said(attempt),
        typing_idle_s=typing_idle_s,
        settled=_settled_by(attempt),
    )
    return prompts.due(scene), _ball_due(attempt, interviewer, clock, state)


def _ball_due(attempt: Attempt, interviewer: Interviewer, clock: Clock, state: ClockState) -> Curveball | None:
    if attempt.curveballs == "staff":
        return None
    planned = curveballs.plan(interviewer, attempt.phases, clock, attempt.seed)
    thrown = {key: active_ms / 1000 for key, active_ms in attempt.curveball_rows.values_list("key", "active_ms")}
    found = curveballs.due(planned, state, thrown)
    return next((ball for ball in interviewer.curveballs if found and ball.key == found.key), None)


def _said(attempt: Attempt) -> prompts.Said:
    spoken = list(attempt.events.filter(kind__in=SPOKEN).order_by("seq").values_list("kind", "data", "seq", "active_ms"))
    probes = [(seq, active_ms) for kind, _, seq, active_ms in spoken if kind == "probe"]
    answered = not probes or attempt.events.filter(kind__in=ANSWERS, seq__gt=probes[-1][0]).exists()
    keys = frozenset((kind, data["key"]) for kind, data, _, _ in spoken)
    return prompts.Said(keys, probes[-1][1] / 1000 if probes else None, answered)


def _settled_by(attempt: Attempt) -> Callable[[str], bool]:
    """Whether there is no need to probe for a rubric item: the rules give it points as things stand, asked-for facts included."""

    def settled(item_id: str) -> bool:
        sheet = sheet_of(attempt)
        item = next((item for item in sheet.rubric.items if item.id == item_id), None)
        return item is not None and bool(grade_item(item, sheet).points)

    return settled
