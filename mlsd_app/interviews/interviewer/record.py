"""What the interviewer of an attempt knows and has told so far, read from the frozen content and the event log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlsd_app.interviews.answers import rows_of
from mlsd_app.interviews.interviewer import facts
from mlsd_app.interviews.interviewer.matcher import words
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.selectors import events_of, phase_of_tag
from problems.calculators import Calculator
from problems.interview_schema import HiddenFact, Interviewer
from problems.loader import load_problem

Inputs = dict[str, dict[str, dict[str, Any]]]

# What a fact is about, by the first of these whose words stand in what it is asked with. Shown in Study mode, with counts.
CATEGORIES = {
    "Latency": "latency p99 milliseconds ttft itl fast hz frequency",
    "Users": "users dau people tenants customers sessions visitors identity advertisers creators fleet",
    "Traffic": "qps traffic load requests volume rate throughput uploads uploaded growth posts day churn candidates auctions concurrent",
    "Data": "corpus data labels logs documents pages modalities features sensors cardinality dimension entities length prompts encoders "
    "signals suite media clicks",
    "Objective": "objective goal metric metrics success recall accuracy similar intent use used application unit effect fraud recency "
    "existing today current",
}


def interviewer_of(attempt: Attempt) -> Interviewer:
    """As it was when the attempt began."""
    return Interviewer.model_validate(attempt.content["interviewer"])


def values_of(attempt: Attempt) -> dict[str, float]:
    return dict(attempt.content.get("values", {}))


def told_facts(attempt: Attempt) -> dict[str, str]:
    """{fact id: asked, confirmed or corrected} of all that the candidate has been told, in that order."""
    told: dict[str, str] = {}
    for event in events_of(attempt, "question", "confirm"):
        if event.kind == "question":
            heard = [(fact, "asked") for fact in event.data["facts"]]
        else:
            heard = [(entry["fact"], how) for how in ("confirmed", "corrected") for entry in event.data[how]]
        for fact, how in heard:
            told.setdefault(fact, how)
    return told


def categories(known: Iterable[HiddenFact]) -> dict[str, int]:
    """{category: number of facts}: what Study mode shows of what there is to ask."""
    counts = dict.fromkeys([*CATEGORIES, "Constraints"], 0)
    for fact in known:
        counts[_category(fact)] += 1
    return {name: count for name, count in counts.items() if count}


def _category(fact: HiddenFact) -> str:
    asked = words(" ".join([fact.id.replace("_", " "), *fact.ask[0]]))
    return next((name for name, said in CATEGORIES.items() if asked & words(said)), "Constraints")


# --- locked inputs ---------------------------------------------------------------------------------------------------


def locked_values(attempt: Attempt) -> Inputs:
    """{"labs": {lab: {param: value}}, "calculators": {calculator: {input: value}}} that the candidate may not change any more.

    Numbers the candidate was told; in strict mode also those they wrote, once their phase is over; in a lab that an event has changed,
    what the newest event holds fast and nothing else, so that a way back is always open.
    """
    return {
        kind: {owner: {name: lock["value"] for name, lock in inputs.items()} for owner, inputs in of.items()}
        for kind, of in locks(attempt).items()
    }


def locks(attempt: Attempt) -> Inputs:
    """The same with the reason: each input is {"value", "from": fact | number | curveball, "why": a sentence}."""
    if "interviewer" not in attempt.content:
        return {"labs": {}, "calculators": {}}
    found = _own_numbers(attempt)
    told, values = told_facts(attempt), values_of(attempt)
    for fact in interviewer_of(attempt).facts:
        if fact.id in told and fact.id in values:
            _lock_fact(found, fact, values[fact.id])
    _spread(found["calculators"], load_problem(attempt.problem).calculators)
    for ball in attempt.curveball_rows.exclude(lab="").order_by("shown_at", "pk"):
        found["labs"][ball.lab] = {name: _lock(value, "curveball", ball.text) for name, value in ball.locked.items()}
    return found


def _lock(value: Any, source: str, why: str) -> dict[str, Any]:
    return {"value": value, "from": source, "why": why}


def _lock_fact(found: Inputs, fact: HiddenFact, value: float) -> None:
    lock = _lock(value, "fact", f"The interviewer: {facts.answer_text(fact, value)}")
    for kind, target in (("labs", fact.feeds.lab), ("calculators", fact.feeds.calculator)):
        if target:
            owner, name = target.split(".")
            found[kind].setdefault(owner, {})[name] = lock


def _spread(found: dict[str, dict[str, Any]], calculators: Sequence[Calculator]) -> None:
    """What fixes an input of one calculator fixes the same input, by key, unit and default, of the others; what is no input goes."""
    inputs = {calculator.key: {entry.key: entry for entry in calculator.inputs} for calculator in calculators}
    given = [
        (entry, lock) for owner, of in found.items() for name, lock in of.items() if (entry := inputs.get(owner, {}).get(name)) is not None
    ]
    found.clear()
    for owner, entries in inputs.items():
        for source, lock in sorted(given, key=lambda fixed: fixed[1]["from"] == "fact"):  # what was told has the last word
            entry = entries.get(source.key)
            if entry and (entry.unit, entry.default) == (source.unit, source.default):
                found.setdefault(owner, {})[entry.key] = {**lock, "value": min(max(lock["value"], entry.min), entry.max)}


def _own_numbers(attempt: Attempt) -> Inputs:
    """Strict mode: rows of the numbers that name a calculator's input, once the phase they belong to has been left."""
    found: Inputs = {"labs": {}, "calculators": {}}
    if attempt.mode != "strict" or not _left(attempt, "capacity"):
        return found
    for row in rows_of(attempt, "numbers"):
        calculator, _, name = str(row["calculator"]).partition(".")
        if name and row["value"] is not None:
            lock = _lock(row["value"], "number", "Your own number, as it stood when its phase ended.")
            found["calculators"].setdefault(calculator, {})[name] = lock
    return found


def _left(attempt: Attempt, tag: str) -> bool:
    """Whether anything happened in a phase after the one of `tag`: in strict mode there is no way back."""
    phase = phase_of_tag(attempt, tag)
    if phase is None:
        return False
    keys = [entry["key"] for entry in attempt.phases]
    return attempt.events.filter(phase__in=keys[keys.index(phase["key"]) + 1 :]).exists()
