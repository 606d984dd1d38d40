"""The click model, trained on what a join produced and read twice: on the joined test rows, and on what was served for them."""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.feature_store._pit_scores import Bins, Estimate, Placements, area, calibration, difference, placements, reliability
from simulators.lab import Progress, Working

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TREES, TREES_A_STEP, LEARNING_RATE, LEAVES = 30, 10, 0.2, 8
ROWS_A_STEP = 12_500  # predicted between two yields
MOST_TRAIN_ROWS, MOST_TEST_ROWS = 50_000, 100_000  # more would hardly move the scores


class Part(NamedTuple):
    """Rows (n,) to train or to test on: the joined count, what was served, quality of the ad, clicks."""

    joined: Floats
    served: Floats
    quality: Floats
    clicked: Flags


class Scores(NamedTuple):
    """What one join came to. Gap: offline minus online over the same rows. Calibration: predicted over actual clicks."""

    offline: Estimate
    online: Estimate
    gap: Estimate
    offline_calibration: float
    calibration: float
    offline_placements: Placements
    online_placements: Placements
    bins: Bins
    train_rows: int
    test_rows: int


def load(kind: str) -> None:
    """Imports what `kind` needs, so that no step of a run pays for it."""
    import sklearn.linear_model

    if kind == "boosting":
        import sklearn.ensemble  # noqa: F401


def scores_steps(kind: str, train: Part, test: Part) -> Working[Scores]:
    """Trains on `train` and scores `test` as joined and as served."""
    model = yield from _trained(kind, _features(train.joined, train.quality, kind), train.clicked)
    offline = yield from predicted(model, _features(test.joined, test.quality, kind))
    same = bool(np.array_equal(test.joined, test.served, equal_nan=True))
    online = offline if same else (yield from predicted(model, _features(test.served, test.quality, kind)))
    seen = placements(test.clicked, offline)
    yield Progress(1, 2, "ranking")
    lived = seen if same else placements(test.clicked, online)
    yield Progress(2, 2, "ranking")
    return Scores(
        area(seen),
        area(lived),
        difference(seen, lived),
        calibration(test.clicked, offline),
        calibration(test.clicked, online),
        seen,
        lived,
        reliability(test.clicked, online),
        len(train.clicked),
        len(test.clicked),
    )


def _features(count: Floats, quality: Floats, kind: str) -> Floats:
    """(n, 2). Trees take a missing count as it is; a regression gets the serving default, 0."""
    return np.column_stack([count if kind == "boosting" else np.nan_to_num(count), quality])


def _trained(kind: str, X: Floats, y: Flags) -> Generator[Progress, None, Any]:
    if kind == "logistic":
        from sklearn.linear_model import LogisticRegression

        with _one_thread():
            model = LogisticRegression().fit(X, y)
        yield Progress(1, 1, "training")
        return model
    return (yield from grown(X, y))


def grown(X: Floats, y: Flags) -> Generator[Progress, None, Any]:
    """Boosted trees, a few at a time: going on where it stopped gives the trees that one go would."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=LEARNING_RATE, max_leaf_nodes=LEAVES, early_stopping=False, warm_start=True, random_state=0
    )
    for trees in range(TREES_A_STEP, TREES + 1, TREES_A_STEP):
        model.set_params(max_iter=trees)
        with _one_thread():
            model.fit(X, y)
        yield Progress(trees, TREES, "growing trees")
    return model


def predicted(model: Any, X: Floats) -> Generator[Progress, None, Floats]:
    out = np.empty(len(X))
    for start in range(0, len(X), ROWS_A_STEP):
        with _one_thread():
            out[start : start + ROWS_A_STEP] = model.predict_proba(X[start : start + ROWS_A_STEP])[:, 1]
        yield Progress(start, len(X), "predicting")
    return out


def _one_thread() -> Any:
    """scikit-learn uses every core it is offered, which on shared machines costs more than it brings."""
    return _controller().limit(limits=1)


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
