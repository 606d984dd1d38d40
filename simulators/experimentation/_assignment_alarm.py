"""How often each alarm rings, with the fault and without: many experiments of the same volume, counted day by day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from simulators.engines.experiment.srm import log_bayes_factor
from simulators.experimentation._assignment_logs import LOSING, phases, shares_by_day

if TYPE_CHECKING:
    from simulators.experimentation._assignment_params import AssignmentParams

Floats = NDArray[np.float64]
REPS = 1_000
ALARM_P = 0.001
LEVELS = (0.05, ALARM_P)
NAMES = {"chi2_end": "Chi-square at the end", "chi2_daily": "Chi-square every day", "sequential": "Sequential"}


@dataclass(frozen=True)
class Alarms:
    """p-values (reps, days) of the two tests, and of the same without a fault; the first repetition is the one drawn."""

    chi2: Floats
    sequential: Floats
    chi2_null: Floats
    sequential_null: Floats

    def rings(self, alarm: str, level: float, *, fault: bool = True) -> float:
        """Share of the experiments in which the alarm rings before the end."""
        chi2, sequential = (self.chi2, self.sequential) if fault else (self.chi2_null, self.sequential_null)
        if alarm == "sequential":
            return float((sequential[:, -1] < level).mean())
        return float(((chi2[:, -1] if alarm == "chi2_end" else chi2.min(axis=1)) < level).mean())

    def first_day(self, alarm: str, level: float = ALARM_P) -> int | None:
        """Day, from 1, on which the drawn experiment sets the alarm off."""
        path = {"chi2_end": self.chi2[0, -1:], "chi2_daily": self.chi2[0], "sequential": self.sequential[0]}[alarm]
        below = np.flatnonzero(path < level)
        if not len(below):
            return None
        return self.chi2.shape[1] if alarm == "chi2_end" else int(below[0]) + 1


def simulate(params: AssignmentParams, rng: np.random.Generator) -> Alarms:
    shares = shares_by_day(params)
    dealt = rng.binomial(params.units_per_day * 1_000, shares, (REPS, params.days)).astype(float)
    clean = np.stack([params.units_per_day * 1_000 - dealt, dealt], axis=-1)
    faulty = _with_fault(params, clean, shares, rng)
    return Alarms(_chi2(faulty, shares), _sequential(faulty, shares), _chi2(clean, shares), _sequential(clean, shares))


def _with_fault(params: AssignmentParams, clean: Floats, shares: Floats, rng: np.random.Generator) -> Floats:
    rate, counts = params.fault_rate / 100, clean.copy()
    treated = clean[..., 1].astype(np.int64)
    if params.fault in LOSING:
        counts[..., 1] -= rng.binomial(treated, rate)
    elif params.fault == "id_churn":
        churned = rng.binomial(treated, rate)
        back = rng.binomial(churned, shares)
        counts += np.stack([churned - back, back], axis=-1)
    elif params.fault == "ramp_without_sticky":
        movable = np.maximum(0.0, shares[-1] - shares) / np.maximum(1e-12, 1 - shares)  # of the control units of each day
        counts[:, -1, 1] += rng.binomial(clean[..., 0].astype(np.int64), rate * movable).sum(axis=1)
    return counts


def _chi2(counts: Floats, shares: Floats) -> Floats:
    """Chi-square of all days so far against each day's own share; 1 until a day has two arms."""
    n = counts.sum(axis=-1)
    excess, variance = np.cumsum(counts[..., 1] - n * shares, axis=1), np.cumsum(n * shares * (1 - shares), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(variance > 0, chdtrc(1, np.where(variance > 0, excess**2 / variance, 0.0)), 1.0))


def _sequential(counts: Floats, shares: Floats) -> Floats:
    """`sequential_srm` of every experiment; evidence of one phase adds to that of the phases before."""
    evidence = np.zeros(counts.shape[:2])
    for run in phases(shares):
        share = shares[run.start]
        before = evidence[:, run.start - 1 : run.start] if run.start else 0.0
        fresh = log_bayes_factor(counts[:, run].cumsum(axis=1), np.array([1 - share, share])) if 0 < share < 1 else 0.0
        evidence[:, run] = before + fresh
    return np.exp(-np.maximum(0.0, np.maximum.accumulate(evidence, axis=1)))
