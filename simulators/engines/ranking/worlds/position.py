"""A ranked page and the people who read it: relevance, what each position is looked at, and a log that an older policy ordered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, finite, one_of
from simulators.engines.ranking.worlds.draws import draw
from simulators.engines.search.clicks import DBN, PBM

User = Literal["pbm", "cascade"]
STOP_AFTER_CLICK, ABANDON = 0.7, 0.12  # of cascade users, after a click and after every position


@dataclass(frozen=True)
class PositionWorld:
    """S logged slates of K positions and D features, and T test slates, columns in the order shown.

    The test slates stand in the order of the old policy, none of them shuffled. `examination` (K,) is the probability that a position of
    the log is looked at: K^-eta for position-based users; of cascade users, whose looks depend on the items above, the mean over the log.
    """

    X: Floats  # (S, K, D)
    clicks: Floats  # (S, K)
    randomised: NDArray[np.bool_]  # (S,)
    examination: Floats  # (K,)
    X_test: Floats  # (T, K, D)
    p_test: Floats  # (T, K), probability of a click on an item that is looked at
    p: Floats  # (S, K), the same for the log
    user: User
    eta: float
    p_shuffled: Floats  # (T, K), p_test in a random order

    def looks(self, p: ArrayLike) -> Floats:
        """(n, K): the probability that each position of pages with these relevances (n, K) is looked at."""
        return looks(finite("p", p, ndim=2), self.user, self.eta)

    def slate_clicks(self, p: ArrayLike) -> Floats:
        """(n,): expected clicks on each of the pages with these relevances (n, K) from the top."""
        shown = finite("p", p, ndim=2)
        return np.asarray((shown * self.looks(shown)).sum(axis=1))

    def clicks_per_slate(self, p: ArrayLike) -> float:
        """Mean of `slate_clicks`."""
        return float(self.slate_clicks(p).mean())

    def ordered(self, score: ArrayLike) -> Floats:
        """(T, K): relevance of the test slates, sorted by a score (T, K), best first."""
        found = finite("score", score, ndim=2)
        if found.shape != self.p_test.shape:
            raise ValueError(f"score has shape {found.shape}; expected {self.p_test.shape}, one for each test item.")
        return np.take_along_axis(self.p_test, np.argsort(-found, axis=1, kind="stable"), axis=1)

    def regret(self, score: ArrayLike) -> float:
        """Share of the oracle's clicks on the test slates that ranking by `score` (T, K) loses."""
        return 1 - self.clicks_per_slate(self.ordered(score)) / self.oracle_clicks

    @property
    def oracle_clicks(self) -> float:
        """Expected clicks a slate when the most relevant stand highest, which is best for both kinds of user."""
        return self.clicks_per_slate(self.ordered(self.p_test))

    @property
    def old_regret(self) -> float:
        return 1 - self.clicks_per_slate(self.p_test) / self.oracle_clicks

    @property
    def logging_cost(self) -> float:
        """Share of the old policy's clicks that shuffling some slates costs, expected."""
        lost = 1 - self.clicks_per_slate(self.p_shuffled) / self.clicks_per_slate(self.p_test)
        return float(self.randomised.mean()) * lost


def position_world(
    seed: int = 0,
    *,
    eta: float = 1.0,
    rho: float = 0.2,
    noise: float = 0.5,
    user: User = "pbm",
    eps: float = 0.05,
    slates: int = 20_000,
    test_slates: int = 4_000,
    positions: int = 10,
    features: int = 8,
) -> PositionWorld:
    """Relevance sigmoid(-1 + 1.5 w.x + 0.5 sin(2 x_0) x_1) with a unit vector w and x ~ N(0, I).

    eta    a position is looked at with probability k^-eta (position-based users)
    rho    cosine between w and the weights of the old policy, which ordered the log
    noise  standard deviation of the noise on the old policy's score, whose own is 1
    user   pbm, or cascade: reads from the top, stops after a click with probability 0.7, and after any position with 0.12
    eps    share of the logged slates in random order

    ValueError for a share outside [0, 1], a negative eta or noise, fewer than two features or one slate.
    """
    _check(eta=eta, rho=rho, noise=noise, eps=eps, slates=slates, test_slates=test_slates, positions=positions, features=features)
    one_of("user", user, ("pbm", "cascade"))
    weights, old = _policies(seed, features, rho)
    X, p, randomised = _log(seed, weights, old, noise, eps, (slates, positions, features))
    X_test, p_test = _ordered(seed, "test", weights, old, noise, (test_slates, positions, features), None)
    looked = looks(p, user, eta)
    clicks = _clicks(seed, p, user, looked[0])
    shuffled = draw(seed, "shuffled test").permuted(p_test, axis=1)
    return PositionWorld(X, clicks, randomised, looked.mean(axis=0), X_test, p_test, p, user, eta, shuffled)


def looks(p: Floats, user: User, eta: float) -> Floats:
    """(n, K): P(looked at), of cascade users expected over the clicks above."""
    looked = np.ones(p.shape)
    if user == "pbm":
        return looked * np.arange(1, p.shape[1] + 1, dtype=np.float64) ** -eta
    looked[:, 1:] = np.cumprod((1 - ABANDON) * (1 - STOP_AFTER_CLICK * p), axis=1)[:, :-1]
    return looked


def _policies(seed: int, features: int, rho: float) -> tuple[Floats, Floats]:
    """Two unit vectors (D,) with cosine rho: what makes an item relevant, and what the old policy sorted by."""
    basis, _ = np.linalg.qr(draw(seed, "policies").normal(size=(features, 2)))
    return basis[:, 0], rho * basis[:, 0] + np.sqrt(1 - rho**2) * basis[:, 1]


def _log(
    seed: int, weights: Floats, old: Floats, noise: float, eps: float, shape: tuple[int, int, int]
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Exactly the share eps of slates is shuffled, the first of one fixed order: a larger share holds the smaller one."""
    randomised = np.zeros(shape[0], np.bool_)
    randomised[draw(seed, "randomised").permutation(shape[0])[: round(eps * shape[0])]] = True
    X, p = _ordered(seed, "log", weights, old, noise, shape, randomised)
    return X, p, randomised


def _ordered(
    seed: int, part: str, weights: Floats, old: Floats, noise: float, shape: tuple[int, int, int], randomised: NDArray[np.bool_] | None
) -> tuple[Floats, Floats]:
    x = draw(seed, f"{part} items").normal(size=shape)
    p = expit(-1 + 1.5 * (x @ weights) + 0.5 * np.sin(2 * x[..., 0]) * x[..., 1])
    score = x @ old + noise * draw(seed, f"{part} jitter").normal(size=shape[:2])
    if randomised is not None:
        score[randomised] = draw(seed, f"{part} shuffle").normal(size=shape[:2])[randomised]
    order = np.argsort(-score, axis=1)
    return np.take_along_axis(x, order[..., None], axis=1), np.take_along_axis(p, order, axis=1)


def _clicks(seed: int, p: Floats, user: User, examination: Floats) -> Floats:
    reader = PBM(examination) if user == "pbm" else DBN(continuation=1 - ABANDON)
    return reader.sample(p, STOP_AFTER_CLICK, draw(seed, "clicks")).astype(np.float64)


def _check(*, eta: float, rho: float, noise: float, eps: float, **sizes: int) -> None:
    for name, value, low, high in (("eta", eta, 0, np.inf), ("rho", rho, -1, 1), ("noise", noise, 0, np.inf), ("eps", eps, 0, 1)):
        if not (low <= value <= high and np.isfinite(value)):
            raise ValueError(f"{name} is {value}; expected {low} to {high}.")
    for name, size in sizes.items():
        least = 2 if name == "features" else 1
        if size < least:
            raise ValueError(f"{name} is {size}; expected {least} or more.")
