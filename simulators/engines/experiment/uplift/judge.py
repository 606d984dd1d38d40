"""How good is an estimated effect? On held-out rows of an experiment, and against the truth where it is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.experiment.stats import Comparison, Moments, compare
from simulators.engines.experiment.uplift.sample import Floats, flags_of
from simulators.errors import InvalidInput


def qini(effect: ArrayLike, treated: ArrayLike, y: ArrayLike) -> float:
    """Qini coefficient: area between the Qini curve and the straight line of random targeting, in units of y a treated person.

    Radcliffe (2007), "Using control groups to target on predicted lift". 0 for an effect that is the same for all; higher is better.
    Give it rows that no model has seen. See `qini_curve`.
    """
    share, gain = qini_curve(effect, treated, y)
    return float(np.trapezoid(gain, share) - gain[-1] / 2)


def qini_curve(effect: ArrayLike, treated: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """(share of people targeted, gain): rows in order of falling `effect`, with one point for all rows of the same effect.

    The gain of the first k rows is (Y_T - Y_C N_T / N_C) / n_T: outcome sums and counts by arm among the k, and n_T of all treated, so
    the curve ends at the average effect. Where the k hold no control row the gain is taken as 0. Starts at (0, 0).
    """
    score, arm, outcome = _checked(effect, treated, y)
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # the last row of each run of equal effects
    ones, values = arm[order], outcome[order]
    n_t, n_c = (np.cumsum(a)[last].astype(float) for a in (ones, ~ones))
    y_t, y_c = (np.cumsum(np.where(a, values, 0.0))[last] for a in (ones, ~ones))
    scaled = np.divide(y_c * n_t, n_c, out=y_t.copy(), where=n_c > 0)
    gain = (y_t - scaled) / arm.sum()
    return np.append(0.0, (last + 1) / len(score)), np.append(0.0, gain)


@dataclass(frozen=True)
class Group:
    """One of the sorted groups: what was predicted for it and what the experiment says."""

    share: tuple[float, float]  # of people, from the largest predicted effect: (0.0, 0.2) is the top fifth
    predicted: float
    observed: Comparison


def gates(effect: ArrayLike, treated: ArrayLike, y: ArrayLike, groups: int = 5, alpha: float = 0.05) -> list[Group]:
    """Sorted group average treatment effects, the largest predicted first.

    Chernozhukov, Demirer, Duflo & Fernández-Val (2018), arXiv 1712.04802. Each group's effect is the difference of its own arms, with an
    honest interval if no model has seen these rows. Raises InvalidInput where a group would lack rows.
    """
    score, arm, outcome = _checked(effect, treated, y)
    if not 1 <= groups <= len(score) // 4:
        raise InvalidInput(f"{groups} groups of {len(score)} rows were asked for; expected 1 or more with 4 rows each.", field="groups")
    parts = np.array_split(np.argsort(-score, kind="stable"), groups)
    shares = np.linspace(0.0, 1.0, groups + 1)
    return [
        Group((float(shares[i]), float(shares[i + 1])), float(score[rows].mean()), compare(*_arms(arm[rows], outcome[rows]), alpha=alpha))
        for i, rows in enumerate(parts)
    ]


def _arms(treated: NDArray[np.bool_], y: Floats) -> tuple[Moments, Moments]:
    return Moments.from_arrays({"y": y}, where=~treated), Moments.from_arrays({"y": y}, where=treated)


def pehe(effect: ArrayLike, truth: ArrayLike) -> float:
    """Root mean squared error of the effects themselves (Hill 2011): precision in estimating heterogeneous effects."""
    return float(np.sqrt(np.mean((np.asarray(effect, dtype=float) - np.asarray(truth, dtype=float)) ** 2)))


def policy_value(effect: ArrayLike, truth: ArrayLike, cap: float) -> float:
    """Gain a person when those with the largest positive `effect` are treated, at most the share `cap`, and `truth` is what they gain.

    Rows of the same effect share what is left of the cap evenly. `policy_value(truth, truth, cap)` is the most that can be had.
    """
    score, gain = np.asarray(effect, dtype=float), np.asarray(truth, dtype=float)
    if not 0 < cap <= 1:
        raise InvalidInput(f"cap {cap} was given; expected a share above 0 up to 1.", field="cap")
    values, group = np.unique(-score, return_inverse=True)
    counts, sums = np.bincount(group), np.bincount(group, weights=gain)
    room = cap * len(score) - (np.cumsum(counts) - counts)
    treated_share = np.clip(room / counts, 0.0, 1.0) * (values < 0)
    return float((sums * treated_share).sum() / len(score))


def _checked(effect: ArrayLike, treated: ArrayLike, y: ArrayLike) -> tuple[Floats, NDArray[np.bool_], Floats]:
    score, outcome, arm = np.asarray(effect, dtype=float), np.asarray(y, dtype=float), flags_of(treated)
    if score.ndim != 1 or score.shape != outcome.shape or score.shape != arm.shape:
        raise InvalidInput(f"effect, treated and y have shapes {score.shape}, {arm.shape} and {outcome.shape}; expected one value a row.")
    if not np.isfinite(score).all() or not np.isfinite(outcome).all():
        raise InvalidInput("effect and y must be finite in every row.")
    if arm.all() or not arm.any():
        raise InvalidInput("Treatment is constant in the rows given; an effect needs both arms.", field="treated")
    return score, arm, outcome
