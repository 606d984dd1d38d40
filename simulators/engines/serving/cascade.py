"""Which of several models answers a query: cost against quality when the router sees only a noisy sign of how hard the query is.

A query of difficulty z is answered rightly by a model of ability a with chance sigmoid(2 (a - z)), a Rasch model as in item response
theory. The router sees z plus noise and takes, for every query, the model with the largest expected quality less price (Chen, Zaharia
and Zou, FrugalGPT, 2023; Ong et al., RouteLLM, 2024): a Lagrangian choice, so that sweeping the price traces the frontier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from simulators.engines.serving.trace import Floats, Ints
from simulators.errors import InvalidInput

SLOPE = 2.0
LARGEST_RETRY_LOAD = 1e3  # answers a query before the retries are called endless


@dataclass(frozen=True)
class Tier:
    """A model: `gpu_s` seconds of a GPU a query."""

    name: str
    ability: float
    gpu_s: float


TIERS = (Tier("mini", 0.0, 0.05), Tier("full", 1.3, 0.30), Tier("reasoning", 2.8, 2.0))


@dataclass(frozen=True)
class Mixture:
    """Difficulties as a mixture of normal distributions."""

    mean: tuple[float, ...] = (-2.0, 0.0, 2.0)
    std: tuple[float, ...] = (0.7, 0.6, 0.6)
    share: tuple[float, ...] = (0.6, 0.3, 0.1)

    def __post_init__(self) -> None:
        if not (len(self.mean) == len(self.std) == len(self.share) > 0):
            raise InvalidInput("a mixture needs as many means as standard deviations and shares.", field="share")
        if min(self.std) <= 0 or min(self.share) < 0 or not np.isclose(sum(self.share), 1.0):
            raise InvalidInput(f"std {self.std} must be above 0 and share {self.share} sum to 1.", field="share")

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        part = rng.choice(len(self.share), size=n, p=self.share)
        return np.asarray(rng.normal(np.array(self.mean)[part], np.array(self.std)[part]))

    def posterior(self, signal: Floats, noise: float) -> tuple[Floats, Floats, Floats]:
        """Given signal = difficulty + N(0, noise): weights (n, parts), means (n, parts) and standard deviations (parts,)."""
        mean, var = np.array(self.mean), np.square(self.std)
        total = var + noise**2
        log_weight = np.log(np.maximum(self.share, 1e-300)) - np.log(total) / 2 - (signal[:, None] - mean) ** 2 / (2 * total)
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        pulled = mean + var / total * (signal[:, None] - mean)
        return weight / weight.sum(axis=1, keepdims=True), pulled, np.sqrt(var * noise**2 / total)


@dataclass(frozen=True)
class RouteResult:
    """`quality`: share answered rightly at the first try. `gpu_s`: mean GPU seconds a query. `mix`: share of queries by tier."""

    quality: float
    gpu_s: float
    mix: Floats


def correct_chance(ability: float | Floats, difficulty: Floats) -> Floats:
    """Chance of a right answer, of the shape that both arguments broadcast to."""
    return np.asarray(1 / (1 + np.exp(np.clip(-SLOPE * (ability - difficulty), -700, 700))))


def expected_quality(signal: ArrayLike, noise: float, tiers: tuple[Tier, ...] = TIERS, mixture: Mixture | None = None) -> Floats:
    """E[right answer | signal] of each tier, (n, tiers), by Gauss-Hermite quadrature over the posterior of the difficulty."""
    if not noise >= 0:
        raise InvalidInput(f"noise is {noise:g}; expected 0 or more.", field="noise")
    seen = np.asarray(signal, dtype=np.float64)
    if noise == 0:
        return np.stack([correct_chance(tier.ability, seen) for tier in tiers], axis=1)
    weight, mean, std = (mixture or Mixture()).posterior(seen, noise)
    nodes, node_weight = np.polynomial.hermite_e.hermegauss(9)
    difficulty = mean[:, :, None] + std[:, None] * nodes
    chance = weight[:, :, None] * node_weight / node_weight.sum()
    return np.stack([(correct_chance(tier.ability, difficulty) * chance).sum(axis=(1, 2)) for tier in tiers], axis=1)


def route(quality: Floats, quality_price: float, tiers: tuple[Tier, ...] = TIERS) -> Ints:
    """The tier of every query, int64[n]: the largest expected quality less `quality_price` x GPU seconds; the cheaper one of equals."""
    if not quality_price >= 0:
        raise InvalidInput(f"quality_price is {quality_price:g}; expected 0 or more.", field="quality_price")
    gpu_s = np.array([tier.gpu_s for tier in tiers])
    cheapest_first = np.argsort(gpu_s, kind="stable")
    value = (quality - quality_price * gpu_s)[:, cheapest_first]
    return np.asarray(cheapest_first[np.argmax(value, axis=1)])


def judge(difficulty: Floats, chosen: Ints, tiers: tuple[Tier, ...] = TIERS) -> RouteResult:
    """What the choices are worth at the true difficulties."""
    ability, gpu_s = (np.array([getattr(tier, name) for tier in tiers]) for name in ("ability", "gpu_s"))
    mix = np.bincount(chosen, minlength=len(tiers)) / len(chosen)
    return RouteResult(float(correct_chance(ability[chosen], difficulty).mean()), float(gpu_s[chosen].mean()), mix)


def retry_load(quality: float, retry: float) -> float:
    """Answers a query when a wrong one is asked for again with chance `retry`, each try as good as the last: 1 / (1 - retry (1 - q))."""
    if not (0 <= quality <= 1 and 0 <= retry <= 1):
        raise InvalidInput(f"quality {quality:g} and retry {retry:g} must be shares from 0 to 1.", field="retry")
    return min(1 / max(1 - retry * (1 - quality), 1e-12), LARGEST_RETRY_LOAD)
