"""Where the tracks of a replay lie: across in percent of the drawing, down in px."""

from __future__ import annotations

from dataclasses import dataclass

from mlsd_app.interviews.replay import Kind, Timeline

WIDTH = 100
PX_A_PERCENT, PX_A_LETTER = 10, 6  # on a wide screen
PHASES_HEIGHT, LANE_HEIGHT, MARK_HEIGHT = 22, 22, 12


@dataclass(frozen=True)
class Block:
    """A rectangle from `x`, `width` wide, in percent. `shown`: there is room for its title in it."""

    x: float
    width: float
    title: str

    @property
    def shown(self) -> bool:
        return self.width * PX_A_PERCENT >= len(self.title) * PX_A_LETTER


@dataclass(frozen=True)
class Lane:
    """One track: its line at `y`, its marks from `top` down."""

    kind: Kind
    y: int
    top: int
    marks: tuple[Block, ...]


@dataclass(frozen=True)
class Drawing:
    height: int
    phases: tuple[Block, ...]
    lanes: tuple[Lane, ...]


def drawing(timeline: Timeline) -> Drawing:
    scale = WIDTH / max(1, timeline.end_ms)
    phases = tuple(Block(span.begin_ms * scale, (span.end_ms - span.begin_ms) * scale, span.title) for span in timeline.phases)
    lanes = []
    for number, track in enumerate(timeline.tracks):
        middle = PHASES_HEIGHT + number * LANE_HEIGHT + LANE_HEIGHT // 2
        marks = tuple(Block(mark.ms * scale, 0, mark.label) for mark in track.marks)
        lanes.append(Lane(track.kind, middle, middle - MARK_HEIGHT // 2, marks))
    return Drawing(PHASES_HEIGHT + len(lanes) * LANE_HEIGHT, phases, tuple(lanes))
