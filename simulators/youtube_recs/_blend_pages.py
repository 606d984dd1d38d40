"""Pages of ten made from scores, and what they bring to a viewer who tires of likeness."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulators.engines.ranking import rerank
from simulators.engines.ranking.worlds.blend import WATCH_SIGMA, BlendWorld
from simulators.youtube_recs._blend_params import HEADS, PLACES, ObjectiveBlendParams

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SHORT_MINUTES = 0.5
CLICK, DISLIKE = HEADS.index("click"), HEADS.index("dislike")


def short_watch(minutes_if_clicked: Floats) -> Floats:
    """Chance that a click is watched under 30 s: minutes are log-normal around their mean."""
    return np.asarray(ndtr((np.log(SHORT_MINUTES / minutes_if_clicked) + WATCH_SIGMA**2 / 2) / WATCH_SIGMA))


@dataclass(frozen=True)
class Audience:
    """Slates, the truth about them (S, K, 6) in the order of HEADS, and the viewers' satiation."""

    truth: Floats
    short: Floats  # (S, K), chance that a click is watched under 30 s
    emb: Floats  # (S, K, d)
    topic: Ints
    creator: Ints
    gamma: float

    @classmethod
    def of(cls, world: BlendWorld, truth: Floats) -> Audience:
        return cls(truth, short_watch(world.minutes_if_clicked), world.emb, world.topic, world.creator, world.gamma)

    def first(self, slates: int) -> Audience:
        part = (self.truth[:slates], self.short[:slates], self.emb[:slates], self.topic[:slates], self.creator[:slates])
        return Audience(*part, self.gamma)


@dataclass(frozen=True)
class Served:
    """What pages (S, 10) brought, expectations a slate."""

    pages: Ints
    brought: Floats  # (S, 6)
    short: Floats  # (S,), clicks watched under 30 s
    topics: Ints  # (S,), different ones on the page
    distance: Floats  # (S,), mean of 1 - cosine over pairs of the page

    def mean(self, head: str) -> float:
        return float(self.brought[:, HEADS.index(head)].mean())

    @cached_property
    def dislikes(self) -> float:
        """Per 1,000 clicks."""
        return 1e3 * self.mean("dislike") / self.mean("click")

    @cached_property
    def abandonment(self) -> float:
        return float(self.short.sum() / self.brought[:, CLICK].sum())

    def values(self, weights: Floats) -> Floats:
        """(S,) points of the blend, by what truly happened."""
        return np.asarray(self.brought @ weights)


def serve(audience: Audience, pages: Ints) -> Served:
    rows = np.arange(len(pages))[:, None]
    emb = audience.emb[rows, pages]
    left = rerank.satiation(emb, audience.gamma)
    shown = audience.truth[rows, pages]
    topic = np.sort(audience.topic[rows, pages], axis=1)
    return Served(
        pages,
        np.einsum("sk,skh->sh", left, shown),
        np.einsum("sk,sk,sk->s", left, shown[..., CLICK], audience.short[rows, pages]),
        1 + (np.diff(topic, axis=1) != 0).sum(axis=1),
        _distance(emb),
    )


def _distance(emb: Floats) -> Floats:
    """Mean of 1 - cosine over pairs: the squared length of the sum of k units is k + 2 x (sum of their cosines)."""
    unit = emb / np.linalg.norm(emb, axis=-1, keepdims=True)
    k, total = emb.shape[1], unit.sum(axis=1)
    return np.asarray(1 - (np.einsum("sd,sd->s", total, total) - k) / (k * (k - 1)))


def scored(heads: Floats, weights: Floats) -> Floats:
    """Points (S, K) that the blend expects of each candidate: `rerank.weighted_score` of all slates in one product."""
    return np.asarray(heads @ weights)


def weights_of(params: ObjectiveBlendParams) -> Floats:
    """(6,), in the order of HEADS."""
    return np.array([params.weights()[head] for head in HEADS])


def scales_of(params: ObjectiveBlendParams) -> Floats:
    return np.array([params.scales()[head] for head in HEADS])


def arranged(audience: Audience, scores: Floats, params: ObjectiveBlendParams) -> Ints:
    """Pages (S, 10) by the chosen diversity."""
    if params.diversity == "mmr":
        return rerank.mmr_pages(scores, audience.emb, PLACES, params.lam)
    if params.diversity == "dpp":
        return rerank.dpp_pages(scores, audience.emb, PLACES, params.theta)
    if params.diversity == "cap":
        return _capped(audience, scores, params.cap)
    return rerank.ranked(scores, PLACES)


def _capped(audience: Audience, scores: Floats, cap: int) -> Ints:
    """Those past the cap go to the end of their slate, where they only stand if nothing else is left."""
    slate = np.arange(len(scores))[:, None] * (audience.creator.max() + 1)
    place = rerank.author_place(scores.ravel(), (audience.creator + slate).ravel()).reshape(scores.shape)
    spread = scores.max() - scores.min() + 1.0
    return rerank.ranked(scores - spread * (place >= cap), PLACES)


def explored(pages: Ints, candidates: int, slots: int, rng: np.random.Generator) -> Ints:
    """The last `slots` places go to candidates drawn from those that are not above them."""
    if not slots:
        return pages
    kept = pages[:, : PLACES - slots]
    lots = rng.random((len(pages), candidates))
    np.put_along_axis(lots, kept, np.inf, axis=1)
    return np.concatenate([kept, np.argsort(lots, axis=1)[:, :slots]], axis=1)
