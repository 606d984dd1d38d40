"""What a stopping rule costs: false positives, power, looks and exaggerated estimates, over tests simulated with and without an effect.

Every rule reads the same paths, so that differences between rules have far less noise than the figures themselves. A test is simulated by
its running difference of means, which is normal; the metric has a standard deviation of 1 before any covariate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from simulators.engines.experiment import power as fixed_power
from simulators.engines.experiment.sequential.anytime import always_valid_bound, msprt_bound
from simulators.engines.experiment.sequential.group import Floats, bound_steps, haybittle_peto_bounds
from simulators.engines.experiment.sequential.kernel import first_crossings
from simulators.engines.steps import finish
from simulators.errors import InvalidInput

Kind = Literal["fixed", "naive", "bonferroni", "haybittle_peto", "obrien_fleming", "power", "pocock", "always_valid", "msprt"]
RULES: tuple[Kind, ...] = get_args(Kind)
_CHUNK = 200_000  # normal draws between two steps: some 10 ms


@dataclass(frozen=True)
class Rule:
    """A stopping rule with its constants; a plain name stands for the rule with these defaults.

    fixed           one look, at the planned end
    naive           stop at the first p < alpha
    bonferroni      alpha / planned looks at each look
    haybittle_peto  |z| >= 3 before the end, the rest of alpha at the end
    obrien_fleming, pocock, power   error spending; `rho` is the exponent of "power"
    always_valid    confidence sequence tuned for `tuning` units of both arms
    msprt           mixture of effects with standard deviation `tau`, in standard deviations of the metric

    Rules with a plan that are read after its end keep their last bound.
    """

    kind: Kind
    rho: float = 2.0
    tuning: float = 5000.0
    tau: float = 0.05


@dataclass(frozen=True)
class Design:
    """When a test is read. `units` (looks,): units an arm at each look, rising; the plan ends at look number `planned`."""

    units: tuple[float, ...]
    planned: int
    alpha: float = 0.05
    variance_ratio: float = 1.0

    @cached_property
    def n(self) -> Floats:
        return np.asarray(self.units, dtype=float)

    @cached_property
    def variance(self) -> Floats:
        """Of the difference of means at each look."""
        return np.asarray(2 * self.variance_ratio / self.n)

    @property
    def information(self) -> Floats:
        """Shares of the plan at its looks."""
        return np.asarray(self.n[: self.planned] / self.n[self.planned - 1])


class StoppingRow(NamedTuple):
    """One line of the table; `_se` are Monte Carlo standard errors.

    fpr                  share of tests without an effect that stopped
    power                share of tests with the effect that stopped, in whichever direction
    mean_looks           looks made under the effect; a test that never stops makes all of them. `mean_looks_null`: without an effect
    exaggeration         mean estimate of the tests that stopped under the effect, over the truth; None without an effect or a stop
    wrong_sign           share of the tests stopped under the effect whose estimate has the wrong sign; None as above
    bounds (looks,)      |z| to reach
    stops, stops_null    (looks,) tests that stopped at each look, with and without the effect, of `reps`
    """

    fpr: float
    fpr_se: float
    power: float
    power_se: float
    mean_looks: float
    mean_looks_se: float
    mean_looks_null: float
    exaggeration: float | None
    exaggeration_se: float | None
    wrong_sign: float | None
    bounds: Floats
    stops: NDArray[np.int64]
    stops_null: NDArray[np.int64]
    reps: int


def simulate_stopping(
    rules: Iterable[str | Rule],
    looks: int,
    n_per_look: int,
    effect: float,
    reps: int,
    seed: int,
    variance_ratio: float = 1.0,
    *,
    alpha: float = 0.05,
    planned: int | None = None,
) -> dict[str | Rule, StoppingRow]:
    """A row for each of `rules`: names from `RULES` or `Rule` objects, which are also the keys.

    looks, n_per_look   equally spaced looks; units an arm that each adds
    effect              true difference of means, in standard deviations of the metric (`powered_effect` gives the usual one)
    reps, seed          simulated tests, of each kind; the same seed gives the same rows, and each rule sees the same paths
    variance_ratio      share of the variance that covariates leave
    planned             looks the plan was made for when the test runs longer than it; None: all of them
    Raises InvalidInput.
    """
    _check(looks=looks, n_per_look=n_per_look, reps=reps)
    if planned is not None and not 1 <= planned <= looks:
        raise InvalidInput(f"planned {planned} was given; expected 1 to {looks} looks.", field="planned")
    design = Design(tuple(n_per_look * k for k in range(1, looks + 1)), planned or looks, alpha, variance_ratio)
    named = {rule: as_rule(rule) for rule in rules}
    if not named:
        raise InvalidInput("No stopping rule was given; expected at least one.", field="rules")
    bounds = np.asarray([finish(rule_bounds(rule, design)) for rule in named.values()])
    found = finish(stopping_steps(bounds, design, effect, reps, np.random.default_rng(seed)))
    return dict(zip(named, found, strict=True))


def powered_effect(looks: int, n_per_look: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The effect, in standard deviations of the metric, that one look at the end finds with this power."""
    return fixed_power.mde(1.0, looks * n_per_look, looks * n_per_look, alpha, power)


def as_rule(rule: str | Rule) -> Rule:
    kind = rule.kind if isinstance(rule, Rule) else rule
    if kind not in RULES:
        raise InvalidInput(f"There is no stopping rule {kind!r}; there are {', '.join(RULES)}.", field="rules")
    return rule if isinstance(rule, Rule) else Rule(kind)


def stopping_steps(
    bounds: Floats, design: Design, effect: float, reps: int, rng: np.random.Generator
) -> Generator[tuple[int, list[StoppingRow]], None, list[StoppingRow]]:
    """A row for each of `bounds` (rules, looks), in steps of some 10 ms, each giving the tests done and the rows so far."""
    _check(reps=reps, variance_ratio=design.variance_ratio)
    if not math.isfinite(effect):
        raise InvalidInput(f"effect {effect} was given; expected a finite number.", field="effect")
    tally = _Tally(bounds, design, effect)
    size = max(1, _CHUNK // len(design.n))
    for start in range(0, reps, size):
        tally.add(rng.standard_normal((min(size, reps - start), len(design.n))))
        yield tally.done, tally.rows()
    return tally.rows()


# --- bounds ----------------------------------------------------------------------------------------------------------------


def rule_bounds(rule: Rule, design: Design) -> Generator[None, None, Floats]:
    """|z| (looks,) the rule asks for, infinite where it does not look; a slow boundary yields between its looks."""
    if rule.kind in ("obrien_fleming", "pocock", "power"):
        found = yield from bound_steps(design.information, design.alpha, 2, rule.kind, rule.rho)
    else:
        yield
        found = _BOUNDS[rule.kind](rule, design)
    return np.concatenate([found, np.full(len(design.n) - len(found), found[-1])])


def _fixed_z(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha {alpha} was given; expected a number above 0 and below 1.", field="alpha")
    return float(-ndtri(alpha / 2))


def _only_at_the_end(rule: Rule, design: Design) -> Floats:
    bounds = np.full(design.planned, np.inf)
    bounds[-1] = _fixed_z(design.alpha)
    return bounds


_BOUNDS: Mapping[str, Callable[[Rule, Design], Floats]] = {
    "fixed": _only_at_the_end,
    "naive": lambda rule, design: np.array([_fixed_z(design.alpha)]),
    "bonferroni": lambda rule, design: np.array([_fixed_z(design.alpha / design.planned)]),
    "haybittle_peto": lambda rule, design: haybittle_peto_bounds(design.information, design.alpha),
    "always_valid": lambda rule, design: always_valid_bound(2 * design.n, rule.tuning, design.alpha),
    "msprt": lambda rule, design: msprt_bound(design.variance, rule.tau, design.alpha),
}


# --- counts ----------------------------------------------------------------------------------------------------------------


class _Tally:
    def __init__(self, bounds: Floats, design: Design, effect: float) -> None:
        self.bounds, self.effect, self.done = bounds, effect, 0
        self.scale = np.sqrt(design.variance)
        self.step_sd = np.sqrt(np.diff(design.n, prepend=0.0) / design.n[-1])
        self.drift = effect / self.scale
        rules, looks = bounds.shape
        self.stops, self.moments = np.zeros((2, rules, looks), dtype=np.int64), np.zeros((rules, 3))

    def add(self, noise: Floats) -> None:
        first_crossings(noise, self.step_sd, self.drift, self.bounds, self.scale, self.stops, self.moments)
        self.done += len(noise)

    def rows(self) -> list[StoppingRow]:
        return [self._row(i) for i in range(len(self.bounds))]

    def _row(self, i: int) -> StoppingRow:
        null, powered = self.stops[0, i].copy(), self.stops[1, i].copy()
        fpr, hits = _share(null.sum(), self.done), _share(powered.sum(), self.done)
        mean_looks, mean_looks_se = _looks(powered, self.done)
        exaggeration = self._exaggeration(i, int(powered.sum()))
        return StoppingRow(
            *fpr, *hits, mean_looks, mean_looks_se, _looks(null, self.done)[0], *exaggeration, self.bounds[i], powered, null, self.done
        )

    def _exaggeration(self, i: int, stopped: int) -> tuple[float | None, float | None, float | None]:
        if not stopped or self.effect == 0:
            return None, None, None
        total, squares, wrong = self.moments[i]
        mean = total / stopped
        spread = math.sqrt(max(0.0, squares / stopped - mean**2) / stopped)
        return float(mean / self.effect), float(spread / abs(self.effect)), float(wrong / stopped)


def _share(count: Any, of: int) -> tuple[float, float]:
    share = float(count) / of
    return share, math.sqrt(share * (1 - share) / of)


def _looks(stops: NDArray[np.int64], reps: int) -> tuple[float, float]:
    """Mean number of looks and its standard error; a test that did not stop made them all."""
    made = np.arange(1, len(stops) + 1)
    counts = stops.astype(float)
    counts[-1] += reps - counts.sum()
    mean = float(counts @ made) / reps
    return mean, math.sqrt(float(counts @ (made - mean) ** 2)) / reps


def _check(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf or (name != "variance_ratio" and value != int(value)):
            kind = "number" if name == "variance_ratio" else "whole number"
            raise InvalidInput(f"{name} {value} was given; expected a {kind} above 0.", field=name)
