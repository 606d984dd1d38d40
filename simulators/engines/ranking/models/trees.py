"""Gradient-boosted trees on the same log (LightGBM, Ke 2017)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.step import Step
from simulators.engines.ranking.worlds.draws import draw

ENCODED_ABOVE = 50  # ids a field from which they are replaced by their rate
FOLDS, PRIOR_ROWS, TREES, LEAVES = 5, 20.0, 100, 31
BINNED_ROWS = 50_000  # looked at for the edges of the bins
SCORED_ROWS = 4096


@dataclass(frozen=True)
class TreeScorer:
    encoded: tuple[int, ...]  # fields replaced by rates
    rates: tuple[tuple[Floats, ...], ...]  # a head, a field: rate of every id
    candidate_field: int | None  # with a history: the field it is matched with
    boosters: tuple[Any, ...]  # a head

    @property
    def table_params(self) -> int:
        return 0

    @property
    def macs_per_row(self) -> int:
        """Comparisons: trees times the depth of a balanced one."""
        return int(sum(booster.num_trees() for booster in self.boosters) * np.log2(LEAVES))

    def predict_steps(self, data: CtrData) -> Generator[Step, None, Floats]:
        scores = np.empty((len(data), len(self.boosters)))
        for start in range(0, len(data), SCORED_ROWS):
            rows = np.arange(start, min(start + SCORED_ROWS, len(data)))
            for head, booster in enumerate(self.boosters):
                rates = [of[data.fields[rows, field]] for field, of in zip(self.encoded, self.rates[head], strict=True)]
                scores[rows, head] = booster.predict(_features(data, rows, self.encoded, rates, self.candidate_field), num_threads=1)
            yield Step(int(rows[-1]) + 1, len(data), "scoring")
        return scores


def iter_trees(
    data: CtrData, y: Floats, rows: NDArray[np.int64], candidate_field: int | None, epochs: int, seed: int
) -> Generator[Step, None, TreeScorer]:
    """Trees on labels (N, T), a booster a head."""
    encoded = tuple(field for field, card in enumerate(data.cards) if card > ENCODED_ABOVE)
    all_rates, boosters = [], []
    for head in range(y.shape[1]):
        labelled = rows[~np.isnan(y[rows, head])]
        label = y[labelled, head]
        folds = draw(seed, f"ctr/folds/{head}").integers(0, FOLDS, len(labelled))
        rates, columns = [], []
        for field in encoded:
            ids = data.fields[labelled, field]
            rates.append(_rates(ids, label, data.cards[field]))
            columns.append(_out_of_fold(ids, label, data.cards[field], folds))
            yield Step(0, TREES, "encoding ids by their rates")
        features = _features(data, labelled, encoded, columns, candidate_field)
        booster = yield from _boosted(features, label, len(data.cards) - len(encoded), epochs * TREES, seed)
        all_rates.append(tuple(rates))
        boosters.append(booster)
    return TreeScorer(encoded, tuple(all_rates), candidate_field, tuple(boosters))


def _boosted(features: Floats, label: Floats, categories: int, trees: int, seed: int) -> Generator[Step, None, Any]:
    settings = {"objective": "binary", "num_leaves": LEAVES, "num_threads": 1, "seed": seed, "deterministic": True, "verbosity": -1}
    settings |= {"bin_construct_sample_cnt": BINNED_ROWS}
    rows = lightgbm.Dataset(features, label, categorical_feature=list(range(categories)), params=settings)
    booster = lightgbm.Booster(settings, rows)
    for tree in range(trees):
        booster.update()
        yield Step(tree + 1, trees, "growing trees")
    return booster


def _features(data: CtrData, rows: NDArray[np.int64], encoded: tuple[int, ...], rates: list[Floats], candidate: int | None) -> Floats:
    """Small fields, rates of the large ones, numbers, and how much of the history equals the candidate."""
    small = [data.fields[rows, field] for field in range(len(data.cards)) if field not in encoded]
    match = [] if candidate is None or data.history is None else [(data.history[rows] == data.fields[rows, candidate, None]).mean(axis=1)]
    return np.column_stack([*small, *rates, data.dense[rows], *match]).astype(np.float64)


def _rates(ids: NDArray[np.int64], label: Floats, card: int) -> Floats:
    """Share of positives an id, drawn towards the mean as if by `PRIOR_ROWS` more rows."""
    mean = label.mean() if len(label) else 0.0
    return np.asarray((np.bincount(ids, label, card) + PRIOR_ROWS * mean) / (np.bincount(ids, minlength=card) + PRIOR_ROWS))


def _out_of_fold(ids: NDArray[np.int64], label: Floats, card: int, folds: NDArray[np.int64]) -> Floats:
    """Each row's rate from the other folds: with its own label in it, the rate would tell the label."""
    found = np.empty(len(ids))
    for fold in range(FOLDS):
        inside = folds == fold
        found[inside] = _rates(ids[~inside], label[~inside], card)[ids[inside]]
    return found
