"""The worlds of clicks: what is drawn from what, and that the models rank as their forms say they must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulators.engines.ranking import metrics
from simulators.engines.ranking.data import CtrData
from simulators.engines.ranking.models import fit_ctr
from simulators.engines.ranking.worlds import ctr_world
from simulators.engines.ranking.worlds.ctr import AD, CATEGORY, HISTORY, SEGMENT, USER

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("truth", ("inner_product", "crosses", "wide"))
def test_labels_are_draws_of_the_known_probability(seed: int, truth: Any) -> None:
    world = ctr_world(seed, rows=40_000, test_rows=10_000, truth=truth)
    for data, rows in ((world.train, 40_000), (world.test, 10_000)):
        assert len(data) == rows and data.p is not None
        assert data.y.mean() == pytest.approx(data.p.mean(), abs=4 * np.sqrt(0.1 / rows))
        assert metrics.ece(data.y, data.p) < 0.012
    assert world.train.time is not None and world.test.time is not None and world.train.time.max() < world.test.time.min()
    assert world.test.p is not None and 0.75 < metrics.auc(world.test.y, world.test.p) < 0.92
    again = ctr_world(seed, rows=40_000, test_rows=10_000, truth=truth)
    np.testing.assert_array_equal(world.test.fields, again.test.fields)
    np.testing.assert_array_equal(world.train.y, again.train.y)


@pytest.mark.parametrize("seed", SEEDS)
def test_rarity_moves_no_other_draw(seed: int) -> None:
    common, rare = (ctr_world(seed, rows=20_000, test_rows=2000, base_logit=base) for base in (-3.6, -7.5))
    for name in ("fields", "dense", "history"):
        np.testing.assert_array_equal(getattr(common.train, name), getattr(rare.train, name))
    assert 0.06 < common.train.y.mean() < 0.13 and 0.002 < rare.train.y.mean() < 0.009
    assert np.all((common.train.y == 1) | (rare.train.y == 0))  # the same uniform a row decides both


@pytest.mark.parametrize("seed", SEEDS)
def test_an_ad_has_one_category_a_user_one_segment_and_new_ads_start_late(seed: int) -> None:
    train = ctr_world(seed, rows=60_000, test_rows=1000).train
    for one, other in ((AD, CATEGORY), (USER, SEGMENT)):
        pairs = np.unique(train.fields[:, [one, other]], axis=0)
        assert len(pairs) == len(np.unique(pairs[:, 0]))
    first = np.full(1500, 1.0)
    np.minimum.at(first, train.fields[:, AD], train.time)  # type: ignore[arg-type]
    often = np.bincount(train.fields[:, AD], minlength=1500) >= 60
    late = first[often] > 0.1  # a running ad of 60 impressions would have been seen by then
    assert 0.04 < late.mean() < 0.25
    assert 0.01 < (first[often] > 0.4).mean() < late.mean()
    assert train.history is not None and train.history.shape == (60_000, HISTORY)
    favourite = [np.bincount(train.history[train.fields[:, USER] == user].ravel(), minlength=20) for user in range(40)]
    shares = np.array([np.sort(counts)[-3:].sum() / counts.sum() for counts in favourite if counts.sum() >= 80])
    assert shares.mean() == pytest.approx(0.65 + 0.35 * 3 / 20, abs=0.06)


def closed(test: CtrData, p: Any, base: float) -> float:
    """Share of the gap between the constant and the truth that a prediction closes."""
    assert test.p is not None
    return 1 - metrics.excess_log_loss(test.p, p) / metrics.excess_log_loss(test.p, np.full(len(test), base))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_beat_sums_and_histories_beat_none(seed: int) -> None:
    world = ctr_world(seed)
    options: dict[str, dict[str, Any]] = {
        "lr": {"kind": "lr"},
        "lightgbm": {"kind": "lightgbm"},
        "fm": {"kind": "fm"},
        "mean": {"kind": "dlrm", "history": "mean"},
        "din": {"kind": "dlrm", "history": "din"},
    }
    found = {
        name: closed(world.test, fit_ctr(world.train, **given).predict(world.test), world.train.y.mean()) for name, given in options.items()
    }
    assert found["lr"] < 0.35 and found["lr"] + 0.05 < found["lightgbm"] < found["fm"] - 0.05
    assert found["din"] > found["fm"] + 0.08 and found["mean"] > found["fm"] + 0.05 and found["din"] > 0.55


def test_bad_knobs_are_named() -> None:
    for given, name in (({"truth": "magic"}, "truth"), ({"rows": 0}, "rows"), ({"test_rows": 0}, "rows"), ({"base_logit": np.nan}, "rows")):
        with pytest.raises(ValueError, match=f"^{name} "):
            ctr_world(0, **given)  # type: ignore[arg-type]
