"""Viewers and videos for retrieval: the log a model learns from, and the known chance of everything that could be watched next.

What is watched now differs from the log: the log saw little of the items uploaded since, and nothing of what trends.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.step import Step
from simulators.engines.ranking.worlds.draws import chosen, draw
from simulators.engines.steps import blocks, finish

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FACTORS = 8
CHANNELS, SUBSCRIPTIONS = 200, 6
MEAN_AGE_DAYS, FRESH_DAYS = 40.0, 1.0
TRENDING, POPULAR = 20, 300  # items that trend, none of them among the most popular before
FRESH_IN_LOG = 0.03  # of the choices that go to fresh items now, what the log caught
LAST_HOUR_VIEWS = 3_000
GROUPS, GROUP_SHARE = 12, 0.5  # demographic groups; share of a taste's variance that the group explains
_BLOCK_CELLS = 250_000  # of the table users x items, computed between two reports


@dataclass(frozen=True)
class RetrievalWorld:
    """U users, I items, n rows of log in order of time, C channels. `p` rows add up to 1."""

    users: Ints  # (n,)
    items: Ints  # (n,)
    p: Floats  # (U, I) P(next choice), now
    content: NDArray[np.float32]  # (I, 8) what title and picture tell of the item's place
    age_days: Floats  # (I,)
    channel: Ints  # (I,)
    subscribed: Flags  # (U, C)
    last_hour: Ints  # (I,) views of the last hour
    trending: Ints  # ids; none where nothing trends
    rank: Ints  # (I,) popularity in the log's world, 1 the most popular

    @property
    def fresh(self) -> Flags:
        return np.asarray(self.age_days < FRESH_DAYS)

    @property
    def n_users(self) -> int:
        return len(self.p)

    @property
    def n_items(self) -> int:
        return len(self.age_days)


@dataclass(frozen=True)
class NewcomerWorld(RetrievalWorld):
    """The same items, other users: each comes with what they watched before and a demographic group, and has no subscriptions.

    The log holds training users only; rows of `p` are the `newcomers`, whom no model has seen.
    """

    history: Ints  # (U, L) oldest first, drawn like the rows of the log
    group: Ints  # (U,) 0 to 11
    newcomers: Ints  # (T,) users, those of the rows of p

    @property
    def n_users(self) -> int:
        return len(self.group)


def retrieval_world(
    seed: int = 0,
    *,
    zipf: float = 1.0,
    fresh_share: float = 0.12,
    trend_share: float = 0.10,
    n_users: int = 1_500,
    n_items: int = 5_000,
    rows: int = 200_000,
) -> RetrievalWorld:
    """Users choose by exp(1.5 u.v / sqrt 8 + 1.2 if subscribed) x rank^-zipf, with v = .8 own + .6 of the channel.

    Now items younger than a day take `fresh_share` of each user's choices and twenty trending ones `trend_share`. They subscribe to the
    six channels nearest their taste. Raises ValueError for shares that leave nothing to the other items and for sizes too small.
    """
    return finish(
        iter_retrieval_world(seed, zipf=zipf, fresh_share=fresh_share, trend_share=trend_share, n_users=n_users, n_items=n_items, rows=rows)
    )


def iter_retrieval_world(
    seed: int = 0,
    *,
    zipf: float = 1.0,
    fresh_share: float = 0.12,
    trend_share: float = 0.10,
    n_users: int = 1_500,
    n_items: int = 5_000,
    rows: int = 200_000,
) -> Generator[Step, None, RetrievalWorld]:
    """`retrieval_world` in steps."""
    catalogue = _catalogue(seed, zipf, fresh_share, trend_share, n_items)
    taste = draw(seed, "users").normal(size=(n_users, FACTORS))
    nearest = np.argsort(-taste @ catalogue.channel_vectors.T, axis=1, kind="stable")[:, :SUBSCRIPTIONS]
    subscribed = np.zeros((n_users, CHANNELS), bool)
    np.put_along_axis(subscribed, nearest, True, axis=1)
    users = draw(seed, "rows").integers(0, n_users, rows)
    places = draw(seed, "choices").random(rows)
    p, items = np.empty((n_users, n_items)), np.empty(rows, np.int64)
    for part in _user_blocks(n_users, n_items):
        weight = catalogue.weight(taste[part], subscribed[part])
        p[part] = catalogue.now(weight)
        mine = np.flatnonzero((users >= part.start) & (users < part.stop))
        items[mine] = chosen(catalogue.logged(weight), users[mine] - part.start, places[mine])
        yield Step(part.stop, n_users, "drawing users")
    return catalogue.world(seed, users, items, p, subscribed)


def newcomer_world(
    seed: int = 0,
    *,
    zipf: float = 1.0,
    fresh_share: float = 0.12,
    trend_share: float = 0.10,
    n_users: int = 5_000,
    n_newcomers: int = 1_000,
    n_items: int = 5_000,
    rows: int = 200_000,
    history: int = 20,
) -> NewcomerWorld:
    """`retrieval_world` with users of twelve demographic groups, each with `history` watched items; the last `n_newcomers` are unknown.

    A group explains half of the variance of its users' tastes.
    """
    return finish(
        iter_newcomer_world(
            seed,
            zipf=zipf,
            fresh_share=fresh_share,
            trend_share=trend_share,
            n_users=n_users,
            n_newcomers=n_newcomers,
            n_items=n_items,
            rows=rows,
            history=history,
        )
    )


def iter_newcomer_world(
    seed: int = 0,
    *,
    zipf: float = 1.0,
    fresh_share: float = 0.12,
    trend_share: float = 0.10,
    n_users: int = 5_000,
    n_newcomers: int = 1_000,
    n_items: int = 5_000,
    rows: int = 200_000,
    history: int = 20,
) -> Generator[Step, None, NewcomerWorld]:
    """`newcomer_world` in steps."""
    if not 0 < n_newcomers < n_users:
        raise ValueError(f"n_newcomers is {n_newcomers}; expected 1 to {n_users - 1}, for n_users is {n_users}.")
    catalogue = _catalogue(seed, zipf, fresh_share, trend_share, n_items)
    group = draw(seed, "groups").integers(0, GROUPS, n_users)
    centres = draw(seed, "group tastes").normal(size=(GROUPS, FACTORS))
    own = draw(seed, "newcomers").normal(size=(n_users, FACTORS))
    taste = np.sqrt(GROUP_SHARE) * centres[group] + np.sqrt(1 - GROUP_SHARE) * own
    known = n_users - n_newcomers
    users = draw(seed, "rows").integers(0, known, rows)
    places, past = draw(seed, "choices").random(rows), draw(seed, "histories").random((n_users, history))
    p, items, watched = np.empty((n_newcomers, n_items)), np.empty(rows, np.int64), np.empty((n_users, history), np.int64)
    for part in _user_blocks(n_users, n_items):
        weight = catalogue.weight(taste[part], None)
        logged = catalogue.logged(weight)
        mine = np.flatnonzero((users >= part.start) & (users < part.stop))
        items[mine] = chosen(logged, users[mine] - part.start, places[mine])
        count = part.stop - part.start
        watched[part] = chosen(logged, np.repeat(np.arange(count), history), past[part].ravel()).reshape(count, history)
        first = max(part.start, known)
        if first < part.stop:
            p[first - known : part.stop - known] = catalogue.now(weight[first - part.start :])
        yield Step(part.stop, n_users, "drawing users")
    seen = catalogue.world(seed, users, items, p, np.zeros((n_newcomers, CHANNELS), bool))
    return NewcomerWorld(**vars(seen), history=watched, group=group, newcomers=np.arange(known, n_users))


# --- items ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Catalogue:
    """The items, and how a weight of each for a user becomes a probability."""

    vectors: Floats  # (I, 8)
    channel_vectors: Floats  # (C, 8)
    channel: Ints
    popularity: Floats  # (I,) rank^-zipf
    rank: Ints
    age_days: Floats
    trending: Ints
    fresh_share: float
    trend_share: float

    @property
    def fresh(self) -> Flags:
        return np.asarray(self.age_days < FRESH_DAYS)

    def weight(self, taste: Floats, subscribed: Flags | None) -> Floats:
        """(u, I) affinity, before popularity."""
        exponent = 1.5 / np.sqrt(FACTORS) * taste @ self.vectors.T
        if subscribed is not None:
            exponent += 1.2 * subscribed[:, self.channel]
        weight: Floats = np.exp(exponent, out=exponent)
        return weight

    def now(self, weight: Floats) -> Floats:
        """(u, I) P(next choice): fresh and trending items with their shares, the others with the rest."""
        ordinary = ~self.fresh
        ordinary[self.trending] = False
        p = (1 - self.fresh_share - self.trend_share) * _shares(weight * (self.popularity * ordinary))
        p += self.fresh_share * _shares(weight * (self.popularity * self.fresh))
        if len(self.trending):
            p[:, self.trending] = self.trend_share * _shares(weight[:, self.trending])
        return p

    def logged(self, weight: Floats) -> Floats:
        """(u, I) what the log was drawn from: hardly anything fresh, and trending items before they did."""
        fresh = FRESH_IN_LOG * self.fresh_share
        p = (1 - fresh) * _shares(weight * (self.popularity * ~self.fresh))
        if fresh:
            p += fresh * _shares(weight * (self.popularity * self.fresh))
        return p

    def world(self, seed: int, users: Ints, items: Ints, p: Floats, subscribed: Flags) -> RetrievalWorld:
        views = draw(seed, "last hour").multinomial(LAST_HOUR_VIEWS, _shares(p.mean(axis=0)))
        noise = draw(seed, "content").normal(size=self.vectors.shape)
        content = (self.vectors + 0.6 * noise).astype(np.float32)
        return RetrievalWorld(
            users, items, p, content, self.age_days, self.channel, subscribed, views.astype(np.int64), self.trending, self.rank
        )


def _catalogue(seed: int, zipf: float, fresh_share: float, trend_share: float, n_items: int) -> _Catalogue:
    if min(fresh_share, trend_share) < 0 or fresh_share + trend_share >= 1:
        raise ValueError(f"fresh_share {fresh_share:g} and trend_share {trend_share:g} were given; expected 0 or more, below 1 together.")
    if n_items < POPULAR + 10 * TRENDING:
        raise ValueError(f"n_items is {n_items}; expected at least {POPULAR + 10 * TRENDING}, or nothing could trend from below.")
    channel_vectors = draw(seed, "channels").normal(size=(CHANNELS, FACTORS))
    channel = draw(seed, "channel of items").integers(0, CHANNELS, n_items)
    vectors = 0.8 * draw(seed, "items").normal(size=(n_items, FACTORS)) + 0.6 * channel_vectors[channel]
    rank = draw(seed, "popularity").permutation(n_items) + 1
    age_days = draw(seed, "ages").exponential(MEAN_AGE_DAYS, n_items)
    age_days[np.argmin(age_days)] = min(age_days.min(), FRESH_DAYS / 2)  # something is always fresh
    eligible = np.flatnonzero((rank > POPULAR) & (age_days >= FRESH_DAYS))
    trending = draw(seed, "trending").choice(eligible, TRENDING if trend_share else 0, replace=False)
    popularity: Floats = np.power(rank.astype(np.float64), -zipf)
    return _Catalogue(
        vectors, channel_vectors, channel, popularity, rank, age_days, np.sort(trending), float(fresh_share), float(trend_share)
    )


def _shares(weight: Floats) -> Floats:
    weight /= weight.sum(axis=-1, keepdims=True)
    return weight


def _user_blocks(n_users: int, n_items: int) -> Generator[slice, None, None]:
    yield from blocks(n_users, max(1, _BLOCK_CELLS // n_items))
