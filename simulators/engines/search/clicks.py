"""Click models: how people read a result page from the top, as simulators and as what EM recovers from a log.

    PBM      position-based: P(click) = e_rank x a (Craswell et al. 2008). Scaled so that e is 1 at rank 1
    Cascade  reads down to the first click and stops there (Craswell et al. 2008)
    DBN      dynamic Bayesian network: a click satisfies with s and ends the session; whoever is not satisfied reads on with
             probability gamma (Chapelle & Zhang 2009). Relevance is a x s

a is the attractiveness of a document for a query, e the examination of a rank. A pair that was never shown keeps the prior mean 1/2;
the others have one pseudo-click in two pseudo-impressions.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.steps import finish

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
PRIOR_CLICKS, PRIOR_SHOWN = 1.0, 2.0
START = 0.5  # of every probability that EM is to find; at 1 an examination would stay where it is
TINY = 1e-6  # no click is impossible: a model that rules out what happened would have no likelihood


@dataclass(frozen=True)
class Sessions:
    """Result pages: `query` i32 (n,), `docs` i32 (n, K) from the top, -1 where a page is shorter, `clicks` u8 (n, K)."""

    query: NDArray[np.int32]
    docs: NDArray[np.int32]
    clicks: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.docs.ndim != 2 or self.docs.shape != self.clicks.shape or self.query.shape != self.docs.shape[:1]:
            shapes = f"query {self.query.shape}, docs {self.docs.shape}, clicks {self.clicks.shape}"
            raise ValueError(f"{shapes}; expected (n,), (n, K) and (n, K).")
        if ((self.clicks != 0) & (self.clicks != 1)).any():
            raise ValueError("clicks holds other values than 0 and 1.")
        if (self.clicks[~self.shown] > 0).any():
            raise ValueError("clicks holds a click where docs is -1, which is no document.")

    @property
    def shown(self) -> Flags:
        return np.asarray(self.docs >= 0)


@dataclass(frozen=True)
class ClickWorld:
    """Queries Q, documents D, pages of K: `ranking` i32 (Q, K) is what production shows, the others (Q, D) are the truth.

    `randomised` of the sessions have `swaps` random pairs of their page exchanged.
    """

    ranking: NDArray[np.int32]
    attractiveness: Floats
    satisfaction: Floats
    randomised: float = 0.0
    swaps: int = 3


def simulate(world: ClickWorld, model: ClickModel, n: int, *, seed: int) -> Sessions:
    """n sessions of random queries; `model` says how pages are read, the world how attractive and satisfying each document is."""
    draws = np.random.default_rng(np.random.SeedSequence(seed))
    query = draws.integers(0, len(world.ranking), n)
    docs = world.ranking[query].copy()
    mixed = np.flatnonzero(draws.random(n) < world.randomised)
    for _ in range(world.swaps):
        one, other = draws.integers(0, docs.shape[1], (2, len(mixed)))
        docs[mixed, one], docs[mixed, other] = docs[mixed, other], docs[mixed, one]
    at = query[:, None]
    clicks = model.sample(world.attractiveness[at, docs], world.satisfaction[at, docs], draws)
    return Sessions(query.astype(np.int32), docs.astype(np.int32), clicks)


class _Cells(NamedTuple):
    """The pairs of a log: `pair` (n, K) their number, `pairs` how many; that number itself stands for an unknown pair or none."""

    pair: NDArray[np.int64]
    pairs: int

    def total(self, values: NDArray[Any]) -> Floats:
        """(pairs,) sums of values (n, K)."""
        return np.asarray(np.bincount(self.pair.ravel(), values.ravel(), minlength=self.pairs + 1)[:-1], dtype=np.float64)

    def of(self, values: Floats) -> Floats:
        """(n, K): each pair's of values (pairs,), the prior mean for an unknown one."""
        return np.asarray(np.append(values, PRIOR_CLICKS / PRIOR_SHOWN)[self.pair])


class ClickModel:
    """What the three share: numbering of pairs, EM in steps, likelihood. `fit` may be called again and starts anew."""

    _codes: NDArray[np.int64]  # sorted numbers of the pairs of the fitted log
    _attractive: Floats  # (pairs,)

    def __init__(self) -> None:
        self._codes, self._attractive = np.zeros(0, np.int64), np.zeros(0)

    def fit(self, sessions: Sessions, n_iter: int = 30) -> Self:
        finish(self.iter_fit(sessions, n_iter))
        return self

    def iter_fit(self, sessions: Sessions, n_iter: int = 30) -> Generator[float, None, None]:
        """Yields the log-likelihood (nats, all sessions) after each iteration. ValueError without a session."""
        if not sessions.shown.any():
            raise ValueError("sessions holds no document; expected at least one result page.")
        if n_iter < 1:
            raise ValueError(f"n_iter is {n_iter}; expected 1 or more.")
        self._codes = np.unique(_code(sessions.query[:, None], sessions.docs)[sessions.shown])
        self._attractive = np.full(len(self._codes), START)
        self._start(sessions)
        cells = self._cells(sessions)
        for _ in range(n_iter):
            self._iterate(sessions, cells)
            yield float(_log_likelihoods(self._chance(sessions, cells), sessions).sum())

    def click_prob(self, sessions: Sessions) -> Floats:
        """f64 (n, K); given the clicks above where the model reads from the top. 0 where nothing was shown."""
        return np.where(sessions.shown, self._chance(sessions, self._cells(sessions)), 0.0)

    def sample(self, attractiveness: ArrayLike, satisfaction: ArrayLike, draws: np.random.Generator) -> NDArray[np.uint8]:
        """Clicks (n, K) on pages whose documents are so attractive and so satisfying, each (n, K) or a number for all."""
        raise NotImplementedError

    def attractiveness(self, query: int, doc: int) -> float:
        return self._of_pair(self._attractive, query, doc)

    def relevance(self, query: int, doc: int) -> float:
        return self.attractiveness(query, doc)

    def log_likelihood(self, sessions: Sessions) -> float:
        """Nats, summed over all shown documents."""
        return float(_log_likelihoods(self.click_prob(sessions), sessions).sum())

    def perplexity(self, sessions: Sessions) -> float:
        """Mean over ranks of 2^(-mean log2 likelihood): 1 is perfect, 2 a coin."""
        nats, shown = _log_likelihoods(self.click_prob(sessions), sessions), sessions.shown.sum(axis=0)
        by_rank = nats.sum(axis=0)[shown > 0] / shown[shown > 0]
        return float(np.exp(-by_rank).mean())

    def _start(self, sessions: Sessions) -> None:
        """Everything but attractiveness, before the first iteration."""

    def _iterate(self, sessions: Sessions, cells: _Cells) -> None:
        raise NotImplementedError

    def _chance(self, sessions: Sessions, cells: _Cells) -> Floats:
        """(n, K): P(click), as `click_prob`, whatever it is where nothing was shown."""
        raise NotImplementedError

    def _cells(self, sessions: Sessions) -> _Cells:
        codes = _code(sessions.query[:, None], sessions.docs)
        place = np.searchsorted(self._codes, codes)
        known = np.append(self._codes, -1)[place] == codes
        return _Cells(np.where(sessions.shown & known, place, len(self._codes)), len(self._codes))

    def _of_pair(self, values: Floats, query: int, doc: int) -> float:
        pair = Sessions(np.array([query], np.int32), np.array([[doc]], np.int32), np.zeros((1, 1), np.uint8))
        return float(self._cells(pair).of(values)[0, 0])


class PBM(ClickModel):
    """`examination` (K,), 1 at the first rank; as a simulator it is given, fitting replaces it."""

    def __init__(self, examination: ArrayLike = (1.0,)) -> None:
        super().__init__()
        self.examination = np.asarray(examination, dtype=np.float64)

    def _chance(self, sessions: Sessions, cells: _Cells) -> Floats:
        attractive = cells.of(self._attractive)
        return np.asarray(np.clip(attractive * self.examination[: attractive.shape[1]], 0, 1))

    def sample(self, attractiveness: ArrayLike, satisfaction: ArrayLike, draws: np.random.Generator) -> NDArray[np.uint8]:
        attractive = np.asarray(attractiveness, dtype=np.float64)
        chance = attractive * self.examination[: attractive.shape[1]]
        return np.asarray(draws.random(chance.shape) < chance).astype(np.uint8)

    def _start(self, sessions: Sessions) -> None:
        """EM works with e and a as it finds them; the outside sees e_1 = 1, `_scale` is between the two."""
        self._examined, self._scale = np.full(sessions.docs.shape[1], START), 1.0

    def _iterate(self, sessions: Sessions, cells: _Cells) -> None:
        """Of a document passed over, either the rank was not looked at or the document did not attract."""
        e, a = self._examined, cells.of(self._attractive / self._scale)
        shown, clicks = sessions.shown, sessions.clicks
        passed = np.where(shown & (clicks == 0), 1 / np.maximum(1 - e * a, TINY), 0.0)
        attracted = cells.total(clicks + passed * a * (1 - e))
        looked = (clicks + passed * e * (1 - a)).sum(axis=0)
        fitted = (attracted + PRIOR_CLICKS) / (cells.total(shown) + PRIOR_SHOWN)
        self._examined = (looked + PRIOR_CLICKS) / (shown.sum(axis=0) + PRIOR_SHOWN)
        self._scale = float(self._examined[0])
        self.examination, self._attractive = self._examined / self._scale, fitted * self._scale


class Cascade(ClickModel):
    """Fitted in closed form: clicks over the impressions down to a session's first click."""

    def _chance(self, sessions: Sessions, cells: _Cells) -> Floats:
        return cells.of(self._attractive) * _until_first(sessions.clicks)

    def sample(self, attractiveness: ArrayLike, satisfaction: ArrayLike, draws: np.random.Generator) -> NDArray[np.uint8]:
        attractive = np.asarray(attractiveness, dtype=np.float64)
        wanted = (draws.random(attractive.shape) < attractive).astype(np.uint8)
        return np.asarray(wanted * _until_first(wanted), dtype=np.uint8)

    def _iterate(self, sessions: Sessions, cells: _Cells) -> None:
        read = _until_first(sessions.clicks) & sessions.shown
        self._attractive = (cells.total(sessions.clicks * read) + PRIOR_CLICKS) / (cells.total(read) + PRIOR_SHOWN)


class DBN(ClickModel):
    """`continuation` is gamma. The hidden chain is whether rank k was looked at; given that and the clicks nothing else is hidden but s."""

    def __init__(self, continuation: float = 0.85) -> None:
        super().__init__()
        self.continuation, self._satisfying = continuation, np.zeros(0)

    def satisfaction(self, query: int, doc: int) -> float:
        return self._of_pair(self._satisfying, query, doc)

    def relevance(self, query: int, doc: int) -> float:
        """a x s: a click, and no need for another."""
        return self.attractiveness(query, doc) * self.satisfaction(query, doc)

    def _chance(self, sessions: Sessions, cells: _Cells) -> Floats:
        attractive = cells.of(self._attractive)
        return self._reached(sessions, attractive, cells.of(self._satisfying)) * attractive

    def sample(self, attractiveness: ArrayLike, satisfaction: ArrayLike, draws: np.random.Generator) -> NDArray[np.uint8]:
        attractive = np.asarray(attractiveness, dtype=np.float64)
        satisfying = np.broadcast_to(np.asarray(satisfaction, dtype=np.float64), attractive.shape)
        click, satisfied, goes_on = (draws.random(attractive.shape) for _ in range(3))
        wanted = click < attractive
        on = ~(wanted & (satisfied < satisfying)) & (goes_on < self.continuation)
        looked = np.ones(attractive.shape, bool)
        looked[:, 1:] = np.logical_and.accumulate(on, axis=1)[:, :-1]
        return np.asarray(wanted & looked).astype(np.uint8)

    def _start(self, sessions: Sessions) -> None:
        self.continuation, self._satisfying = START, np.full(len(self._codes), START)

    def _reached(self, sessions: Sessions, attractive: Floats, satisfying: Floats) -> Floats:
        """(n, K): P(rank looked at | clicks above), forward."""
        reached = np.ones(attractive.shape)
        for k in range(attractive.shape[1] - 1):
            a, s, here = attractive[:, k], satisfying[:, k], reached[:, k]
            passed = here * (1 - a) / np.maximum(1 - here * a, TINY)
            reached[:, k + 1] = self.continuation * np.where(sessions.clicks[:, k] > 0, 1 - s, passed)
        return reached

    def _below(self, sessions: Sessions, attractive: Floats, satisfying: Floats) -> Floats:
        """(n, K+1): P(clicks from this rank on | it is looked at), backward; 1 below the page."""
        below = np.ones((attractive.shape[0], attractive.shape[1] + 1))
        silent = _silent_from(sessions.clicks)
        for k in range(attractive.shape[1] - 1, -1, -1):
            on = self.continuation * np.where(sessions.clicks[:, k] > 0, 1 - satisfying[:, k], 1.0)
            rest = on * below[:, k + 1] + (1 - on) * silent[:, k + 1]
            here = np.where(sessions.clicks[:, k] > 0, attractive[:, k], 1 - attractive[:, k])
            below[:, k] = np.where(sessions.shown[:, k], here * rest, 1.0)
        return below

    def _iterate(self, sessions: Sessions, cells: _Cells) -> None:
        a, s = cells.of(self._attractive), cells.of(self._satisfying)
        reached, below, silent = self._reached(sessions, a, s), self._below(sessions, a, s), _silent_from(sessions.clicks)
        clicked = sessions.clicks > 0
        together = reached * below[:, :-1]
        looked = np.where(sessions.shown, together / np.maximum(together + (1 - reached) * silent[:, :-1], TINY), 0.0)
        unsatisfied_after = self.continuation * below[:, 1:] + (1 - self.continuation)
        satisfied = np.where(clicked & (silent[:, 1:] > 0), s / np.maximum(s + (1 - s) * unsatisfied_after, TINY), 0.0)
        self._attractive = (cells.total(clicked) + PRIOR_CLICKS) / (cells.total(looked) + PRIOR_SHOWN)
        self._satisfying = (cells.total(satisfied) + PRIOR_CLICKS) / (cells.total(clicked) + PRIOR_SHOWN)
        could_go_on = (np.where(clicked, 1 - satisfied, looked) * _followed(sessions.shown)).sum()
        self.continuation = float((looked[:, 1:].sum() + PRIOR_CLICKS) / (could_go_on + PRIOR_SHOWN))


def _code(query: NDArray[np.int32], docs: NDArray[np.int32]) -> NDArray[np.int64]:
    return query.astype(np.int64) * 2**32 + docs


def _until_first(clicks: NDArray[np.uint8]) -> Flags:
    """(n, K): no click above this rank."""
    return np.asarray(np.cumsum(clicks, axis=1) - clicks == 0)


def _silent_from(clicks: NDArray[np.uint8]) -> Floats:
    """(n, K+1): 1 where there is no click from this rank on."""
    later = np.cumsum(clicks[:, ::-1], axis=1)[:, ::-1]
    return np.pad((later == 0).astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)


def _followed(shown: Flags) -> Floats:
    """(n, K): 1 where there is another document below."""
    return np.pad(shown[:, 1:].astype(np.float64), ((0, 0), (0, 1)))


def _log_likelihoods(chance: Floats, sessions: Sessions) -> Floats:
    chance = np.clip(chance, TINY, 1 - TINY)
    return np.where(sessions.shown, np.log(np.where(sessions.clicks > 0, chance, 1 - chance)), 0.0)
