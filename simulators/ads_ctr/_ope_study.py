"""What a run of `off_policy` computes: logs drawn again and again from one world, and every estimate of the target's value on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from simulators.ads_ctr._ope_params import ESTIMATORS, Estimator, OffPolicyParams
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.ope import Diagnosis, Estimate, diagnose, estimate
from simulators.engines.ranking.worlds.bandit import ACTIONS, BanditPolicies, bandit_policies, log_blocks, values
from simulators.lab import Context, Progress, Working

RIDGE = 1.0
SWEEP_EPS = (0.0, 0.02, 0.1, 0.3, 1.0)
SWEEP_SIMS, SWEEP_ROWS = 20, 5_000
TELL_EVERY = 10  # repetitions between two pictures
HOLE = 1.0  # an action of which the whole log expects fewer rows than this is a hole


class Log(NamedTuple):
    """One log (n,), the weights' diagnosis, and the model's view of it: `q_logged` of what was shown, `q_target` under the target."""

    reward: Floats
    propensity: Floats
    target: Floats
    q_logged: Floats
    q_target: Floats

    def estimate(self, method: Estimator, clip: float) -> Estimate:
        if method == "log_mean":
            return estimate(self.reward, np.ones(len(self.reward)), np.ones(len(self.reward)))
        return estimate(self.reward, self.propensity, self.target, method=method, q_logged=self.q_logged, q_target=self.q_target, clip=clip)


@dataclass
class Runs:
    """Estimates of one design over its repetitions, and the truth they aim at."""

    true_value: float
    logging_value: float
    found: dict[Estimator, list[Estimate]] = field(default_factory=lambda: {name: [] for name in ESTIMATORS})
    weights: list[Diagnosis] = field(default_factory=list)

    @property
    def done(self) -> int:
        return len(self.weights)

    def errors(self, name: Estimator) -> Floats:
        """(runs,) relative to the truth."""
        return np.array([each.value for each in self.found[name]]) / self.true_value - 1

    def bias(self, name: Estimator) -> float:
        return float(np.nanmean(self.errors(name)))

    def sd(self, name: Estimator) -> float:
        return float(np.nanstd(self.errors(name)))

    def rmse(self, name: Estimator) -> float:
        return float(np.sqrt(np.nanmean(self.errors(name) ** 2)))

    def usual(self, name: Estimator) -> float:
        """The error that four logs of five stay within: a few logs with an enormous weight do not move it."""
        return float(np.nanquantile(np.abs(self.errors(name)), 0.8))

    def coverage(self, name: Estimator) -> float:
        return float(np.mean([each.lo <= self.true_value <= each.hi for each in self.found[name]]))

    def width(self, name: Estimator) -> float:
        """Mean width of the 95 % interval, relative to the truth."""
        return float(np.nanmean([each.hi - each.lo for each in self.found[name]])) / self.true_value

    def mean(self, of: Callable[[Diagnosis], float]) -> float:
        return float(np.mean([of(each) for each in self.weights]))


@dataclass
class Study:
    params: OffPolicyParams
    policies: BanditPolicies
    runs: Runs
    first: Log | None  # the log of the first repetition
    greedy_value: float  # of the logging policy without its uniform share
    holes: float  # share of the target's choices of which the log expects less than one row
    sweep: Mapping[float, Runs] = field(default_factory=dict)
    sweep_rows: int = SWEEP_ROWS

    @property
    def clicks_lost(self) -> float:
        """Share of the logging policy's clicks that its uniform share gave up."""
        return 1 - self.runs.logging_value / self.greedy_value

    def sweep_cost(self, eps: float) -> float:
        return 1 - self.sweep[eps].logging_value / self.greedy_value


def study_steps(ctx: Context, params: OffPolicyParams) -> Working[Study]:
    """The world and its exact values; no repetition yet."""
    policies = _policies(ctx.seed, params, params.eps)
    yield Progress(0, params.sims, "the value of both policies")
    true_value, logging_value = values(policies, ctx.seed)
    yield Progress(0, params.sims, "the value without exploration")
    _, greedy_value = values(_policies(ctx.seed, params, 0.0), ctx.seed)
    yield Progress(0, params.sims, "holes in the log")
    return Study(params, policies, Runs(true_value, logging_value), None, greedy_value, _holes(policies, params.n, ctx))


def _policies(seed: int, params: OffPolicyParams, eps: float) -> BanditPolicies:
    return bandit_policies(
        seed,
        eps=eps,
        logging_strength=params.logging_strength,
        target_strength=params.target_strength,
        overlap=params.overlap,
        nonlinearity=params.nonlinearity,
    )


def _holes(policies: BanditPolicies, n: int, ctx: Context) -> float:
    x = ctx.rng("holes").standard_normal((5_000, policies.reward.shape[1]))
    _, logged, wanted = policies.at(x)
    return float(wanted[logged * n < HOLE].sum() / wanted.sum())


def repeat_steps(study: Study, ctx: Context) -> Working[None]:
    """One more log and its estimates at each step; `study.runs` grows."""
    params = study.params
    for run in range(params.sims):
        log = yield from log_steps(study.policies, ctx.rng(f"log {run}"), params.n)
        study.first = study.first or log
        _estimated(study.runs, log, params.clip)
        yield Progress(run + 1, params.sims, "logs drawn")


def _estimated(runs: Runs, log: Log, clip: float) -> None:
    runs.weights.append(diagnose(log.propensity, log.target))
    for name in ESTIMATORS:
        runs.found[name].append(log.estimate(name, clip))


def log_steps(policies: BanditPolicies, rng: np.random.Generator, n: int) -> Working[Log]:
    """A log, and a ridge regression of the reward for each action fitted on it."""
    blocks = []
    for block in log_blocks(policies, rng, n):
        blocks.append(block)
        if n > len(block[1]):
            yield Progress(len(blocks), len(blocks) + 1, "drawing a log")
    x, action, reward, propensity, target = (np.concatenate([block[i] for block in blocks]) for i in range(5))
    weights = ridge_by_action(x, action, reward, ACTIONS)
    q_logged = np.concatenate([predicted(block[0], weights)[np.arange(len(block[1])), block[1]] for block in blocks])
    q_target = np.concatenate([(block[6] * predicted(block[0], weights)).sum(axis=1) for block in blocks])
    return Log(reward, propensity, target, q_logged, q_target)


def ridge_by_action(x: Floats, action: Ints, reward: Floats, actions: int) -> Floats:
    """(actions, d + 1) weights, intercept first and unshrunk to the mean reward; an action never shown keeps that mean."""
    mean = float(reward.mean())
    made = np.zeros((actions, x.shape[1] + 1))
    made[:, 0] = mean
    order = np.argsort(action, kind="stable")
    ends = np.cumsum(np.bincount(action, minlength=actions))
    for a, rows in enumerate(np.split(order, ends[:-1])):
        if len(rows):
            design = np.column_stack([np.ones(len(rows)), x[rows]])
            made[a] += np.linalg.solve(design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ (reward[rows] - mean))
    return made


def predicted(x: Floats, weights: Floats) -> Floats:
    """(n, actions) modelled reward."""
    made: Floats = x @ weights[:, 1:].T + weights[:, 0]
    return made


# --- what exploration buys ------------------------------------------------------------------------------------------------------------


def sweep_steps(study: Study, ctx: Context) -> Working[None]:
    """The same world logged with more and more exploration; kept for other estimators and repetitions."""
    params = study.params
    study.sweep_rows = min(params.n, SWEEP_ROWS)
    key = f"{params.logging_strength}/{params.target_strength}/{params.overlap}/{params.nonlinearity}/{params.clip}"
    study.sweep = yield from ctx.asset_steps(
        f"off_policy/sweep/{key}/n={study.sweep_rows}/seed={ctx.seed}", lambda: _swept(ctx, params, study.sweep_rows), disk=False
    )


def _swept(ctx: Context, params: OffPolicyParams, rows: int) -> Working[dict[float, Runs]]:
    made: dict[float, Runs] = {}
    for done, eps in enumerate(SWEEP_EPS):
        policies = _policies(ctx.seed, params, eps)
        yield Progress(done, len(SWEEP_EPS), "what exploration buys")
        made[eps] = Runs(*values(policies, ctx.seed))
        for run in range(SWEEP_SIMS):
            log = yield from log_steps(policies, ctx.rng(f"log {run}"), rows)
            _estimated(made[eps], log, params.clip)
            yield Progress(done + (run + 1) / SWEEP_SIMS, len(SWEEP_EPS), "what exploration buys")
    return made
