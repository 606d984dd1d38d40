"""People with a list of what they chose before, and items known by vectors: one world for items that nobody has seen, one for people of
several interests.

A vector is what an encoder makes of an item: its place in the space of contents, turned, with noise. Choices are drawn from chances that
the world keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Flags, Floats, Ints, between
from simulators.engines.ranking.worlds.draws import chosen, draw
from simulators.engines.steps import blocks

NEXT = 8  # later choices kept of each person
WIDTH = 32  # of a latent and of a modality's vector
TOPICS = 30
TOPIC_SHARE = 0.6  # of the variance of an item's content
NOISE: Mapping[str, float] = {"text": 0.5, "visual": 0.4, "audio": 0.8}  # s.d. of an encoder's error, in units of a coordinate
MISSING: Mapping[str, float] = {"text": 0.0, "visual": 0.2, "audio": 0.4}
TASTE = 1.5  # log-odds a s.d. of the fit between a person and an item
FAVOURITES = 2  # topics a person likes
POPULARITY = 0.8  # chances fall with this power of the rank

INTEREST_TOPICS, INTEREST_WIDTH, INTEREST_NOISE = 60, 8, 0.3
CONCENTRATION = 3.0  # of the Dirichlet shares of a person's interests
SHARPNESS = 8.0  # log-odds between an item at the heart of an interest and one at right angles
_BLOCK = 256  # people drawn at a time


@dataclass(frozen=True)
class HistoryWorld:
    """U people, I items. Rows of p add up to 1; `next` is drawn from p, `history` from p over the items that are not new."""

    history: Ints  # (U, L)
    next: Ints  # (U, 8)
    X: Mapping[str, Floats]  # (I, d) by modality; zeros where it is missing
    present: Flags  # (I, M), columns in the order of X
    p: NDArray[np.float32]  # (U, I) chance of the next choice
    cold: Flags  # (I,) in nobody's history
    topic: Ints  # (I,)
    interests: Ints  # (U, J) topics of a person
    shares: Floats  # (U, J) of the interests, add up to 1


def cold_world(
    seed: int = 0,
    *,
    kappa: float = 0.7,
    new_share: float = 0.2,
    only: tuple[str, ...] = tuple(NOISE),
    n_users: int = 6_000,
    n_items: int = 3_000,
    history: int = 12,
) -> HistoryWorld:
    """Some items are new: what can be known of them is in their vectors. ValueError names a knob out of its range.

    kappa      share of what makes an item liked that its content explains; the rest is the item's own and in no vector
    new_share  share of the items that are new
    only       modalities that new items have, of text, visual, audio; at least one
    """
    _check_cold(kappa, new_share, only)
    _check_sizes(n_users, n_items, history)
    topic = draw(seed, "cold/topic").integers(TOPICS, size=n_items)
    centre = draw(seed, "cold/centres").standard_normal((TOPICS, WIDTH))
    own = draw(seed, "cold/content").standard_normal((n_items, WIDTH))
    content = np.sqrt(TOPIC_SHARE) * centre[topic] + np.sqrt(1 - TOPIC_SHARE) * own
    latent = np.sqrt(kappa) * content + np.sqrt(1 - kappa) * draw(seed, "cold/own").standard_normal((n_items, WIDTH))
    cold = draw(seed, "cold/new").permutation(n_items) < round(new_share * n_items)
    present = _present(seed, n_items, cold, only)
    X = {name: np.where(present[:, [m]], _encoded(seed, name, content), 0.0) for m, name in enumerate(NOISE)}
    likes = draw(seed, "cold/likes").random((n_users, TOPICS)).argsort(axis=1)[:, :FAVOURITES]
    taste = np.sqrt(TOPIC_SHARE) * centre[likes].sum(axis=1) + draw(seed, "cold/taste").standard_normal((n_users, WIDTH))
    taste /= np.linalg.norm(taste, axis=1, keepdims=True)
    popularity = (1.0 + draw(seed, "cold/rank").permutation(n_items)) ** -POPULARITY

    def weight(part: slice) -> Floats:
        return np.asarray(popularity * np.exp(TASTE * taste[part] @ latent.T))

    before, later, p = _choices(seed, weight, cold, n_users, history)
    return HistoryWorld(before, later, X, present, p, cold, topic, likes, np.full(likes.shape, 1 / FAVOURITES))


def interest_world(seed: int = 0, *, interests: int = 4, history: int = 24, n_users: int = 5_000, n_items: int = 4_000) -> HistoryWorld:
    """Each choice first picks one of a person's interests, then an item near it. ValueError names a knob out of its range.

    interests  topics a person has, of sixty
    history    choices known of each
    """
    if not 1 <= interests <= INTEREST_TOPICS:
        raise ValueError(f"interests is {interests}; expected 1 to {INTEREST_TOPICS}.")
    _check_sizes(n_users, n_items, history)
    centre = draw(seed, "interest/centres").standard_normal((INTEREST_TOPICS, INTEREST_WIDTH))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    topic = draw(seed, "interest/topic").integers(INTEREST_TOPICS, size=n_items)
    content = centre[topic] + INTEREST_NOISE * draw(seed, "interest/content").standard_normal((n_items, INTEREST_WIDTH))
    near = np.exp(SHARPNESS * centre @ (content / np.linalg.norm(content, axis=1, keepdims=True)).T)
    near /= near.sum(axis=1, keepdims=True)
    likes = draw(seed, "interest/likes").random((n_users, INTEREST_TOPICS)).argsort(axis=1)[:, :interests]
    shares = draw(seed, "interest/shares").dirichlet(np.full(interests, CONCENTRATION), n_users)

    def weight(part: slice) -> Floats:
        return np.asarray(np.einsum("uj,uji->ui", shares[part], near[likes[part]]))

    cold = np.zeros(n_items, np.bool_)
    before, later, p = _choices(seed, weight, cold, n_users, history)
    return HistoryWorld(before, later, {"content": content}, ~cold[:, None], p, cold, topic, likes, shares)


def _choices(
    seed: int, weight: Callable[[slice], Floats], cold: Flags, n_users: int, history: int
) -> tuple[Ints, Ints, NDArray[np.float32]]:
    """Earlier choices (U, L) among the items known, later ones (U, 8) among all, and their chances (U, I)."""
    past, coming = draw(seed, "history/past").random((n_users, history)), draw(seed, "history/next").random((n_users, NEXT))
    before, later = np.empty(past.shape, np.int64), np.empty(coming.shape, np.int64)
    p = np.empty((n_users, len(cold)), np.float32)
    for part in blocks(n_users, _BLOCK):
        chance = weight(part)
        chance /= chance.sum(axis=1, keepdims=True)
        p[part] = chance
        for places, found, table in ((past, before, chance * ~cold), (coming, later, chance)):
            row = np.repeat(np.arange(len(chance)), places.shape[1])
            found[part] = chosen(table, row, places[part].ravel()).reshape(-1, places.shape[1])
    return before, later, p


def _encoded(seed: int, name: str, content: Floats) -> Floats:
    """The contents (I, d) as an encoder writes them down: turned, and with its noise."""
    turn = np.linalg.qr(draw(seed, f"cold/encoder/{name}").standard_normal((WIDTH, WIDTH)))[0]
    return np.asarray(content @ turn + NOISE[name] * draw(seed, f"cold/noise/{name}").standard_normal(content.shape))


def _present(seed: int, n_items: int, cold: Flags, only: tuple[str, ...]) -> Flags:
    """(I, 3): what is there; an item that would have nothing keeps the first it may have."""
    present = draw(seed, "cold/missing").random((n_items, len(NOISE))) >= np.array(list(MISSING.values()))
    allowed = np.isin(list(NOISE), only)
    present[cold] &= allowed
    bare = ~present.any(axis=1)
    present[bare, np.where(cold[bare], allowed.argmax(), 0)] = True
    return np.asarray(present)


def _check_cold(kappa: float, new_share: float, only: tuple[str, ...]) -> None:
    between("kappa", kappa, 0, 1)
    between("new_share", new_share, 0, 0.9)
    if not only or not set(only) <= set(NOISE):
        raise ValueError(f"only is {', '.join(only) or 'empty'}; expected one or more of {', '.join(NOISE)}.")


def _check_sizes(n_users: int, n_items: int, history: int) -> None:
    for name, count, low in (("n_users", n_users, 1), ("n_items", n_items, 10), ("history", history, 1)):
        if count < low:
            raise ValueError(f"{name} is {count}; expected {low} or more.")
