"""An interview to take away: one Markdown file to read, or every event and write as JSON lines.

The candidate's own export says when; any other says which part of the person's own limit had passed, and nothing of how long that was.
What somebody wrote is quoted, so that it can neither pass for a heading of ours nor bring HTML or pictures with it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mlsd_app.interviews.answers import counted
from mlsd_app.interviews.debrief import Debrief, debrief_of
from mlsd_app.interviews.debrief.evidence import BallLine, RunLine
from mlsd_app.interviews.debrief.own import result_revealed
from mlsd_app.interviews.lists import lists_of_phase
from mlsd_app.interviews.models import AnswerOp, Attempt, Event
from mlsd_app.interviews.replay import Rows, lists_in
from mlsd_app.interviews.scoring import Scorecard, scorecard
from mlsd_app.interviews.scoring.scorecard import Viewer
from mlsd_app.runs.templatetags.quantities import quantity

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
SVG_STYLE = (
    "text{font-family:sans-serif;font-size:12px;fill:#16181d}.drawing-box{fill:#f6f7f9;stroke:#8b92a0}"
    ".drawing-edge{fill:none;stroke:#8b92a0;stroke-width:1.5}.drawing-head{fill:#8b92a0}.drawing-kind,.drawing-carries{font-size:11px}"
)

# What an export for others tells of an event: nothing of clocks, stops and accommodations.
TOLD_TO_OTHERS: dict[str, tuple[str, ...]] = {
    "start": (),
    "submit": (),
    "close": (),
    "move": ("from", "to"),
    "question": ("text", "kind", "facts", "answer"),
    "confirm": ("confirmed", "corrected", "open", "answer"),
    "assumption": ("name", "value", "unit"),
    "save": ("field", "rev", "words"),
    **dict.fromkeys(("probe", "nudge", "focus", "closing", "message"), ("key", "text")),
    "curveball": ("key", "text", "scenario", "lab", "params", "locked"),
    "recovered": ("key", "run", "runs_used"),
    "run": ("number", "lab", "by", "curveball", "predicted"),
    "pin": ("number", "pinned", "label"),
    "claim": ("how", "quote", "run"),
}


@dataclass(frozen=True)
class WrittenPhase:
    """A phase of the plan with all that was written in it; a list with two topics stands in the first phase it belongs to."""

    key: str
    title: str
    text: str
    lists: tuple[Rows, ...]


def phases_with_lists(attempt: Attempt) -> list[WrittenPhase]:
    kept = counted(attempt)
    left = {found.of.key: found for found in lists_in(kept)}
    phases = []
    for phase in attempt.phases:
        lists = tuple(left.pop(found.key) for found in lists_of_phase(phase) if found.key in left)
        phases.append(WrittenPhase(phase["key"], phase["title"], kept.get(f"text/{phase['key']}") or "", lists))
    return phases


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown_of(attempt: Attempt, *, own: bool) -> str:
    """`own`: the candidate's; otherwise times are shares of the person's own limit. Marks stand in it once they were opened."""
    debrief = debrief_of(attempt)
    card = _card(attempt, own)
    clock = _Times(debrief, own)
    parts: list[str] = [_front(debrief, card, clock), f"# {debrief.problem.title}"]
    if card:
        parts.append(_score(card))
    for phase in phases_with_lists(attempt):
        parts += [f"## {phase.title}", quoted(phase.text) or "Nothing written.", *(_list(found) for found in phase.lists)]
    if debrief.design.svg:
        parts += ["## Diagram", f"![The drawn system]({_svg_link(debrief.design.svg)})"]
    parts += [*_runs(debrief.runs, clock), *_claims(debrief, own), *_events(debrief.events, clock)]
    return "\n\n".join(parts) + "\n"


def _card(attempt: Attempt, own: bool) -> Scorecard | None:
    """None where there is nothing to see, or the candidate has not opened it yet."""
    viewer: Viewer = "owner" if own else "grader"
    if own and not result_revealed(attempt):
        return None
    card = scorecard(attempt, viewer=viewer)
    return None if card.hidden else card


class _Times:
    """How a moment of active time is said."""

    def __init__(self, debrief: Debrief, own: bool) -> None:
        self.own = own
        self.limit_s = max(1.0, debrief.pacing.limit_s or debrief.pacing.active_s)

    def said(self, seconds: float) -> str:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if self.own else f"{self.share(seconds):.0%}"

    def share(self, seconds: float) -> float:
        return round(seconds / self.limit_s, 4)


def _front(debrief: Debrief, card: Scorecard | None, clock: _Times) -> str:
    attempt, pacing = debrief.attempt, debrief.pacing
    head: dict[str, Any] = {
        name: getattr(attempt, name) for name in ("problem", "kind", "show", "level", "preset", "mode", "seed", "status")
    }
    head |= {"attempt": str(attempt.pk), "ended": attempt.reason, "rubric_version": attempt.rubric_version}
    if clock.own and attempt.started_at and attempt.closed_at:
        head |= {"started_at": attempt.started_at.isoformat(), "closed_at": attempt.closed_at.isoformat()}
    head |= {"time_used": clock.share(pacing.active_s)}
    shares = [(bar, clock.share(bar.planned_s), clock.share(bar.actual_s)) for bar in pacing.bars]
    head["phases"] = [{"key": bar.key, "planned": planned, "spent": spent, "words": bar.words} for bar, planned, spent in shares]
    if card:
        score = None if card.score is None else round(card.score, 2)
        head |= {"score_state": card.state, "score": score, "graded_weight": round(card.graded_weight, 2), "verdict": card.verdict or None}
    plain = {name: str(value) if isinstance(value, str) else value for name, value in head.items()}  # choices as the words they are
    return f"---\n{yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)}---"


def _score(card: Scorecard) -> str:
    score = "not graded" if card.score is None else f"{card.score:.0f} % of what was graded"
    lines = [f"## Scorecard\n\n**{card.verdict_words}**; {score}, {card.graded_weight:.0f} of 100 graded."]
    lines += [f"- Held down: {gate}" for gate in card.gates]
    topics = [[tag.title, _points(tag.points, tag.max) if tag.max else "not graded", f"{tag.weight:.0f}"] for tag in card.tags]
    signals = [[entry.title, "not graded" if entry.level is None else f"{entry.level} of 4", entry.sentence] for entry in card.signals]
    items = [[item.text, "not graded" if item.points is None else _points(item.points, item.max), item.state_words] for item in card.items]
    return "\n\n".join(
        [
            "\n".join(lines),
            table(["Topic", "Points", "Weight"], topics),
            table(["Signal", "Level", "What it means"], signals),
            table(["Point", "Points", "Judged"], items),
        ]
    )


def _points(points: float, most: float) -> str:
    return f"{points:g} of {most:g}"


def _list(found: Rows) -> str:
    return f"### {found.of.title}\n\n{table([column.title for column in found.columns], found.cells)}"


def _runs(lines: Sequence[RunLine], clock: _Times) -> Iterator[str]:
    if not lines:
        return
    yield "## Runs"
    for line in lines:
        link, run = line.link, line.link.run
        pinned = f", pinned: {inline(link.label) or 'without a label'}" if link.pinned else ""
        made = " (made by the interviewer)" if line.by_interviewer else ""
        version = f"Version {run.lab_version}, seed {run.seed}."
        head = f"### Run {link.number}: {line.title}{made}\n\nAt {clock.said(line.seconds)}{pinned}. {version}"
        params = f"```json\n{json.dumps(run.params, ensure_ascii=False, sort_keys=True)}\n```"
        metrics = [[_label(metric), quantity(metric["value"], metric["unit"])] for metric in line.metrics]
        yield "\n\n".join([head, params, table(["Metric", "Value"], metrics) if metrics else "No result."])


def _label(metric: Mapping[str, Any]) -> str:
    return f"{metric['label']} ({metric['series']})" if metric.get("series") else str(metric["label"])


def _claims(debrief: Debrief, own: bool) -> Iterator[str]:
    if debrief.claims:
        shown = debrief.result_shown or not own or debrief.attempt.show == "study"
        rows = [
            [
                line.claim.quote,
                line.says,
                f"run {line.claim.run.number}" if line.claim.run else "none",
                line.verdict_words if shown else "not yet",
            ]
            for line in debrief.claims
        ]
        yield f"## Claims\n\n{table(['Words', 'Claim', 'Run', 'Verdict'], rows)}"


def _events(lines: Sequence[BallLine], clock: _Times) -> Iterator[str]:
    if lines:
        rows = [[clock.said(line.seconds), line.ball.text, line.outcome[0], str(line.ball.runs_used)] for line in lines]
        yield f"## Events\n\n{table(['At', 'What happened', 'Outcome', 'Runs'], rows)}"


# --- Markdown that stays what it is ----------------------------------------------------------------------------------


def inline(text: str) -> str:
    """One line of somebody's words: no markup, no cell border, no line end."""
    return re.sub(r"([\\`*_\[\]|#<>])", r"\\\1", " ".join(text.split()))


def quoted(text: str) -> str:
    """Somebody's Markdown as a quotation; tags and pictures in it are shown as the characters they are."""
    safe = _TAG.sub("&lt;", text).replace("![", "!\\[")
    return "\n".join(f"> {line}".rstrip() for line in safe.splitlines())


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell if number == 1 else inline(cell) for cell in row) + " |" for number, row in enumerate(lines))


def _svg_link(svg: str) -> str:
    head, end, body = svg.partition(">")
    styled = f"{head}{end}<style>{SVG_STYLE}</style>{body}"
    return f"data:image/svg+xml;base64,{base64.b64encode(styled.encode()).decode()}"


# --- JSON lines ------------------------------------------------------------------------------------------------------


def jsonl_of(attempt: Attempt, *, own: bool) -> Iterator[str]:
    """One object a line: the attempt, every event in order, then every write in order. Times as in Markdown."""
    clock = _Times(debrief_of(attempt), own)
    names = (
        "problem",
        "kind",
        "show",
        "level",
        "preset",
        "mode",
        "seed",
        "status",
        "reason",
        "content_hash",
        "rubric_version",
        "lab_versions",
    )
    head = {"type": "attempt", "id": str(attempt.pk), **{name: getattr(attempt, name) for name in names}}
    head["phases"] = [{**phase, "budget_s": None} if not own else phase for phase in attempt.phases]
    yield _line(head)
    for event in attempt.events.order_by("seq").iterator():
        if told := _event(event, clock):
            yield _line(told)
    for op in AnswerOp.objects.filter(attempt=attempt).order_by("pk").iterator():
        yield _line(_op(op, clock))


def _line(value: Mapping[str, Any]) -> str:
    """Line ends that are not \\n are written as escapes, so that one line stays one line everywhere."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


def _event(event: Event, clock: _Times) -> dict[str, Any] | None:
    data = event.data
    if not clock.own:
        if event.kind not in TOLD_TO_OTHERS:
            return None
        data = {name: data[name] for name in TOLD_TO_OTHERS[event.kind] if name in data}
    told = {"type": "event", "seq": event.seq, "kind": event.kind, "phase": event.phase, **_when(event, clock), "data": data}
    return {**told, "online": event.online} if clock.own else told


def _op(op: AnswerOp, clock: _Times) -> dict[str, Any]:
    names = ("field", "op_id", "base_rev", "rev", "kind", "code", "splice", "keyframe")
    told = {"type": "op", **{name: getattr(op, name) for name in names}, **_when(op, clock)}
    return {**told, "client": op.client_label} if clock.own else told


def _when(row: Event | AnswerOp, clock: _Times) -> dict[str, Any]:
    if clock.own:
        return {"at": row.at.isoformat(), "active_ms": row.active_ms}
    return {"at_share": clock.share(row.active_ms / 1000)}
