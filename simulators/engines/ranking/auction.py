"""Second-price auctions on predicted click probabilities, and a day of them under budgets.

An ad's score is its value per click times its predicted probability; the highest score wins and pays, per click, the least that would
still have won: the second score (or the reserve) over its own predicted probability. What that is worth is counted with the true
probabilities, in expectation, so no draw of clicks blurs the comparison (Edelman, Ostrovsky & Schwarz 2007; Varian 2007).

Over a day budgets bind. Without pacing an advertiser bids until the money is gone. Throttling lets an advertiser into a share of the
auctions, a multiplier lowers all bids by a factor; both move once an interval, by integral control towards the spend that would use the
remaining budget at the pace of the remaining traffic (Agarwal et al. 2014; Balseiro & Gur 2019).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from simulators.engines.ranking.arguments import Floats, Ints, finite, one_of, probabilities
from simulators.engines.ranking.step import Pace, Step
from simulators.engines.steps import finished

if TYPE_CHECKING:
    from simulators.engines.ranking.worlds.auction import AuctionWorld

Pacing = Literal["none", "throttle", "multiplier"]
UNSOLD = -1
LEAST = 1e-3  # share of auctions or of the bid below which control does not push an advertiser


@dataclass(frozen=True)
class Auction:
    """`winner` (N,) is the column of the ad that won, -1 where nothing was sold; `price_per_click` (N,) is then 0.

    `welfare` (value of the clicks) and `revenue` (what is paid for them) are totals expected under the true probabilities.
    `winner_ratio` is the sum of p-hat over the sum of p among winners, NaN where nothing was sold.
    """

    winner: Ints
    price_per_click: Floats
    welfare: float
    revenue: float
    winner_ratio: float


@dataclass(frozen=True)
class Day:
    """`spend` (T, A) expected spend by interval; `budget` (A,).

    depleted_at  (A,) share of the day's hours after which the budget was gone, NaN where it lasted to the last interval
    deviation    mean over advertisers of the largest distance between spend so far and the ideal curve, as a share of its end
    overspend    what was spent above the budgets, as a share of them: a budget that ran out is noticed at the end of the interval
    ideal        (T, A) spend so far in proportion to traffic, up to the budget or to what would be spent if nobody had one
    """

    spend: Floats
    budget: Floats
    depleted_at: Floats
    deviation: float
    overspend: float
    welfare: float
    revenue: float
    ideal: Floats


def second_price(value: ArrayLike, p_hat: ArrayLike, p_true: ArrayLike, reserve: float = 0.0) -> Auction:
    """N auctions of M ads, all arrays (N, M). `reserve` is the least score that is sold, in value per impression.

    Raises ValueError for shapes that differ, negative values or reserve, and probabilities outside [0, 1].
    """
    values, predicted, true = _auctions(value, p_hat, p_true, reserve)
    winner, price = _sold(values * predicted, predicted, values, reserve)
    rows = np.flatnonzero(winner != UNSOLD)
    p, won = true[rows, winner[rows]], winner[rows]
    expected = float(p.sum())
    return Auction(
        winner,
        price,
        welfare=float((p * values[rows, won]).sum()),
        revenue=float((p * price[rows]).sum()),
        winner_ratio=float(predicted[rows, won].sum()) / expected if expected > 0 else float("nan"),
    )


def spend_by_advertiser(value: Floats, p_hat: Floats, p_true: Floats, advertiser: Ints, advertisers: int, reserve: float = 0.0) -> Floats:
    """Expected spend (A,) when nobody has a budget; arrays (N, M)."""
    winner, price = _sold(value * p_hat, p_hat, value, reserve)
    rows = np.flatnonzero(winner != UNSOLD)
    won = winner[rows]
    spend: Floats = np.bincount(advertiser[rows, won], price[rows] * p_true[rows, won], advertisers).astype(np.float64)
    return spend


def iter_day(
    world: AuctionWorld, p_hat: ArrayLike, pacing: Pacing = "none", gain: float = 0.3, reserve: float = 0.0
) -> Generator[Step, None, Day]:
    """A day of the world's auctions on `p_hat` (N, M). `gain` is the share of an interval's relative error that control corrects.

    Raises ValueError for another shape than the world's, probabilities outside [0, 1], an unknown pacing, gain <= 0 or reserve < 0.

    In steps, which tell which share of all budgets is spent. `simulate_day` is the same in one go.
    """
    one_of("pacing", pacing, ("none", "throttle", "multiplier"))
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain is {gain}; expected a number above 0.")
    _, predicted, _ = _auctions(world.value, p_hat, world.p, reserve)
    book, pace, intervals = _Book(world), Pace(), len(world.starts) - 1
    for t in range(intervals):
        book.interval(t, predicted, pacing, reserve)
        book.control(t, gain)
        if pace.due():
            yield Step(t + 1, intervals, "a day of auctions", {"spent": float(book.spent.sum() / book.budget.sum())})
    target = np.minimum(world.budget, spend_by_advertiser(world.value, predicted, world.p, world.advertiser, len(book.budget), reserve))
    return book.day(target)


simulate_day = finished("simulate_day", iter_day)


class _Book:
    """Accounts of a day: what was spent, and each advertiser's lever (share of auctions or bid factor), 1 at the start of the day."""

    def __init__(self, world: AuctionWorld) -> None:
        self.world, self.budget = world, world.budget
        intervals, advertisers = len(world.starts) - 1, len(world.budget)
        self.spend = np.zeros((intervals, advertisers))
        self.spent = np.zeros(advertisers)
        self.lever = np.ones(advertisers)
        self.depleted_at = np.full(advertisers, np.nan)
        self.passed = np.cumsum(world.traffic)
        self.welfare = 0.0

    def interval(self, t: int, p_hat: Floats, pacing: Pacing, reserve: float) -> None:
        world, rows = self.world, slice(int(self.world.starts[t]), int(self.world.starts[t + 1]))
        who, value, predicted, true = world.advertiser[rows], world.value[rows], p_hat[rows], world.p[rows]
        score = np.where((self.spent < self.budget)[who], value * predicted, 0.0)
        if pacing == "throttle":
            score = np.where(world.lottery[rows] < self.lever[who], score, 0.0)
        elif pacing == "multiplier":
            score = score * self.lever[who]
        winner, price = _sold(score, predicted, value, reserve)
        sold = np.flatnonzero(winner != UNSOLD)
        won = winner[sold]
        p = true[sold, won]
        self.spend[t] = np.bincount(who[sold, won], p * price[sold], len(self.budget))
        self.spent += self.spend[t]
        self.welfare += float((p * value[sold, won]).sum())
        gone = np.isnan(self.depleted_at) & (self.spent >= self.budget)
        if t + 1 < len(self.spend):
            self.depleted_at[gone] = (t + 1) / len(self.spend)

    def control(self, t: int, gain: float) -> None:
        """Moves the levers towards the pace at which the rest of the budget lasts for the rest of the traffic."""
        traffic, left = self.world.traffic[t], 1 - self.passed[t]
        if left <= 0:
            return
        wanted = np.maximum(self.budget - self.spent, 0.0) * traffic / left
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(wanted > 0, (wanted - self.spend[t]) / wanted, -1.0)
        self.lever = np.clip(self.lever * np.exp(gain * np.clip(error, -1.0, 1.0)), LEAST, 1.0)

    def day(self, target: Floats) -> Day:
        ideal = self.passed[:, None] * target
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.abs(np.cumsum(self.spend, axis=0) - ideal).max(axis=0) / target
        over = np.maximum(self.spent - self.budget, 0.0).sum()
        total = float(self.budget.sum())
        return Day(
            self.spend,
            self.budget,
            self.depleted_at,
            deviation=float(np.mean(apart[np.isfinite(apart)])) if np.isfinite(apart).any() else 0.0,
            overspend=float(over / total) if total > 0 else 0.0,
            welfare=self.welfare,
            revenue=float(self.spent.sum()),
            ideal=ideal,
        )


def _sold(score: Floats, p_hat: Floats, value: Floats, reserve: float) -> tuple[Ints, Floats]:
    """Winner's column (N,), -1 where the best score is 0 or below the reserve, and its price per click (N,), never above its value."""
    rows = np.arange(len(score))
    winner = score.argmax(axis=1)
    best = score[rows, winner]
    second = np.partition(score, -2, axis=1)[:, -2] if score.shape[1] > 1 else np.zeros(len(score))
    sold = (best > 0) & (best >= reserve)
    price = np.zeros(len(score))
    np.divide(np.maximum(second, reserve), p_hat[rows, winner], out=price, where=sold)
    return np.where(sold, winner, UNSOLD), np.where(sold, np.minimum(price, value[rows, winner]), 0.0)


def _auctions(value: ArrayLike, p_hat: ArrayLike, p_true: ArrayLike, reserve: float) -> tuple[Floats, Floats, Floats]:
    values, predicted, true = finite("value", value, ndim=2), probabilities("p_hat", p_hat, ndim=2), probabilities("p_true", p_true, ndim=2)
    for name, array in (("p_hat", predicted), ("p_true", true)):
        if array.shape != values.shape:
            raise ValueError(f"{name} is {array.shape}; expected {values.shape}, as value is.")
    if values.shape[1] == 0:
        raise ValueError("value has no ads; expected one column or more.")
    if (values < 0).any():
        raise ValueError(f"value holds {values.min():g}; expected 0 or more.")
    if not (np.isfinite(reserve) and reserve >= 0):
        raise ValueError(f"reserve is {reserve}; expected 0 or more.")
    return values, predicted, true
