"""From the tables of an attempt to the plain sheet that rules read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from django.db.models import Max, Min, QuerySet
from pydantic import BaseModel

from mlsd_app.interviews.answers import counted, rows_from
from mlsd_app.interviews.lists import LISTS
from mlsd_app.interviews.models import AnswerOp, Attempt, Claim, Curveball, RunLink
from mlsd_app.interviews.scoring.sheet import RunRecord, Sheet, Thrown, Told
from mlsd_app.interviews.scoring.words import grams_of
from mlsd_app.interviews.selectors import events_of, state_of
from mlsd_app.runs.models import RunState
from problems.interview_schema import Interviewer, Rubric
from problems.loader import load_problem
from problems.schema import Problem


def sheet_of(attempt: Attempt) -> Sheet:
    """The attempt as it stood at the close, under the rubric it holds. Raises InvalidInput if its problem is gone."""
    problem = load_problem(attempt.problem)
    interviewer = Interviewer.model_validate(attempt.content["interviewer"])
    kept = counted(attempt)
    balls = list(attempt.curveball_rows.select_related("recovery"))
    shown = [ball.broken_id for ball in balls if ball.broken_id]  # made by the interviewer: nothing the candidate did
    return Sheet(
        interviewer=interviewer,
        rubric=rubric_of(attempt),
        values=attempt.content.get("values", {}),
        deep_dive=next((dive for dive in interviewer.deep_dives if dive.key == attempt.content.get("deep_dive")), None),
        calculators={calculator.key: calculator for calculator in problem.calculators},
        has_labs=bool(problem.labs),
        texts={phase["key"]: kept.get(f"text/{phase['key']}") or "" for phase in attempt.phases},
        phase_of={tag: phase["key"] for phase in attempt.phases for tag in phase["tags"]},
        rows={name: rows_from(kept, name) for name in LISTS},
        saved_ms=_saved_ms(attempt),
        told=list(_told(attempt)),
        runs=[run_record(link) for link in finished_links(attempt).exclude(pk__in=shown)],
        curveballs=[_thrown(ball) for ball in balls],
        claim_verdicts=list(Claim.objects.filter(attempt=attempt, by="user").values_list("verdict", flat=True)),
        end_ms=end_ms(attempt),
        source=shown_grams(attempt.problem),
    )


def rubric_of(attempt: Attempt) -> Rubric:
    return Rubric.model_validate(attempt.content["rubric"])


def end_ms(attempt: Attempt) -> int:
    """Active time at the close, or so far."""
    at = attempt.closed_at or attempt.processed_at or attempt.started_at
    return round(state_of(attempt, at).active_s * 1000) if at else 0


def finished_links(attempt: Attempt) -> QuerySet[RunLink]:
    return (
        attempt.runlinks.filter(run__state=RunState.DONE, run__result__isnull=False)
        .select_related("run__result")
        .defer("run__result__body")
    )


def run_record(link: RunLink) -> RunRecord:
    """A finished run of the attempt; `link.run.result` must be there."""
    metrics = link.run.result.metrics if link.run.result else []
    return RunRecord(
        number=link.number,
        lab=link.run.lab,
        params=link.run.params,
        metrics=metrics,
        active_ms=link.active_ms,
        pinned=link.pinned,
        label=link.label,
        predicted=link.prediction is not None,
    )


def _saved_ms(attempt: Attempt) -> dict[str, tuple[int, int]]:
    ops = AnswerOp.objects.filter(attempt=attempt, rev__isnull=False).order_by().values("field")
    return {op["field"]: (op["first"], op["last"]) for op in ops.annotate(first=Min("active_ms"), last=Max("active_ms"))}


def _told(attempt: Attempt) -> Iterator[Told]:
    for event in events_of(attempt, "question", "confirm"):
        for how, facts in facts_of(event.data).items():
            text = str(event.data.get("text") or event.data.get("answer") or "")
            yield from (Told(fact, cast(Any, how), event.active_ms, text, f"event/{event.seq}") for fact in facts)


def facts_of(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """{how: fact ids} of a question or of constraints that were read back."""
    asked = data.get("facts", []) if data.get("kind", "answered") == "answered" else []
    named = {"asked": asked, "confirmed": data.get("confirmed", []), "corrected": data.get("corrected", [])}
    return {how: [str(entry["fact"] if isinstance(entry, Mapping) else entry) for entry in facts] for how, facts in named.items()}


def _thrown(ball: Curveball) -> Thrown:
    return Thrown(
        key=ball.key,
        text=ball.text,
        lab=ball.lab,
        state=cast(Any, ball.state),
        active_ms=ball.active_ms,
        within_ms=ball.within_s * 1000,
        recovered_ms=ball.recovered_ms,
        recovery_run=ball.recovery.number if ball.recovery else None,
        runs_used=ball.runs_used,
    )


def design_facts(attempt: Attempt) -> dict[str, float]:
    """What the design checks may rest on: the latency at p99 in ms, once the candidate has been told it."""
    interviewer, told = Interviewer.model_validate(attempt.content["interviewer"]), {entry.fact for entry in _told(attempt)}
    for fact in interviewer.facts:
        value = attempt.content.get("values", {}).get(fact.id)
        about_latency = fact.unit in ("ms", "s") and any("p99" in group or "latency" in group for group in fact.ask)
        if fact.id in told and value is not None and about_latency:
            return {"latency_ms": value * (1000 if fact.unit == "s" else 1)}
    return {}


# --- what could have been copied -------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def shown_grams(slug: str) -> frozenset[str]:
    """Five-word runs of everything a candidate may have read on the problem: walkthrough, interviewer, rubric, calculators."""
    return grams_of(shown_texts(load_problem(slug)))


def shown_texts(problem: Problem) -> list[str]:
    parts: list[BaseModel] = [*problem.calculators, *(part for part in (problem.interviewer, problem.rubric) if part)]
    return [*(phase.text for phase in problem.phases), *(text for part in parts for text in _strings(part.model_dump()))]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
