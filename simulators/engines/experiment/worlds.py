"""Two-arm experiments whose truth is known: revenue a user, and clicks a view.

A world is made of chunks that do not depend on how many of them there are, so a larger experiment extends a smaller one. Each chunk
is reduced to `Moments` an arm as soon as it is drawn. `rng(purpose)` gives an independent stream a purpose.

How history is tied to the outcome. Revenue is so skewed (3 % buy, lognormal amounts with sigma 1.5) that a few users carry most of the
variance; drawing two such columns with a given correlation would realise a very different one. So history is mixed from the users' own
baseline and that of another, unrelated user: x = rho * y_own + sqrt(1 - rho^2) * y_other. Both terms have the same realised
variance, and the realised correlation is rho up to 1 / sqrt(users).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulators.engines.experiment.stats import Moments, MomentTable

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Streams = Callable[[str], np.random.Generator]
LiftKind = Literal["conversion", "amount"]
Columns = dict[str, NDArray[Any]]
Arms = tuple[Moments, Moments]

BUYERS, SIGMA, MEDIAN_AMOUNT = 0.03, 1.5, 20.0  # share of users, of log amount, $
MAX_LIFT = 0.2  # amounts are drawn for everyone who might buy at this lift: a smaller lift keeps the same buyers
SECOND_RHO, SHARED_NOISE = 0.934, 0.205  # second covariate: its correlation as a share of rho; what its noise shares with the first's
POST_RHO, POST_EFFECT = 0.7, 1.5  # covariate from the test period: correlation, and effect of the treatment in lifts of the metric
CAP_QUANTILES = {"0.999": 0.999, "0.99": 0.99}
_PILOT_USERS = 262_144
_FIRST_CHUNK, _CHUNK = 8_192, 65_536


def chunk_sizes(users: int) -> Iterator[int]:
    """Sizes that grow to 65 536 and sum to `users`: the first picture is there at once."""
    size, drawn = _FIRST_CHUNK, 0
    while drawn < users:
        yield min(size, users - drawn)
        drawn += min(size, users - drawn)
        size = min(drawn, _CHUNK)


@dataclass(frozen=True)
class RevenueWorld:
    """Revenue a user in $.

    Columns: y, x (history), s (second history), post (trap), each also capped; new (1: no history), known (y of users with history).
    """

    lift: float  # share: 0.02 = +2 %
    lift_kind: LiftKind
    rho: float
    new_users: float  # share without history: x = s = 0, new = 1

    @property
    def key(self) -> str:
        return f"revenue/lift={self.lift:.9g}/{self.lift_kind}/rho={self.rho:.9g}/new={self.new_users:.9g}"

    def caps(self, rng: Streams) -> dict[str, dict[str, float]]:
        """{quantile: {column: cap}} from an earlier population of the same kind, as an analyst fixes caps before the test."""
        columns = self._columns(_PILOT_USERS, lambda purpose: rng(f"pilot/{purpose}"), np.zeros(_PILOT_USERS, dtype=bool))
        return {name: {c: float(np.quantile(columns[c], q)) for c in ("y", "x", "s", "post")} for name, q in CAP_QUANTILES.items()}

    def chunk(self, index: int, users: int, rng: Streams, caps: dict[str, dict[str, float]]) -> Arms:
        arm = rng(f"arm/{index}").integers(0, 2, users, dtype=np.int8)
        columns = self._columns(users, lambda purpose: rng(f"{purpose}/{index}"), arm == 1)
        capped = {f"{c}_{name}": np.minimum(columns[c], cap) for name, by_column in caps.items() for c, cap in by_column.items()}
        return _by_arm(arm, columns | capped)

    def mean(self, cap: float = math.inf) -> float:
        """Exact control mean of min(revenue, cap)."""
        return BUYERS * _capped_amount(1.0, cap)

    def true_lift(self, cap: float = math.inf) -> float:
        """Exact relative lift of the mean of min(revenue, cap): capping leaves conversions, and cuts larger baskets."""
        if self.lift_kind == "conversion":
            return self.lift
        return _capped_amount(1 + self.lift, cap) / _capped_amount(1.0, cap) - 1

    def removable(self, covariates: str, known: float) -> float:
        """Share of variance that the history can remove when users with one hold the share `known` of it (1 - new_users on average)."""
        second = SECOND_RHO * self.rho
        if covariates == "several":
            between = self.rho * second + math.sqrt((1 - self.rho**2) * (1 - second**2)) * SHARED_NOISE
            share = (self.rho**2 + second**2 - 2 * self.rho * second * between) / (1 - between**2)
        else:
            share = self.rho**2
        return known * share

    def _columns(self, users: int, rng: Streams, treated: NDArray[np.bool_]) -> Columns:
        baseline, outcome = self._revenue(users, rng("revenue"), treated)
        new = rng("new").random(users, dtype=np.float32) < self.new_users
        history = np.zeros((2, users))
        history[:, ~new] = self._history(baseline[~new])
        moved = POST_EFFECT * self.lift * self.mean()
        return {
            "y": outcome,
            "x": history[0],
            "s": history[1],
            "post": POST_RHO * baseline + math.sqrt(1 - POST_RHO**2) * np.roll(baseline, users // 2) + moved * treated,
            "new": new.astype(float),
            "known": np.where(new, 0.0, outcome),
        }

    def _history(self, own: Floats) -> tuple[Floats, Floats]:
        """The two pre-period columns of the users who have one; rows are exchangeable, so a shifted row is another user."""
        other, third = np.roll(own, len(own) // 3), np.roll(own, 2 * len(own) // 3)
        second = SECOND_RHO * self.rho
        noise = SHARED_NOISE * other + math.sqrt(1 - SHARED_NOISE**2) * third
        return self.rho * own + math.sqrt(1 - self.rho**2) * other, second * own + math.sqrt(1 - second**2) * noise

    def _revenue(self, users: int, rng: np.random.Generator, treated: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Revenue without treatment, and as it is with the arms dealt."""
        luck = rng.random(users)
        may_buy = np.flatnonzero(luck < BUYERS * (1 + MAX_LIFT))
        amount = MEDIAN_AMOUNT * np.exp(SIGMA * rng.standard_normal(len(may_buy)))
        baseline, outcome = np.zeros(users), np.zeros(users)
        baseline[may_buy] = np.where(luck[may_buy] < BUYERS, amount, 0.0)
        bar = BUYERS * (1 + self.lift * treated[may_buy]) if self.lift_kind == "conversion" else BUYERS
        grown = 1 + self.lift * treated[may_buy] if self.lift_kind == "amount" else 1.0
        outcome[may_buy] = np.where(luck[may_buy] < bar, amount * grown, 0.0)
        return baseline, outcome


@dataclass(frozen=True)
class ClicksWorld:
    """Clicks and views a user; the metric is their ratio. Users differ in click rate (Beta(2, 18)) and in views (1 + NB, mean 10).

    Columns: clicks, views, pre_clicks, pre_views (history), post_clicks, post_views (trap), new (no history).
    """

    lift: float
    rho: float
    new_users: float

    RATE = 0.1
    BETA = (2.0, 18.0)
    MEAN_EXTRA_VIEWS = 10.0

    @property
    def key(self) -> str:
        return f"clicks/lift={self.lift:.9g}/rho={self.rho:.9g}/new={self.new_users:.9g}"

    def chunk(self, index: int, users: int, rng: Streams) -> Arms:
        arm = rng(f"arm/{index}").integers(0, 2, users, dtype=np.int8)
        draw = rng(f"clicks/{index}")
        rate = draw.beta(*self.BETA, users)
        views = draw.geometric(1 / (1 + self.MEAN_EXTRA_VIEWS), users)  # 1 + negative binomial with dispersion 1
        clicks = draw.binomial(views, rate)
        new = rng(f"new/{index}").random(users, dtype=np.float32) < self.new_users
        pre_clicks, pre_views = _remembered(rng(f"history/{index}"), self.rho, clicks, views)
        post_clicks, post_views = _remembered(rng(f"post/{index}"), POST_RHO, clicks, views)
        columns: Columns = {
            "clicks": _more_clicks(rng(f"effect/{index}"), clicks, views, rate, self.lift * (arm == 1)),
            "views": views,
            "pre_clicks": np.where(new, 0, pre_clicks),
            "pre_views": np.where(new, 0, pre_views),
            "post_clicks": _more_clicks(rng(f"moved/{index}"), post_clicks, post_views, rate, POST_EFFECT * self.lift * (arm == 1)),
            "post_views": post_views,
            "new": new.astype(float),
        }
        return _by_arm(arm, columns)

    def mean(self) -> float:
        return self.RATE

    def true_lift(self) -> float:
        return self.lift

    def removable(self, covariates: str, known: float) -> float:
        return known * self.rho**2


def _remembered(rng: np.random.Generator, rho: float, *own: Counts) -> tuple[Counts, ...]:
    """Per user the own values with probability rho, else those of an unrelated user: correlation rho, the same distribution."""
    kept = rng.random(len(own[0]), dtype=np.float32) < rho
    return tuple(np.where(kept, values, np.roll(values, len(values) // 2)) for values in own)


def _more_clicks(rng: np.random.Generator, clicks: Counts, views: Counts, rate: Floats, lift: Floats) -> Counts:
    """Clicks whose expected rate is rate * (1 + lift), never more than views: views turn into clicks or clicks are lost."""
    changed: Counts = clicks.copy()
    gain, loss = lift > 0, lift < 0
    chance = np.minimum(1.0, lift[gain] * rate[gain] / (1 - rate[gain]))
    changed[gain] += rng.binomial(views[gain] - clicks[gain], chance)
    changed[loss] -= rng.binomial(clicks[loss], -lift[loss])
    return changed


def _capped_amount(scale: float, cap: float) -> float:
    """E[min(scale * amount, cap)] of the lognormal amount."""
    mean = scale * MEDIAN_AMOUNT * math.exp(SIGMA**2 / 2)
    if math.isinf(cap):
        return mean
    z = math.log(cap / (scale * MEDIAN_AMOUNT)) / SIGMA if cap > 0 else -math.inf
    return mean * float(ndtr(z - SIGMA)) + cap * float(ndtr(-z))


def _by_arm(arm: NDArray[np.int8], columns: Columns) -> Arms:
    table = MomentTable(("arm",)).update({"arm": arm, **columns})
    return table.total(arm=0), table.total(arm=1)
