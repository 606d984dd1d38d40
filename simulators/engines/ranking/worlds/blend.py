"""Slates of candidates whose outcomes are known: some are good, some are bait, some feed rage, and a page of likes tires its viewer.

Relevance is the viewer's taste for the topic and what of the item itself appeals to them; quality, bait and rage belong to the item. All
four are rotated into 16 features, so that no feature names them. A head is what one look at the item brings: the chance of a click, the
minutes watched, and the chances of a like, a comment, a dislike and a subscription, which all need the click.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.worlds.draws import draw

FEATURES, TOPICS, CREATORS_A_TOPIC = 16, 10, 4
TASKS = ("click", "minutes", "like", "dislike", "subscribe")  # columns of Y_train; comments follow from likes
TASTE_SHARE = 0.8  # correlation of a candidate's relevance with the viewer's taste for its topic
RAGE_SHARE = 0.15
BAIT_STRENGTH, RAGE_STRENGTH = 1.7, 1.5  # of those that bait or rage: s.d. of a half-normal
WATCH_SIGMA = 0.5  # of the log-normal minutes around their mean
COMMENT_SHIFT = -1.2  # logit of a comment, less that of a like


@dataclass(frozen=True)
class BlendWorld:
    """S slates of K candidates to rank, and N impressions shown earlier, drawn alike."""

    X: Floats  # (S, K, 16)
    heads: dict[str, Floats]  # click, minutes, like, comment, dislike, subscribe: expectation (S, K) of one look
    minutes_if_clicked: Floats  # (S, K)
    emb: Floats  # (S, K, 16)
    topic: Ints  # (S, K), 0 to 9
    creator: Ints  # (S, K), 0 to 39
    gamma: float  # satiation: outcomes are multiplied by exp(-gamma x squared positive cosines with the items above)
    X_train: Floats  # (N, 16)
    Y_train: Floats  # (N, 5), columns TASKS: what was seen of each impression


def blend_world(
    seed: int = 0,
    *,
    gamma: float = 0.3,
    bait_share: float = 0.25,
    focus: float = 0.0,
    likeness: float = 0.5,
    slates: int = 1_500,
    candidates: int = 60,
    train_rows: int = 60_000,
) -> BlendWorld:
    """The world. ValueError for a knob outside its range.

    gamma       satiation, 0 or more
    bait_share  share of the items with bait, 0 to 1
    focus       how far candidates gather in the viewer's favourite topics: drawn by softmax(focus x taste); 0: all topics alike
    likeness    mean cosine of two items of a topic, 0 to 1
    """
    _check(gamma, bait_share, focus, likeness, slates, candidates, train_rows)
    shown = _Candidates.drawn(seed, "train", -(-train_rows // candidates), candidates, bait_share, focus)
    found = _Candidates.drawn(seed, "serve", slates, candidates, bait_share, focus)
    rotation = np.linalg.qr(draw(seed, "blend/rotation").standard_normal((FEATURES, FEATURES)))[0]
    heads, minutes_if_clicked = found.heads()
    return BlendWorld(
        X=found.hidden @ rotation,
        heads=heads,
        minutes_if_clicked=minutes_if_clicked,
        emb=_embeddings(seed, found.topic, likeness),
        topic=found.topic,
        creator=found.topic * CREATORS_A_TOPIC + draw(seed, "blend/creator").integers(CREATORS_A_TOPIC, size=found.topic.shape),
        gamma=gamma,
        X_train=(shown.hidden @ rotation).reshape(-1, FEATURES)[:train_rows],
        Y_train=_outcomes(seed, *shown.heads())[:train_rows],
    )


def comments(like: Floats) -> Floats:
    """Chance of a comment where a like has this chance: the same logit, shifted."""
    return np.asarray(expit(logit(like) + COMMENT_SHIFT))


class _Candidates(NamedTuple):
    """hidden (S, K, 16): relevance, quality, bait, rage, and twelve columns that mean nothing."""

    hidden: Floats
    topic: Ints

    @classmethod
    def drawn(cls, seed: int, part: str, slates: int, candidates: int, bait_share: float, focus: float) -> _Candidates:
        def normal(purpose: str, *shape: int) -> Floats:
            return draw(seed, f"blend/{part}/{purpose}").standard_normal(shape)

        taste = normal("taste", slates, TOPICS)
        topic = _topics(draw(seed, f"blend/{part}/topic").random((slates, candidates)), focus * taste)
        hidden = normal("features", slates, candidates, FEATURES)
        of_topic = np.take_along_axis(taste, topic, axis=1)
        hidden[..., 0] = TASTE_SHARE * of_topic + np.sqrt(1 - TASTE_SHARE**2) * hidden[..., 0]
        for column, share, strength in ((2, bait_share, BAIT_STRENGTH), (3, RAGE_SHARE, RAGE_STRENGTH)):
            has = draw(seed, f"blend/{part}/has/{column}").random((slates, candidates)) < share
            hidden[..., column] = has * strength * np.abs(hidden[..., column])
        return cls(hidden, topic)

    def heads(self) -> tuple[dict[str, Floats], Floats]:
        r, q, b, g = np.moveaxis(self.hidden[..., :4], -1, 0)
        click = expit(-2.2 + 1.1 * r + 0.35 * np.sin(2 * r) + b)
        minutes = np.exp(0.9 + 0.35 * r + 0.45 * q + 0.55 * g - 0.9 * b)
        like = click * expit(-2.6 + q + 0.5 * r - 0.9 * b - 0.3 * g)
        dislike = click * expit(-4.2 + 1.3 * b + 1.2 * g - 0.6 * q)
        subscribe = click * expit(-4.5 + 0.9 * q + 0.6 * r - 0.5 * b)
        heads = {"click": click, "minutes": click * minutes, "like": like, "comment": comments(like)}
        return heads | {"dislike": dislike, "subscribe": subscribe}, minutes


def _topics(uniform: Floats, leaning: Floats) -> Ints:
    """A topic a candidate (S, K), by the softmax of leaning (S, 10)."""
    chance = np.exp(leaning - leaning.max(axis=1, keepdims=True))
    edges = np.cumsum(chance / chance.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    return np.asarray((uniform[..., None] > edges[:, None, :]).sum(axis=2))


def _embeddings(seed: int, topic: Ints, likeness: float) -> Floats:
    """(S, K, 16): the topic's direction and one of the item's own; directions of topics are orthogonal."""
    directions = np.linalg.qr(draw(seed, "blend/topics").standard_normal((FEATURES, TOPICS)))[0].T
    own = draw(seed, "blend/emb").standard_normal((*topic.shape, FEATURES)) / np.sqrt(FEATURES)
    return np.asarray(np.sqrt(likeness) * directions[topic] + np.sqrt(1 - likeness) * own)


def _outcomes(seed: int, heads: dict[str, Floats], minutes_if_clicked: Floats) -> Floats:
    """What the impressions brought (N, 5): a click or none, then minutes, a like, a dislike, a subscription."""
    rng = draw(seed, "blend/outcomes")
    clicked = rng.random(minutes_if_clicked.shape) < heads["click"]
    watched = minutes_if_clicked * np.exp(WATCH_SIGMA * rng.standard_normal(clicked.shape) - WATCH_SIGMA**2 / 2)
    later = [clicked & (rng.random(clicked.shape) < heads[name] / heads["click"]) for name in TASKS[2:]]
    return np.stack([clicked, clicked * watched, *later], axis=-1, dtype=np.float64).reshape(-1, len(TASKS))


def _check(gamma: float, bait_share: float, focus: float, likeness: float, slates: int, candidates: int, train_rows: int) -> None:
    for name, value, high in (("gamma", gamma, np.inf), ("bait_share", bait_share, 1), ("focus", focus, np.inf), ("likeness", likeness, 1)):
        if not 0 <= value <= high or not np.isfinite(value):
            raise ValueError(f"{name} is {value}; expected 0 or more" + (f" and at most {high:g}." if np.isfinite(high) else "."))
    for name, count in (("slates", slates), ("candidates", candidates), ("train_rows", train_rows)):
        if count < 1:
            raise ValueError(f"{name} is {count}; expected 1 or more.")
