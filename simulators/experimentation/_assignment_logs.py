"""One experiment from assignment to its log of exposures, with a fault in between, and what a readout makes of the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv, ndtr, ndtri

from simulators.engines.experiment.srm import RED_P, SRM, srm_by_phase, srm_test
from simulators.engines.experiment.stats import Comparison, Moments, compare, summary
from simulators.experimentation._assignment_traffic import SCALE, SHAPE

if TYPE_CHECKING:
    from simulators.experimentation._assignment_params import AssignmentParams

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
CRASH_SCALE = 30 / 7  # of engagement: with it the units that crash have 0.3 of the mean engagement
CRASH_MEAN = (1 + SCALE / CRASH_SCALE) ** -SHAPE  # mean of exp(-y / CRASH_SCALE) over the population
LOSING = ("treatment_crash", "redirect_loss", "bot_filter", "late_trigger")  # faults that take treated units out of the log


class Units(NamedTuple):
    """One chunk (n,): engagement, hash, day of arrival, a number for chance, and whether treated."""

    y: Floats
    u: Floats
    day: NDArray[np.int64]
    chance: Floats
    treated: Mask


class Exposures(NamedTuple):
    """Rows of the log: who is kept, with what engagement, and second rows (mask of units, arm treated?, engagement, day)."""

    kept: Mask
    y: Floats
    again: Mask
    again_treated: Mask
    again_y: Floats
    again_day: NDArray[np.int64]


@dataclass(frozen=True)
class Logs:
    """Counts (days, 2) of units assigned and of rows logged, control first; moments of engagement an arm, as logged."""

    assigned: Floats
    logged: Floats
    control: Moments
    treatment: Moments

    def __add__(self, other: Logs) -> Logs:
        return Logs(
            self.assigned + other.assigned, self.logged + other.logged, self.control + other.control, self.treatment + other.treatment
        )


def shares_by_day(params: AssignmentParams) -> Floats:
    """Planned treated share (days,)."""
    ramp = [percent / 100 for percent in params.ramp]
    return np.array([ramp[min(day, len(ramp) - 1)] for day in range(params.days)])


def phases(shares: Floats) -> list[slice]:
    """Runs of days with one share."""
    edges = [0, *(np.flatnonzero(np.diff(shares)) + 1).tolist(), len(shares)]
    return [slice(start, end) for start, end in zip(edges, edges[1:], strict=False)]


def log_chunk(params: AssignmentParams, y: Floats, u: Floats, rng: np.random.Generator) -> Logs:
    shares = shares_by_day(params)
    day = rng.integers(0, params.days, len(y))
    units = Units(y, u, day, rng.random(len(y)), u < shares[day])
    seen = expose(params, units, float(shares[-1]))
    arms = np.concatenate([units.treated[seen.kept], seen.again_treated[seen.again]])
    values = np.concatenate([seen.y[seen.kept], seen.again_y[seen.again]])
    days = np.concatenate([day[seen.kept], seen.again_day[seen.again]])
    return Logs(_by_day(day, units.treated, params.days), _by_day(days, arms, params.days), _moments(values[~arms]), _moments(values[arms]))


def _by_day(day: NDArray[Any], treated: Mask, days: int) -> Floats:
    return np.bincount(2 * day + treated, minlength=2 * days).reshape(days, 2).astype(float)


def _moments(values: Floats) -> Moments:
    return summary(len(values), float(values.sum()), float((values**2).sum()))


def expose(params: AssignmentParams, units: Units, final_share: float) -> Exposures:
    """What the log holds of the units, with the fault."""
    nobody = np.zeros(len(units.y), dtype=bool)
    rate, y = params.fault_rate / 100, units.y
    whole = Exposures(~nobody, y, nobody, nobody, y, units.day)
    if params.fault in LOSING:
        return whole._replace(kept=~(units.treated & _lost(params.fault, rate, y, units.chance)))
    if params.fault == "id_churn":
        churned = units.treated & (units.chance < rate)
        again_treated = units.chance < rate * final_share  # the new id is dealt afresh
        return whole._replace(y=np.where(churned, y / 2, y), again=churned, again_treated=again_treated, again_y=y / 2)
    if params.fault == "ramp_without_sticky":
        moved = ~units.treated & (units.u < final_share) & (units.chance < rate * y / (SHAPE * SCALE))
        return whole._replace(again=moved, again_treated=~nobody, again_day=np.full_like(units.day, params.days - 1))
    return whole


def _lost(fault: str, rate: float, y: Floats, chance: Floats) -> Mask:
    """Units that would be lost if treated; the share `rate` of all, chosen in the fault's own manner."""
    if fault == "treatment_crash":
        return np.asarray(chance < rate * np.exp(-y / CRASH_SCALE) / CRASH_MEAN)
    if fault == "bot_filter":
        return np.asarray(chance < rate * y / (SHAPE * SCALE))
    if fault == "late_trigger":
        return np.asarray(y < SCALE * float(gammaincinv(SHAPE, rate)))
    return np.asarray(chance < rate)


# --- reading the log ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Odds:
    """Over many launches of the same test: the chance of a significant gain, of a red sample ratio, and of the gain without the red."""

    win: float
    red: float

    @property
    def unstopped(self) -> float:
        """How many units are kept and how much the kept ones do are independent."""
        return self.win * (1 - self.red)


@dataclass(frozen=True)
class Reading:
    """`srm` tests every phase against its own share, `pooled` all rows against the last one (None where an arm is empty by plan)."""

    logs: Logs
    srm: SRM
    pooled: SRM | None
    lift: Comparison
    phases: int
    odds: Odds | None

    @property
    def false_win(self) -> bool:
        """A significant gain where nothing was done."""
        return self.lift.p_value is not None and self.lift.p_value < 0.05 and (self.lift.estimate or 0) > 0

    @property
    def false_loss(self) -> bool:
        return self.lift.p_value is not None and self.lift.p_value < 0.05 and (self.lift.estimate or 0) < 0

    @property
    def missing(self) -> float | None:
        """Share of the treated units that the log lacks; negative where it has too many."""
        dealt, found = self.logs.assigned[:, 1].sum(), self.logs.logged[:, 1].sum()
        return float(1 - found / dealt) if dealt else None


def read_logs(params: AssignmentParams, logs: Logs) -> Reading:
    shares = shares_by_day(params)
    runs = phases(shares)
    counts = np.array([logs.logged[run].sum(axis=0) for run in runs])
    plans = np.array([(1 - shares[run.start], shares[run.start]) for run in runs])
    pooled = srm_test(logs.logged, plans[-1]) if 0 < shares[-1] < 1 else None
    lift = compare(logs.control, logs.treatment, difference="relative")
    odds = _odds(params, lift, float(shares[-1])) if len(runs) == 1 else None
    return Reading(logs, srm_by_phase(counts, plans), pooled, lift, len(runs), odds)


def _odds(params: AssignmentParams, lift: Comparison, share: float) -> Odds | None:
    """By the normal approximation; None where the log tells too little, or the fault does more than take treated units away."""
    if params.fault not in (*LOSING, "none") or lift.se is None or not 0 < share < 1:
        return None
    rate = params.fault_rate / 100 if params.fault != "none" else 0.0
    true_lift = (1 - rate * _mean_of_lost(params.fault, rate)) / (1 - rate) - 1
    win = float(ndtr(true_lift / lift.se - ndtri(0.975)))
    n, kept = params.n_units, share * (1 - rate) / (1 - share * rate)
    rows = n * (1 - share * rate)
    shift, spread = rows * (kept - share), np.sqrt(rows * kept * (1 - kept))
    edge = -float(ndtri(RED_P / 2)) * np.sqrt(rows * share * (1 - share))
    return Odds(win, float(ndtr((-edge - shift) / spread) + ndtr((shift - edge) / spread)))


def _mean_of_lost(fault: str, rate: float) -> float:
    """Mean engagement of the units a fault takes, over that of all."""
    if fault == "treatment_crash":
        return 1 / (1 + SCALE / CRASH_SCALE)
    if fault == "bot_filter":
        return (SHAPE + 1) / SHAPE
    if fault == "late_trigger" and rate:
        return float(gammainc(SHAPE + 1, float(gammaincinv(SHAPE, rate)))) / rate
    return 1.0
