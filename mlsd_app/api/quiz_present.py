"""The quiz as plain dicts, in the shapes of `quiz_shapes.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlsd_app.quiz import sittings
from mlsd_app.quiz.bank import BankItem
from mlsd_app.quiz.models import Plan, Response, Sitting, SittingStatus
from mlsd_app.quiz.present import next_due_of, result_of
from mlsd_app.quiz.readiness import ProblemScore, Readiness, Score
from mlsd_app.quiz.served import served
from mlsd_app.quiz.statistics import Statistics

PLAN = ("interview_date", "minutes_a_day", "new_limit", "desired_retention", "scope", "timezone")
WORDS = ("verdict", "echo", "correct", "explanation", "formula", "line", "wrong_path")


def plan(found: Plan) -> dict[str, Any]:
    return {name: getattr(found, name) for name in PLAN}


def summary(entry: BankItem) -> dict[str, Any]:
    item = entry.item
    names = ("rev", "type", "phase", "level", "expect_s", "readiness")
    stem = item.front if item.type == "flashcard" else item.stem
    return {
        **{name: getattr(item, name) for name in names},
        "problem": entry.problem.slug,
        "item": item.id,
        "stem": stem,
        "tags": list(item.tags),
    }


def sitting(found: Sitting, now: datetime) -> dict[str, Any]:
    progress = sittings.progress_of(found)
    here = progress.here if found.status == SittingStatus.OPEN else None
    names = ("id", "kind", "status", "started_at", "closed_at")
    return {
        **{name: getattr(found, name) for name in names},
        "time_left_s": sittings.time_left_s(found, now),
        "total": progress.total,
        "answered": sorted(progress.answered),
        "question": None if here is None else {**served(found, here).question.public(), "place": here},
    }


def answer(row: Response) -> dict[str, Any]:
    """What was answered and how it was marked; without the marking while the sitting keeps it back."""
    head = {"id": row.pk, "sitting": row.sitting_id, "place": row.place}
    if not row.sitting.feedback and row.sitting.status == SittingStatus.OPEN:
        empty: dict[str, Any] = {**dict.fromkeys(WORDS, ""), "notes": [], "reasons": [], "links": []}
        return {**head, **empty, "shown": False, "mark": None, "rating": None, "next_due": None}
    result = result_of(row.sitting, row, next_due_of(row.sitting, row))
    marked = result.marked.as_dict()
    return {
        **head,
        **{name: marked[name] for name in WORDS},
        "shown": True,
        "mark": row.mark,
        "rating": row.rating,
        "notes": list(marked["notes"]),
        "reasons": list(marked["reasons"]),
        "links": [{"words": link.words, "url": link.url} for link in result.links],
        "next_due": result.next_due,
    }


def _score(found: Score) -> dict[str, float]:
    return {"low": found.low, "high": found.high}


def _problem_score(found: ProblemScore) -> dict[str, Any]:
    parts = [{name: getattr(part, name) for name in ("key", "weight", "value", "missing")} for part in found.parts]
    counts = {name: getattr(found, name) for name in ("items", "seen", "due")}
    return {"problem": found.problem.slug, "score": _score(found.score), "parts": parts, **counts}


def readiness(found: Readiness) -> dict[str, Any]:
    step = found.step
    return {
        "overall": _score(found.overall),
        "problems": [_problem_score(row) for row in found.problems],
        "next_step": step and {"kind": step.kind, "problem": step.problem.slug, "words": step.words, "gain": step.gain},
    }


def stats(found: Statistics, plan: Plan) -> dict[str, Any]:
    share = found.retention
    accuracies = {
        name: [{"name": row.name, "mark": row.mark, "n": row.n} for row in getattr(found, name)] for name in ("by_type", "by_tag")
    }
    return {
        "answers": found.answers,
        "retention": {"value": share.value, "interval": share.interval, "n": share.n, "desired": plan.desired_retention},
        "days": [{"day": day.day, "reviews": day.reviews, "minutes": day.minutes} for day in found.days],
        **accuracies,
        "forecast": [{"day": day, "due": due} for day, due in found.forecast],
        "hardest": [
            {"problem": row.entry.problem.slug, "item": row.entry.item.id, "again": row.again, "n": row.n} for row in found.hardest
        ],
    }
