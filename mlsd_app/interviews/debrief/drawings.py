"""Where the marks of the debrief's charts lie: across in percent, so that words keep their size on a phone; down in px."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlsd_app.interviews.debrief.own import GapRow
from mlsd_app.interviews.debrief.pacing import First, Pacing
from mlsd_app.interviews.replay import Span

PHASE_PX, LANE_PX, APART = 20, 26, 4.0  # height of the phases, of a row of marks; percent that two marks keep apart
GAP_STEP_PX, GAP_TOP_PX, LARGEST_GAP = 14, 18, 4
GAP_EDGE = 8.0  # percent left free on both sides


@dataclass(frozen=True)
class PhaseBar:
    """Lengths in percent of the longest bar."""

    planned: float
    actual: float
    over: float


@dataclass(frozen=True)
class Block:
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Mark:
    """Number `number` of the list below the line."""

    number: int
    x: float
    y: int
    first: First


@dataclass(frozen=True)
class FirstsLine:
    height: int
    phases: tuple[Block, ...]
    marks: tuple[Mark, ...]
    never: tuple[First, ...]


@dataclass(frozen=True)
class GapDot:
    x: float
    y: float
    count: int  # signals with this gap


@dataclass(frozen=True)
class GapChart:
    """`levels`: (height, gap) of the lines across; `means`: one an interview, oldest first."""

    height: int
    levels: tuple[tuple[int, int], ...]
    dots: tuple[GapDot, ...]
    means: tuple[GapDot, ...]


def phase_bars(pacing: Pacing) -> tuple[PhaseBar, ...]:
    """How long each phase was planned and took; the part above the plan apart."""
    longest = max([1.0, *(max(bar.planned_s, bar.actual_s) for bar in pacing.bars)])
    return tuple(
        PhaseBar(100 * bar.planned_s / longest, 100 * min(bar.actual_s, bar.planned_s) / longest, 100 * max(0.0, bar.over_s) / longest)
        for bar in pacing.bars
    )


def firsts_line(pacing: Pacing, spans: Sequence[Span]) -> FirstsLine:
    """Marks in the order of time; those that lie close together stand in different rows."""
    end_ms = max(1.0, pacing.active_s * 1000)
    there = sorted((first for first in pacing.firsts if first.ms is not None), key=lambda first: first.ms or 0)
    marks = tuple(_marks(there, end_ms))
    lowest = max((mark.y for mark in marks), default=PHASE_PX)
    phases = tuple(Block(100 * span.begin_ms / end_ms, 100 * (span.end_ms - span.begin_ms) / end_ms, span.title) for span in spans)
    return FirstsLine(lowest + LANE_PX // 2 + 4, phases, marks, tuple(first for first in pacing.firsts if first.ms is None))


def _marks(firsts: Sequence[First], end_ms: float) -> Iterator[Mark]:
    last: list[float] = []  # of each row, where its last mark stands
    for number, first in enumerate(firsts, 1):
        x = 100 * (first.ms or 0) / end_ms
        row = next((row for row, taken in enumerate(last) if x - taken >= APART), len(last))
        last[row : row + 1] = [x]
        yield Mark(number, min(max(x, 1.5), 98.5), PHASE_PX + LANE_PX // 2 + 2 + row * LANE_PX, first)


def gap_chart(rows: Sequence[GapRow]) -> GapChart:
    xs = [_across(number, len(rows)) for number in range(len(rows))]
    dots = [GapDot(x, _down(gap), count) for x, row in zip(xs, rows, strict=True) for gap, count in _counted(row)]
    means = [GapDot(x, _down(row.mean), len(row.gaps)) for x, row in zip(xs, rows, strict=True)]
    levels = tuple((round(_down(gap)), gap) for gap in range(-LARGEST_GAP, LARGEST_GAP + 1))
    return GapChart(2 * GAP_TOP_PX + 2 * LARGEST_GAP * GAP_STEP_PX, levels, tuple(dots), tuple(means))


def _across(number: int, of: int) -> float:
    return 50.0 if of == 1 else GAP_EDGE + number * (100 - 2 * GAP_EDGE) / (of - 1)


def _down(gap: float) -> float:
    return GAP_TOP_PX + (LARGEST_GAP - gap) * GAP_STEP_PX


def _counted(row: GapRow) -> list[tuple[int, int]]:
    found = list(row.gaps.values())
    return [(gap, found.count(gap)) for gap in sorted(set(found))]
