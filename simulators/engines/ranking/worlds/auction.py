"""Auctions whose click probabilities are known, a model that gets them wrong in chosen ways, and a log to calibrate it on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.auction import spend_by_advertiser
from simulators.engines.ranking.worlds.draws import draw

BASE_LOGIT, LOGIT_SD, VALUE_SD, BUDGET_SD = -3.2, 1.0, 0.6, 0.3
BIASED_SHARE = 0.4  # of the slices
DIURNAL = 0.6  # amplitude of traffic around its mean; the trough is in the early morning, the peak in the late afternoon


@dataclass(frozen=True)
class Distortion:
    """How a model's probability differs from the true one, in this order: logit, sampling of negatives, factor.

    The model reads the true logit with `noise` (standard deviation), times `slope`, plus `intercept`, plus `segment_shift` on the biased
    segment. `keep_negatives` is the share of negatives it was trained on, uncorrected; `scale` multiplies what comes out, up to 1.
    """

    slope: float = 1.5
    intercept: float = 1.2
    segment_shift: float = 0.6
    noise: float = 0.3
    scale: float = 1.0
    keep_negatives: float = 1.0

    def apply(self, logit: Floats, segment: Ints, normal: NDArray[np.float32]) -> Floats:
        """The model's probability; `normal` are standard normal draws, one a row."""
        p = expit(self.slope * (logit + self.noise * normal) + self.intercept + self.segment_shift * segment)
        p = p / (p + (1 - p) * self.keep_negatives)
        return np.minimum(self.scale * p, 1.0)


@dataclass(frozen=True)
class CalibrationLog:
    """Impressions with their clicks, in order of time: `p` true and `p_hat` predicted probability, `y`, `segment`, `slice`, each (n,)."""

    p: Floats
    p_hat: Floats
    y: Floats
    segment: Ints
    slice: Ints


@dataclass(frozen=True)
class AuctionWorld:
    """N auctions of M ads by A advertisers over T intervals of a day.

    value       (N, M) what a click is worth to the advertiser, log-normal with mean 1
    p, p_hat    (N, M) true and predicted click probability
    advertiser  (N, M) ids, all different within an auction
    segment     (N, M) 1 in the biased segment; slice (N, M), each of which lies in one segment
    budget      (A,) expected spend allowed in the day; `demand` (A,) is the spend without budgets under the true probabilities
    starts      (T + 1,) first auction of each interval, then N
    lottery     (N, M) uniform numbers: an advertiser who takes part in a share of the auctions is in those below it
    log         what a calibrator may learn from
    """

    seed: int
    value: Floats
    p: Floats
    p_hat: Floats
    advertiser: Ints
    segment: Ints
    slice: Ints
    budget: Floats
    demand: Floats
    starts: Ints
    lottery: NDArray[np.float32]
    log: CalibrationLog

    @property
    def traffic(self) -> Floats:
        """Share of the day's auctions in each interval, (T,)."""
        share: Floats = np.diff(self.starts) / self.starts[-1]
        return share


def auction_world(
    seed: int = 0,
    *,
    slope: float = 1.5,
    intercept: float = 1.2,
    segment_shift: float = 0.6,
    noise: float = 0.3,
    scale: float = 1.0,
    keep_negatives: float = 1.0,
    tightness: float = 0.5,
    auctions: int = 60_000,
    ads: int = 8,
    advertisers: int = 20,
    slices: int = 200,
    intervals: int = 96,
    log_rows: int = 150_000,
) -> AuctionWorld:
    """`tightness` is budget over unconstrained spend, on average; the other knobs are those of `Distortion` and sizes.

    Raises ValueError where an auction would hold more ads than there are advertisers, or an interval no auction.
    """
    if ads > advertisers:
        raise ValueError(f"ads is {ads}; expected at most one for each of {advertisers} advertisers.")
    if intervals * 2 > auctions:
        raise ValueError(f"intervals is {intervals}; expected at most half of {auctions} auctions.")
    shape = (auctions, ads)
    p = expit(draw(seed, "auction/logit").normal(BASE_LOGIT, LOGIT_SD, shape))
    value = np.exp(draw(seed, "auction/value").normal(-(VALUE_SD**2) / 2, VALUE_SD, shape))
    places = draw(seed, "auction/slice").integers(0, slices, shape)
    who = _without_repeats(draw(seed, "auction/advertiser"), auctions, ads, advertisers)
    demand = spend_by_advertiser(value, p, p, who, advertisers)
    made = AuctionWorld(
        seed=seed,
        value=value,
        p=p,
        p_hat=p,
        advertiser=who,
        segment=(places < BIASED_SHARE * slices).astype(np.int64),
        slice=places,
        budget=tightness * demand * np.exp(draw(seed, "auction/budget").normal(0.0, BUDGET_SD, advertisers)),
        demand=demand,
        starts=_starts(auctions, intervals),
        lottery=draw(seed, "auction/lottery").random(shape, dtype=np.float32),
        log=_true_log(seed, log_rows, slices),
    )
    return with_model(made, Distortion(slope, intercept, segment_shift, noise, scale, keep_negatives))


def with_model(world: AuctionWorld, model: Distortion) -> AuctionWorld:
    """The same auctions and the same log, predicted by another model."""
    log = world.log
    return replace(
        world,
        p_hat=model.apply(logit(world.p), world.segment, _normal(world.seed, "auction/noise", world.p.shape)),
        log=replace(log, p_hat=model.apply(logit(log.p), log.segment, _normal(world.seed, "auction/log/noise", log.p.shape))),
    )


def _normal(seed: int, purpose: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return draw(seed, purpose).standard_normal(shape, dtype=np.float32)


def _true_log(seed: int, rows: int, slices: int) -> CalibrationLog:
    """Impressions of an earlier day, served to everybody alike; the first rows are the same whatever `rows` is."""
    p = expit(draw(seed, "auction/log/logit").normal(BASE_LOGIT, LOGIT_SD, rows))
    places = draw(seed, "auction/log/slice").integers(0, slices, rows)
    y = (draw(seed, "auction/log/click").random(rows) < p).astype(np.float64)
    return CalibrationLog(p, p, y, (places < BIASED_SHARE * slices).astype(np.int64), places)


def _without_repeats(rng: np.random.Generator, rows: int, picks: int, among: int) -> Ints:
    """(rows, picks) ids below `among`, each row without repeats: the places of the smallest of random keys."""
    return np.argpartition(rng.random((rows, among), dtype=np.float32), picks - 1, axis=1)[:, :picks].astype(np.int64)


def _starts(auctions: int, intervals: int) -> Ints:
    hour = 24 * (np.arange(intervals) + 0.5) / intervals
    traffic = 1 + DIURNAL * np.cos(2 * np.pi * (hour - 16) / 24)
    ends = np.round(np.cumsum(traffic) / traffic.sum() * auctions)
    return np.concatenate([[0], ends]).astype(np.int64)
