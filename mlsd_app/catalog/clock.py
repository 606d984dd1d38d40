"""The practice clock as one pure function of what the user pressed. No Django, no I/O, no call to "now"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

Kind = Literal["start", "pause", "move"]


class ClockEvent(NamedTuple):
    """What was pressed: `start` sets the clock running in `phase`, `move` points it at another phase, `pause` stops it."""

    at_s: float  # Unix time
    kind: Kind
    phase: str


@dataclass(frozen=True)
class ClockState:
    """Where the clock stands at one moment; every time in seconds.

    phase_remaining_s  of the phase the clock points at, after the debt of other phases is paid; negative once it is overrun
    remaining_s        of the whole round; negative after its end
    plan_left_s        of the plan up to the end of this phase: what earlier phases saved is in it
    debt_s             how far the plan up to here is overrun; time saved in earlier phases pays first
    taken_s            what later phases give for it, nearest first: {phase: seconds}
    uncovered_s        what no later phase can give
    """

    running: bool
    phase: str
    spent_s: Mapping[str, float]
    phase_remaining_s: float
    remaining_s: float
    plan_left_s: float
    debt_s: float
    taken_s: Mapping[str, float]

    @property
    def uncovered_s(self) -> float:
        return self.debt_s - sum(self.taken_s.values())

    @property
    def untouched(self) -> bool:
        return not self.running and not any(self.spent_s.values())


def clock_at(now_s: float, budgets_s: Mapping[str, float], events: Sequence[ClockEvent]) -> ClockState:
    """The clock at `now_s`. Time counts for the phase the clock points at while it runs; events later than `now_s` have not happened.

    Events of unknown phases and events that change nothing (starting a running clock) are harmless. Order is that of the list: a host
    clock that steps back makes an interval of length zero, never a negative one.
    """
    happened = [event for event in events if event.at_s <= now_s]
    spent = dict.fromkeys(budgets_s, 0.0)
    running, phase = False, next(iter(budgets_s))
    for event, following in pairwise([*happened, ClockEvent(now_s, "pause", "")]):
        running = {"start": True, "pause": False, "move": running}[event.kind]
        phase = event.phase if event.kind != "pause" and event.phase in budgets_s else phase
        if running:
            spent[phase] += max(0.0, following.at_s - event.at_s)
    return _state(running, phase, spent, budgets_s)


def _state(running: bool, phase: str, spent: Mapping[str, float], budgets: Mapping[str, float]) -> ClockState:
    """What is spent, held against the plan. Going back to a phase counts against the plan up to that phase."""
    order = list(budgets)
    here = order.index(phase) + 1
    later = order[here:]
    used = sum(spent[key] for key in order[:here]) + sum(max(0.0, spent[key] - budgets[key]) for key in later)
    left_here = sum(budgets[key] for key in order[:here]) - used
    owed = max(0.0, -left_here)
    return ClockState(
        running=running,
        phase=phase,
        spent_s=spent,
        phase_remaining_s=min(budgets[phase] - spent[phase], left_here),
        remaining_s=sum(budgets.values()) - sum(spent.values()),
        plan_left_s=left_here,
        debt_s=owed,
        taken_s=_taken(owed, {key: max(0.0, budgets[key] - spent[key]) for key in later}),
    )


def _taken(owed: float, left: Mapping[str, float]) -> dict[str, float]:
    taken: dict[str, float] = {}
    for key, available in left.items():
        part = min(owed, available)
        if part > 0:
            taken[key] = part
        owed -= part
    return taken
