"""Scores of predictions: fixtures by hand, propriety by simulation, limits of the scales."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.errors import InvalidInput
from simulators.scoring import interval_score, on_scale, scale_of, width_factor, width_words


def test_by_hand() -> None:
    assert interval_score(1, 3, 2) == 2
    assert interval_score(1, 3, 4) == pytest.approx(2 + 10 * 1, abs=1e-12)
    assert interval_score(1, 3, 0.5) == pytest.approx(2 + 10 * 0.5, abs=1e-12)
    assert interval_score(10, 1000, 10_000, scale="log") == pytest.approx(2 + 10, abs=1e-12)
    odds = np.log10(0.9 / 0.1)
    assert interval_score(0.1, 0.9, 0.5, scale="logit") == pytest.approx(2 * odds, abs=1e-12)
    assert interval_score(5, 5, 5) == 0


def test_shares_are_cut_and_logarithms_need_what_is_positive() -> None:
    assert [on_scale(0.0, "logit"), -on_scale(1.0, "logit")] == pytest.approx([np.log10(1e-4 / (1 - 1e-4))] * 2)
    with pytest.raises(InvalidInput, match="above 0"):
        interval_score(0, 1, 1, scale="log")
    with pytest.raises(InvalidInput, match="lower end"):
        interval_score(2, 1, 1)


@pytest.mark.parametrize("scale", ["linear", "log", "logit"])
def test_honest_quantiles_have_the_smallest_mean(scale: str) -> None:
    """The truth is normal on the scale: 10/90 beats 5/95 and 20/80."""
    rng, sd = np.random.default_rng(3), 0.3
    truths = rng.normal(0, sd, 20_000)

    def back(x: float) -> float:
        return {"linear": x, "log": 10**x, "logit": 10**x / (1 + 10**x)}[scale]

    def mean(z: float) -> float:
        low, high = back(-z * sd), back(z * sd)
        return float(np.mean([interval_score(low, high, back(x), scale=scale) for x in truths]))  # type: ignore[arg-type]

    honest = mean(1.2816)
    assert honest < mean(1.6449) - 0.02 and honest < mean(0.8416) - 0.05
    assert honest == pytest.approx(1.05, abs=0.02)


def test_widths_in_words() -> None:
    factor = width_factor(10, 21, "log")
    assert factor == pytest.approx(2.1) and width_words(factor or 0) == "fair"
    assert [width_words(value) for value in (1.4, 2.0, 4.0, 4.1)] == ["sharp", "good", "fair", "wide"]
    assert width_factor(1, 2, "linear") is None


def test_scales_by_unit() -> None:
    assert [scale_of(unit) for unit in ("share", "ms", "GB", "%", "pp", "points", "")] == [
        "logit",
        "log",
        "log",
        "linear",
        "linear",
        "linear",
        "linear",
    ]
