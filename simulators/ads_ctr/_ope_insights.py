"""What a study shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.ads_ctr._ope_params import LABELS
from simulators.ads_ctr._ope_study import Study
from simulators.lab import Insight

FAR_FROM_ONE, FEW = 0.2, 0.05  # of the mean weight; of the effective sample
NOTABLE = 0.05  # a bias below is nothing to warn of
PROMISED = 0.95


def insights(study: Study) -> list[Insight]:
    return [*_log_mean(study), *_chosen(study), *_weights(study), *_clipped(study), *_direct(study), *_explore(study), *_uniform(study)]


def _log_mean(study: Study) -> Iterator[Insight]:
    runs = study.runs
    bias = runs.bias("log_mean")
    if abs(bias) > NOTABLE:
        yield Insight(
            f"The log's own mean is {runs.logging_value:.1%} clicks; the target policy would earn {runs.true_value:.1%}. A log "
            f"answers what its own policy earned, {bias:+.0%} from the question asked.",
            "deep_dive",
            "log_mean",
        )


def _chosen(study: Study) -> Iterator[Insight]:
    runs, name = study.runs, study.params.estimator
    covered = runs.coverage(name)
    honest = "as promised" if covered > 0.9 else f"where {PROMISED:.0%} was promised"
    yield Insight(
        f"{LABELS[name][0].upper()}{LABELS[name][1:]} is off by {runs.rmse(name):.0%} of the truth (bias {runs.bias(name):+.0%}, spread "
        f"{runs.sd(name):.0%}) on logs of {study.params.n:,} rows, and its interval holds the truth in {covered:.0%} of them, {honest}.",
        "evaluation",
        "estimate",
    )


def _weights(study: Study) -> Iterator[Insight]:
    runs = study.runs
    middle = float(np.median([each.mean_weight for each in runs.weights]))
    ess = runs.mean(lambda each: each.ess_fraction)
    if abs(middle - 1) > FAR_FROM_ONE or ess < FEW:
        yield Insight(
            f"Check the weights before any estimate: their mean is {middle:.2f} in the median log and must be 1, and {ess:.1%} of the rows "
            "do the work of all. Rows that the old policy almost never showed carry the answer, and most logs miss them.",
            "evaluation",
            "weights",
        )
    if study.holes > NOTABLE:
        yield Insight(
            f"{study.holes:.0%} of what the target would show has less than one row expected in the log: no estimator sees that part.",
            "deep_dive",
            "holes",
        )


def _clipped(study: Study) -> Iterator[Insight]:
    runs = study.runs
    bias, covered = runs.bias("clipped"), runs.coverage("clipped")
    if bias < -2 * NOTABLE and covered < 0.5:
        yield Insight(
            f"Clipping weights at {study.params.clip:g} makes the estimate steady ({runs.sd('clipped'):.0%} spread against "
            f"{runs.sd('ips'):.0%}) and wrong by {bias:+.0%}: its tight interval holds the truth in {covered:.0%} of the logs.",
            "deep_dive",
            "clipped",
        )


def _direct(study: Study) -> Iterator[Insight]:
    runs = study.runs
    bias = runs.bias("dm")
    if abs(bias) > NOTABLE:
        yield Insight(
            f"The direct method uses no weights and misses by {bias:+.0%}: its ridge regressions saw what the old policy liked"
            + (f" and cannot bend with a sine of {study.params.nonlinearity:g} log-odds" if study.params.nonlinearity else "")
            + f". Doubly robust corrects it to {runs.bias('dr'):+.0%}.",
            "deep_dive",
            "direct",
        )


def _explore(study: Study) -> Iterator[Insight]:
    if not study.sweep:
        return
    none, little, tenth = (study.sweep[eps] for eps in (0.0, 0.02, 0.1))
    yield Insight(
        f"On {study.sweep_rows:,} rows four of five doubly robust estimates are within {none.usual('dr'):.0%} of the truth without "
        f"exploration, {little.usual('dr'):.0%} with 2% random, {tenth.usual('dr'):.0%} with 10%, and intervals hold the truth in "
        f"{none.coverage('dr'):.0%}, {little.coverage('dr'):.0%} and {tenth.coverage('dr'):.0%} of the logs. The price is "
        f"{study.sweep_cost(0.02):.1%} and {study.sweep_cost(0.1):.1%} of the clicks.",
        "deep_dive",
        "explore",
    )


def _uniform(study: Study) -> Iterator[Insight]:
    if study.params.eps >= 0.5 and study.clicks_lost > NOTABLE:
        yield Insight(
            f"A log that is {study.params.eps:.0%} random is the easiest to read and gives up {study.clicks_lost:.0%} of the clicks.",
            "deep_dive",
            "price",
        )
