"""The runs behind a picture: the chosen policy round by round, one to compare it with, and a sweep over the share of random slots."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.loop import IMPRESSIONS, SLATE, Learning, Policy, Round, Rounds, best, iter_rounds, play
from simulators.engines.ranking.worlds.loop import LoopWorld, loop_world
from simulators.engines.steps import relay
from simulators.lab import Context, Frame, Progress, Working
from simulators.youtube_recs._loop_params import LoopParams

LATE = 20  # rounds that count: the last ones
WORLDS = 3  # for the spread from world to world
SHARES = (0.0, 0.02, 0.05, 0.1, 0.25)
MOST_SWEPT = 100_000  # items x rounds
FRAMES = 60
NO_EXPOSURE = np.zeros(0, dtype=np.int64)


class Setting(NamedTuple):
    policy: Policy
    epsilon: float

    @property
    def name(self) -> str:
        if self.policy in ("epsilon", "new_item"):
            return f"{'random' if self.policy == 'epsilon' else 'rare first'} {self.epsilon:.0%}"
        return {"greedy": "greedy", "thompson": "Thompson", "ucb": "UCB"}[self.policy]


def chosen(params: LoopParams) -> Setting:
    return Setting(params.policy, params.epsilon)


def companion(params: LoopParams) -> Setting:
    """What the choice is compared with on the same worlds."""
    return Setting("epsilon", 0.05) if params.policy == "greedy" or chosen(params) == ("epsilon", 0.0) else Setting("greedy", 0.0)


def learning(params: LoopParams) -> Learning:
    return Learning(params.prior, params.content, params.boost_rounds, params.demote_below)


def world_of(params: LoopParams, ctx: Context, number: int = 0) -> LoopWorld:
    return loop_world(ctx.seed + number * 2**32, items=params.items, churn=params.churn, biased_share=params.biased_share)


def late(values: Floats) -> float | None:
    """Mean of the last rounds; None where there is nothing."""
    last = values[-LATE:]
    last = last[~np.isnan(last)]
    return float(last.mean()) if len(last) else None


# --- exposure -----------------------------------------------------------------------------------------------------------------


class Exposure(NamedTuple):
    """Impressions (I,) of each item in the last rounds, those of its predecessor at the same place left out; and of the oracle's slates."""

    world: LoopWorld
    rounds: int
    shown: Ints
    oracle: Ints

    @property
    def starved(self) -> int:
        """Items of the best slates with less than a tenth of the impressions due to them."""
        return int((10 * self.shown < self.oracle).sum())

    @property
    def unseen(self) -> int:
        return int(((self.oracle > 0) & (self.shown == 0)).sum())


class Recent:
    """The impressions of the last rounds."""

    def __init__(self, items: int) -> None:
        self.counts = np.zeros((LATE, items), dtype=np.int64)
        self.seen = 0

    def add(self, world: LoopWorld, exposure: Ints) -> None:
        self.counts[:, world.arriving] = 0
        self.counts[self.seen % LATE] = exposure
        self.seen += 1

    def exposure(self, world: LoopWorld) -> Exposure:
        rounds = min(self.seen, LATE)
        slates = IMPRESSIONS // SLATE // len(world.p)
        a_round = slates * np.bincount(best(world.p).ravel(), minlength=world.p.shape[1])
        return Exposure(
            world, rounds, self.counts.sum(axis=0), a_round * np.minimum(rounds, world.round + 1 - np.maximum(world.arrived, 0))
        )


# --- runs ---------------------------------------------------------------------------------------------------------------------


def watched(
    params: LoopParams, ctx: Context, picture: Callable[[Rounds, Exposure], Frame]
) -> Generator[Progress | Frame, None, tuple[Rounds, Exposure]]:
    """The chosen policy on the run's world; a picture each round, or as often as makes 60."""
    world, recent, rounds = world_of(params, ctx), Recent(params.items), list[Round]()
    every = -(-params.rounds // FRAMES)
    for found in play(world, *chosen(params), ctx.seed, learning(params)):
        if found is None:
            yield Progress(len(rounds), params.rounds, "serving")
            continue
        rounds.append(found._replace(exposure=NO_EXPOSURE))
        recent.add(world, found.exposure)
        if len(rounds) == params.rounds:
            break
        if len(rounds) % every == 0:
            yield picture(Rounds.of(rounds), recent.exposure(world))
        world = world.step()
    return Rounds.of(rounds), recent.exposure(world)


def played(params: LoopParams, ctx: Context, setting: Setting, label: str, number: int = 0) -> Working[Rounds]:
    steps = iter_rounds(world_of(params, ctx, number), *setting, params.rounds, ctx.seed + number, learning=learning(params))
    return relay(steps, lambda step: Progress(step.done, step.total, label))


@dataclass(frozen=True)
class Sweep:
    """Means of the last rounds (shares, worlds): served and model as shares of the oracle."""

    shares: tuple[float, ...]
    served: Floats
    model: Floats


def sweep(params: LoopParams, ctx: Context) -> Working[Sweep | None]:
    """Several shares of random slots on several worlds; None where the catalogue or the run is too long for it."""
    shares = tuple(share for share in SHARES if share + params.churn * params.boost_rounds <= 1)
    if params.items * params.rounds > MOST_SWEPT or len(shares) < len(SHARES):
        return None
    fields = ("rounds", "items", "churn", "biased_share", "prior", "content", "boost_rounds", "demote_below")
    key = "/".join(f"{name}={getattr(params, name)}" for name in fields)
    return (yield from ctx.asset_steps(f"loop/sweep/v1/seed={ctx.seed}/{key}", lambda: _swept(params, ctx, shares)))


def _swept(params: LoopParams, ctx: Context, shares: tuple[float, ...]) -> Working[Sweep]:
    found = np.zeros((2, len(shares), WORLDS))
    for row, share in enumerate(shares):
        for number in range(WORLDS):
            run = yield from played(params, ctx, Setting("epsilon", share), f"random slots {share:.0%}, world {number + 1}", number)
            found[:, row, number] = run.served[-LATE:].mean(), run.model[-LATE:].mean()
    return Sweep(shares, *found)


class Gain(NamedTuple):
    """Chosen minus compared, in points of the oracle's click rate, a pair a world (worlds,)."""

    served: Floats
    model: Floats

    def clear(self, differences: Floats) -> bool:
        """At least two standard deviations of the pairs."""
        return len(differences) > 1 and bool(abs(differences.mean()) >= 2 * differences.std(ddof=1))


def gain(params: LoopParams, ctx: Context, mine: Rounds, other: Rounds, swept: Sweep | None) -> Working[Gain]:
    """On the run's world and, where that is cheap, on the other worlds of the sweep."""
    pairs = [(mine, other)]
    if swept is not None and params.policy != "thompson":
        for number in range(1, WORLDS):
            first = yield from played(params, ctx, chosen(params), f"world {number + 1}", number)
            second = yield from played(params, ctx, companion(params), f"world {number + 1}", number)
            pairs.append((first, second))
    return Gain(*(np.array([_difference(a, b, kind) for a, b in pairs]) for kind in ("served", "model")))


def _difference(a: Rounds, b: Rounds, kind: str) -> float:
    return 100 * float(getattr(a, kind)[-LATE:].mean() - getattr(b, kind)[-LATE:].mean())


@dataclass(frozen=True)
class Study:
    """All that a run of the lab found."""

    params: LoopParams
    mine: Rounds
    other: Rounds
    exposure: Exposure
    gain: Gain
    sweep: Sweep | None
