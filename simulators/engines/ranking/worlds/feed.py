"""Feeds of a network: posts of followed accounts and of others, the chance of every action on them, and authors who live on rage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.worlds.draws import draw

TOPICS, DIMENSIONS = 16, 16
FOLLOWERS_POWER, FOLLOWERS_MOST = -0.9, 1_000_000
MEAN_AGE_H, OLDEST_H, FADING_H = 18.0, 72.0, 36.0
IN_NETWORK_LIFT, STEEPNESS, THRESHOLD = 1.25, 14.0, 0.10
ALIGNED = 0.7  # of the candidates from outside: of the user's favourite topics
FAVOURITES = 4
TASTE = (0.30, 0.10)  # mean affinity for a favourite topic, for another
POSITIVE = {"like": 0.14, "click": 0.10, "video": 0.08, "repost": 0.045, "reply": 0.035, "bookmark": 0.02, "quote": 0.015, "share": 0.012}
PROVOKED = {"reply": 3.0, "quote": 4.0, "click": 1.0}  # times rage, on top
NEGATIVE = {"not_interested": (0.0012, 8.0), "mute": (0.0003, 14.0), "block": (0.0002, 14.0), "report": (0.00004, 30.0)}
SENSITIVE_SHARE, SENSITIVE_SHIFT = 0.03, 2.33  # s.d. between the scores of the two kinds: an AUC of .95


@dataclass(frozen=True)
class FeedWorld:
    """U users, n candidates each; every array (U, n) unless said otherwise."""

    heads: dict[str, Floats]  # chance of each action on one look: eight that please, four that do not
    in_network: NDArray[np.bool_]
    author: Ints
    age_h: Floats
    emb: Floats  # (U, n, 16)
    topic: Ints
    followers: Ints  # of the author
    rage: Floats  # of the author, 0 for most
    sensitive: NDArray[np.bool_]
    sensitive_score: Floats  # of a classifier, 0 to 1


class _Network(NamedTuple):
    """Authors and their posts: those of the author are (A,), those of the post (P,)."""

    author_topic: Ints
    quality: Floats
    followers: Ints
    rage: Floats
    author: Ints
    topic: Ints
    age_h: Floats
    post_quality: Floats
    emb: Floats  # (P, 16)
    sensitive: NDArray[np.bool_]
    sensitive_score: Floats


def feed_world(
    seed: int = 0,
    *,
    rage_share: float = 0.08,
    in_network: int = 200,
    oon: int = 200,
    users: int = 200,
    authors: int = 2_000,
    posts: int = 16_000,
    follows: int = 80,
) -> FeedWorld:
    """The world; candidates from the network come first, newest first. ValueError for a knob outside its range.

    rage_share       share of the authors who bait rage
    in_network, oon  candidates a user from followed authors (fewer where they posted less leave places to others), and from outside
    """
    _check(rage_share, in_network=in_network, oon=oon, users=users, authors=authors, posts=posts, follows=follows)
    network = _network(seed, authors, posts, rage_share)
    favourites = np.argsort(draw(seed, "feed/favourites").random((users, TOPICS)), axis=1)[:, :FAVOURITES]
    taste = TASTE[1] * draw(seed, "feed/taste").uniform(0.5, 1.5, (users, TOPICS))
    np.put_along_axis(taste, favourites, TASTE[0] * draw(seed, "feed/liking").uniform(0.6, 1.4, (users, FAVOURITES)), axis=1)
    followed = _followed(seed, network, taste, follows)
    chosen, inside = _candidates(seed, network, followed, taste, in_network, oon)
    author, topic = network.author[chosen], network.topic[chosen]
    affinity = np.take_along_axis(taste, topic, axis=1) * network.quality[author] * network.post_quality[chosen]
    affinity *= np.exp(-network.age_h[chosen] / FADING_H) * np.where(inside, IN_NETWORK_LIFT, 1.0)
    return FeedWorld(
        heads=_heads(affinity, network.rage[author]),
        in_network=inside,
        author=author,
        age_h=network.age_h[chosen],
        emb=network.emb[chosen],
        topic=topic,
        followers=network.followers[author],
        rage=network.rage[author],
        sensitive=network.sensitive[chosen],
        sensitive_score=network.sensitive_score[chosen],
    )


def _heads(affinity: Floats, rage: Floats) -> dict[str, Floats]:
    pleased = expit(STEEPNESS * (affinity - THRESHOLD))
    heads = {action: base * pleased * (1 + PROVOKED.get(action, 0.0) * rage) for action, base in POSITIVE.items()}
    return heads | {action: base * (1 - 0.5 * pleased) * (1 + by_rage * rage) for action, (base, by_rage) in NEGATIVE.items()}


def _network(seed: int, authors: int, posts: int, rage_share: float) -> _Network:
    rng = draw(seed, "feed/authors")
    rank = 1.0 + rng.permutation(authors)
    author_topic, quality = rng.integers(TOPICS, size=authors), rng.uniform(0.6, 1.0, authors)
    baits = draw(seed, "feed/rage").random((2, authors))
    rage = np.where(baits[0] < rage_share, 0.4 + 0.6 * baits[1], 0.0)
    rng = draw(seed, "feed/posts")
    author = rng.integers(authors, size=posts)
    topic = np.where(rng.random(posts) < ALIGNED, author_topic[author], rng.integers(TOPICS, size=posts))
    age_h = np.minimum(rng.exponential(MEAN_AGE_H, posts), OLDEST_H)
    post_quality = rng.uniform(0.6, 1.0, posts)
    directions = np.linalg.qr(draw(seed, "feed/topics").standard_normal((DIMENSIONS, TOPICS)))[0].T
    emb = np.sqrt(0.5) * (directions[topic] + draw(seed, "feed/emb").standard_normal((posts, DIMENSIONS)) / np.sqrt(DIMENSIONS))
    rng = draw(seed, "feed/sensitive")
    sensitive = rng.random(posts) < SENSITIVE_SHARE
    score = expit(rng.standard_normal(posts) + SENSITIVE_SHIFT * (sensitive - 0.5))
    followers = np.ceil(FOLLOWERS_MOST * rank**FOLLOWERS_POWER).astype(np.int64)
    return _Network(author_topic, quality, followers, rage, author, topic, age_h, post_quality, emb, sensitive, score)


def _followed(seed: int, network: _Network, taste: Floats, follows: int) -> NDArray[np.bool_]:
    """(U, A): drawn without replacement by followers and taste for the author's topic (Gumbel's trick)."""
    weight = np.log(network.followers * taste[:, network.author_topic])
    keys = weight + draw(seed, "feed/follows").gumbel(size=weight.shape)
    chosen = np.argpartition(-keys, follows - 1, axis=1)[:, :follows]
    followed = np.zeros(weight.shape, np.bool_)
    np.put_along_axis(followed, chosen, True, axis=1)
    return followed


def _candidates(
    seed: int, network: _Network, followed: NDArray[np.bool_], taste: Floats, in_network: int, oon: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Posts (U, n) and whether they come from the network: the newest of it, then others, most of them of favourite topics."""
    inside = followed[:, network.author]
    age = np.where(inside, network.age_h, np.inf)
    near = np.argsort(age, axis=1, kind="stable")[:, :in_network]
    liked = np.argsort(-taste, axis=1)[:, :FAVOURITES]
    favourite = np.zeros(taste.shape, np.bool_)
    np.put_along_axis(favourite, liked, True, axis=1)
    aligned = favourite[:, network.topic]
    rng = draw(seed, "feed/outside")
    wants = rng.random(inside.shape) + np.where(aligned, 0.0, 1.0)  # favourites first, in any order
    wants[inside] = np.inf
    np.put_along_axis(wants, near, np.inf, axis=1)
    from_liked = np.argsort(wants, axis=1)[:, : round(ALIGNED * oon)]
    np.put_along_axis(wants, from_liked, np.inf, axis=1)
    others = np.where(np.isfinite(wants), rng.random(inside.shape), np.inf)
    rest = np.argsort(others, axis=1)[:, : oon - from_liked.shape[1]]
    chosen = np.concatenate([near, from_liked, rest], axis=1)
    return chosen, np.take_along_axis(inside, chosen, axis=1)


def _check(rage_share: float, **counts: int) -> None:
    if not 0 <= rage_share <= 1:
        raise ValueError(f"rage_share is {rage_share}; expected a share from 0 to 1.")
    for name, count in counts.items():
        if count < (0 if name in ("in_network", "oon") else 1):
            raise ValueError(f"{name} is {count}; expected more.")
    if counts["in_network"] + counts["oon"] < 1:
        raise ValueError("in_network and oon are 0; expected at least one candidate.")
    if counts["follows"] > counts["authors"]:
        raise ValueError(f"follows is {counts['follows']}; expected at most the {counts['authors']} authors.")
    if counts["in_network"] + counts["oon"] > counts["posts"]:
        raise ValueError(f"{counts['in_network'] + counts['oon']} candidates are asked of {counts['posts']} posts.")
