"""The population, chunk by chunk: who is in which experiment, what the hash does to pairs of them, and what conflicts cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from simulators.engines.experiment.assignment import hash_many, splitmix_many
from simulators.engines.experiment.stats import Moments, summary
from simulators.experimentation._assignment_plan import CONFLICTS, EXPERIMENTS, HASH_VERSIONS, Packing

if TYPE_CHECKING:
    from simulators.experimentation._assignment_params import AssignmentParams

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
CHUNK = 32_768
SEEDS = tuple(f"exp-{i}" for i in range(1, 13))  # what the audited experiments would be called
BUCKETS = 100
SHAPE, SCALE = 1.2, 10.0  # of the engagement
CONFLICT_EFFECT = -0.04  # share of engagement lost where both of a conflicting pair are treated
CORRELATED_P = 0.001
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def ids_of(params: AssignmentParams, first: int, start: int, size: int) -> NDArray[Any]:
    """The ids of one chunk; `first` is where this population's numbers begin."""
    numbers = np.arange(first + start, first + start + size, dtype=np.uint64)
    return numbers if params.id_kind == "integer" else _uuids(numbers)


def _uuids(numbers: NDArray[np.uint64]) -> NDArray[Any]:
    """Version-4 shaped texts, a fixed one for each number."""
    words = [(splitmix_many(numbers, half) * 2.0**52).astype(np.uint64) for half in ("high", "middle", "low")]
    nibbles = np.stack([word >> np.uint64(4 * place) & np.uint64(15) for word in words for place in range(12)], axis=1)
    text = np.full((len(numbers), 36), ord("-"), dtype=np.uint8)
    text[:, [place for place in range(36) if place not in (8, 13, 18, 23)]] = _HEX[nibbles[:, :32].astype(np.intp)]
    text[:, 14] = ord("4")
    return np.ascontiguousarray(text).view("S36").ravel()


def engagement(rng: np.random.Generator, size: int) -> Floats:
    return rng.gamma(SHAPE, SCALE, size)


# --- the hash audit -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Audit:
    """The twelve seeds' halves over all units: how many, how many in both (12, 12), and the first seed's buckets (BUCKETS,)."""

    n: int
    both: Floats
    buckets: Counts

    def __add__(self, other: Audit) -> Audit:
        return Audit(self.n + other.n, self.both + other.both, self.buckets + other.buckets)

    @property
    def phi(self) -> Floats:
        """Correlation (12, 12) of the arms of each pair."""
        share = np.diag(self.both) / self.n
        spread = np.sqrt(share * (1 - share))
        return np.asarray((self.both / self.n - np.outer(share, share)) / np.outer(spread, spread))

    @property
    def pairs(self) -> Floats:
        return self.phi[np.triu_indices(len(SEEDS), 1)]

    @property
    def correlated(self) -> float:
        """Share of the pairs whose chi-square has p < 0.001."""
        return float((chdtrc(1, self.n * self.pairs**2) < CORRELATED_P).mean())

    @property
    def balance_p(self) -> float:
        """Chi-square of the buckets against equal ones."""
        expected = self.n / BUCKETS
        return float(chdtrc(BUCKETS - 1, float(((self.buckets - expected) ** 2 / expected).sum())))


def audit_chunk(params: AssignmentParams, ids: NDArray[Any]) -> Audit:
    version, unsalted = HASH_VERSIONS[params.hash], params.hash == "unsalted"
    numbers = [hash_many(ids, "shared" if unsalted else seed, version) for seed in (SEEDS[:1] if unsalted else SEEDS)]
    halves = np.array([u >= 0.5 for u in numbers], dtype=np.float32)
    both = (halves @ halves.T).astype(np.float64) if not unsalted else np.full((len(SEEDS),) * 2, float(halves.sum()))
    buckets = np.bincount((numbers[0] * BUCKETS + 1e-9).astype(np.int64), minlength=BUCKETS)
    return Audit(len(ids), both, buckets)


# --- the plan -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Traffic:
    """Counts of units. `cells` holds, a conflicting pair, the moments of engagement in its arms 00, 01, 10, 11."""

    n: int
    held_out: int
    per_unit: Counts  # (13,) units in 0, 1, 2 ... experiments
    units: dict[str, int]  # in each experiment
    both: dict[tuple[str, str], int]  # in both of a pair
    lost: float  # engagement that conflicts cost
    total: float  # engagement without them
    cells: dict[tuple[str, str], tuple[Moments, ...]]

    def __add__(self, other: Traffic) -> Traffic:
        cells = {pair: tuple(a + b for a, b in zip(self.cells[pair], other.cells[pair], strict=True)) for pair in self.cells}
        return Traffic(
            self.n + other.n,
            self.held_out + other.held_out,
            self.per_unit + other.per_unit,
            {key: count + other.units[key] for key, count in self.units.items()},
            {pair: count + other.both[pair] for pair, count in self.both.items()},
            self.lost + other.lost,
            self.total + other.total,
            cells,
        )

    @property
    def conflict_units(self) -> int:
        return sum(self.both.values())


def traffic_chunk(packing: Packing, ids: NDArray[Any], y: Floats) -> Traffic:
    plan = packing.plan
    held = plan.held_out(ids)
    arms = {key: found for layer in plan.layers for key, found in plan.layer_arms(layer, ids, held).items()}
    inside = {key: arms[key] >= 0 if key in arms else np.zeros(len(ids), dtype=bool) for key in EXPERIMENTS}
    entered = np.sum([inside[key] for key in EXPERIMENTS], axis=0)
    treated = {pair: (arms[pair[0]] == 1) & (arms[pair[1]] == 1) for pair in CONFLICTS if all(key in arms for key in pair)}
    after = y * reduce(np.multiply, [1 + CONFLICT_EFFECT * hit for hit in treated.values()], np.ones(len(y)))
    cells = {pair: _cells(arms[pair[0]], arms[pair[1]], after) for pair in packing.apart()}
    return Traffic(
        len(ids),
        int(held.sum()),
        np.bincount(entered, minlength=len(EXPERIMENTS) + 1),
        {key: int(inside[key].sum()) for key in EXPERIMENTS},
        {pair: int((inside[pair[0]] & inside[pair[1]]).sum()) for pair in CONFLICTS},
        float((y - after).sum()),
        float(y.sum()),
        cells,
    )


def _cells(one: NDArray[np.int8], other: NDArray[np.int8], y: Floats) -> tuple[Moments, ...]:
    made = []
    for a in (0, 1):
        for b in (0, 1):
            mine = y[(one == a) & (other == b)]
            made.append(summary(len(mine), float(mine.sum()), float((mine**2).sum())))
    return tuple(made)


@dataclass(frozen=True)
class Interaction:
    """What treating both adds to the sum of treating each, as a share of the mean of those treated by neither."""

    estimate: float
    se: float


def interaction(cells: tuple[Moments, ...]) -> Interaction | None:
    """None where a cell is too small."""
    if any(cell.n < 30 for cell in cells):
        return None
    means = [float(cell.mean[0]) for cell in cells]
    variance = sum(float(cell.covariance()[0, 0]) / cell.n for cell in cells)
    return Interaction((means[3] - means[2] - means[1] + means[0]) / means[0], float(np.sqrt(variance)) / means[0])


Draw = Callable[[str], np.random.Generator]
