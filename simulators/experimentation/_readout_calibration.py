"""A/A calibration: the same unmoved users are dealt to two arms again and again, and each deal is read by the chosen analysis.

Nothing is different between the arms, so p-values must be uniform. All sums of one deal are a product of its 0/1 vector with the users'
columns and their products, so a batch of deals is one matrix product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from simulators.engines.experiment.stats import Moments
from simulators.engines.experiment.worlds import ClicksWorld, Columns, RevenueWorld
from simulators.experimentation._readout_analysis import Plan, Question, read_arm
from simulators.figures import Axis, Series, histogram_figure, with_line
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Working

Floats = NDArray[np.float64]
POOL, BATCH, BINS = 16_384, 16, 20


class Calibration(NamedTuple):
    p_values: Floats
    false_positives: float  # share below alpha
    uniformity_p: float  # Kolmogorov-Smirnov against the uniform distribution


def calibrate(
    world: RevenueWorld | ClicksWorld,
    caps: dict[str, dict[str, float]],
    plan: Plan,
    question: Question,
    runs: int,
    users: int,
    ctx: Context,
) -> Working[Calibration]:
    """p-values of `runs` A/A tests on up to 16,384 users; a frame every few batches."""
    people = world.people(min(users, POOL), lambda purpose: ctx.rng(f"aa/{purpose}"), caps)
    columns = _needed(people, plan)
    stack = np.stack([np.asarray(column, dtype=float) for column in columns.values()])
    shift = stack.mean(axis=1, keepdims=True)
    stack -= shift
    products = np.concatenate([stack, np.einsum("in,jn->ijn", stack, stack).reshape(-1, stack.shape[1])]).T
    total, rng, found = products.sum(axis=0), ctx.rng("aa/deals"), list[float]()
    while len(found) < runs:
        deals = rng.integers(0, 2, (min(BATCH, runs - len(found)), stack.shape[1]), dtype=np.int8)
        for treated, sums in zip(deals.sum(axis=1), deals.astype(float) @ products, strict=True):
            arms = [_moments(columns, n, s, shift[:, 0]) for n, s in ((stack.shape[1] - treated, total - sums), (treated, sums))]
            p_value = read_arm(plan, question, "aa", *arms).headline.p_value
            found.append(1.0 if p_value is None else p_value)
        if len(found) % (8 * BATCH) == 0:
            yield Frame(figures=[figure(_judged(found, question.alpha), question.alpha)])
        else:
            yield Progress(len(found), runs, "A/A tests")
    return _judged(found, question.alpha)


def _needed(people: Columns, plan: Plan) -> Columns:
    routes = plan.routes.values()
    names = {plan.metric, plan.denominator, *(r.denominator_covariate for r in routes), *(c for r in routes for c in r.covariates)}
    return {name: people[name] for name in people if name in names}


def _moments(columns: Columns, n: int, sums: Floats, shift: Floats) -> Moments:
    k = len(columns)
    return Moments(tuple(columns), int(n), sums[:k], sums[k:].reshape(k, k), shift=shift)


def _judged(p_values: list[float], alpha: float) -> Calibration:
    ordered = np.sort(np.asarray(p_values))
    n = len(ordered)
    steps = np.arange(n + 1) / n
    distance = max(float((steps[1:] - ordered).max()), float((ordered - steps[:-1]).max()))
    return Calibration(ordered, float((ordered < alpha).mean()), float(kolmogorov(np.sqrt(n) * distance)))


def metrics(found: Calibration, alpha: float) -> list[Metric]:
    half = 1.96 * float(np.sqrt(found.false_positives * (1 - found.false_positives) / len(found.p_values)))
    ci = (max(0.0, found.false_positives - half), min(1.0, found.false_positives + half))
    return [
        Metric("aa_fpr", "A/A tests called significant", found.false_positives, "share", ci=ci, limit=alpha, limit_label="alpha"),
        Metric("aa_uniformity", "Uniformity of A/A p-values", found.uniformity_p, "probability", better="up", note="Kolmogorov-Smirnov"),
    ]


def figure(found: Calibration, alpha: float) -> Figure:
    counts, edges = np.histogram(found.p_values, bins=BINS, range=(0, 1))
    n = len(found.p_values)
    shape = "uniform" if found.uniformity_p >= 0.01 else "not uniform"
    title = f"{found.false_positives:.1%} of {n:,} A/A tests fall below alpha; their p-values are {shape}"
    summary = (
        f"Histogram of {n:,} p-values in {BINS} bins, {counts.min()} to {counts.max()} a bin; uniformity p = {found.uniformity_p:.2g}."
    )
    made = histogram_figure(
        "aa",
        title,
        summary,
        edges.tolist(),
        [Series("A/A tests", [], counts.tolist())],
        Axis("p-value", "probability"),
        Axis("A/A tests", "tests"),
    )
    return with_line(made, label="uniform", y=n / BINS)


def insights(found: Calibration, alpha: float) -> list[Insight]:
    n, wanted = len(found.p_values), f"{alpha:.1%} were promised"
    if found.uniformity_p < 0.01:
        text = f"{found.false_positives:.1%} of {n:,} A/A tests are significant where {wanted}: this analysis does not know its own noise."
        return [Insight(text, "evaluation", "aa_broken")]
    text = (
        f"{found.false_positives:.1%} of {n:,} A/A tests are significant where {wanted}, and p-values are uniform: the analysis is honest."
    )
    return [Insight(text, "evaluation", "aa_honest")]
