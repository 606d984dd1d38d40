"""Effects that fade: what a calendar day shows when users arrive all the time, and what is left of a holdout whose ids change.

Users act `MEAN_ACTIONS` times a day on average. Their own rates are gamma distributed, stay theirs over the test, and actions are Poisson,
so the sum over the users of a cohort can be drawn exactly: a sum of gammas is a gamma, a sum of Poissons is a Poisson. Ten million users
cost what one costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.experiment import power
from simulators.engines.experiment.stats import Comparison, Moments, compare, summary

Floats = NDArray[np.float64]
MEAN_ACTIONS, SHAPE = 3.0, 1.0  # a user's actions a day; shape of the gamma of their own rates
FIRST_DAY = 0.5  # share of the base that arrives on day 1
WEEK = 7


@dataclass(frozen=True)
class Decay:
    """Relative effect after k days of exposure: delta_inf + delta_0 exp(-k / tau_days); 0.02 is +2 %."""

    delta_inf: float
    delta_0: float
    tau_days: float

    def at(self, age_days: ArrayLike) -> Floats:
        effect: Floats = self.delta_inf + self.delta_0 * np.exp(-np.asarray(age_days, dtype=float) / self.tau_days)
        return effect

    def on_day(self, sizes: Floats, day: int) -> float:
        """Mean effect on the users present on `day` (1 is the first), `sizes` (days,) being what arrived each day."""
        return float(sizes[:day] @ self.at(np.arange(day)[::-1]) / sizes[:day].sum())


def arrivals(inflow: float, days: int) -> Floats:
    """(days,) new users a day as a share of the base: half on day 1, then `inflow` a day."""
    sizes = np.full(days, inflow)
    sizes[0] = FIRST_DAY
    return sizes


def draw_rates(n: int, rng: np.random.Generator) -> Floats:
    """(2,) rates summed over the n users of either arm of a cohort, control and treatment."""
    return rng.gamma(SHAPE * n, MEAN_ACTIONS / SHAPE, 2)


def draw_actions(cohorts: list[Floats], decay: Decay, day: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(c, 2) actions on `day` (1 is the first), control and treatment, of those of the cohorts of day 1, 2, ... that are there."""
    rates = np.array(cohorts[:day])
    rates[:, 1] *= 1 + decay.at(day - 1 - np.arange(len(rates)))
    return rng.poisson(rates)


def moments_of(n: int, actions: float, days: int = 1) -> Moments:
    """Sums of n users who acted so often in so many days; the spread is that of the world, given their mean."""
    mean = actions / n
    variance = mean + mean**2 / SHAPE
    return summary(n, actions / days, ((n - 1) * variance + n * mean**2) / days**2)


def effect_of(n: tuple[int, int], actions: tuple[float, float], days: int = 1) -> Comparison:
    """Relative effect of (control, treatment)."""
    return compare(moments_of(n[0], actions[0], days), moments_of(n[1], actions[1], days), difference="relative")


# --- holdout --------------------------------------------------------------------------------------------------------------------------


def never_exposed(day: float, id_life_days: float, holdout: float) -> float:
    """Share of the holdout's ids whose person has never seen the feature.

    Ids live `id_life_days` on average. Who returns under a new id is dealt anew and was exposed with probability 1 - holdout.
    """
    return float(np.exp(-(1 - holdout) * day / id_life_days))


@dataclass(frozen=True)
class HoldoutReading:
    """One week: `measured` exposed users against the holdout, `true` exposed against never exposed, `clean` share of the holdout."""

    last_day: int
    measured: Comparison
    true: float
    clean: float


def holdout_week(
    decay: Decay, sizes: Floats, week: int, users: int, holdout: float, id_life_days: float, rates: Floats, rng: np.random.Generator
) -> HoldoutReading:
    """Reads week 1, 2, ... `rates` (2,) are summed over holdout and exposed users (see `draw_rates`), `sizes` as in `Decay.on_day`.

    What the feature did to a person stays with them when their id changes.
    """
    days = range((week - 1) * WEEK + 1, week * WEEK + 1)
    effects = np.array([decay.on_day(sizes, day) for day in days])
    clean = np.array([never_exposed(day, id_life_days, holdout) for day in days])
    held, exposed = holdout_sizes(users, holdout)
    rate = np.array([(1 + (1 - clean) * effects).sum() * rates[0], (1 + effects).sum() * rates[1]])
    control, treatment = rng.poisson(rate)
    measured = effect_of((held, exposed), (float(control), float(treatment)), WEEK)
    return HoldoutReading(days[-1], measured, float(effects.mean()), float(clean.mean()))


def holdout_sizes(users: int, holdout: float) -> tuple[int, int]:
    """(held back, exposed)."""
    held = round(users * holdout)
    return held, users - held


def holdout_mde(users: int, holdout: float, alpha: float = 0.05, power_wanted: float = 0.8) -> float:
    """Smallest relative effect that a week of this holdout finds."""
    mean = MEAN_ACTIONS * WEEK
    held, exposed = holdout_sizes(users, holdout)
    return power.mde(mean + mean**2 / SHAPE, held, exposed, alpha, power_wanted) / mean
