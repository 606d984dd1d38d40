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
from typing import Any, Literal, NamedTuple

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
DAYS = 14


class Chunk(NamedTuple):
    """Some users: moments of (control, treatment) over all of them and over those who triggered, and the control's days.

    days  (DAYS, 3): users, sum and sum of squares of the metric capped at 99.9 % (of a ratio: views as users, clicks)
    """

    assigned: Arms
    triggered: Arms
    days: Floats

    def __add__(self, other: Chunk) -> Chunk:  # type: ignore[override]
        assigned = (self.assigned[0] + other.assigned[0], self.assigned[1] + other.assigned[1])
        triggered = (self.triggered[0] + other.triggered[0], self.triggered[1] + other.triggered[1])
        return Chunk(assigned, triggered, self.days + other.days)

    def of(self, population: str) -> Arms:
        return self.triggered if population == "triggered" else self.assigned


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
    trigger_rate: float = 1.0  # share who reach the changed surface; only they are moved by the treatment
    buyers: float = BUYERS
    sigma: float = SIGMA

    @property
    def key(self) -> str:
        shape = f"trigger={self.trigger_rate:.9g}/buyers={self.buyers:.9g}/sigma={self.sigma:.9g}"
        return f"revenue/lift={self.lift:.9g}/{self.lift_kind}/rho={self.rho:.9g}/new={self.new_users:.9g}/{shape}"

    def caps(self, rng: Streams) -> dict[str, dict[str, float]]:
        """{quantile: {column: cap}} from an earlier population of the same kind, as an analyst fixes caps before the test."""
        columns = self._columns(_PILOT_USERS, lambda purpose: rng(f"pilot/{purpose}"), np.zeros(_PILOT_USERS, dtype=bool))
        return {name: {c: float(np.quantile(columns[c], q)) for c in ("y", "x", "s", "post")} for name, q in CAP_QUANTILES.items()}

    def chunk(self, index: int, users: int, rng: Streams, caps: dict[str, dict[str, float]]) -> Chunk:
        arm = rng(f"arm/{index}").integers(0, 2, users, dtype=np.int8)
        reached = _reached(rng(f"trigger/{index}"), users, self.trigger_rate)
        columns = self._columns(users, lambda purpose: rng(f"{purpose}/{index}"), (arm == 1) & reached)
        capped = {f"{c}_{name}": np.minimum(columns[c], cap) for name, by_column in caps.items() for c, cap in by_column.items()}
        return _chunk(arm, columns | capped, reached, _days(rng(f"days/{index}"), arm, capped.get("y_0.999", columns["y"])))

    def people(self, users: int, rng: Streams, caps: dict[str, dict[str, float]]) -> Columns:
        """Users whom no treatment has moved, for A/A tests; `caps` bound the metric and its history."""
        columns = self._columns(users, rng, np.zeros(users, dtype=bool))
        return columns | {f"{c}_{name}": np.minimum(columns[c], cap) for name, by_column in caps.items() for c, cap in by_column.items()}

    def mean(self, cap: float = math.inf) -> float:
        """Exact control mean of min(revenue, cap)."""
        return self.buyers * _capped_amount(1.0, cap, self.sigma)

    def true_lift(self, cap: float = math.inf) -> float:
        """Exact relative lift, among the users who triggered, of the mean of min(revenue, cap).

        Capping leaves conversions, and cuts larger baskets.
        """
        if self.lift_kind == "conversion":
            return self.lift
        return _capped_amount(1 + self.lift, cap, self.sigma) / _capped_amount(1.0, cap, self.sigma) - 1

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
        may_buy = np.flatnonzero(luck < self.buyers * (1 + MAX_LIFT))
        amount = MEDIAN_AMOUNT * np.exp(self.sigma * rng.standard_normal(len(may_buy)))
        baseline, outcome = np.zeros(users), np.zeros(users)
        baseline[may_buy] = np.where(luck[may_buy] < self.buyers, amount, 0.0)
        bar = self.buyers * (1 + self.lift * treated[may_buy]) if self.lift_kind == "conversion" else self.buyers
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
    trigger_rate: float = 1.0

    RATE = 0.1
    BETA = (2.0, 18.0)
    MEAN_EXTRA_VIEWS = 10.0

    @property
    def key(self) -> str:
        return f"clicks/lift={self.lift:.9g}/rho={self.rho:.9g}/new={self.new_users:.9g}/trigger={self.trigger_rate:.9g}"

    def chunk(self, index: int, users: int, rng: Streams) -> Chunk:
        arm = rng(f"arm/{index}").integers(0, 2, users, dtype=np.int8)
        reached = _reached(rng(f"trigger/{index}"), users, self.trigger_rate)
        columns = self._columns(users, lambda purpose: rng(f"{purpose}/{index}"), (arm == 1) & reached)
        return _chunk(arm, columns, reached, _days(rng(f"days/{index}"), arm, columns["clicks"], columns["views"]))

    def people(self, users: int, rng: Streams, caps: dict[str, dict[str, float]]) -> Columns:
        """Users whom no treatment has moved, for A/A tests; a ratio has no caps."""
        return self._columns(users, rng, np.zeros(users, dtype=bool))

    def _columns(self, users: int, rng: Streams, moved: NDArray[np.bool_]) -> Columns:
        draw = rng("clicks")
        rate = draw.beta(*self.BETA, users)
        views = draw.geometric(1 / (1 + self.MEAN_EXTRA_VIEWS), users)  # 1 + negative binomial with dispersion 1
        clicks = draw.binomial(views, rate)
        new = rng("new").random(users, dtype=np.float32) < self.new_users
        pre_clicks, pre_views = _remembered(rng("history"), self.rho, clicks, views)
        post_clicks, post_views = _remembered(rng("post"), POST_RHO, clicks, views)
        return {
            "clicks": _more_clicks(rng("effect"), clicks, views, rate, self.lift * moved),
            "views": views,
            "pre_clicks": np.where(new, 0, pre_clicks),
            "pre_views": np.where(new, 0, pre_views),
            "post_clicks": _more_clicks(rng("moved"), post_clicks, post_views, rate, POST_EFFECT * self.lift * moved),
            "post_views": post_views,
            "new": new.astype(float),
        }

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


def _more_clicks(rng: np.random.Generator, clicks: Counts, views: Counts, rate: Floats, lift: NDArray[Any]) -> Counts:
    """Clicks whose expected rate is rate * (1 + lift), never more than views: views turn into clicks or clicks are lost."""
    changed: Counts = clicks.copy()
    gain, loss = lift > 0, lift < 0
    chance = np.minimum(1.0, lift[gain] * rate[gain] / (1 - rate[gain]))
    changed[gain] += rng.binomial(views[gain] - clicks[gain], chance)
    changed[loss] -= rng.binomial(clicks[loss], -lift[loss])
    return changed


def _capped_amount(scale: float, cap: float, sigma: float) -> float:
    """E[min(scale * amount, cap)] of the lognormal amount."""
    mean = scale * MEDIAN_AMOUNT * math.exp(sigma**2 / 2)
    if math.isinf(cap):
        return mean
    z = math.log(cap / (scale * MEDIAN_AMOUNT)) / sigma if cap > 0 else -math.inf
    return mean * float(ndtr(z - sigma)) + cap * float(ndtr(-z))


def _reached(rng: np.random.Generator, users: int, rate: float) -> NDArray[np.bool_]:
    return rng.random(users, dtype=np.float32) < rate


def _chunk(arm: NDArray[np.int8], columns: Columns, reached: NDArray[np.bool_], days: Floats) -> Chunk:
    assigned = _by_arm(arm, columns)
    if reached.all():
        return Chunk(assigned, assigned, days)
    return Chunk(assigned, _by_arm(arm[reached], {name: column[reached] for name, column in columns.items()}), days)


def _days(rng: np.random.Generator, arm: NDArray[np.int8], metric: NDArray[Any], views: NDArray[Any] | None = None) -> Floats:
    """Users come on any of the days alike; see `Chunk.days`."""
    control = np.flatnonzero(arm == 0)
    day, y = rng.integers(0, DAYS, len(control), dtype=np.uint8), metric[control]
    weights = (None if views is None else views[control], y, y * y)
    return np.stack([np.bincount(day, weights=w, minlength=DAYS) for w in weights], axis=1)


def _by_arm(arm: NDArray[np.int8], columns: Columns) -> Arms:
    table = MomentTable(("arm",)).update({"arm": arm, **columns})
    return table.total(arm=0), table.total(arm=1)
