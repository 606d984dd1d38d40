"""Items that segments of users like to different degrees, new ones among them every round, and a first log of random impressions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from simulators.engines.ranking.arguments import Flags, Floats, Ints, between
from simulators.engines.ranking.worlds.draws import draw

SEGMENTS, DIMENSIONS = 10, 4
BASE_LOGIT, TASTE, QUALITY_SD = -3.0, 0.5, 0.7
LOGIT_SD = float(np.hypot(TASTE * np.sqrt(DIMENSIONS), QUALITY_SD))  # of an item for a segment, over items and segments
FIRST_IMPRESSIONS = 3.0  # of an item in a segment, before the first round
FALSE_NON_CLICKS = 20  # in each segment, of an item with a false history


@dataclass(frozen=True)
class LoopWorld:
    """A catalogue of I items as `segments` groups of users see it in one round.

    p             (segments, I) chance that an impression is clicked
    noise         (segments, I) standard normal: what a content model gets wrong about an item
    arrived       (I,) round in which the item came, -1 for those there from the start
    biased        (I,) the item began with non-clicks that nobody made
    first_shown, first_clicks   (segments, I) the log before round 0; 0 for items that came later
    """

    seed: int
    churn: float
    round: int
    taste: Floats
    p: Floats
    noise: Floats
    arrived: Ints
    biased: Flags
    first_shown: Ints
    first_clicks: Ints

    @property
    def arriving(self) -> Flags:
        """(I,) the items that came in this round."""
        return np.asarray(self.arrived == self.round)

    def step(self) -> LoopWorld:
        """The next round: a share `churn` of the items is replaced by new ones, which nobody has seen. This world stays as it is."""
        draws = draw(self.seed, f"loop/arrivals/{self.round}")
        items = self.p.shape[1]
        places = draws.choice(items, int(self.churn * items + draws.random()), replace=False)
        p, noise = self.p.copy(), self.noise.copy()
        p[:, places] = _chances(self.taste, len(places), draws)
        noise[:, places] = draws.normal(size=(len(self.taste), len(places)))
        arrived, biased = self.arrived.copy(), self.biased.copy()
        arrived[places], biased[places] = self.round + 1, False
        shown, clicks = self.first_shown.copy(), self.first_clicks.copy()
        shown[:, places] = clicks[:, places] = 0
        return replace(self, round=self.round + 1, p=p, noise=noise, arrived=arrived, biased=biased, first_shown=shown, first_clicks=clicks)


def loop_world(seed: int = 0, *, items: int = 500, churn: float = 0.01, biased_share: float = 0.0) -> LoopWorld:
    """`items` of known appeal; a share `churn` is replaced a round; a share `biased_share` starts with a false history."""
    if items < SEGMENTS:
        raise ValueError(f"items is {items}; expected {SEGMENTS} or more.")
    between("churn", churn, 0, 1)
    between("biased_share", biased_share, 0, 1)
    draws, log = draw(seed, "loop/items"), draw(seed, "loop/first log")
    taste = draws.normal(size=(SEGMENTS, DIMENSIONS))
    p, noise = _chances(taste, items, draws), draws.normal(size=(SEGMENTS, items))
    shown = log.poisson(FIRST_IMPRESSIONS, p.shape)
    clicks = log.binomial(shown, p)
    biased = np.zeros(items, dtype=bool)
    biased[draw(seed, "loop/false history").permutation(items)[: round(biased_share * items)]] = True
    shown[:, biased] += FALSE_NON_CLICKS
    return LoopWorld(seed, churn, 0, taste, p, noise, np.full(items, -1), biased, shown, clicks)


def _chances(taste: Floats, items: int, draws: np.random.Generator) -> Floats:
    """(segments, items): an item's fit to the taste of the segment, and its quality for all."""
    fit = taste @ draws.normal(size=(DIMENSIONS, items))
    return np.asarray(expit(BASE_LOGIT + TASTE * fit + draws.normal(0, QUALITY_SD, items)))
