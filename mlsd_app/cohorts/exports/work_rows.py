"""Rows of what learners did: attempts, answers, predictions, runs, events. Read in chunks, so that memory stays as it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db.models import Q, QuerySet

from mlsd_app.cohorts.analytics.predictions import Predicted, foretold, predicted
from mlsd_app.cohorts.exports.scope import Scope, without_accommodations
from mlsd_app.cohorts.grading.sections import ANSWER
from mlsd_app.cohorts.models import AssignedAttempt, Prediction, Task
from mlsd_app.interviews.clock import phase_at
from mlsd_app.interviews.fields import field_of
from mlsd_app.interviews.models import SCORE_IS_OUT, Answer, Attempt, Claim, Curveball, Event, RunLink, Verdict
from mlsd_app.interviews.scoring.reading import facts_of
from mlsd_app.interviews.selectors import clock_in, with_clock
from mlsd_app.quiz.models import Response, ResponseKind, ResponseState, Sitting
from mlsd_app.runs.models import Run, RunState

CHUNK = 500
PRIVATE_EVENTS = ("note", "graded")  # staff's own; not in what a learner takes away
T = TypeVar("T")


def chunks(rows: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    rest = iter(rows)
    while found := list(islice(rest, size)):
        yield found


def attempts_in(scope: Scope) -> QuerySet[Attempt]:
    if scope.cohort is None:
        return Attempt.objects.filter(user=scope.user)
    return Attempt.objects.filter(pk__in=scope.tries.filter(attempt__isnull=False).values("attempt"))


def sittings_in(scope: Scope) -> QuerySet[Sitting]:
    if scope.cohort is None:
        return Sitting.objects.filter(user=scope.user)
    return Sitting.objects.filter(pk__in=scope.tries.filter(sitting__isnull=False).values("sitting"))


def assignments_of(scope: Scope, name: str, keys: Iterable[Any]) -> dict[Any, int]:
    """{attempt or sitting: assignment}."""
    return dict(AssignedAttempt.objects.filter(**{f"{name}__in": keys}).values_list(name, "assignment"))


# --- attempts --------------------------------------------------------------------------------------------------------


def attempt_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    rows = with_clock(attempts_in(scope)).order_by("created_at").iterator(chunk_size=CHUNK)
    for found in chunks(rows, 100):
        yield from _attempt_chunk(scope, found)


def attempt_columns(scope: Scope) -> list[str]:
    phases: dict[str, None] = {}
    for plan in attempts_in(scope).order_by().values_list("phases", flat=True).iterator(chunk_size=CHUNK):
        phases.update(dict.fromkeys(f"fraction.{phase['key']}" for phase in plan))
    claims = [f"claims.{verdict}" for verdict in ("supported", "contradicted", "wrong_conditions", "unclear", "untested")]
    tags: dict[str, None] = {}
    for by_tag in (
        Verdict.objects.filter(attempt__in=attempts_in(scope)).order_by().values_list("by_tag", flat=True).iterator(chunk_size=CHUNK)
    ):
        tags.update(dict.fromkeys(f"score.{tag}" for tag in by_tag))
    return [*phases, *claims, *sorted(tags)]


def _attempt_chunk(scope: Scope, attempts: list[Attempt]) -> Iterator[dict[str, Any]]:
    ids = [attempt.pk for attempt in attempts]
    assignments = assignments_of(scope, "attempt", ids)
    answers: dict[Any, list[tuple[str, str | None]]] = defaultdict(list)
    for pk, name, content in Answer.objects.filter(attempt__in=ids).values_list("attempt", "field", "content"):
        answers[pk].append((name, content))
    claims = Counter(Claim.objects.filter(attempt__in=ids, by="user").values_list("attempt", "verdict"))
    runs = Counter(RunLink.objects.filter(attempt__in=ids).values_list("attempt", flat=True))
    balls = Counter(Curveball.objects.filter(attempt__in=ids).values_list("attempt", "state"))
    facts, verdicts = _facts(ids), _verdicts(scope, ids)
    for attempt in attempts:
        row = _attempt_row(scope, attempt, assignments.get(attempt.pk), verdicts.get(attempt.pk))
        recovered = balls[attempt.pk, "recovered"]
        thrown = sum(count for (pk, _), count in balls.items() if pk == attempt.pk)
        counts = {"facts": len(facts[attempt.pk]), "runs": runs[attempt.pk], "curveballs": thrown, "recovered": recovered}
        words = sum(field_of(attempt, name).words(content) for name, content in answers[attempt.pk])
        said = {f"claims.{verdict}": count for (pk, verdict), count in claims.items() if pk == attempt.pk}
        yield {**row, **counts, "words": words, **said}


def _attempt_row(scope: Scope, attempt: Attempt, assignment: int | None, verdict: Verdict | None) -> dict[str, Any]:
    clock = clock_in(attempt)
    state = phase_at(attempt.closed_at, clock) if attempt.closed_at and attempt.started_at else None
    spent = zip(attempt.phases, clock.budgets_s, state.phase_spent_s, strict=True) if state else ()
    tags = verdict.by_tag.items() if verdict else ()
    return {
        "person": scope.person(assignment, attempt.user_id),
        "assignment": assignment,
        "attempt": str(attempt.pk),
        **{name: getattr(attempt, name) for name in ("problem", "preset", "mode", "status", "reason", "started_at", "closed_at")},
        "verdict": verdict.verdict if verdict else None,
        "score": verdict.score if verdict else None,
        "graded_weight": verdict.graded_weight if verdict else None,
        **{f"fraction.{phase['key']}": round(seconds / budget, 4) for phase, budget, seconds in spent if budget > 0},
        **{f"score.{tag}": 100 * entry["points"] / entry["max"] if entry["max"] else None for tag, entry in tags},
    }


def _facts(ids: list[Any]) -> dict[Any, set[str]]:
    found: dict[Any, set[str]] = defaultdict(set)
    for pk, data in Event.objects.filter(attempt__in=ids, kind__in=["question", "confirm"]).values_list("attempt", "data"):
        found[pk].update(name for names in facts_of(data).values() for name in names)
    return found


def _verdicts(scope: Scope, ids: list[Any]) -> dict[Any, Verdict]:
    """The newest of each; a learner's own only once it is out."""
    found: dict[Any, Verdict] = {}
    for verdict in Verdict.objects.filter(out(scope), attempt__in=ids).order_by("attempt", "-rubric_version", "-pk"):
        found.setdefault(verdict.attempt_id, verdict)
    return found


def out(scope: Scope) -> Q:
    return SCORE_IS_OUT if scope.cohort is None else Q()


# --- answers ---------------------------------------------------------------------------------------------------------


def response_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    rows = Response.objects.filter(sitting__in=sittings_in(scope), kind=ResponseKind.ANSWER).exclude(amendments__kind=ResponseKind.UNDO)
    if scope.cohort is None:
        rows = rows.exclude(sitting__feedback=False, sitting__status="open")
    for found in chunks(rows.defer("given", "card_before").order_by("pk").iterator(chunk_size=CHUNK)):
        sittings = {row.sitting_id for row in found}
        assignments, graded = assignments_of(scope, "sitting", sittings), _graded(scope, sittings)
        for row in found:
            yield _response_row(scope, row, assignments.get(row.sitting_id), graded)


def _graded(scope: Scope, sittings: set[Any]) -> dict[tuple[Any, str], float | None]:
    tasks = Task.objects.filter(assigned__sitting__in=sittings, section__startswith=ANSWER, state="graded")
    if scope.cohort is None:
        tasks = tasks.none()
    return {(pk, name.removeprefix(ANSWER)): mark for pk, name, mark in tasks.values_list("assigned__sitting", "section", "mark")}


def _response_row(scope: Scope, row: Response, assignment: int | None, graded: dict[tuple[Any, str], float | None]) -> dict[str, Any]:
    by_person = (row.sitting_id, f"{row.problem_slug}/{row.item_id}") in graded and row.state != ResponseState.AUTO
    return {
        "person": scope.person(assignment, row.user_id),
        "assignment": assignment,
        "sitting": str(row.sitting_id),
        "place": row.place,
        "problem": row.problem_slug,
        "item": row.item_id,
        "rev": row.rev,
        "instance": row.instance_id,
        "mark": graded[row.sitting_id, f"{row.problem_slug}/{row.item_id}"] if by_person else row.mark,
        "state": "human" if by_person else row.state,
        "ms": row.ms,
        "confidence": row.confidence,
        "rating": row.rating,
        "at": row.at,
    }


# --- predictions and runs --------------------------------------------------------------------------------------------


def _links(scope: Scope) -> QuerySet[RunLink]:
    rows = RunLink.objects.filter(attempt__in=attempts_in(scope), run__state=RunState.DONE, run__result__isnull=False)
    return rows.select_related("run__result", "attempt").defer("run__result__body", "attempt__content").order_by("at", "pk")


def prediction_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    """Ranges said inside interviews, then those of prediction assignments that have been scored."""
    for found in chunks(_links(scope).filter(prediction__isnull=False).iterator(chunk_size=CHUNK)):
        assignments = assignments_of(scope, "attempt", {link.attempt_id for link in found})
        for link in found:
            place = {"attempt": str(link.attempt_id), "run": link.number, "seen_before": None, "scale": None, "scale_score": None}
            yield {**_prediction_row(scope, predicted(link), assignments.get(link.attempt_id)), **place}
    scored = Prediction.objects.filter(assigned__in=scope.tries, resolved_at__isnull=False).select_related("assigned__assignment")
    for row in scored.order_by("pk").iterator(chunk_size=CHUNK):
        place = {"attempt": None, "run": None, "seen_before": row.seen_before, "scale": row.scale, "scale_score": row.score}
        yield {**_prediction_row(scope, foretold(row), row.assigned.assignment_id), **place}


def _prediction_row(scope: Scope, said: Predicted, assignment: int | None) -> dict[str, Any]:
    names = ("problem", "lab", "metric", "lower", "upper", "truth", "hit")
    who = {"person": scope.person(assignment, said.user), "assignment": assignment}
    return {**who, **{name: getattr(said, name) for name in names}, "score": interval_score(said)}


def interval_score(said: Predicted) -> float | None:
    """Gneiting & Raftery (2007) at 80 %, over the size of the truth; None without a truth to compare with."""
    if not said.truth:
        return None
    missed = max(said.lower - said.truth, said.truth - said.upper, 0.0)
    return (said.upper - said.lower + 10 * missed) / abs(said.truth)


def run_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    """Runs made inside interviews, then those made for the other kinds of assignment between beginning and handing in."""
    for found in chunks(_links(scope).iterator(chunk_size=CHUNK)):
        assignments = assignments_of(scope, "attempt", {link.attempt_id for link in found})
        for link in found:
            assignment = assignments.get(link.attempt_id)
            place = {"assignment": assignment, "attempt": str(link.attempt_id), "number": link.number}
            yield {"person": scope.person(assignment, link.attempt.user_id), **place, **_run_row(link.run)}
    for row in _alone(scope).iterator(chunk_size=CHUNK):
        for run in _runs_of(row).iterator(chunk_size=CHUNK):
            place = {"assignment": row.assignment_id, "attempt": None, "number": None}
            yield {"person": scope.person(row.assignment_id, row.user_id), **place, **_run_row(run)}


def _alone(scope: Scope) -> QuerySet[AssignedAttempt]:
    rows = scope.tries.filter(attempt=None, sitting=None, finished_at__isnull=False).select_related("assignment")
    return rows.order_by("pk")


def _runs_of(row: AssignedAttempt) -> QuerySet[Run]:
    runs = Run.objects.filter(user=row.user_id, problem=row.assignment.problem, state=RunState.DONE, result__isnull=False)
    lab = row.assignment.settings.get("lab")
    runs = runs.filter(lab=lab) if lab else runs
    return (
        runs.filter(created_at__range=(row.begun_at, row.finished_at)).select_related("result").defer("result__body").order_by("created_at")
    )


def _run_row(run: Run) -> dict[str, Any]:
    metrics = run.result.metrics if run.result else []
    return {
        "run": str(run.pk),
        "problem": run.problem,
        "lab": run.lab,
        "version": run.lab_version,
        "seed": run.seed,
        "params": run.params,
        "at": run.created_at,
        **{f"metric.{metric['key']}": metric["value"] for metric in metrics},
    }


def run_columns(scope: Scope) -> list[str]:
    """A first pass over the rows: only names are kept."""
    found: set[str] = set()
    for row in run_rows(scope):
        found.update(name for name in row if name.startswith("metric."))
    return sorted(found)


# --- events ----------------------------------------------------------------------------------------------------------


def event_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    rows = Event.objects.filter(attempt__in=attempts_in(scope)).order_by("attempt", "seq")
    if scope.cohort is None:
        rows = rows.exclude(kind__in=PRIVATE_EVENTS)
    names = ("seq", "at", "active_ms", "phase", "kind", "online")
    for found in chunks(rows.values("attempt", "attempt__user", "data", *names).iterator(chunk_size=CHUNK)):
        assignments = assignments_of(scope, "attempt", {row["attempt"] for row in found})
        for row in found:
            assignment = assignments.get(row["attempt"])
            data = without_accommodations(row["data"])
            who = {"person": scope.person(assignment, row["attempt__user"]), "assignment": assignment, "attempt": str(row["attempt"])}
            yield {**who, **{name: row[name] for name in names}, "data": data}
