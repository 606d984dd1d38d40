"""The two ranking questions: pages are drawn chunk by chunk, and each way to test reads the same candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment.marketplace.ranking import (
    counterfactual_interleave,
    examination,
    positions,
    ranked,
    sessions_needed,
    team_drafts,
)

Floats = NDArray[np.float64]
SESSIONS = 2_000  # a chunk
CANDIDATES, CLICK_LOGIT = 30, -1.75  # a candidate of mean relevance, looked at, is clicked in 15 % of cases
NOISE_A, NOISE_B, SHARED = 1.0, 0.924, 0.85  # errors of the rankers' scores; share of their variance both make
SELLERS, NEW_SHARE, OLD_BONUS, BOOST = 40, 0.25, 0.05, 1.0


@dataclass
class Duel:
    """Sums over sessions of a viewer test: `true` expected clicks of A and B, drawn clicks of A, and credit of the duel, B less A."""

    sessions: int
    true: Floats
    clicks: Floats  # sum, sum of squares of clicks a session under A
    credit: Floats  # sum, sum of squares of the credit's sign
    ab: Floats  # clicks of the sessions dealt to A and to B

    def __add__(self, other: Duel) -> Duel:
        return Duel(
            self.sessions + other.sessions,
            self.true + other.true,
            self.clicks + other.clicks,
            self.credit + other.credit,
            self.ab + other.ab,
        )

    @property
    def gain(self) -> float:
        return float(self.true[1] / self.true[0] - 1)

    @property
    def preference(self) -> float:
        """Sessions in which B's picks got more clicks less those in which A's did, as a share of all."""
        return float(self.credit[0] / self.sessions)

    @property
    def preference_se(self) -> float:
        return float(np.sqrt((self.credit[1] / self.sessions - self.preference**2) / self.sessions))

    @property
    def ab_gain_mean(self) -> float:
        return float(self.ab[1] / self.ab[0] - 1)

    @property
    def ab_se(self) -> float:
        """Of the relative gain read by an A/B test of these sessions, half in each arm."""
        return float(2 * np.sqrt(self._variance / self.sessions) / (self.clicks[0] / self.sessions))

    @property
    def _variance(self) -> float:
        return float(self.clicks[1] / self.sessions - (self.clicks[0] / self.sessions) ** 2)

    @property
    def sessions_ab(self) -> float:
        """Both arms, 80 % power at 5 %, for the true gain."""
        return 4 * sessions_needed(float(self.true[1] - self.true[0]) / self.sessions, self._variance)

    @property
    def sessions_duel(self) -> float:
        return sessions_needed(self.preference, self.preference_se**2 * self.sessions)


def duel(rng: np.random.Generator, sessions: int = SESSIONS) -> Duel:
    """Sessions seen under A, under B, and under a team draft of both."""
    shape, looks = (sessions, CANDIDATES), examination(CANDIDATES)
    relevance, shared, *own = (rng.standard_normal(shape) for _ in range(4))
    appeal = 1 / (1 + np.exp(-relevance - CLICK_LOGIT))
    errors = [np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * noise for noise in own]
    rank_a, rank_b = (ranked(relevance + sd * error) for sd, error in zip((NOISE_A, NOISE_B), errors, strict=True))
    chances = [np.take_along_axis(appeal, rank, 1) * looks for rank in (rank_a, rank_b)]
    page, teams = team_drafts(rank_a, rank_b, rng.integers(0, 2, shape, dtype=np.int8))
    clicked = rng.random(shape) < np.take_along_axis(appeal, page, 1) * looks
    sign = np.sign((clicked * (2 * teams - 1)).sum(axis=1)).astype(float)
    clicks = [(rng.random(shape) < chance).sum(axis=1).astype(float) for chance in chances]
    half = sessions // 2
    return Duel(
        sessions,
        np.array([chance.sum() for chance in chances]),
        np.array([clicks[0].sum(), clicks[0] @ clicks[0]]),
        np.array([sign.sum(), sign @ sign]),
        np.array([clicks[0][:half].sum() / half, clicks[1][half:].sum() / (sessions - half)]),
    )


@dataclass
class SellerTest:
    """Looks won by new sellers, per new seller: `truth` with nobody and everybody boosted, then the two tests, control and treated."""

    truth: Floats
    naive: Floats
    interleaved: Floats

    @staticmethod
    def gain(pair: Floats) -> float:
        return float(pair[1] / pair[0] - 1)

    @property
    def gains(self) -> tuple[float, float, float]:
        """(truth, naive split, counterfactual interleaving) as shares."""
        return self.gain(self.truth), self.gain(self.naive), self.gain(self.interleaved)


def seller_test(rng: np.random.Generator, sessions: int = SESSIONS) -> SellerTest:
    """A boost of new sellers' scores, tried on half of the sellers."""
    shape, looks = (sessions, SELLERS), examination(SELLERS)
    new, treated = rng.random(shape) < NEW_SHARE, rng.random(shape) < 0.5
    scores = rng.standard_normal(shape) + np.where(new, 0.0, OLD_BONUS)
    nobody, everybody, split = (ranked(scores + BOOST * boosted) for boosted in (0 * new, new, new & treated))
    page = counterfactual_interleave(nobody, everybody, treated, rng)

    def won(rank: NDArray[np.int64], who: NDArray[np.bool_]) -> float:
        return float(looks[positions(rank)][who].mean())

    arms = (new & ~treated, new & treated)
    return SellerTest(
        np.array([won(nobody, new), won(everybody, new)]),
        np.array([won(split, arm) for arm in arms]),
        np.array([won(page, arm) for arm in arms]),
    )
