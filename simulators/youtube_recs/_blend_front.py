"""Many random weightings of the same heads: what minutes cost in dislikes, by the heads in use and by the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking import rerank
from simulators.lab import Progress, Working
from simulators.youtube_recs._blend_pages import Audience, Floats, scored, serve
from simulators.youtube_recs._blend_params import HEADS, PLACES

WEIGHTINGS, SLATES = 200, 400
TYPICAL = {"click": 1.0, "minutes": 0.2, "like": 5.0, "comment": 5.0, "subscribe": 10.0, "dislike": -10.0}
DROPPED, SPREAD = 0.35, 1.3  # chance that a weight is 0; s.d. of the log of the others around the typical one


@dataclass(frozen=True)
class Cloud:
    """minutes and dislikes per 1,000 clicks (W,) of W weightings."""

    minutes: Floats
    dislikes: Floats

    def front(self) -> NDArray[np.int64]:
        """Weightings that no other one beats in both, by rising dislikes."""
        order = np.lexsort((-self.minutes, self.dislikes))
        best = np.maximum.accumulate(self.minutes[order])
        return np.asarray(order[np.append(True, best[1:] > best[:-1])])


def random_weights(rng: np.random.Generator) -> Floats:
    """(W, 6), in the order of HEADS; each holds at least one weight above 0. The first ranks by minutes, the second by clicks alone."""
    drawn = np.array([TYPICAL[head] for head in HEADS]) * np.exp(SPREAD * rng.standard_normal((WEIGHTINGS, len(HEADS))))
    drawn *= rng.random(drawn.shape) >= DROPPED
    nothing = ~(drawn > 0).any(axis=1)
    drawn[nothing, HEADS.index("minutes")] = TYPICAL["minutes"]
    drawn[0], drawn[1] = np.eye(len(HEADS))[[HEADS.index("minutes"), HEADS.index("click")]]
    return drawn


def cloud_steps(audience: Audience, heads: Floats, weightings: Floats, label: str) -> Working[Cloud]:
    """Pages ranked by each weighting of heads (S, K, 6), and what they truly bring."""
    minutes, dislikes = np.empty(len(weightings)), np.empty(len(weightings))
    for i, weights in enumerate(weightings):
        found = serve(audience, rerank.ranked(scored(heads, weights), PLACES))
        minutes[i], dislikes[i] = found.mean("minutes"), found.dislikes
        if i % 4 == 3:
            yield Progress(i + 1, len(weightings), label)
    return Cloud(minutes, dislikes)
