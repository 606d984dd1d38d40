"""The clock of a timed interview as one pure function. No Django, no I/O, no call to "now".

Active time is the time since the start less the union of all stops. Phases, deadline and states follow from it, so a pause, an
extension or a credited outage is one more row of input and nothing has to be recomputed or repaired.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from math import inf
from typing import Literal

Mode = Literal["strict", "soft", "free"]
StopKind = Literal["pause", "break", "staff", "outage", "queue", "reopen"]
State = Literal["scheduled", "ready", "expired", "running", "paused", "overtime", "closing", "closed"]
Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class PhaseBudget:
    key: str
    title: str
    budget_s: float


@dataclass(frozen=True)
class Move:
    """What the person chose: at `at` on to phase number `to_phase`."""

    at: datetime
    to_phase: int


@dataclass(frozen=True)
class Stop:
    """The clock stands from `begin`; open while `end` is None, at most `cap_s` seconds if that is given."""

    begin: datetime
    end: datetime | None = None
    cap_s: float | None = None
    kind: StopKind = "pause"

    @property
    def latest_end(self) -> datetime | None:
        """When it is over at the latest; None while that is open."""
        capped = self.begin + timedelta(seconds=self.cap_s) if self.cap_s is not None else None
        ends = [end for end in (self.end, capped) if end is not None]
        return min(ends, default=None)


@dataclass(frozen=True)
class Adjust:
    """Seconds more or less from phase `from_phase` on, clamped when they were granted. Order does not matter."""

    from_phase: int
    seconds: float


@dataclass(frozen=True)
class Clock:
    """All that decides what the clock shows. Datetimes are aware; `multiplier` is 1.0 to 4.0."""

    phases: tuple[PhaseBudget, ...]
    mode: Mode
    multiplier: float = 1.0
    extra_s: int = 0
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    started_at: datetime | None = None
    closed_at: datetime | None = None
    moves: tuple[Move, ...] = ()
    stops: tuple[Stop, ...] = ()
    adjusts: tuple[Adjust, ...] = ()
    overtime_s: int = 0
    net_grace_s: int = 30

    @property
    def granted_s(self) -> float:
        """The limit before adjusts."""
        return round(sum(phase.budget_s for phase in self.phases) * self.multiplier) + self.extra_s

    @property
    def limit_s(self) -> float:
        return max(0.0, self.granted_s + self._given_s(inf))

    @property
    def phase_ends_s(self) -> tuple[float, ...]:
        """B_i: active time at which each phase ends by plan; ordered, the last is the limit."""
        factor = self.granted_s / sum(phase.budget_s for phase in self.phases)
        planned = accumulate(phase.budget_s for phase in self.phases)
        ends = [end * factor + self._given_s(number) for number, end in enumerate(planned)]
        limit = self.limit_s
        return (*accumulate((min(max(0.0, end), limit) for end in ends[:-1]), max), limit)

    def _given_s(self, phase: float) -> float:
        """Seconds that adjusts have given up to the end of a phase. Added up by themselves, whole numbers show no order."""
        return sum(adjust.seconds for adjust in self.adjusts if adjust.from_phase <= phase)

    @property
    def budgets_s(self) -> tuple[float, ...]:
        """Seconds of each phase with accommodation and adjusts in it."""
        ends = self.phase_ends_s
        return tuple(after - before for before, after in pairwise((0.0, *ends)))


@dataclass(frozen=True)
class Visit:
    """Phase `phase` from active time `begin_s` to `end_s`."""

    phase: int
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class ClockState:
    """The clock at one moment; times in seconds.

    at                 the moment this is about
    phase_remaining_s  of the phase one is in; negative when it is overrun (soft). None where nothing is due (free, not started)
    phase_plan_s       what each phase may take as things stand: phases not visited yet shrink when others overran
    debt_s             how far the phases visited so far have used up the time of those to come
    writable           keys of the phases whose text may be saved now
    visits             every stretch of active time so far with its phase; the last one goes on
    """

    at: datetime
    state: State
    phase_index: int | None
    active_s: float
    limit_s: float
    remaining_s: float | None
    phase_remaining_s: float | None
    phase_spent_s: tuple[float, ...]
    phase_plan_s: tuple[float, ...]
    debt_s: float
    deadline: datetime | None
    hard_close: datetime | None
    next_change_at: datetime | None
    writable: frozenset[str]
    visits: tuple[Visit, ...] = ()

    @property
    def started(self) -> bool:
        return self.phase_index is not None


def phase_at(now: datetime, clock: Clock) -> ClockState:
    """What the clock says at `now`. Raises ValueError for a naive datetime or a clock without phases."""
    clock = _in_utc(clock)
    now = _utc(now)
    if not clock.phases:
        raise ValueError("a clock needs at least one phase")
    if clock.started_at is None or now < clock.started_at:
        return _before_start(now, clock)
    return _Sitting(clock, clock.started_at, now).state()


def active_seconds(moments: Sequence[datetime], clock: Clock) -> list[float]:
    """Active seconds from the start to each of the moments: what `phase_at` says of them, with the stops read once."""
    clock = _in_utc(clock)
    if clock.started_at is None or not moments:
        return [0.0] * len(moments)
    asked = [_utc(moment) for moment in moments]
    sitting = _Sitting(clock, clock.started_at, max(asked))
    return [sitting.active_at(min(moment, sitting.now)) for moment in asked]


def moment_of_active(active_s: float, clock: Clock) -> datetime:
    """The moment at which active time reaches `active_s`. Raises ValueError for a clock that has not started."""
    clock = _in_utc(clock)
    if clock.started_at is None:
        raise ValueError("the clock has not started")
    last = clock.closed_at or max([clock.started_at, *(stop.begin for stop in clock.stops)])
    return _Sitting(clock, clock.started_at, last).wall_at(active_s)


# --- before the start ------------------------------------------------------------------------------------------------


def _before_start(now: datetime, clock: Clock) -> ClockState:
    state: State = "ready"
    next_change = clock.closes_at
    if clock.closed_at is not None and now >= clock.closed_at:
        state, next_change = "closed", None
    elif clock.opens_at is not None and now < clock.opens_at:
        state, next_change = "scheduled", clock.opens_at
    elif clock.closes_at is not None and now >= clock.closes_at:
        state, next_change = "expired", None
    limit = clock.limit_s
    return ClockState(
        at=now,
        state=state,
        phase_index=None,
        active_s=0.0,
        limit_s=limit,
        remaining_s=None if clock.mode == "free" else limit,
        phase_remaining_s=None,
        phase_spent_s=(0.0,) * len(clock.phases),
        phase_plan_s=clock.budgets_s,
        debt_s=0.0,
        deadline=None,
        hard_close=None,
        next_change_at=next_change,
        writable=frozenset(),
    )


# --- a sitting that has begun ----------------------------------------------------------------------------------------


class _Sitting:
    """One look at a started clock: stops merged once, everything else read off them."""

    def __init__(self, clock: Clock, started_at: datetime, now: datetime) -> None:
        self.clock, self.started_at = clock, started_at
        self.now = min(now, clock.closed_at) if clock.closed_at else now
        self.looked_at = now
        begun = [stop for stop in clock.stops if stop.begin <= self.now]
        self.open_stop = next((stop for stop in begun if stop.latest_end is None or stop.latest_end > self.now), None)
        self.stopped = _union(((stop.begin, stop.latest_end or self.now) for stop in begun), started_at)
        self.limit_s = clock.limit_s
        self.active_s = self.active_at(self.now)

    def active_at(self, moment: datetime) -> float:
        """Active seconds between the start and `moment`."""
        stood = sum((min(end, moment) - begin for begin, end in self.stopped if begin < moment), timedelta())  # exact, unlike floats
        return max(0.0, (moment - self.started_at - stood).total_seconds())

    def wall_at(self, active_s: float) -> datetime:
        """The moment at which active time reaches `active_s`."""
        at = self.started_at
        left = timedelta(seconds=active_s)
        for begin, end in self.stopped:
            if begin - at >= left:
                break
            left -= begin - at
            at = end
        return at + left

    def state(self) -> ClockState:
        deadline, overtime_s = self._deadline()
        over = deadline + timedelta(seconds=overtime_s) if deadline else None
        hard_close = over + timedelta(seconds=self.clock.net_grace_s) if over else None
        visits = self._visits()
        phase = visits[-1].phase
        spent = tuple(sum(visit.end_s - visit.begin_s for visit in visits if visit.phase == i) for i in range(len(self.clock.phases)))
        plan = self._plan(visits)
        state = self._state(deadline, over, hard_close)
        free = self.clock.mode == "free"
        return ClockState(
            at=self.looked_at,
            state=state,
            phase_index=phase,
            active_s=self.active_s,
            limit_s=self.limit_s,
            remaining_s=self._remaining_s(deadline),
            phase_remaining_s=None if free else self._phase_remaining_s(phase, spent, plan),
            phase_spent_s=spent,
            phase_plan_s=plan,
            debt_s=0.0 if free else self._debt_s(visits),
            deadline=deadline,
            hard_close=hard_close,
            next_change_at=self._next_change(state, phase, deadline, over, hard_close),
            writable=self._writable(state, visits),
            visits=tuple(visits),
        )

    def _deadline(self) -> tuple[datetime | None, int]:
        """The deadline and the overtime after it; a window that closes first leaves none."""
        planned = None if self.clock.mode == "free" else self.wall_at(self.limit_s)
        closes = self.clock.closes_at
        if closes is not None and (planned is None or closes < planned):
            return max(closes, self.started_at), 0
        return planned, self.clock.overtime_s

    def _remaining_s(self, deadline: datetime | None) -> float | None:
        if deadline is None:
            return None
        left = [] if self.clock.mode == "free" else [self.limit_s - self.active_s]
        if self.clock.closes_at is not None:
            left.append((self.clock.closes_at - self.now).total_seconds())
        return max(0.0, min(left))

    def _state(self, deadline: datetime | None, over: datetime | None, hard_close: datetime | None) -> State:
        if self.clock.closed_at is not None and self.looked_at >= self.clock.closed_at:
            return "closed"
        if deadline is None or over is None or hard_close is None or self.now < deadline:
            return "paused" if self.open_stop else "running"
        if self.now < over:
            return "overtime"
        return "closing" if self.now < hard_close else "closed"

    def _next_change(
        self, state: State, phase: int, deadline: datetime | None, over: datetime | None, hard_close: datetime | None
    ) -> datetime | None:
        if state == "paused":
            ends = [self.open_stop.latest_end if self.open_stop else None, self.clock.closes_at]
            return min((end for end in ends if end is not None), default=None)
        if state == "running" and self.clock.mode == "strict" and deadline is not None:
            return min(deadline, self.wall_at(self.clock.phase_ends_s[phase]))
        return {"running": deadline, "overtime": over, "closing": hard_close}.get(state)

    # phases

    def _visits(self) -> list[Visit]:
        """Every stretch of active time with the phase it belonged to; the last one goes on."""
        changes = self._strict_changes() if self.clock.mode == "strict" else self._chosen_changes()
        starts = [(0.0, 0), *((at_s, phase) for at_s, phase in changes if at_s <= self.active_s)]
        ends = [at_s for at_s, _ in starts[1:]] + [self.active_s]
        return [Visit(phase, begin, end) for (begin, phase), end in zip(starts, ends, strict=True)]

    def _chosen_changes(self) -> list[tuple[float, int]]:
        last = len(self.clock.phases) - 1
        moves = sorted((move for move in self.clock.moves if move.at <= self.now), key=lambda move: move.at)
        return [(self.active_at(move.at), min(max(move.to_phase, 0), last)) for move in moves]

    def _strict_changes(self) -> list[tuple[float, int]]:
        """Phases end by themselves; moving on early counts, moving back does not."""
        automatic = [(end, number + 1) for number, end in enumerate(self.clock.phase_ends_s[:-1])]
        changes, reached = [], 0
        for at_s, phase in sorted([*automatic, *self._chosen_changes()]):
            if phase > reached:
                changes.append((at_s, phase))
                reached = phase
        return changes

    def _plan(self, visits: Sequence[Visit]) -> tuple[float, ...]:
        """What each phase may take: its budget, or its share of what was left when it was entered (or is left now) if that is less."""
        budgets = self.clock.budgets_s
        if self.clock.mode != "soft":
            return budgets
        plan, unvisited = list(budgets), set(range(len(budgets)))
        for visit in visits:
            if visit.phase in unvisited:
                plan[visit.phase] = self._share(visit.phase, unvisited, self.limit_s - visit.begin_s)
                unvisited.discard(visit.phase)
        here = visits[-1].phase
        spent_here = sum(visit.end_s - visit.begin_s for visit in visits if visit.phase == here)
        left = self.limit_s - self.active_s - max(0.0, plan[here] - spent_here)
        for phase in unvisited:
            plan[phase] = self._share(phase, unvisited, left)
        return tuple(plan)

    def _share(self, phase: int, among: Iterable[int], left_s: float) -> float:
        budgets = self.clock.budgets_s
        whole = sum(budgets[number] for number in among)
        return min(budgets[phase], max(0.0, left_s) * budgets[phase] / whole) if whole else 0.0

    def _phase_remaining_s(self, phase: int, spent: Sequence[float], plan: Sequence[float]) -> float:
        if self.clock.mode == "strict":
            return max(0.0, self.clock.phase_ends_s[phase] - self.active_s)
        return plan[phase] - spent[phase]

    def _debt_s(self, visits: Sequence[Visit]) -> float:
        visited = {visit.phase for visit in visits}
        return max(0.0, self.active_s - sum(self.clock.budgets_s[phase] for phase in visited))

    # writing

    def _writable(self, state: State, visits: Sequence[Visit]) -> frozenset[str]:
        if state == "closed" or (state == "paused" and not self._just_stopped()):
            return frozenset()
        if self.clock.mode != "strict":
            return frozenset(phase.key for phase in self.clock.phases)
        grace = timedelta(seconds=self.clock.net_grace_s)
        open_phases = {visits[-1].phase, *(visit.phase for visit in visits[:-1] if self.now - self.wall_at(visit.end_s) <= grace)}
        return frozenset(self.clock.phases[number].key for number in open_phases)

    def _just_stopped(self) -> bool:
        """The last keystrokes before a pause are still on their way."""
        return self.open_stop is not None and (self.now - self.open_stop.begin).total_seconds() <= self.clock.net_grace_s


# --- intervals and time zones ----------------------------------------------------------------------------------------


def _union(intervals: Iterable[Interval], not_before: datetime) -> list[Interval]:
    """The intervals merged, in order, cut to what lies after `not_before`; empty ones left out."""
    merged: list[Interval] = []
    for begin, end in sorted((max(begin, not_before), end) for begin, end in intervals):
        if begin >= end:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _utc(moment: datetime) -> datetime:
    """In UTC: Python subtracts datetimes of one time zone by the wall clock, which is wrong in the night the clocks change."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; the clock takes aware datetimes only")
    return moment.astimezone(UTC)


def _maybe_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else _utc(moment)


def _in_utc(clock: Clock) -> Clock:
    return Clock(
        phases=clock.phases,
        mode=clock.mode,
        multiplier=clock.multiplier,
        extra_s=clock.extra_s,
        opens_at=_maybe_utc(clock.opens_at),
        closes_at=_maybe_utc(clock.closes_at),
        started_at=_maybe_utc(clock.started_at),
        closed_at=_maybe_utc(clock.closed_at),
        moves=tuple(Move(_utc(move.at), move.to_phase) for move in clock.moves),
        stops=tuple(Stop(_utc(stop.begin), _maybe_utc(stop.end), stop.cap_s, stop.kind) for stop in clock.stops),
        adjusts=clock.adjusts,
        overtime_s=clock.overtime_s,
        net_grace_s=clock.net_grace_s,
    )
