"""Users who follow producers and like posts out of a few interests, over planted communities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.worlds.draws import chosen, draw

POPULARITY_POWER = -0.8  # followers of a producer by rank
INTEREST_SHARES = (0.65, 0.25, 0.1)  # of a user's on-interest follows and likes, by interest
OFF_INTEREST_LIKES = 0.1
APPEAL_SIGMA = 0.7  # log-normal appeal of a post to everybody


@dataclass(frozen=True)
class FollowWorld:
    """U users, P producers, T posts."""

    follow: Any  # csr (U, P) of ones
    favs: Any  # csr (U, T) of ones: who liked what
    community: Ints  # (P,) of each producer
    p: Floats  # (U, T), chance that a user's next like is this post; rows sum to 1
    author: Ints  # (T,) producer of each post
    interests: Ints  # (U, 3) communities of each user, the largest share first


def follow_world(
    seed: int = 0,
    *,
    mix: float = 0.2,
    planted: int = 24,
    users: int = 4_000,
    producers: int = 1_000,
    posts: int = 3_000,
    likes: int = 40_000,
    follows: int = 25,
) -> FollowWorld:
    """The world. ValueError for a knob outside its range.

    mix      share of follows that have nothing to do with the user's interests
    planted  communities, 2 or more; a user cares for up to three of them
    """
    _check(mix, planted, users=users, producers=producers, posts=posts, likes=likes, follows=follows)
    community = draw(seed, "follow/community").permutation(np.arange(producers) % planted)
    popularity = np.asarray(1.0 + draw(seed, "follow/popularity").permutation(producers), np.float64) ** POPULARITY_POWER
    interests = np.argsort(draw(seed, "follow/interests").random((users, planted)), axis=1)[:, : len(INTEREST_SHARES)]
    cares = np.zeros((users, planted))
    np.put_along_axis(cares, interests, np.array(INTEREST_SHARES[: interests.shape[1]]), axis=1)
    follow = _follows(seed, _leaning(cares, community, popularity, 0.0), popularity, mix, follows)
    author = draw(seed, "follow/author").choice(producers, size=posts, p=popularity / popularity.sum())
    appeal: Floats = np.exp(APPEAL_SIGMA * draw(seed, "follow/appeal").standard_normal(posts))
    p = _leaning(cares, community[author], appeal, OFF_INTEREST_LIKES)
    return FollowWorld(follow, _likes(seed, p, likes), community, p, author, interests)


def _leaning(cares: Floats, community: Ints, weight: Floats, off: float) -> Floats:
    """Chance (U, n) of each of n things of a community and a weight: by the user's interests, or, with chance `off`, by weight alone."""
    planted = cares.shape[1]
    inside = weight / np.bincount(community, weights=weight, minlength=planted)[community]
    by_interest = cares[:, community] * inside
    by_interest /= np.maximum(by_interest.sum(axis=1, keepdims=True), 1e-300)  # a community may have nothing to offer
    return np.asarray((1 - off) * by_interest + off * weight / weight.sum())


def _follows(seed: int, by_interest: Floats, popularity: Floats, mix: float, follows: int) -> sparse.csr_array[np.float64]:
    """The producers each user follows, all different (Gumbel's trick): most by interest, the rest by popularity alone."""
    rng = draw(seed, "follow/follow")
    users = len(by_interest)
    stray = rng.binomial(follows, mix, size=(users, 1))
    with np.errstate(divide="ignore"):
        wanted = np.log(by_interest) + rng.gumbel(size=by_interest.shape)
        met = np.log(popularity) + rng.gumbel(size=by_interest.shape)
    near = np.argsort(-wanted, axis=1)[:, :follows]
    kept = np.arange(follows) < follows - stray
    taken = np.zeros(by_interest.shape, np.bool_)
    np.put_along_axis(taken, near, kept, axis=1)
    met[taken] = -np.inf
    far = np.argsort(-met, axis=1)[:, :follows]
    np.put_along_axis(taken, far, np.arange(follows) < stray, axis=1)
    user, producer = np.nonzero(taken)
    return sparse.csr_array((np.ones(len(user)), (user, producer)), shape=by_interest.shape)


def _likes(seed: int, p: Floats, likes: int) -> sparse.csr_array[np.float64]:
    """Likes by users drawn at random; a post liked twice by one user counts once."""
    rng = draw(seed, "follow/likes")
    user = np.sort(rng.integers(len(p), size=likes))
    post = chosen(p, user, rng.random(likes))
    favs = sparse.csr_array((np.ones(likes), (user, post)), shape=p.shape)
    favs.sum_duplicates()
    favs.data[:] = 1.0
    return favs


def _check(mix: float, planted: int, **counts: int) -> None:
    if not 0 <= mix <= 1:
        raise ValueError(f"mix is {mix}; expected a share from 0 to 1.")
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; expected 1 or more.")
    if not 2 <= planted <= counts["producers"]:
        raise ValueError(f"planted is {planted}; expected 2 to {counts['producers']}, the number of producers.")
    if counts["follows"] > counts["producers"]:
        raise ValueError(f"follows is {counts['follows']}; expected at most the {counts['producers']} producers.")
