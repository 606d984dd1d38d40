"""One run: every schedule over the same days, against the known probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from simulators.ads_ctr._shift_params import LABELS, ShiftParams, Way
from simulators.engines.ranking import drift, metrics
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.drift import FIRST_DAYS, Replay
from simulators.engines.ranking.worlds.drift import SHIFT_DAY, DriftWorld, drift_world
from simulators.engines.steps import relay
from simulators.lab import Context, Progress, Working

DAYS = 30
LATE = 5  # days at the end that tell where it settles
RECOVERED = 0.03  # normalised entropy above the oracle's (or the best schedule's) that counts as recovered
PARTS = 5  # of the impressions by the first model's prediction
Days = Sequence[tuple[Floats, Floats]]


class Settled(NamedTuple):
    """Days at which a regime begins, and the one before which nothing has changed."""

    quiet: slice  # days before the shift that are judged
    shift: int | None
    changes: tuple[int, ...]


@dataclass
class Study:
    """`floor` (days,) is the normalised entropy of the truth, None for a log whose truth nobody knows."""

    params: ShiftParams
    days: Days
    regime: Settled
    floor: Floats | None
    played: dict[Way, Replay] = field(default_factory=dict)

    @property
    def judged(self) -> slice:
        return slice(FIRST_DAYS, None)

    @property
    def best(self) -> Way:
        return min(self.played, key=self.mean)

    def mean(self, way: Way) -> float:
        return float(self.played[way].ne[self.judged].mean())

    def before(self, way: Way) -> float | None:
        days = self.played[way].ne[self.regime.quiet]
        return float(days.mean()) if len(days) else None

    def late(self, way: Way) -> float:
        return float(self.played[way].ne[-LATE:].mean())

    def ratio_after(self, way: Way) -> float | None:
        """Predicted over actual clicks from the day after the shift on."""
        if self.regime.shift is None:
            return None
        days = range(self.regime.shift + 1, len(self.days))
        actual = sum(float(self.days[day][1].sum()) for day in days)
        return sum(float(self.played[way].p[day].sum()) for day in days) / actual

    def recovery(self, way: Way) -> int | None:
        """Days from the shift until the normalised entropy is back for good (until the next change); None if never."""
        if self.regime.shift is None or self.floor is None:
            return None
        end = min([day for day in self.regime.changes if day > self.regime.shift], default=len(self.days))
        late = np.flatnonzero(self.played[way].ne[self.regime.shift : end] > self.floor[self.regime.shift : end] + RECOVERED)
        days = int(late[-1]) + 1 if len(late) else 0
        return days if days < end - self.regime.shift else None

    def alarms(self) -> tuple[int, int] | None:
        """(false, missed): trainings without a change since the last that was answered, and changes without a training in their wake."""
        if "triggered" not in self.played or self.floor is None:
            return None
        rung, lag = list(self.played["triggered"].retrained_on), self.params.label_lag
        answered = {change: [day for day in rung if 1 <= day - change - lag <= 3] for change in self.regime.changes}
        right = {day for days in answered.values() for day in days}
        return len(set(rung) - right), sum(not days for days in answered.values())


def options(params: ShiftParams, way: Way) -> dict[str, Any]:
    """Arguments of `drift.replay`."""
    window = 1 if way == "yesterday" else params.window
    schedule = "window" if way == "yesterday" else way
    return {"schedule": schedule, "window": window, "lr": params.lr, "threshold": params.threshold, "label_lag": params.label_lag}


def world_steps(ctx: Context, params: ShiftParams) -> Working[Study]:
    yield Progress(0, 1, "thirty days of impressions")
    knobs = {name: getattr(params, name) for name in ("shift", "flipped", "lift", "return_day", "rows")}
    key = "/".join(f"{name}={value}" for name, value in knobs.items())
    world = ctx.asset(f"shift/world/{key}/seed={ctx.seed}", lambda: drift_world(ctx.seed, days=DAYS, **knobs), disk=False)
    yield Progress(1, 1, "thirty days of impressions")
    floor = np.array([metrics.normalized_entropy(day.y, day.p) for day in world.days])
    return Study(params, world.labelled, _regime(params, world), floor)


def changes(params: ShiftParams) -> bool:
    """Whether anything happens on the shift day."""
    return (params.shift != "base_rate" and params.flipped > 0) or (params.shift != "concept" and params.lift != 0)


def _regime(params: ShiftParams, world: DriftWorld) -> Settled:
    if not changes(params):
        return Settled(slice(FIRST_DAYS, None), None, ())
    returns = (world.return_day,) if 0 < world.return_day < DAYS else ()
    return Settled(slice(FIRST_DAYS, SHIFT_DAY), SHIFT_DAY, (SHIFT_DAY, *returns))


def play_steps(study: Study, way: Way) -> Working[None]:
    """One schedule, a Progress a day."""
    ways = study.params.schedules
    total, done = len(ways) * len(study.days), ways.index(way) * len(study.days)
    steps = drift.iter_replay(study.days, **options(study.params, way))
    study.played[way] = yield from relay(steps, lambda step: Progress(done + step.done, total, f"training: {LABELS[way]}"))


def parts_of(study: Study) -> tuple[Ints, ...]:
    """(n,) of each judged day: in which fifth of the first model's predictions an impression lies, 0 the lowest."""
    first = [np.concatenate(arrays) for arrays in zip(*study.days[:FIRST_DAYS], strict=True)]
    theta = drift.fit_logistic(first[0], first[1])
    edges = np.quantile(first[0] @ theta[1:], np.linspace(0, 1, PARTS + 1)[1:-1])
    return tuple(np.searchsorted(edges, x @ theta[1:]).astype(np.int64) for x, _ in study.days[FIRST_DAYS:])


def part_ratios(study: Study, parts: Sequence[Ints], first: int, last: int) -> Mapping[Way, Floats]:
    """Predicted over actual clicks in each fifth, over the days from `first` up to `last`; NaN without a click."""
    found = {}
    for way, replay in study.played.items():
        predicted, actual = np.zeros(PARTS), np.zeros(PARTS)
        for day in range(first, last):
            part = parts[day - FIRST_DAYS]
            predicted += np.bincount(part, replay.p[day], PARTS)
            actual += np.bincount(part, study.days[day][1], PARTS)
        found[way] = np.divide(predicted, actual, out=np.full(PARTS, np.nan), where=actual > 0)
    return found
