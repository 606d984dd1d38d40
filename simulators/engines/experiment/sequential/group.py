"""Boundaries for looks in batches: how large |z| has to be at each look so that all looks together err with probability alpha.

Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials": an increasing function says how much of alpha may be spent by
each share of the information. Boundaries after O'Brien & Fleming 1979 and Pocock 1977 in their spending form, Kim & DeMets 1987 (power).
Armitage, McPherson & Rowe 1969: the density of the paths that have not stopped is carried from look to look by numerical integration.

The score B(t) = z sqrt(t) of a test at information share t is a Brownian motion, with drift theta = E[z at t = 1] under an effect.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from simulators.engines.steps import finish
from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
T = TypeVar("T")
Spending = Literal["obrien_fleming", "pocock", "power"]
NODES = 401
SMALLEST_STEP = 1e-5  # of the information: closer looks would need millions of nodes
HAYBITTLE = 3.0
_FAR = 40.0  # no z beyond it has a probability a float can hold
_PEAK = 315 / 128  # slope of the node spacing in the middle


def group_sequential_bounds(
    information: Sequence[float] | Floats, alpha: float = 0.05, sides: int = 2, spending: Spending = "obrien_fleming", rho: float = 2.0
) -> Floats:
    """z (k,) to reach at each look; two-sided bounds are symmetric, each side spending alpha / 2.

    information  shares of the planned information at the looks, rising and ending at 1. Where the last exceeds 1 there is more data than
                 planned: the observed maximum becomes the plan, and the shares are taken of it
    spending     "power" spends alpha t^rho; rho is used by nothing else
    A bound is infinite where nothing is spent yet. Raises InvalidInput.
    """
    return finish(bound_steps(information, alpha, sides, spending, rho))


def bound_steps(
    information: Sequence[float] | Floats, alpha: float, sides: int, spending: Spending, rho: float = 2.0
) -> Generator[None, None, Floats]:
    """`group_sequential_bounds`, one look a step."""
    t = information_shares(information)
    _check_sides(alpha, sides)
    increments = np.diff(spent_alpha(t, alpha / sides, spending, rho), prepend=0.0)
    paths, found = _Paths(sides), np.zeros(len(t))
    for k in range(len(t)):
        found[k] = paths.solve(float(t[k]), float(increments[k]))
        paths.step(float(t[k]), float(found[k]))
        yield
    return found


def spent_alpha(t: Floats, alpha: float, spending: Spending = "obrien_fleming", rho: float = 2.0) -> Floats:
    """How much of `alpha` (of one side) may be spent by the information shares t (k,)."""
    t = np.minimum(np.asarray(t, dtype=float), 1.0)
    if spending == "obrien_fleming":
        return np.asarray(2 * ndtr(ndtri(alpha / 2) / np.sqrt(t)))
    if spending == "pocock":
        return np.asarray(alpha * np.log1p((math.e - 1) * t))
    if spending != "power":
        raise InvalidInput(f"spending {spending!r} was given; expected {', '.join(get_args(Spending))}.", field="spending")
    if not 0 < rho < math.inf:
        raise InvalidInput(f"rho must exceed 0; {rho} was given.", field="rho")
    return np.asarray(alpha * t**rho)


def haybittle_peto_bounds(information: Sequence[float] | Floats, alpha: float = 0.05, sides: int = 2) -> Floats:
    """z (k,): 3 at every interim look, and at the last the bound that brings the total error to alpha.

    Where interim bounds of 3 would spend more than half of alpha, they rise to what Bonferroni asks for half of alpha.
    Haybittle 1971; Peto et al. 1976, who left the last bound at the fixed-size one.
    """
    t = information_shares(information)
    _check_sides(alpha, sides)
    paths, looks = _Paths(sides), len(t) - 1
    bounds = np.full(len(t), HAYBITTLE)
    if looks and crossing_probability(t[:-1], bounds[:-1], sides) > alpha / 2:
        bounds[:] = max(HAYBITTLE, -ndtri(alpha / 2 / sides / looks))
    for share, bound in zip(t[:-1], bounds[:-1], strict=True):
        paths.step(float(share), float(bound))
    left = alpha / sides - paths.crossed
    bounds[-1] = paths.solve(1.0, left)
    return bounds


def crossing_probability(information: Sequence[float] | Floats, bounds: Sequence[float] | Floats, sides: int = 2) -> float:
    """Probability, without an effect, of reaching `bounds` (k,) at any of the looks at `information` (k,), which may end before 1."""
    paths = _Paths(sides)
    for share, bound in zip(information, bounds, strict=True):
        paths.step(float(share), float(bound))
    return sides * paths.crossed


def conditional_power(z: float, information: float, final_bound: float, theta: float | None = None, sides: int = 2) -> float:
    """Probability that a test which shows z at this share of its information ends beyond `final_bound`.

    theta   expected z at the end under the effect assumed for the rest (2.80 for 80 % power at 5 %); None: the trend seen so far,
            z / sqrt(information). Lan, Simon & Halperin 1982.
    """
    if not 0 < information < 1:
        raise InvalidInput(f"information {information} was given; expected a share between 0 and 1.", field="information")
    drift = z / math.sqrt(information) if theta is None else theta
    middle, spread = z * math.sqrt(information) + drift * (1 - information), math.sqrt(1 - information)
    upper = float(ndtr((middle - final_bound) / spread))
    return upper + (float(ndtr((-middle - final_bound) / spread)) if sides == 2 else 0.0)


# --- paths that have not stopped -------------------------------------------------------------------------------------------


class _Paths:
    """Density of B over the paths still running, on nodes between the last bounds; `crossed`: stopped so far, of the upper side.

    The trapezoid rule needs a smooth end: nodes s, evenly spaced in (-1, 1), are mapped so that they crowd towards the bounds and their
    weights vanish there, which leaves an error of sixth order instead of second.
    """

    def __init__(self, sides: int) -> None:
        self.sides, self.time, self.crossed = sides, 0.0, 0.0
        self.nodes, self.mass = np.zeros(1), np.ones(1)  # all paths start at 0; mass: weight x density

    def exceed(self, time: float, bound: float) -> float:
        """Probability of running until now and being at or above `bound` at `time`."""
        return float(self.mass @ ndtr((self.nodes - bound * math.sqrt(time)) / math.sqrt(time - self.time)))

    def solve(self, time: float, increment: float) -> float:
        """The bound at which this look stops a share of `increment`. Solved in logarithms: increments go down to 1e-300."""
        if not increment > 0 or self.exceed(time, _FAR) > increment:
            return math.inf
        target = math.log(increment)

        def gap(bound: float) -> float:
            found = self.exceed(time, bound)
            return (math.log(found) if found > 0 else -1e4) - target

        if gap(-_FAR) <= 0:  # a share as large as all paths left: stop them all
            return -_FAR
        return float(brentq(gap, -_FAR, _FAR, xtol=1e-13, rtol=1e-14))

    def step(self, time: float, bound: float) -> None:
        sigma, top = math.sqrt(time - self.time), min(bound, _FAR) * math.sqrt(time)
        self.crossed += self.exceed(time, min(bound, _FAR))
        low = -top if self.sides == 2 else min(-9.0 * math.sqrt(time), top - sigma)
        nodes, weights = _smooth_nodes(low, top, sigma)
        spread = np.exp(-0.5 * ((nodes[:, None] - self.nodes[None, :]) / sigma) ** 2) @ self.mass
        self.nodes, self.mass, self.time = nodes, weights * spread / (sigma * math.sqrt(2 * math.pi)), time


def _smooth_nodes(low: float, high: float, sigma: float) -> tuple[Floats, Floats]:
    """Nodes and weights on (low, high): at least 401, in the middle no farther apart than 0.4 standard deviations of a step."""
    count = max(NODES, math.ceil((high - low) * _PEAK / (0.4 * sigma)) + 1)
    s = np.linspace(-1, 1, count)
    place = _PEAK * (s - 4 * s**3 / 3 + 6 * s**5 / 5 - 4 * s**7 / 7 + s**9 / 9)
    half = (high - low) / 2
    return (low + high) / 2 + half * place, half * _PEAK * (1 - s * s) ** 4 * (2 / (count - 1))


def information_shares(information: Sequence[float] | Floats) -> Floats:
    """Shares of the plan, or of what was observed where that is more; InvalidInput where they do not rise to 1."""
    t: Floats = np.asarray(information, dtype=float)
    whole = t.ndim == 1 and len(t) > 0 and bool(np.isfinite(t).all())
    if not whole or t[0] <= 0 or (np.diff(t) <= 0).any() or t[-1] < 1 - 1e-12:
        shown = ", ".join(f"{value:g}" for value in t.ravel()[:8]) or "none"
        raise InvalidInput(f"Information fractions must rise and end at 1. Given: {shown}.", field="information")
    t = np.asarray(t / t[-1])
    if np.diff(t, prepend=0.0).min() < SMALLEST_STEP:
        raise InvalidInput(f"Information fractions must rise by at least {SMALLEST_STEP:g} from look to look.", field="information")
    return t


def _check_sides(alpha: float, sides: int) -> None:
    if sides not in (1, 2):
        raise InvalidInput(f"sides {sides} was given; expected 1 or 2.", field="sides")
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha {alpha} was given; expected a number above 0 and below 1.", field="alpha")
