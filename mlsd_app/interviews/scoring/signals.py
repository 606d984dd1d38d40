"""The eleven signals: their anchors, and the levels of the three that are measured.

Six are anchored in each problem's rubric, five here. Judgement and craft are for people; a rule only speaks for what was counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, TypeAdapter

from mlsd_app.interviews.scoring.marks import Evidence, Mark
from mlsd_app.interviews.scoring.measured import in_time
from mlsd_app.interviews.scoring.sentences import focus_share
from mlsd_app.interviews.scoring.sheet import RunRecord, Sheet, Thrown, run_evidence
from problems.base import Content, Text
from problems.interview_schema import Levels, Rubric

Group = Literal["judgement", "craft", "measured"]
NOT_SHOWN, WEAK, MIXED, SOLID, STRONG = range(5)
FILE = Path(__file__).with_name("signals.yaml")


class SiteSignal(Content):
    """A signal anchored for every problem alike."""

    key: str
    group: Group
    title: Text
    areas: tuple[Text, ...] = ()
    levels: Levels
    evidence: tuple[Text, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Anchors:
    """`sentences[level]` for levels 0 to 4."""

    key: str
    title: str
    group: Group
    sentences: tuple[str, str, str, str, str]
    evidence: tuple[str, ...]
    areas: tuple[str, ...] = ()


@dataclass(frozen=True)
class Level:
    """A level by rule; None: a rule cannot say."""

    level: int | None
    comment: str
    evidence: tuple[Evidence, ...] = ()


UNKNOWN = Level(None, "Judged by a person.")


@cache
def site_signals() -> tuple[SiteSignal, ...]:
    return TypeAdapter(tuple[SiteSignal, ...]).validate_python(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def anchors(rubric: Rubric) -> list[Anchors]:
    """All eleven, judgement first, then craft, then measured."""
    own = [_anchors(signal, "measured" if signal.key == "quantitative" else "judgement") for signal in rubric.signals]
    site = [_anchors(signal, signal.group) for signal in site_signals()]
    order = ("judgement", "craft", "measured")
    return sorted([*own, *site], key=lambda entry: order.index(entry.group))


def _anchors(signal: object, group: Group) -> Anchors:
    levels: Levels = signal.levels  # type: ignore[attr-defined]
    sentences = ("Not shown.", levels.weak, levels.mixed, levels.solid, levels.strong)
    return Anchors(signal.key, signal.title, group, sentences, signal.evidence, getattr(signal, "areas", ()))  # type: ignore[attr-defined]


def signal_keys(rubric: Rubric) -> tuple[str, ...]:
    return tuple(entry.key for entry in anchors(rubric))


# --- levels by rule --------------------------------------------------------------------------------------------------


def measured_levels(sheet: Sheet, marks: Mapping[str, Mark]) -> dict[str, Level]:
    """{signal: level} of the three that are measured, and what was counted for the one that a person judges by it."""
    levels = {"quantitative": quantitative(sheet, marks), "verified_design": verified_design(sheet), "adaptation": adaptation(sheet)}
    return {**levels, "scope": scope(sheet)}


def scope(sheet: Sheet) -> Level:
    """No level: how many sentences of the deep dive concern the question that was drawn, for whoever judges."""
    ref = f"text/{sheet.phase_of.get('deep_dive', '')}"
    said = [sentence for sentence in sheet.sentences if sentence.ref == ref]
    if sheet.deep_dive is None or not said:
        return UNKNOWN
    inside, outside = focus_share(said, sheet.deep_dive.focus, sheet.deep_dive.outside)
    words = f"{inside} of {_count(len(said), 'sentence')} of the deep dive concern its question, {outside} something off the point."
    return Level(None, f"{words} Judged by a person.")


def quantitative(sheet: Sheet, marks: Mapping[str, Mark]) -> Level:
    """By the share of points that the number items earned; the top level also asks for the constraint that decides the design."""
    items = [item for item in sheet.rubric.items if item.grade == "number" and marks[item.id].graded]
    if not items:
        return UNKNOWN
    if not sheet.list_rows("numbers"):
        return Level(NOT_SHOWN, "No number was written down.")
    share = sum(marks[item.id].points or 0.0 for item in items) / sum(item.points for item in items)
    dominates = [row for row in sheet.list_rows("numbers") if row.get("dominates")]
    level = WEAK if share == 0 else MIXED if share < 0.4 else SOLID if share < 0.7 or not dominates else STRONG
    evidence = [entry for item in items for entry in marks[item.id].evidence]
    named = "the constraint that decides is marked" if dominates else "no constraint is marked as the one that decides"
    return Level(level, f"{share:.0%} of the points for numbers; {named}.", tuple(evidence[:6]) or _numbers(sheet))


def _numbers(sheet: Sheet) -> tuple[Evidence, ...]:
    rows = list(sheet.list_rows("numbers"))[:3]
    said = [f"{row.get('name')}: {row.get('value')} {row.get('unit') or ''}".strip() for row in rows]
    return tuple(sheet.row_evidence("numbers", row, text) for row, text in zip(rows, said, strict=True))


def verified_design(sheet: Sheet) -> Level:
    """By pinned runs, by decisions that name a pinned run, and by claims that a run bears out."""
    if not sheet.has_labs:
        return UNKNOWN
    if not sheet.runs:
        return Level(NOT_SHOWN, "No lab was run.")
    pinned = [run for run in sheet.runs if run.pinned]
    if not pinned:
        return Level(WEAK, f"{_count(len(sheet.runs), 'run')}, none pinned as evidence.", _runs(sheet.runs))
    tied = tied_rows(sheet, pinned)
    supported, contradicted = (sum(verdict == name for verdict in sheet.claim_verdicts) for name in ("supported", "contradicted"))
    resting = tied + supported
    level = MIXED if not resting or contradicted > supported else STRONG if resting >= 3 and not contradicted else SOLID
    borne_out = f"{_count(supported, 'claim')} borne out, {contradicted} contradicted"
    return Level(level, f"{_count(len(pinned), 'pinned run')}, {_count(tied, 'decision')} tied to one, {borne_out}.", _runs(pinned))


def tied_rows(sheet: Sheet, pinned: Sequence[RunRecord]) -> int:
    """Components and trade-offs that name a pinned run."""
    numbers = {run.number for run in pinned}
    return sum(row.get("run") in numbers for name in ("components", "tradeoffs") for row in sheet.list_rows(name))


def adaptation(sheet: Sheet) -> Level:
    """By how many events on a lab were recovered from, and how soon."""
    played = [ball for ball in sheet.curveballs if ball.lab]
    if not played:
        return UNKNOWN
    recovered = [ball for ball in played if ball.state == "recovered"]
    prompt = [ball for ball in played if in_time(ball)]
    words = f"{len(recovered)} of {_count(len(played), 'event')} recovered, {len(prompt)} in time."
    if not recovered:
        tried = sum(ball.runs_used for ball in played)
        return Level(WEAK if tried else NOT_SHOWN, words, _balls(played) if tried else ())
    level = MIXED if len(recovered) < len(played) else SOLID if len(prompt) < len(played) else STRONG
    return Level(level, words, _balls(recovered))


def _runs(runs: Sequence[RunRecord]) -> tuple[Evidence, ...]:
    return tuple(run_evidence(run) for run in runs[:6])


def _balls(balls: Sequence[Thrown]) -> tuple[Evidence, ...]:
    return tuple(
        {"kind": "event", "ref": f"curveball/{ball.key}", "text": ball.text[:300], "active_ms": ball.recovered_ms or ball.active_ms}
        for ball in balls[:6]
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
