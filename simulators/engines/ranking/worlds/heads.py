"""Impressions of posts with five outcomes of known chance, where what is new today is old tomorrow in some topics and not in others.

Reader's taste for the topic, the author's quality, how near the two are, and age over the topic's own lifetime make a base that every
outcome uses its own way; a toxic author earns replies and complaints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.worlds.draws import draw

HEADS = ("like", "repost", "reply", "dwell", "negative")  # columns of y and p
FIELDS = ("user", "author", "topic", "media", "segment")
CARDS = (2_000, 1_500, 16, 4, 50)
USERS, AUTHORS, TOPICS, MEDIA, SEGMENTS = CARDS
TASTE_SD, AUTHOR_SD = 1.0, 0.8
TOXIC_SHARE, AFFINITY_WEIGHT = 0.1, 0.6
MEAN_AGE_H, FASTEST_H = 10.0, 1.5
VALUES: Mapping[str, float] = {"like": 0.5, "repost": 1.0, "reply": 5.0, "dwell": 0.1, "negative": -30.0}


@dataclass(frozen=True)
class HeadsWorld:
    """N rows to train on, M later ones. Dense columns: affinity, hours of age, log(1 + hours)."""

    train: CtrData  # y and p (N, 5)
    test: CtrData  # y and p (M, 5)
    tau_h: Floats  # (16,) lifetime of a topic: the base falls by 1 in this time
    toxic: Floats  # (1500,) 1 for a toxic author

    @property
    def Y(self) -> dict[str, Floats]:
        """Outcomes (N,) of the training rows by head."""
        return _by_head(self.train.y)

    @property
    def p(self) -> dict[str, Floats]:
        """Chances (N,) of the training rows by head."""
        return _by_head(self.train.p)

    @property
    def p_test(self) -> dict[str, Floats]:
        """Chances (M,) of the test rows by head."""
        return _by_head(self.test.p)


def heads_world(seed: int = 0, *, tau_spread: float = 32.0, rows: int = 120_000, test_rows: int = 30_000) -> HeadsWorld:
    """The world. ValueError for a spread below 1 or no rows.

    tau_spread  lifetime of the slowest topic over that of the fastest, which is 1.5 h; the others lie evenly between on a log scale
    """
    if not 1 <= tau_spread < np.inf or rows < 1 or test_rows < 1:
        raise ValueError(f"tau_spread is {tau_spread:g}, rows {rows}, test_rows {test_rows}; expected a ratio of 1 or more, and rows.")
    tau_h = FASTEST_H * tau_spread ** (draw(seed, "heads/topics").permutation(TOPICS) / (TOPICS - 1))
    toxic = (draw(seed, "heads/toxic").random(AUTHORS) < TOXIC_SHARE).astype(np.float64)
    fields, affinity, age_h = _impressions(seed, rows + test_rows)
    taste = draw(seed, "heads/taste").normal(0, TASTE_SD, (SEGMENTS, TOPICS))[fields[:, 4], fields[:, 2]]
    author = draw(seed, "heads/authors").normal(0, AUTHOR_SD, AUTHORS)[fields[:, 1]]
    p = _chances(taste, author, affinity, age_h / tau_h[fields[:, 2]], toxic[fields[:, 1]])
    y = (draw(seed, "heads/labels").random(p.shape) < p).astype(np.float64)
    dense = np.column_stack([affinity, age_h, np.log1p(age_h)]).astype(np.float32)
    names = (*FIELDS, "affinity", "age_h", "log_age")

    def data(part: slice) -> CtrData:
        return CtrData(fields[part], CARDS, dense[part], None, y[part], p[part], np.arange(part.start, part.stop, dtype=float), names)

    return HeadsWorld(data(slice(0, rows)), data(slice(rows, rows + test_rows)), tau_h, toxic)


def _impressions(seed: int, count: int) -> tuple[Ints, Floats, Floats]:
    """fields (n, 5), affinity (n,) and age in hours (n,)."""
    rng = draw(seed, "heads/rows")
    user, author = rng.integers(USERS, size=count), rng.integers(AUTHORS, size=count)
    topic, media = rng.integers(TOPICS, size=count), rng.integers(MEDIA, size=count)
    segment = draw(seed, "heads/segments").integers(SEGMENTS, size=USERS)[user]
    return np.column_stack([user, author, topic, media, segment]), rng.standard_normal(count), rng.exponential(MEAN_AGE_H, count)


def _chances(taste: Floats, author: Floats, affinity: Floats, lifetimes: Floats, toxic: Floats) -> Floats:
    """(n, 5), columns as HEADS."""
    base = taste + author + AFFINITY_WEIGHT * affinity - lifetimes
    logits = {
        "like": -2.6 + base,
        "repost": -4.2 + base + 0.6 * toxic,
        "reply": -4.4 + 0.7 * base + 0.9 * toxic,
        "dwell": -1.0 + 0.7 * base,
        "negative": -6.2 - 0.5 * (taste + author) + 1.5 * toxic - 0.5 * affinity,
    }
    return np.asarray(expit(np.stack([logits[head] for head in HEADS], axis=1)))


def _by_head(table: Floats | None) -> dict[str, Floats]:
    assert table is not None  # a world knows its chances
    return dict(zip(HEADS, table.T, strict=True))
