"""What the windows lab lets a user choose."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from annotated_types import Ge, Le
from pydantic import model_validator

from simulators.engines.features.layouts import Layout, Window, rollup_levels
from simulators.engines.features.windows import Mode, Op, tail_hop
from simulators.lab import LabParams, param

MOST_WINDOWS = 4
DAY_S = 86_400
BY_HOP = ["sawtooth", "hopping", "sliding"]


class WindowsParams(LabParams):
    """The world's knobs (stream) do nothing to the user's own file."""

    mode: Mode = param(
        "sawtooth",
        title="Window",
        group="window",
        help="Where a window begins and ends. The sliding one is exact; it is also what the others are measured against.",
        labels={
            "sliding": "Sliding, exact",
            "sawtooth": "Sawtooth: exact head, rounded tail",
            "hopping": "Hopping: both ends rounded",
            "snapshot": "Snapshot: up to last midnight",
        },
    )
    windows: tuple[Annotated[int, Ge(60), Le(7_776_000)], ...] = param(
        (300, 3_600, 604_800),
        title="Windows",
        unit="s",
        group="window",
        max_items=MOST_WINDOWS,
        help="Up to four lengths: 300 is five minutes, 3600 an hour, 604800 seven days.",
    )
    hops: tuple[Annotated[int, Ge(0), Le(DAY_S)], ...] = param(
        (0,),
        title="Hops",
        unit="s",
        group="window",
        max_items=MOST_WINDOWS,
        help="One a window, the last holds for those that follow; 0 is Chronon's rule: 5 min, from 12 hours 1 h, from 12 days 1 d.",
        shown_when={"mode": BY_HOP},
    )
    op: Op = param("count", title="Aggregate", group="window", help="What is computed of the events in a window.")
    layout: Layout = param(
        "flat",
        title="State",
        group="state",
        help="What the stream keeps so that a request need not read events.",
        labels={
            "flat": "Tiles of one hop",
            "hierarchical": "Tiles rolled up by level",
            "precombined": "A body and an open tile",
            "raw_events": "The events",
        },
        shown_when={"mode": BY_HOP},
    )
    hll_p: int = param(
        12,
        title="Sketch precision p",
        unit="bits",
        ge=4,
        le=16,
        group="state",
        help="HyperLogLog keeps 2^p registers of one byte a tile.",
        shown_when={"op": ["count_distinct"]},
    )
    late_share: float = param(
        2.0, title="Late events", unit="%", ge=0, le=50, step=1, group="stream", help="Events that arrive ten minutes late on average."
    )
    lateness: float = param(
        60.0,
        title="Allowed lateness",
        unit="s",
        ge=0,
        le=DAY_S,
        soft=(0, 7_200),
        step=60,
        group="stream",
        help="The watermark trails the clock by this much; an event that arrives behind it is dropped.",
    )
    duplicates: float = param(
        2.0, title="Redelivered events", unit="%", ge=0, le=50, step=1, group="stream", help="Events that the queue delivers twice."
    )
    dedup: bool = param(True, title="Drop repeated event ids", group="stream", help="Counts each event id once.")
    burst: int = param(
        20, title="Attack", unit="events", ge=0, le=1_000, soft=(0, 200), group="stream", help="Events of one card within two minutes."
    )
    hot_key: float = param(
        5.0, title="Share of the busiest key", unit="%", ge=0, le=50, step=1, group="stream", help="Of all events, beside log-normal rates."
    )

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        if not self.windows:
            raise ValueError(f"Windows: nothing was given; expected one to {MOST_WINDOWS} lengths in seconds.")
        if any(longer <= shorter for shorter, longer in pairwise(self.windows)):
            raise ValueError(f"Windows {', '.join(map(str, self.windows))} s: expected different lengths, the shortest first.")
        if len(self.hops) > len(self.windows):
            raise ValueError(f"{len(self.hops)} hops were given for {len(self.windows)} windows; expected at most one each.")
        if self.mode != "snapshot":
            for window in self.shapes:
                if window.window_s % window.hop_s:
                    raise ValueError(f"Hop {window.hop_s} s does not divide window {window.window_s} s.")
            if self.layout == "hierarchical":
                rollup_levels(self.shapes)
        return self

    @property
    def shapes(self) -> tuple[Window, ...]:
        """Each window with its hop."""
        given = self.hops or (0,)
        hops = [given[min(i, len(given) - 1)] for i in range(len(self.windows))]
        return tuple(Window(window, hop or automatic_hop(window)) for window, hop in zip(self.windows, hops, strict=True))


def automatic_hop(window_s: int) -> int:
    """Chronon's tail hop where it divides the window, else the longest divisor below it: a window of 90 s has no tail of 5 min."""
    hop = min(tail_hop(window_s), window_s)
    return next(step for step in range(hop, 0, -1) if window_s % step == 0)


def duration(seconds: float) -> str:
    """A length as people say it: 300 is "5 min"."""
    for unit, length in (("d", DAY_S), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
