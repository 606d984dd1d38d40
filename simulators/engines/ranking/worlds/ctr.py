"""Impressions of ads whose click probability is known: single fields, fields that suit each other, the user's last choices."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, Ints, one_of
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.step import Step
from simulators.engines.ranking.worlds.ctr_wide import iter_wide
from simulators.engines.ranking.worlds.draws import draw
from simulators.engines.steps import blocks, finish

Truth = Literal["inner_product", "crosses", "wide"]
FIELDS = ("user", "ad", "advertiser", "category", "publisher", "slot", "hour", "device", "segment")
CARDS = (3000, 1500, 150, 20, 60, 8, 24, 4, 60)
USER, AD, ADVERTISER, CATEGORY, PUBLISHER, SLOT, HOUR, DEVICE, SEGMENT = range(9)
EFFECT_SD = (0.3, 0.3, 0.3, 0.4, 0.3, 0.3, 0.2, 0.2, 0.3)
NUMBERS, HISTORY, INTERESTS = 6, 8, 3
RANK, OWN = 4, 0.25  # width of the hidden vectors; the ad's own share beside its category's
TASTE_SD, CONTEXT_SD = 0.75, 0.5  # of their entries: segment, category and publisher; hour and device
PUBLISHER_AD, HOUR_CATEGORY, DEVICE_PUBLISHER = 0.8, 0.6, 0.6
NOISE = 0.35  # share of the history that is no interest of the user
LAUNCHED = 0.25  # share of the ads that start during the window
USER_SKEW, AD_SKEW, PUBLISHER_SKEW = 0.5, 0.8, 0.7  # popularity falls with this power of the rank
_BLOCK = 8192


@dataclass(frozen=True)
class CtrWorld:
    """`train`, then later `test` rows, with their p."""

    train: CtrData
    test: CtrData


def ctr_world(
    seed: int = 0, *, rows: int = 200_000, base_logit: float = -3.6, truth: Truth = "inner_product", test_rows: int = 30_000
) -> CtrWorld:
    """The world.

    rows, test_rows   impressions; the test ones come after the others
    base_logit        rarity of clicks
    truth             how fields meet: by inner products of hidden vectors, or by products of single coordinates of three fields; "wide":
                      another log, of 20 fields with up to as many ids as rows, without history
    """
    return finish(iter_ctr_world(seed, rows=rows, base_logit=base_logit, truth=truth, test_rows=test_rows))


def iter_ctr_world(
    seed: int = 0, *, rows: int = 200_000, base_logit: float = -3.6, truth: Truth = "inner_product", test_rows: int = 30_000
) -> Generator[Step, None, CtrWorld]:
    """`ctr_world` in short steps."""
    one_of("truth", truth, ("inner_product", "crosses", "wide"))
    if rows < 1 or test_rows < 1 or not np.isfinite(base_logit):
        raise ValueError(f"rows is {rows}, test_rows {test_rows}, base_logit {base_logit}; expected 1 or more, and a number.")
    if truth == "wide":
        return CtrWorld(*(yield from iter_wide(seed, rows, base_logit, test_rows, max(100, rows))))
    makers, total = Makers(seed), rows + test_rows
    fields, dense = np.empty((total, len(CARDS)), np.int64), np.empty((total, NUMBERS), np.float32)
    history, y, p = np.empty((total, HISTORY), np.int64), np.empty(total), np.empty(total)
    time = np.empty(total)
    for part in blocks(total, _BLOCK):
        size = part.stop - part.start
        time[part] = (np.arange(part.start, part.stop) + makers.uniform(size)) / total
        fields[part], dense[part], history[part] = makers.rows(time[part])
        p[part] = expit(base_logit + makers.logits(fields[part], dense[part], history[part], truth))
        y[part] = makers.clicks.random(size) < p[part]
        yield Step(part.stop, total, "drawing impressions")
    names = (*FIELDS, *(f"z{i}" for i in range(NUMBERS)))

    def data(part: slice) -> CtrData:
        return CtrData(fields[part], CARDS, dense[part], history[part], y[part], p[part], time[part], names)

    return CtrWorld(data(slice(0, rows)), data(slice(rows, total)))


class Makers:
    """Who there is, and the streams the impressions are drawn from."""

    def __init__(self, seed: int) -> None:
        def of(purpose: str) -> np.random.Generator:
            return draw(seed, f"ctr/{purpose}")

        self.streams = {name: of(name) for name in ("user", "ad", "publisher", "slot", "hour", "device", "history", "dense", "time")}
        self.clicks = of("clicks")
        who = of("who")
        self.segment = who.integers(0, CARDS[SEGMENT], CARDS[USER])
        self.advertiser = who.integers(0, CARDS[ADVERTISER], CARDS[AD])
        self.category = who.integers(0, CARDS[CATEGORY], CARDS[AD])
        self.interests = who.random((CARDS[USER], CARDS[CATEGORY])).argsort(axis=1)[:, :INTERESTS]
        new = who.random(CARDS[AD]) < LAUNCHED
        self.launch = np.where(new, who.random(CARDS[AD]), 0.0)
        self.shares = {
            USER: _popularity(who, CARDS[USER], USER_SKEW),
            AD: _popularity(who, CARDS[AD], AD_SKEW),
            PUBLISHER: _popularity(who, CARDS[PUBLISHER], PUBLISHER_SKEW),
            HOUR: np.cumsum(1.2 - np.cos(2 * np.pi * (np.arange(24) - 4) / 24)) / (1.2 * 24),
        }
        tastes = of("tastes")
        self.effects = [tastes.normal(0, sd, card) for sd, card in zip(EFFECT_SD, CARDS, strict=True)]
        self.vectors = {
            field: tastes.normal(0, sd, (CARDS[field], RANK))
            for field, sd in ((SEGMENT, TASTE_SD), (CATEGORY, TASTE_SD), (PUBLISHER, TASTE_SD), (HOUR, CONTEXT_SD), (DEVICE, CONTEXT_SD))
        }
        self.vectors[AD] = self.vectors[CATEGORY][self.category] + OWN * tastes.normal(0, TASTE_SD, (CARDS[AD], RANK))

    def uniform(self, size: int) -> Floats:
        return self.streams["time"].random(size)

    def rows(self, time: Floats) -> tuple[Ints, NDArray[np.float32], Ints]:
        size = len(time)
        user, publisher, hour = (
            self._popular(name, field, size) for name, field in (("user", USER), ("publisher", PUBLISHER), ("hour", HOUR))
        )
        ad = self._running_ads(time)
        slot, device = self.streams["slot"].integers(0, CARDS[SLOT], size), self.streams["device"].integers(0, CARDS[DEVICE], size)
        fields = [user, ad, self.advertiser[ad], self.category[ad], publisher, slot, hour, device, self.segment[user]]
        dense = self.streams["dense"].standard_normal((size, NUMBERS), np.float32)
        return np.column_stack(fields), dense, self._history(user)

    def _popular(self, stream: str, field: int, size: int) -> Ints:
        return np.asarray(np.searchsorted(self.shares[field], self.streams[stream].random(size)), np.int64)

    def _running_ads(self, time: Floats) -> Ints:
        """Two draws a row: where the first has not started, the second; where neither has, an ad that always runs."""
        picks = np.searchsorted(self.shares[AD], self.streams["ad"].random((len(time), 2))).astype(np.int64)
        started = self.launch[picks] <= time[:, None]
        always = np.flatnonzero(self.launch == 0)
        return np.where(started[:, 0], picks[:, 0], np.where(started[:, 1], picks[:, 1], always[picks[:, 0] % len(always)]))

    def _history(self, user: Ints) -> Ints:
        stream = self.streams["history"].random((len(user), HISTORY, 2))
        interest = np.take_along_axis(self.interests[user], (stream[..., 1] * INTERESTS).astype(np.int64), axis=1)
        return np.where(stream[..., 0] < NOISE, (stream[..., 1] * CARDS[CATEGORY]).astype(np.int64), interest)

    def logits(self, fields: Ints, dense: NDArray[np.float32], history: Ints, truth: Truth) -> Floats:
        """What is above the base."""
        main = np.sum([effect[ids] for effect, ids in zip(self.effects, fields.T, strict=True)], axis=0)
        match = (history == fields[:, CATEGORY, None]).mean(axis=1)
        z = dense.astype(np.float64)
        numbers = 0.3 * z[:, 0] + 0.35 * np.sin(2 * z[:, 1]) * z[:, 2]
        meeting = self._inner_products(fields) if truth == "inner_product" else self._crosses(fields)
        return np.asarray(main + meeting + 1.6 * np.minimum(4 * match, 1.5) + numbers)

    def _inner_products(self, fields: Ints) -> Floats:
        at = {field: vectors[fields[:, field]] for field, vectors in self.vectors.items()}
        pairs = [(1.0, SEGMENT, AD), (PUBLISHER_AD, PUBLISHER, AD), (HOUR_CATEGORY, HOUR, CATEGORY), (DEVICE_PUBLISHER, DEVICE, PUBLISHER)]
        return np.asarray(sum(weight * np.einsum("nr,nr->n", at[one], at[other]) for weight, one, other in pairs))

    def _crosses(self, fields: Ints) -> Floats:
        """Single coordinates of segment, ad and publisher multiplied, each with one of another place: no inner product says it."""
        segment, ad, publisher = (self.vectors[field][fields[:, field]] / TASTE_SD for field in (SEGMENT, AD, PUBLISHER))
        return np.asarray(sum(0.8 * segment[:, i] * ad[:, (i + 1) % RANK] * publisher[:, (i + 2) % RANK] for i in range(RANK)))


def _popularity(who: np.random.Generator, card: int, skew: float) -> Floats:
    """Cumulative shares of ids whose popularity falls with their rank; the ranks are shuffled."""
    weights = (1 + who.permutation(card)) ** -skew
    return np.asarray(np.cumsum(weights) / weights.sum())
