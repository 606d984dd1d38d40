"""The metric tree of a synthetic test: a North Star, proxies below it, and guardrails; what correcting for their number does.

Proxies and guardrails are normal with a history of the chosen correlation, so their sums need not be added up user by user: a
mean vector and a Wishart matrix (Bartlett's decomposition) have exactly the distribution of the sums of that many users.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulators.engines.experiment.multiple import adjust
from simulators.engines.experiment.stats import Comparison, Moments, compare
from simulators.experimentation._readout_params import Correction, ReadoutParams
from simulators.lab import Context

Floats = NDArray[np.float64]
Status = Literal["held", "breached", "unproven"]
FAMILIES = 4_000
MOVED_SD = 3.0 * math.sqrt(4 / 200_000)  # effect on all assigned users: z = 3 at 200,000 of them
PROXY_NAMES = ("Click-through rate", "Sessions a user", "Minutes a session", "Searches a user", "Items saved", "Pages a session", "Shares")


@dataclass(frozen=True)
class Guardrail:
    name: str
    better: Literal["up", "down"]
    comparison: Comparison  # relative, tested against the margin
    truth: float
    status: Status


@dataclass(frozen=True)
class Proxy:
    name: str
    comparison: Comparison
    truth: float  # relative


@dataclass(frozen=True)
class Family:
    """`p` and `adjusted` (m,): North Star first, then the proxies."""

    correction: Correction
    proxies: tuple[Proxy, ...]
    guardrails: tuple[Guardrail, ...]
    p: Floats
    adjusted: Floats


class Rates(NamedTuple):
    """Over repetitions of the whole family: shares. None where no metric is of that kind."""

    north_star: float | None  # chance to declare a moved North Star
    proxies: float | None  # share of moved proxies that are declared
    any_false: float  # chance of one or more false declarations
    false_share: float  # false among the declared, on average


def corrected(p: Floats, correction: Correction) -> Floats:
    """Adjusted p-values (..., m), the North Star first. Gatekeeping: it stands alone; no proxy passes before it does."""
    if correction == "none" or p.shape[-1] == 0:
        return p
    if correction != "hierarchical":
        return adjust(p, correction)
    first, rest = p[..., :1], p[..., 1:]
    return np.concatenate([first, np.maximum(first, adjust(rest, "holm"))], axis=-1)


def draw_family(params: ReadoutParams, n: tuple[int, int], north_star: Comparison, ctx: Context) -> Family:
    rng = ctx.rng("family")
    proxies = tuple(_proxy(params, rank, n, rng) for rank in range(params.metrics - 1))
    guardrails = (
        _guardrail(params, "Latency", "down", (200.0, 50.0), params.latency_rise / 100, n, ctx.rng("latency")),
        _guardrail(params, "Requests without error", "up", (0.99, 0.05), 0.0, n, ctx.rng("errors")),
    )
    readings = (north_star, *(proxy.comparison for proxy in proxies))
    p = np.array([1.0 if reading.p_value is None else reading.p_value for reading in readings])
    return Family(params.correction, proxies, guardrails, p, corrected(p, params.correction))


def moved_proxies(params: ReadoutParams) -> int:
    return min(params.moved, params.metrics - 1)


def rates(z_north_star: float, params: ReadoutParams, n: int, ctx: Context, correction: Correction) -> Rates:
    """How often the family errs and finds, at the true effects of this test."""
    m, moved = params.metrics, moved_proxies(params)
    noise = ctx.asset(f"readout/families/{m}/seed={ctx.seed}", lambda: ctx.rng("families").standard_normal((FAMILIES, m)), disk=False)
    truth = np.zeros(m)
    truth[0], truth[1 : 1 + moved] = z_north_star, _diluted(MOVED_SD, params) * math.sqrt(n / 4 / _variance_left(params))
    declared = corrected(_p(noise + truth, params.alternative), correction) < params.alpha / 100
    real = truth != 0
    false = declared[:, ~real].sum(axis=1)
    return Rates(
        float(declared[:, 0].mean()) if real[0] else None,
        float(declared[:, 1 : 1 + moved].mean()) if moved else None,
        float((false > 0).mean()),
        float((false / np.maximum(1, declared.sum(axis=1))).mean()),
    )


def _p(z: Floats, alternative: str) -> Floats:
    if alternative == "two-sided":
        return np.asarray(2 * ndtr(-np.abs(z)))
    return np.asarray(ndtr(-z if alternative == "greater" else z))


def _diluted(effect: float, params: ReadoutParams) -> float:
    """An effect on all assigned users is larger among those who triggered: the others are not moved."""
    return effect / (params.trigger_rate / 100) if params.population == "triggered" else effect


def _variance_left(params: ReadoutParams) -> float:
    adjusted = params.covariates in ("one", "several")
    return 1 - (1 - params.new_users / 100) * params.rho**2 if adjusted else 1.0


def _proxy(params: ReadoutParams, rank: int, n: tuple[int, int], rng: np.random.Generator) -> Proxy:
    shift = _diluted(MOVED_SD, params) if rank < moved_proxies(params) else 0.0
    mean, deviation = 10.0, 5.0
    arms = _two_arms(params, n, mean, deviation, shift * deviation, rng)
    reading = compare(
        *arms, covariates=_covariates(params), difference="relative", alternative=params.alternative, alpha=params.alpha / 100
    )
    name = PROXY_NAMES[rank] if rank < len(PROXY_NAMES) else f"Engagement {rank + 1}"
    return Proxy(name, reading, shift * deviation / mean)


def _guardrail(
    params: ReadoutParams,
    name: str,
    better: Literal["up", "down"],
    shape: tuple[float, float],
    rise: float,
    n: tuple[int, int],
    rng: np.random.Generator,
) -> Guardrail:
    mean, deviation = shape
    truth = rise * (1.0 if params.population == "triggered" else params.trigger_rate / 100)
    arms = _two_arms(params, n, mean, deviation, truth * mean, rng)
    alpha, margin = params.alpha / 100, params.ni_margin / 100
    safe: Literal["greater", "less"] = "greater" if better == "up" else "less"
    harm: Literal["greater", "less"] = "less" if better == "up" else "greater"
    covariates = _covariates(params)
    held = compare(*arms, covariates=covariates, difference="relative", alternative=safe, alpha=alpha, margin=margin)
    harmed = compare(*arms, covariates=covariates, difference="relative", alternative=harm, alpha=alpha)
    status: Status = "unproven"
    if held.p_value is not None and held.p_value < alpha:
        status = "held"
    elif harmed.p_value is not None and harmed.p_value < alpha:
        status = "breached"
    return Guardrail(name, better, held, truth, status)


def _covariates(params: ReadoutParams) -> tuple[str, ...]:
    return ("x",) if params.covariates in ("one", "several") else ()


def _two_arms(
    params: ReadoutParams, n: tuple[int, int], mean: float, deviation: float, gap: float, rng: np.random.Generator
) -> tuple[Moments, Moments]:
    """Moments of (metric y, its history x) in control and treatment; users without a history weaken the correlation."""
    rho = params.rho * math.sqrt(1 - params.new_users / 100)
    root = deviation * np.array([[1.0, 0.0], [rho, math.sqrt(1 - rho**2)]])
    return _normal_moments(n[0], mean, 0.0, root, rng), _normal_moments(n[1], mean, gap, root, rng)


def _normal_moments(n: int, mean: float, gap: float, root: Floats, rng: np.random.Generator) -> Moments:
    """Moments of n normal users with covariance root @ root.T; the effect `gap` moves y and leaves its history alone."""
    centre = root @ rng.standard_normal(2) / math.sqrt(n) + np.array([gap, 0.0])
    bartlett = np.array([[math.sqrt(rng.chisquare(n - 1)), 0.0], [rng.standard_normal(), math.sqrt(rng.chisquare(n - 2))]])
    factor = root @ bartlett
    return Moments(("y", "x"), n, n * centre, factor @ factor.T + n * np.outer(centre, centre), shift=np.full(2, mean))
