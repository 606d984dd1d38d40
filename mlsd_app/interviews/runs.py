"""Runs inside an attempt: ordinary runs of the problem's labs, numbered, with what the candidate was told held fast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet

from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.interviewer.adaptation import recovery_check
from mlsd_app.interviews.interviewer.record import locked_values
from mlsd_app.interviews.models import Attempt, Curveball, RunLink, Status
from mlsd_app.interviews.refusals import LOCKED, Refused
from mlsd_app.interviews.selectors import phase_key, state_of
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import run_start
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.params import parse_params

MAX_RUNS = 500
MAX_PINNED = 12
MAX_LABEL = 80
MAX_METRIC = 120

# --- reading ---------------------------------------------------------------------------------------------------------


def links_of(attempt: Attempt) -> QuerySet[RunLink]:
    """All runs of the attempt by number, without figures."""
    return attempt.runlinks.select_related("run__result", "curveball").defer("run__result__body")


def prediction_due(attempt: Attempt, lab: str) -> bool:
    """Whether the next run is the candidate's first of this lab: before it they may say what they expect."""
    return not attempt.runlinks.filter(run__lab=lab, curveball=None).exists()


# --- starting --------------------------------------------------------------------------------------------------------


def attempt_run_start(
    *,
    attempt: Attempt,
    lab: type[Lab],
    values: Mapping[str, Any],
    now: datetime,
    prediction: Mapping[str, Any] | None = None,
    slot: str = "",
    fresh: bool = False,
    attended: bool = False,
) -> RunLink:
    """Starts a run with the locked values put in, or answers at once with a result that is known.

    prediction   {"metric", "lower", "upper"} before the first run of a lab; left out it was skipped, later it is not kept
    slot, fresh, attended   as in runs.services.run_start
    Refused 423 in a pause and after the end, 429 above 500 runs; InvalidParams and RunRefused as every run.
    """
    if lab.problem != attempt.problem:
        raise InvalidInput(f"{lab.title} is not a lab of this problem.", field="lab")
    said = _checked_prediction(prediction)
    _refuse_runs(attempt, state_of(attempt, now))
    held = locked_values(attempt)["labs"].get(lab.slug, {})
    run = run_start(user=attempt.user, lab=lab, values={**values, **held}, slot=slot, fresh=fresh, attended=attended)
    link = link_add(attempt=attempt, run=run, now=now, prediction=said)
    run_finished(link=link)
    return link


def _refuse_runs(attempt: Attempt, state: ClockState) -> None:
    if attempt.status == Status.READY:
        raise Refused("wrong_state", "This interview has not begun.", 409)
    if attempt.status != Status.OPEN or state.state in ("closing", "closed"):
        raise Refused("closed", "The time is up; no run can be started any more.", LOCKED)
    if state.state == "paused":
        raise Refused("paused", "The interview is paused; resume it to start a run.", LOCKED)
    if attempt.runlinks.count() >= MAX_RUNS:
        raise Refused("run_limit", f"{MAX_RUNS} runs were started in this interview, the most that are kept.", 429)


def _checked_prediction(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    metric, lower, upper = (given.get(name) for name in ("metric", "lower", "upper"))
    numbers = [value for value in (lower, upper) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)]
    if not isinstance(metric, str) or not 1 <= len(metric) <= MAX_METRIC:
        raise InvalidInput("A prediction names one metric of the lab.", field="prediction")
    if len(numbers) != 2 or numbers[0] > numbers[1]:
        raise InvalidInput(f"Prediction: {lower!r} to {upper!r} was given; expected two numbers, the lower one first.", field="prediction")
    return {"metric": metric, "lower": float(numbers[0]), "upper": float(numbers[1])}


def link_add(
    *,
    attempt: Attempt,
    run: Run,
    now: datetime,
    prediction: Mapping[str, Any] | None = None,
    thrown: Curveball | None = None,
) -> RunLink:
    """Gives the run its number in the attempt. `thrown`: the server made it to show what that event does."""
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        state = state_of(row, now)
        first = thrown is None and prediction_due(row, run.lab)
        link = RunLink.objects.create(
            attempt=row,
            run=_own_row(row, run, now),
            number=(row.runlinks.aggregate(last=Max("number"))["last"] or 0) + 1,
            phase=phase_key(row, state),
            active_ms=round(state.active_s * 1000),
            at=now,
            curveball=thrown or _active_event(row, run.lab),
            prediction=dict(prediction) if prediction and first else None,
        )
        event_add(attempt=row, kind="run", now=now, actor=None if thrown else row.user, data=_told(link, thrown), state=state)
    return link


def link_again(*, link: RunLink, run: Run, now: datetime) -> None:
    """Puts another run under the number of one that came to nothing; the attempt is locked."""
    link.run = _own_row(link.attempt, run, now)
    link.save(update_fields=["run"])


def _own_row(attempt: Attempt, run: Run, now: datetime) -> Run:
    """A known result that has a number here already gets a row of its own: it was asked for again, perhaps under an event."""
    if not attempt.runlinks.filter(run=run).exists():
        return run
    fields = ("user", "problem", "lab", "lab_version", "params", "seed", "dataset", "cache_key", "state", "result")
    return Run.objects.create(**{name: getattr(run, name) for name in fields}, started_at=now, finished_at=now)


def _active_event(attempt: Attempt, lab: str) -> Curveball | None:
    return attempt.curveball_rows.filter(lab=lab).exclude(state="recovered").order_by("-shown_at", "-pk").first()


def _told(link: RunLink, thrown: Curveball | None) -> dict[str, Any]:
    told = {"run": str(link.run_id), "number": link.number, "lab": link.run.lab, "by": "interviewer" if thrown else "candidate"}
    return {**told, "curveball": link.curveball.key if link.curveball else "", "predicted": link.prediction is not None}


def run_finished(*, link: RunLink) -> list[Curveball]:
    """To be called when a run may have ended, as often as one likes: the events that it recovers from, each told once."""
    link.run.refresh_from_db(fields=["state"])
    if link.run.state != RunState.DONE or link.curveball is None:
        return []
    waiting = Curveball.objects.filter(attempt=link.attempt, lab=link.run.lab, recovered_at=None, shown_at__lte=link.at)
    return [ball for ball in waiting if recovery_check(ball=ball)]


# --- pinning ---------------------------------------------------------------------------------------------------------


def run_pin(*, link: RunLink, pinned: bool, label: str | None, now: datetime) -> RunLink:
    """Makes a finished run evidence, or takes it back; `label` None leaves the words.

    InvalidInput for a label above 80 characters. Refused 423 in a pause and after the end, 409 `not_done` and `pin_limit`.
    """
    words = link.label if label is None else label.replace("\0", "").strip()
    if len(words) > MAX_LABEL:
        raise InvalidInput(f"A label has at most {MAX_LABEL} characters; this one has {len(words)}.", field="label")
    with transaction.atomic():
        row = attempt_lock(attempt=link.attempt)
        state = state_of(row, now)
        kept = RunLink.objects.select_related("run").get(pk=link.pk)
        _refuse_pin(row, state, kept, pinned)
        newly = pinned and not kept.pinned
        pinned_ms = round(state.active_s * 1000) if newly else kept.pinned_ms if pinned else None
        RunLink.objects.filter(pk=kept.pk).update(pinned=pinned, label=words, pinned_ms=pinned_ms)
        if (pinned, words) != (kept.pinned, kept.label):
            data = {"number": kept.number, "pinned": pinned, "label": words}
            event_add(attempt=row, kind="pin", now=now, actor=row.user, data=data, state=state)
    link.refresh_from_db()
    return link


def _refuse_pin(attempt: Attempt, state: ClockState, link: RunLink, pinned: bool) -> None:
    if attempt.status != Status.OPEN or state.state == "closed":
        raise Refused("closed", "This interview is over; its evidence stays as it is.", LOCKED)
    if state.state == "paused":
        raise Refused("paused", "The interview is paused; resume it to pin a run.", LOCKED)
    if pinned and link.run.state != RunState.DONE:
        raise Refused("not_done", "This run has no result yet; pin it when it has one.", 409)
    if pinned and not link.pinned and attempt.runlinks.filter(pinned=True).count() >= MAX_PINNED:
        raise Refused("pin_limit", f"{MAX_PINNED} runs are pinned, the most there can be. Take one back first.", 409)


def checked_values(lab: type[Lab], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as a run keeps them; InvalidParams for bad ones."""
    return parse_params(lab, values).model_dump(mode="json")
