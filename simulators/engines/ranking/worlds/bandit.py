"""A log of shown ads whose click probabilities, and the value of any policy, are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.worlds.draws import draw
from simulators.engines.steps import blocks

ACTIONS, FEATURES = 20, 5
BASE_LOGIT, REWARD_SD = -2.0, 0.3
VALUE_CONTEXTS, BLOCK = 50_000, 5_000


@dataclass(frozen=True)
class BanditPolicies:
    """Reward and both policies as functions of contexts x (n, 5): each returns (n, A).

    The reward's logit is linear in x with weights `reward`, plus a sine of the first feature times `curve`, which no linear model fits.
    The logging policy is a softmax of its own linear score, the target a softmax of the reward's logit: the logging score knows the
    reward's weights as far as the correlation `overlap` says.
    """

    reward: Floats  # (A, 5)
    curve: Floats  # (A,)
    logging: Floats  # (A, 5)
    eps: float
    logging_strength: float
    target_strength: float

    def logit(self, x: Floats) -> Floats:
        made: Floats = x @ self.reward.T + BASE_LOGIT + np.sin(2 * x[:, :1]) * self.curve
        return made

    def at(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Click probability of each action, and its probability under the logging and under the target policy."""
        logit = self.logit(x)
        return expit(logit), self.logged(x), _softmax(self.target_strength * logit)

    def logged(self, x: Floats) -> Floats:
        """Probabilities of the logging policy, the share `eps` of it uniform."""
        made: Floats = (1 - self.eps) * _softmax(self.logging_strength * (x @ self.logging.T)) + self.eps / len(self.curve)
        return made


@dataclass(frozen=True)
class BanditWorld:
    """N impressions: `context` (N, 5), `action`, `reward` (0 or 1), and the probability the logging policy (`propensity`) and the target
    policy (`target`) gave to the logged action, each (N,). `q` (N, A) are the click probabilities and `target_policy` (N, A) the target's
    choices. `true_value` is the click rate of the target policy over all contexts, `logging_value` that of the logging policy."""

    context: Floats
    action: Ints
    reward: Floats
    propensity: Floats
    target: Floats
    q: Floats
    target_policy: Floats
    true_value: float
    logging_value: float
    policies: BanditPolicies

    @property
    def p(self) -> Floats:
        return self.q


def bandit_world(
    seed: int = 0,
    *,
    n: int = 5_000,
    eps: float = 0.02,
    logging_strength: float = 2.0,
    target_strength: float = 3.0,
    overlap: float = 0.3,
    nonlinearity: float = 1.0,
    actions: int = ACTIONS,
) -> BanditWorld:
    """One log of `n` impressions. Raises ValueError for eps outside [0, 1], overlap outside [-1, 1], or fewer than 3 actions."""
    policies = bandit_policies(
        seed,
        eps=eps,
        logging_strength=logging_strength,
        target_strength=target_strength,
        overlap=overlap,
        nonlinearity=nonlinearity,
        actions=actions,
    )
    parts = list(log_blocks(policies, draw(seed, "bandit/log"), n))
    columns = [np.concatenate(part) for part in zip(*parts, strict=True)]
    x, action, reward, propensity, target, q, wanted = columns
    true_value, logging_value = values(policies, seed)
    return BanditWorld(x, action.astype(np.int64), reward, propensity, target, q, wanted, true_value, logging_value, policies)


def bandit_policies(
    seed: int,
    *,
    eps: float = 0.02,
    logging_strength: float = 2.0,
    target_strength: float = 3.0,
    overlap: float = 0.3,
    nonlinearity: float = 1.0,
    actions: int = ACTIONS,
) -> BanditPolicies:
    if not 0 <= eps <= 1:
        raise ValueError(f"eps is {eps}; expected a share from 0 to 1.")
    if not -1 <= overlap <= 1:
        raise ValueError(f"overlap is {overlap}; expected a correlation from -1 to 1.")
    if actions < 3:
        raise ValueError(f"actions is {actions}; expected 3 or more.")
    reward = _centred(draw(seed, "bandit/reward").normal(0.0, REWARD_SD, (actions, FEATURES)))
    curve = _centred(draw(seed, "bandit/curve").normal(0.0, 1.0, actions))
    other = _centred(draw(seed, "bandit/logging").normal(0.0, 1.0, (actions, FEATURES)))
    other[:, 0] -= (other[:, 0] @ curve) / (curve @ curve) * curve
    other -= (other * reward).sum() / (reward**2).sum() * reward  # so that the correlation is `overlap` and not by chance another
    score = overlap * _unit(reward) + np.sqrt(1 - overlap**2) * _unit(other)
    return BanditPolicies(reward, nonlinearity * curve, score, eps, logging_strength, target_strength)


LogBlock = tuple[Floats, Ints, Floats, Floats, Floats, Floats, Floats]


def log_blocks(policies: BanditPolicies, rng: np.random.Generator, n: int) -> Iterator[LogBlock]:
    """A log of `n` impressions in blocks: context, action, reward, propensity, target, q (b, A), target policy (b, A)."""
    for rows in blocks(n, BLOCK):
        size = rows.stop - rows.start
        x, at = rng.standard_normal((size, FEATURES)), np.arange(size)
        q, logged, wanted = policies.at(x)
        cumulated = np.cumsum(logged, axis=1)
        action = (cumulated < rng.random((size, 1)) * cumulated[:, -1:]).sum(axis=1)
        reward = (rng.random(size) < q[at, action]).astype(np.float64)
        yield x, action, reward, logged[at, action], wanted[at, action], q, wanted


def values(policies: BanditPolicies, seed: int) -> tuple[float, float]:
    """Click rate of the target and of the logging policy, over 50,000 contexts and their mirror images."""
    half = draw(seed, "bandit/contexts").standard_normal((VALUE_CONTEXTS // 2, FEATURES))
    totals = np.zeros(2)
    for rows in blocks(len(half), BLOCK):
        for x in (half[rows], -half[rows]):
            q, logged, wanted = policies.at(x)
            totals += [np.vdot(wanted, q), np.vdot(logged, q)]
    of_target, of_logging = (totals / VALUE_CONTEXTS).tolist()
    return of_target, of_logging


def _softmax(score: Floats) -> Floats:
    score -= score.max(axis=1, keepdims=True)  # in place: callers pass what they have just made
    np.exp(score, out=score)
    score /= score.sum(axis=1, keepdims=True)
    return score


def _centred(weights: Floats) -> Floats:
    made: Floats = weights - weights.mean(axis=0)
    return made


def _unit(weights: Floats) -> Floats:
    made: Floats = weights / np.sqrt((weights**2).mean())
    return made
