"""A recommender that learns only from what it showed: rounds of serving, clicks and learning again.

Each round the model ranks the catalogue for every segment of users, a policy makes slates of the ranking, and the clicks on those slates
are all that the next round learns. The model is a mean shrunk twice: an item's rate towards the prior, its rate in a segment towards
the item's (empirical Bayes). An item that was never shown stays at the prior, so whether it is ever found depends on the policy.

greedy     the best by the model
epsilon    each slot is random with chance epsilon, all items alike (Sutton & Barto 2018, chapter 2)
new_item   as epsilon, but an item is drawn in proportion to 1/sqrt(1 + its impressions)
thompson   every slate ranks by draws from the Beta posteriors (Thompson 1933; Chapelle & Li 2011)
ucb        ranks by the mean plus one posterior standard deviation (Lai & Robbins 1985; Auer 2002)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import expit

from simulators.engines.ranking.arguments import Flags, Floats, Ints, between, one_of
from simulators.engines.ranking.step import Step
from simulators.engines.ranking.worlds.draws import draw
from simulators.engines.ranking.worlds.loop import BASE_LOGIT, LOGIT_SD, LoopWorld
from simulators.engines.steps import blocks, finished

Policy = Literal["greedy", "epsilon", "new_item", "thompson", "ucb"]
Prior = Literal["catalogue", "served"]
EXPLORING = ("epsilon", "new_item")
IMPRESSIONS, SLATE = 6_000, 10  # a round; items in a slate
PRIOR_WEIGHT = 20.0  # impressions a prior counts for
ENOUGH = 20  # impressions before an item may be demoted
HIGHEST = 0.95  # no prior is surer than this
ROUNDS_A_STEP = 4
DRAWS_A_STEP = 100_000  # of Beta: about ten milliseconds


@dataclass(frozen=True)
class Learning:
    """How the model and the policy treat what they do not know yet.

    prior         "catalogue": the mean click rate of the catalogue; "served": the click rate of the round before
    content       share of the variance of the log-odds that a content model explains; the prior of an item follows it
    boost_rounds  a new item has its fair share of slots for so many rounds, whatever the model says
    demote_below  an item seen often whose click rate is below this share of the catalogue's gets no random slots any more
    """

    prior: Prior = "catalogue"
    content: float = 0.0
    boost_rounds: int = 0
    demote_below: float = 0.0


PLAIN = Learning()


class Round(NamedTuple):
    """One round. Shares are of the catalogue where they count items, of slots where they count impressions."""

    served: float  # click rate of what was shown, under the true p, as a share of the oracle's
    model: float  # the same of the slates the model would have picked, without any exploring
    gini: float  # of impressions over items
    coverage: float  # share of items shown at least once
    new_share: float  # impressions of the items that came this round over their fair share; NaN where none came
    grudge: float  # the model's picks of items with a false history, over their fair share; NaN where there are none
    overconfidence: float  # predicted over true click rate of the model's picks
    random_share: float  # slots filled without asking the model
    oracle_ctr: float  # click rate of the best slates there are
    exposure: Ints  # (I,) impressions


@dataclass(frozen=True)
class Rounds:
    """Every round of a run: arrays (rounds,) as `Round` says, `exposure` (rounds, I)."""

    served: Floats
    model: Floats
    gini: Floats
    coverage: Floats
    new_share: Floats
    grudge: Floats
    overconfidence: Floats
    random_share: Floats
    oracle_ctr: Floats
    exposure: Ints

    @classmethod
    def of(cls, rounds: list[Round]) -> Rounds:
        return cls(**{field.name: np.array([getattr(item, field.name) for item in rounds]) for field in fields(cls)})


def iter_rounds(
    world: LoopWorld,
    policy: Policy = "greedy",
    epsilon: float = 0.05,
    rounds: int = 60,
    seed: int = 0,
    *,
    learning: Learning = PLAIN,
) -> Generator[Step, None, Rounds]:
    """The run from `world` on, which stays as it is. `epsilon` counts for the policies epsilon and new_item only.

    Raises ValueError for an unknown policy, an epsilon outside [0, 1], rounds below 1, or random and boosted slots above 1 together.

    In steps, whose metrics are served, model and coverage of the last round. `simulate_rounds` is the same in one go.
    """
    _check(world, policy, epsilon, rounds, learning)
    done = list[Round]()
    turns = play(world, policy, epsilon, seed, learning)
    while len(done) < rounds:
        found = next(turns)
        if found is not None:
            done.append(found)
        if found is None or len(done) % ROUNDS_A_STEP == 0:
            yield Step(len(done), rounds, "serving", _so_far(done))
    return Rounds.of(done)


simulate_rounds = finished("simulate_rounds", iter_rounds)


def play(world: LoopWorld, policy: Policy, epsilon: float, seed: int, learning: Learning) -> Iterator[Round | None]:
    """Round after round without end; None on the way to one that takes long."""
    _check(world, policy, epsilon, 1, learning)
    belief = Belief.of(world)
    prior_ctr = belief.catalogue_ctr
    while True:
        draws = {name: draw(seed, f"loop/{name}/{world.round}") for name in ("slots", "items", "beta", "clicks")}
        rates = belief.rates(_prior(world, learning, prior_ctr))
        table = Table(world, belief, rates, policy, epsilon, learning)
        slates = yield from table.slates(draws)
        p = world.p[table.segment[:, None], slates]
        clicked = draws["clicks"].random(p.shape) < p
        exposure = belief.learn(table.segment, slates, clicked)
        yield _round(world, table, slates, exposure)
        if learning.prior == "served":
            prior_ctr = float(clicked.mean())
        world = world.step()
        belief.forget(world.arriving)


def _so_far(done: list[Round]) -> dict[str, float]:
    return {"served": done[-1].served, "model": done[-1].model, "coverage": done[-1].coverage} if done else {}


def _check(world: LoopWorld, policy: Policy, epsilon: float, rounds: int, learning: Learning) -> None:
    one_of("policy", policy, get_args(Policy))
    one_of("prior", learning.prior, get_args(Prior))
    between("epsilon", epsilon, 0, 1)
    between("rounds", rounds, 1, np.inf)
    between("content", learning.content, 0, 1)
    between("boost_rounds", learning.boost_rounds, 0, np.inf)
    between("demote_below", learning.demote_below, 0, np.inf)
    random = epsilon if policy in EXPLORING else 0.0
    boosted = world.churn * learning.boost_rounds
    if random + boosted > 1:
        raise ValueError(
            f"epsilon {random:g} and the boost of {learning.boost_rounds} rounds ({boosted:.0%} of the items are that new) take "
            f"{random + boosted:.0%} of the slots; expected at most 100 %."
        )


# --- the model ----------------------------------------------------------------------------------------------------------------


@dataclass
class Belief:
    """What was seen: impressions and clicks (segments, I)."""

    shown: Floats
    clicks: Floats
    catalogue_ctr: float  # of the items there at the start; a platform knows this one number well

    @classmethod
    def of(cls, world: LoopWorld) -> Belief:
        return cls(world.first_shown.astype(float), world.first_clicks.astype(float), float(world.p.mean()))

    def rates(self, prior: Floats) -> Floats:
        """(segments, I) click rates: the item's clicks against what the prior expects of them, then the segment's own against that."""
        weight = PRIOR_WEIGHT * prior.mean()
        factor = (self.clicks.sum(axis=0) + weight) / ((self.shown * prior).sum(axis=0) + weight)
        item = np.minimum(prior * factor, HIGHEST)
        return np.asarray((self.clicks + PRIOR_WEIGHT * item) / (self.shown + PRIOR_WEIGHT))

    def learn(self, segment: Ints, slates: Ints, clicked: Flags) -> Ints:
        """Counts the slates in; the impressions (I,) of the round."""
        cells = (segment[:, None] * self.shown.shape[1] + slates).ravel()
        shown = np.bincount(cells, minlength=self.shown.size).reshape(self.shown.shape)
        self.shown += shown
        self.clicks += np.bincount(cells, weights=clicked.ravel(), minlength=self.shown.size).reshape(self.shown.shape)
        return np.asarray(shown.sum(axis=0))

    def forget(self, items: Flags) -> None:
        self.shown[:, items] = self.clicks[:, items] = 0


def _prior(world: LoopWorld, learning: Learning, ctr: float) -> Floats:
    """(segments, I) with mean about `ctr`; without content all alike."""
    known = np.log(world.p / (1 - world.p)) - BASE_LOGIT
    wrong = LOGIT_SD * np.sqrt(learning.content * (1 - learning.content)) * world.noise
    shape = expit(BASE_LOGIT + learning.content * known + wrong)
    return np.asarray(np.minimum(ctr * shape / shape.mean(), HIGHEST))


# --- the policies -------------------------------------------------------------------------------------------------------------


class Table:
    """A round's ranking and the slates (n, SLATE) made of it; `segment` (n,) says whose each slate is."""

    def __init__(self, world: LoopWorld, belief: Belief, rates: Floats, policy: Policy, epsilon: float, learning: Learning) -> None:
        self.world, self.belief, self.rates, self.policy, self.learning = world, belief, rates, policy, learning
        self.segment = np.sort(np.arange(IMPRESSIONS // SLATE) % len(rates))
        self.picks = best(rates)
        self.new = (world.arrived >= 0) & (world.round - world.arrived < learning.boost_rounds)
        self.boosted = float(self.new.mean())
        self.explored = epsilon if policy in EXPLORING else 0.0

    def slates(self, draws: dict[str, np.random.Generator]) -> Generator[None, None, Ints]:
        if self.policy == "thompson":
            chosen = yield from self._sampled(draws["beta"])
        else:
            chosen = (best(self.rates + self._bonus()) if self.policy == "ucb" else self.picks)[self.segment]
        slot = draws["slots"].random(chosen.shape)
        chosen = self._filled(chosen, slot < self.explored, self._weights(), draws["items"])
        return self._filled(chosen, (slot >= self.explored) & (slot < self.explored + self.boosted), self.new.astype(float), draws["items"])

    def _sampled(self, draws: np.random.Generator) -> Generator[None, None, Ints]:
        weight = self.belief.shown + PRIOR_WEIGHT
        a, b = self.rates * weight, (1 - self.rates) * weight
        parts = []
        for rows in blocks(len(self.segment), max(1, DRAWS_A_STEP // a.shape[1])):
            parts.append(best(draws.beta(a[self.segment[rows]], b[self.segment[rows]])))
            yield
        return np.concatenate(parts)

    def _bonus(self) -> Floats:
        return np.sqrt(self.rates * (1 - self.rates) / (self.belief.shown + PRIOR_WEIGHT))

    def _weights(self) -> Floats:
        """(I,) how likely each item is to fill a random slot."""
        shown, clicks = self.belief.shown.sum(axis=0), self.belief.clicks.sum(axis=0)
        weights = 1 / np.sqrt(1 + shown) if self.policy == "new_item" else np.ones(len(shown))
        poor = (shown >= ENOUGH) & (clicks < self.learning.demote_below * self.belief.catalogue_ctr * shown) & ~self.new
        return weights if poor.all() else np.where(poor, 0.0, weights)

    def _filled(self, slates: Ints, places: Flags, weights: Floats, draws: np.random.Generator) -> Ints:
        """The slates with items drawn by `weights` at the places; one that is in the slate already gives way to any other item."""
        if not places.any():
            return slates
        filled = slates.copy()
        filled[places] = draws.choice(len(weights), int(places.sum()), p=weights / weights.sum())
        while (open_places := places & _repeated(filled, places)).any():
            filled[open_places] = draws.integers(len(weights), size=int(open_places.sum()))
        return filled


def best(scores: Floats) -> Ints:
    """(n, SLATE) columns of the highest scores of each row, the highest first."""
    top = np.argpartition(-scores, SLATE - 1, axis=1)[:, :SLATE]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(top, order, axis=1))


def _repeated(slates: Ints, places: Flags) -> Flags:
    """Where a slate holds an item that it also holds at a fixed place, or at an earlier one of the places."""
    same = slates[:, :, None] == slates[:, None, :]
    earlier = np.tri(slates.shape[1], k=-1, dtype=bool)
    return np.asarray((same & (earlier | ~places[:, None, :])).any(axis=2))


# --- what a round was worth ---------------------------------------------------------------------------------------------------


def _round(world: LoopWorld, table: Table, slates: Ints, exposure: Ints) -> Round:
    oracle = float(np.sort(world.p, axis=1)[:, -SLATE:].mean())
    picked = np.take_along_axis(world.p, table.picks, axis=1).mean()
    promised = np.take_along_axis(table.rates, table.picks, axis=1).mean()
    in_picks = np.bincount(table.picks.ravel(), minlength=len(exposure))
    return Round(
        served=float(world.p[table.segment[:, None], slates].mean() / oracle),
        model=float(picked / oracle),
        gini=gini(exposure),
        coverage=float((exposure > 0).mean()),
        new_share=_fair(exposure, world.arriving),
        grudge=_fair(in_picks, world.biased),
        overconfidence=float(promised / picked),
        random_share=table.explored + table.boosted,
        oracle_ctr=oracle,
        exposure=exposure,
    )


def gini(counts: Ints) -> float:
    """0 where all have the same, 1 - 1/n where one has all; NaN where nobody has any."""
    ranked, n = np.sort(counts), len(counts)
    total = ranked.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ ranked / (n * total)) if total else float("nan")


def _fair(counts: Ints, group: Flags) -> float:
    """The group's share of the counts over its share of the items."""
    return float(counts[group].sum() / counts.sum() / group.mean()) if group.any() else float("nan")
