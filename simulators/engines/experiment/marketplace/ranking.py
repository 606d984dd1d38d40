"""Comparing rankings inside one result page: team-draft interleaving for viewers, counterfactual interleaving for sellers.

Radlinski, Kurup & Joachims 2008, "How does clickthrough data reflect retrieval quality?"; Ha-Thuc, Dutta, Mao, Wood & Liu 2020, "A
counterfactual framework for seller-side A/B testing on marketplaces".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.experiment.marketplace import kernel
from simulators.errors import InvalidInput

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
EXAMINATION_POWER = 0.8


class Draft(NamedTuple):
    """`ranking` (n,) of items, `teams` (n,): 0 where ranker A picked, 1 where B did."""

    ranking: NDArray[np.generic]
    teams: NDArray[np.int8]


def team_draft(rank_a: ArrayLike | Sequence[object], rank_b: ArrayLike | Sequence[object], rng: np.random.Generator) -> Draft:
    """One list from two: in each round both rankers pick their best item left, a coin deciding who goes first.

    The lists may differ in items and length; each item appears once, and a ranker without items left passes. Raises InvalidInput when
    a list names an item twice.
    """
    lists = [np.asarray(ranked).tolist() for ranked in (rank_a, rank_b)]
    for name, items in zip("ab", lists, strict=True):
        if len(set(items)) < len(items):
            raise InvalidInput(f"rank_{name} names an item twice; a ranking has each item once.", field=f"rank_{name}")
    ranking: list[object] = []
    teams: list[int] = []
    used: set[object] = set()
    while any(item not in used for items in lists for item in items):
        first = int(rng.integers(2))
        for team in (first, 1 - first):
            item = next((item for item in lists[team] if item not in used), None)
            if item is not None:
                ranking.append(item)
                teams.append(team)
                used.add(item)
    return Draft(np.asarray(ranking), np.asarray(teams, np.int8))


def team_drafts(rank_a: Ints, rank_b: Ints, coins: NDArray[np.int8]) -> tuple[Ints, NDArray[np.int8]]:
    """Many drafts of the same m items 0..m-1: rank_a, rank_b (n, m); coins (n, m), who picks first when both have picked as often."""
    ranking, teams = np.empty_like(rank_a), np.empty(rank_a.shape, np.int8)
    kernel.draft(rank_a, rank_b, coins, ranking, teams)
    return ranking, teams


def ranked(scores: Floats) -> Ints:
    """Items by falling score, (n, m)."""
    return np.argsort(-scores, axis=1, kind="stable")


def positions(ranking: Ints) -> Ints:
    """Place (n, m), from 0, of each item in its ranking."""
    places = np.empty_like(ranking)
    np.put_along_axis(places, ranking, np.broadcast_to(np.arange(ranking.shape[1]), ranking.shape), axis=1)
    return places


def counterfactual_interleave(rank_control: Ints, rank_treated: Ints, treated: NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    """One page a session in which every seller stands where a launch to all of its own arm would put it.

    rank_control, rank_treated  (n, m) items 0..m-1 as ranked with nobody and with everybody treated
    treated                     (n, m) or (m,), by item
    Where two items claim a place, a coin orders them. Returns the pages (n, m).
    """
    if rank_control.shape != rank_treated.shape:
        raise InvalidInput(f"Rankings of shapes {rank_control.shape} and {rank_treated.shape}; expected the same items in both.")
    claimed = np.where(treated, positions(rank_treated), positions(rank_control))
    return np.argsort(claimed + 0.5 * rng.random(claimed.shape), axis=1)


def examination(m: int) -> Floats:
    """Chance that a viewer looks at place k of m: 1 / k^0.8."""
    places: Floats = np.arange(1, m + 1, dtype=float) ** -EXAMINATION_POWER
    return places


def sessions_needed(mean: float, variance: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Sessions after which a mean this far from zero is found with this power, two-sided."""
    from scipy.special import ndtri

    return float((ndtri(1 - alpha / 2) + ndtri(power)) ** 2 * variance / mean**2)
