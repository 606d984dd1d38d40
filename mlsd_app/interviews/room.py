"""What the room of a running attempt shows: its phases, its conversation, and the data its modules begin with. Reads, never writes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from mlsd_app.core.content import problem_title
from mlsd_app.interviews.answers import rows_of
from mlsd_app.interviews.interviewer.prompts import FIRST_QUESTIONS
from mlsd_app.interviews.interviewer.record import categories, interviewer_of, locks
from mlsd_app.interviews.kinds import KIND_GROUPS
from mlsd_app.interviews.lifecycle import clock_block
from mlsd_app.interviews.lists import LISTS, MAX_FIELD_CHARACTERS, lists_of_phase
from mlsd_app.interviews.models import Attempt, Event, RunLink
from mlsd_app.interviews.runs import links_of
from mlsd_app.interviews.scoring.checks import design_checks
from mlsd_app.interviews.scoring.diagram import diagram_svg
from mlsd_app.interviews.scoring.reading import design_facts
from mlsd_app.interviews.selectors import clock_of, state_of
from mlsd_app.runs.sliders import number_text
from problems.loader import load_problem
from problems.schema import Problem
from simulators.registry import labs_of

FIRST_PHASE_TAGS = {"clarify"}
HINT_PHASES = {"eval": "evaluation", "monitoring": "evaluation", "gotchas": "evaluation", "more_time": "evaluation", "infra": "deep_dive"}


def room_context(attempt: Attempt, now: datetime, fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields`: every field with its revision, as the page that saves them begins with."""
    state = state_of(attempt, now)
    problem = load_problem(attempt.problem)
    events = list(attempt.events.all())
    labs = labs_of(attempt.problem)
    return {
        "attempt": attempt,
        "title": problem_title(attempt.problem),
        "clock": clock_block(attempt, state),
        "shown_phase": state.phase_index or 0,
        "phases": phases_shown(attempt, problem, events),
        "labs": labs,
        "calculators": problem.calculators,
        "kind_groups": KIND_GROUPS,
        "max_characters": MAX_FIELD_CHARACTERS,
        "entries": entries(events),
        "fact_counts": categories(interviewer_of(attempt).facts) if attempt.show == "study" else {},
        "runs": runs_of(attempt),
        "claims": attempt.claims.filter(by="user").select_related("run"),
        "can_pause": attempt.pause_policy.get("count", 0) != 0,
        "can_break": bool(attempt.pause_policy.get("break_s")),  # stop-clock time that was granted to this person
        "present": _last(events, "presence").get("present", False),
        "hand": _last(events, "hand").get("raised", False),
        "config": config(attempt, now, events, fields),
    }


def _last(events: Sequence[Event], kind: str) -> Mapping[str, Any]:
    """What the newest event of a kind says."""
    return next((event.data for event in reversed(events) if event.kind == kind), {})


def runs_of(attempt: Attempt) -> list[RunLink]:
    """Newest first."""
    return list(links_of(attempt).order_by("-number"))


# --- phases ----------------------------------------------------------------------------------------------------------


def phases_shown(attempt: Attempt, problem: Problem, events: Sequence[Event]) -> list[dict[str, Any]]:
    focus = next((str(event.data.get("text", "")) for event in events if event.kind == "focus"), "")
    return [_phase(attempt, problem, phase, number, focus) for number, phase in enumerate(attempt.phases)]


def _phase(attempt: Attempt, problem: Problem, phase: Mapping[str, Any], number: int, focus: str) -> dict[str, Any]:
    opener = attempt.content.get("interviewer", {}).get("opener", "") if number == 0 else ""
    tags = [tag for tag in phase["tags"] if not (opener and tag in FIRST_PHASE_TAGS) and tag != "deep_dive"]
    dives = "deep_dive" in phase["tags"]
    return {
        **phase,
        "opener": opener,
        "prompts": [FIRST_QUESTIONS[tag] for tag in tags],
        "has_focus": dives,
        "focus": (focus or FIRST_QUESTIONS["deep_dive"]) if dives else "",
        "hints": _hints(problem, phase),
        "lists": lists_of_phase(phase),
    }


def _hints(problem: Problem, phase: Mapping[str, Any]) -> list[str]:
    """What a strong candidate does, from the phases of the walkthrough that the topics belong to."""
    keys = dict.fromkeys(HINT_PHASES.get(tag, tag) for tag in phase["tags"])
    return [found.strong for key in keys if (found := problem.phase(key))]


# --- fragments -------------------------------------------------------------------------------------------------------

RUN_NAME = re.compile(r"\[run (\d{1,4})\]")


def with_run_chips(html: str, attempt: Attempt) -> SafeString:
    """`[run 7]` in rendered Markdown as a chip with the run's first metrics; a number that names no run stays as it is."""
    links = {link.number: link for link in runs_of(attempt)} if RUN_NAME.search(html) else {}

    def chip(found: re.Match[str]) -> str:
        link = links.get(int(found[1]))
        return render_to_string("interviews/_run_chip.html", {"link": link}).strip() if link else found[0]

    return mark_safe(RUN_NAME.sub(chip, html))  # noqa: S308 - Markdown cleaned before, and a template of ours


def locked_inputs(attempt: Attempt, calculator: str) -> dict[str, str]:
    """Inputs of a calculator that are fixed, as a person would type them."""
    return {name: number_text(lock["value"]) for name, lock in locks(attempt)["calculators"].get(calculator, {}).items()}


def diagram_context(attempt: Attempt) -> dict[str, Any]:
    components, edges = rows_of(attempt, "components"), rows_of(attempt, "edges")
    checks = design_checks(components, edges, design_facts(attempt))
    return {
        "svg": mark_safe(diagram_svg(components, edges)) if components else "",  # noqa: S308 - drawn and escaped by us
        "checks": [check for check in checks if check.ok is False] if attempt.show == "study" else None,
    }


# --- the conversation ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One line of the conversation. `assume`: the question an assumption may be stated on."""

    seq: int
    kind: str
    who: str  # you, interviewer, note
    lines: tuple[str, ...]
    at_s: float
    assume: str = ""
    rows: tuple[Mapping[str, str], ...] = ()  # rows of the constraints that would hold what was told

    @property
    def who_words(self) -> str:
        return {"you": "You", "interviewer": "Interviewer"}.get(self.who, "")


def entries(events: Sequence[Event]) -> list[Entry]:
    """The conversation as it stands in the log; one event may be two lines, a question and its answer."""
    return [entry for event in events for entry in _entries(event)]


def _entries(event: Event) -> list[Entry]:
    said = _SAID.get(event.kind)
    return said(event) if said else []


def _question(event: Event) -> list[Entry]:
    at_s, data = event.active_ms / 1000, event.data
    missed = str(data.get("text", "")) if data.get("kind") == "miss" else ""
    return [
        Entry(event.seq, "question", "you", (str(data.get("text", "")),), at_s),
        Entry(event.seq, "answer", "interviewer", _lines(data.get("answer", "")), at_s, assume=missed, rows=tuple(data.get("rows", ()))),
    ]


def _lines(text: Any) -> tuple[str, ...]:
    parts = text if isinstance(text, (list, tuple)) else str(text).split("\n")
    return tuple(str(part) for part in parts if str(part).strip())


def _spoken(event: Event) -> list[Entry]:
    return [Entry(event.seq, event.kind, "interviewer", _lines(event.data.get("text", "")), event.active_ms / 1000)]


def _assumed(event: Event) -> list[Entry]:
    words = f"You assume: {event.data.get('name', '')} {event.data.get('value', '')} {event.data.get('unit', '')}".strip()
    return [Entry(event.seq, event.kind, "note", (words,), event.active_ms / 1000)]


def _confirmed(event: Event) -> list[Entry]:
    at_s = event.active_ms / 1000
    return [
        Entry(event.seq, "confirm-asked", "you", ("Let me confirm the constraints.",), at_s),
        Entry(event.seq, "confirm", "interviewer", _lines(event.data.get("answer") or event.data.get("text", "")), at_s),
    ]


def _recovered(event: Event) -> list[Entry]:
    return [Entry(event.seq, "recovered", "note", ("Your design has recovered from the event.",), event.active_ms / 1000)]


_SAID = {
    "question": _question,
    "confirm": _confirmed,
    "probe": _spoken,
    "nudge": _spoken,
    "focus": _spoken,
    "closing": _spoken,
    "curveball": _spoken,
    "message": _spoken,
    "assumption": _assumed,
    "recovered": _recovered,
}


# --- what the modules begin with ---------------------------------------------------------------------------------------


def config(attempt: Attempt, now: datetime, events: Sequence[Event], fields: Mapping[str, Any]) -> dict[str, Any]:
    clock = clock_of(attempt)
    return {
        "attempt": str(attempt.pk),
        "user": attempt.user_id,
        "mode": attempt.mode,
        "show": attempt.show,
        "clock": clock_block(attempt, state_of(attempt, now)),
        "phases": [
            {"key": phase["key"], "title": phase["title"], "tags": phase["tags"], "budgetMs": round(budget * 1000)}
            for phase, budget in zip(attempt.phases, clock.budgets_s, strict=True)
        ],
        "overtimeMs": attempt.overtime_s * 1000,
        "graceMs": attempt.net_grace_s * 1000,
        "hideText": bool(attempt.pause_policy.get("hide_text")),
        "hideTimer": bool(attempt.accommodation.get("hide_timer")),
        "alerts": not attempt.accommodation.get("no_low_time_alerts"),
        "lastSeq": events[-1].seq if events else 0,
        "limit": MAX_FIELD_CHARACTERS,
        "fields": {name: {**field, "saved_at": field["saved_at"] and field["saved_at"].isoformat()} for name, field in fields.items()},
        "lists": {key: _list(key) for key in LISTS},
        "runs": [{"number": link.number, "label": link.label, "lab": link.run.lab, "pinned": link.pinned} for link in runs_of(attempt)],
        "base": reverse("interviews:room", args=[attempt.pk]),  # the room's parts lie below it, by the names of urls.py
        "debrief": reverse("interviews:debrief", args=[attempt.pk]),
    }


def _list(key: str) -> dict[str, Any]:
    found = LISTS[key]
    columns = [
        {"name": column.name, "title": column.title, "kind": column.kind, "unit": column.unit, "hidden": column.hidden, "rows": column.rows}
        for column in found.columns
    ]
    return {"one": found.one, "title": found.title, "tags": found.tags, "columns": columns}
