"""A try at a prediction: intervals are locked, then the lab runs, then they are scored.

No mark is made of it. Any mark of 0 to 100 would pay for other intervals than the honest ones; what tells is how often they held over
many predictions, and how wide they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from mlsd_app.cohorts.designs import closed_because
from mlsd_app.cohorts.kinds import PredictionSettings, lab_of, problem_named
from mlsd_app.cohorts.known_figures import FigureName, known_figures, preset_values, value_in
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Prediction
from mlsd_app.cohorts.services.begin import shared_seed
from mlsd_app.interviews.refusals import Refused
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import run_start
from mlsd_app.runs.upkeep import run_settle
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.params import parse_params
from simulators.scoring import interval_score, scale_of, width_factor, width_words


@dataclass(frozen=True)
class Asked:
    """One figure to be foretold."""

    metric: str
    name: FigureName


def settings_of(assignment: Assignment) -> PredictionSettings:
    return PredictionSettings.model_validate(assignment.settings)


def lab_in(assignment: Assignment) -> type[Lab]:
    return lab_of(problem_named(assignment.problem), settings_of(assignment).lab)


def asked_of(assignment: Assignment) -> list[Asked]:
    settings = settings_of(assignment)
    known = known_figures(lab_in(assignment), settings.preset)
    return [Asked(key, known.get(key) or FigureName(key.replace("_", " "), "")) for key in settings.metrics]


# --- locking and running -----------------------------------------------------------------------------------------------


def predictions_lock(*, row: AssignedAttempt, given: Mapping[str, tuple[float, float]], now: datetime) -> list[Prediction]:
    """Stores an interval for every figure, all or none, and starts the run. Once locked they stay: sending again changes nothing.

    Raises InvalidInput (field: the metric) and Refused. A run that cannot start now leaves the intervals locked; `run_again` starts it.
    """
    if words := closed_because(row, now):
        raise Refused("closed", words, 403)
    with transaction.atomic():
        AssignedAttempt.objects.select_for_update(of=("self",)).get(pk=row.pk)
        if not row.predictions.exists():
            seen = _seen_before(row)
            Prediction.objects.bulk_create([_checked(row, asked, given, seen, now) for asked in asked_of(row.assignment)])
    run_again(row=row, now=now)
    return list(row.predictions.all())


def _checked(row: AssignedAttempt, asked: Asked, given: Mapping[str, tuple[float, float]], seen: bool, now: datetime) -> Prediction:
    if asked.metric not in given:
        raise InvalidInput(f"{asked.name.label}: nothing was given; expected the two ends of an interval.", field=asked.metric)
    lower, upper = given[asked.metric]
    scale = scale_of(asked.name.unit)
    try:
        interval_score(lower, upper, upper, scale=scale)
    except InvalidInput as error:
        raise InvalidInput(f"{asked.name.label}: {error.message}", field=asked.metric) from error
    return Prediction(
        assigned=row,
        metric=asked.metric,
        label=asked.name.label,
        unit=asked.name.unit,
        scale=scale,
        lower=lower,
        upper=upper,
        made_at=now,
        seen_before=seen,
    )


def _seen_before(row: AssignedAttempt) -> bool:
    """Whether the person has run this very preset before, with any seed."""
    lab = lab_in(row.assignment)
    params = parse_params(lab, preset_values(lab, settings_of(row.assignment).preset)).model_dump(mode="json")
    done = Run.objects.filter(user=row.user, problem=lab.problem, lab=lab.slug, lab_version=lab.version, state=RunState.DONE)
    return done.filter(params=params).exists()


def run_again(*, row: AssignedAttempt, now: datetime) -> Run | None:
    """Starts the run of a try whose intervals are locked, or gives the one there is. The seed is the same for everybody."""
    open_rows = row.predictions.filter(resolved_at=None)
    if not open_rows.exists():
        return None
    current = _run_of(row)
    if current is not None and (current.active or current.state == RunState.DONE):
        predictions_resolve(row=row, now=now)
        return current
    lab = lab_in(row.assignment)
    made = run_start(
        user=row.user, lab=lab, values=preset_values(lab, settings_of(row.assignment).preset), seed=shared_seed(row.assignment)
    )
    open_rows.update(run=made)
    predictions_resolve(row=row, now=now)
    return made


def _run_of(row: AssignedAttempt) -> Run | None:
    first = row.predictions.select_related("run__result").first()
    return first.run if first else None


# --- scoring -----------------------------------------------------------------------------------------------------------


def predictions_resolve(*, row: AssignedAttempt, now: datetime) -> bool:
    """Scores what the run has shown, and closes the try; True once that has happened."""
    waiting = list(row.predictions.filter(resolved_at=None).select_related("run__result"))
    run = waiting[0].run if waiting else None
    if not waiting or run is None:
        return row.predictions.exists() and not waiting
    if run.active:
        run_settle(run=run)
    if run.state != RunState.DONE or run.result is None:
        return False
    with transaction.atomic():
        for prediction in waiting:
            _score(prediction, value_in(run.result.metrics, prediction.metric), now)
        AssignedAttempt.objects.filter(pk=row.pk, finished_at=None).update(finished_at=now)
    row.refresh_from_db(fields=["finished_at"])
    return True


def _score(prediction: Prediction, truth: float | None, now: datetime) -> None:
    prediction.truth, prediction.resolved_at = truth, now
    if truth is not None:
        prediction.hit = prediction.lower <= truth <= prediction.upper
        try:
            prediction.score = interval_score(prediction.lower, prediction.upper, truth, scale=prediction.scale)  # type: ignore[arg-type]
        except InvalidInput:
            prediction.score = None
    prediction.save(update_fields=["truth", "hit", "score", "resolved_at"])


def predictions_catch_up(*, now: datetime) -> int:
    """Scores tries whose run ended while nobody looked; how many."""
    rows = AssignedAttempt.objects.filter(predictions__resolved_at=None, predictions__run__state=RunState.DONE).distinct()
    return sum(predictions_resolve(row=row, now=now) for row in rows.select_related("assignment", "user"))


# --- shown -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """One prediction in words."""

    row: Prediction

    @property
    def words(self) -> str:
        row = self.row
        if row.resolved_at is None:
            return "Locked"
        if row.truth is None:
            return "The run did not give this figure"
        if row.hit:
            factor = width_factor(row.lower, row.upper, row.scale)  # type: ignore[arg-type]
            return "Held" if factor is None else f"Held, {width_words(factor)}"
        return f"Missed: the truth was {self._outside}"

    @property
    def _outside(self) -> str:
        row = self.row
        assert row.truth is not None
        above = row.truth > row.upper
        end, words = (row.upper, "above your upper end") if above else (row.lower, "below your lower end")
        if row.scale == "log" and end > 0 and row.truth > 0:
            return f"{max(row.truth / end, end / row.truth):.2g} times {words}"
        return words

    @property
    def width(self) -> float | None:
        return width_factor(self.row.lower, self.row.upper, self.row.scale)  # type: ignore[arg-type]


def state_of(row: AssignedAttempt) -> tuple[list[Told], Run | None]:
    """What was stated, and the run it waits for."""
    found = list(row.predictions.select_related("run"))
    return [Told(item) for item in found], found[0].run if found else None


def outcome_of(predictions: Sequence[Prediction]) -> str:
    """In words, for the gradebook, which gives no marks for it."""
    known = [row for row in predictions if row.hit is not None]
    return f"{sum(bool(row.hit) for row in known)} of {len(known)} held" if known else ""
