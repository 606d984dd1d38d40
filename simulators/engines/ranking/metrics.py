"""Quality of scores and of probabilities. Ties are averaged over: no figure depends on the order of the rows or of equal scores."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, rel_entr, xlogy

from simulators.engines.ranking.arguments import Floats, Ints, binary, finite, one_of, probabilities, same_length

EPS = float(np.finfo(np.float64).eps)


class Mass(NamedTuple):
    """`mass`: expected recall of the next choice; `of_oracle`: its share of what the best k would have."""

    mass: float
    of_oracle: float


def auc(y: ArrayLike, score: ArrayLike) -> float:
    """P(a positive scores above a negative), equal scores counting one half. NaN without both classes."""
    y, score = binary("y", y, ndim=1), finite("score", score, ndim=1)
    rows = same_length(y=y, score=score)
    value, _ = _auc_by_group(y, score, np.zeros(rows, np.int64))
    return float(value[0]) if rows else float("nan")


def expected_auc(p_true: ArrayLike, score: ArrayLike) -> float:
    """`auc` without the noise of labels: row i is a positive with probability p_true[i]. NaN where all are certain and alike."""
    p_true, score = probabilities("p_true", p_true, ndim=1), finite("score", score, ndim=1)
    same_length(p_true=p_true, score=score)
    rank = np.unique(score, return_inverse=True)[1]
    positive, negative = np.bincount(rank, p_true), np.bincount(rank, 1 - p_true)
    below = np.cumsum(negative) - negative
    alone = float((p_true * (1 - p_true)).sum())  # a row is no pair with itself
    pairs = float(p_true.sum() * (1 - p_true).sum()) - alone
    won = float((positive * (below + negative / 2)).sum()) - alone / 2
    return won / pairs if pairs > 0 else float("nan")


def gauc(y: ArrayLike, score: ArrayLike, group: ArrayLike) -> float:
    """AUC within each group, averaged by impressions over the groups with both classes (Zhou 2018). NaN without such a group.

    `group` (N,) may be numbers or text.
    """
    y, score = binary("y", y, ndim=1), finite("score", score, ndim=1)
    same_length(y=y, score=score, group=np.asarray(group))
    _, codes = np.unique(np.asarray(group), return_inverse=True)
    value, impressions = _auc_by_group(y, score, codes.astype(np.int64))
    mixed = np.isfinite(value)
    return float(np.average(value[mixed], weights=impressions[mixed])) if mixed.any() else float("nan")


def _auc_by_group(y: Floats, score: Floats, group: Ints) -> tuple[Floats, Floats]:
    """AUC (NaN for one class) and rows of groups 0, 1, ..., by the rank sum of the positives (Mann and Whitney 1947)."""
    order = np.lexsort((score, group))
    y, score, group = y[order], score[order], group[order]
    rows = np.bincount(group).astype(np.float64)
    rank = _average_ranks(group, score) - (np.cumsum(rows) - rows)[group]
    positives = np.bincount(group, y)
    pairs = positives * (rows - positives)
    won = np.bincount(group, y * rank) - positives * (positives + 1) / 2
    return np.divide(won, pairs, out=np.full(len(rows), np.nan), where=pairs > 0), rows


def _average_ranks(group: Ints, score: Floats) -> Floats:
    """Ranks from 1 of rows sorted by group and score; equal rows share the mean of theirs."""
    first = np.ones(len(score), bool)
    first[1:] = (np.diff(group) != 0) | (np.diff(score) != 0)
    tie = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(score))
    ranks: Floats = ((starts + ends + 1) / 2)[tie]
    return ranks


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean cross entropy in nats; `y` (N,) may be a label or a probability. `p` is kept 2e-16 away from 0 and 1."""
    y, p = _two_probabilities("y", y, p)
    return float(-(xlogy(y, p) + xlogy(1 - y, 1 - p)).mean())


def excess_log_loss(p_true: ArrayLike, p: ArrayLike) -> float:
    """Mean KL(p_true || p) in nats: what `p` loses against the known probability, without the noise of labels."""
    p_true, p = _two_probabilities("p_true", p_true, p)
    return float((rel_entr(p_true, p) + rel_entr(1 - p_true, 1 - p)).mean())


def normalized_entropy(y: ArrayLike, p: ArrayLike) -> float:
    """Log loss over that of the constant mean of `y` (He 2014): below 1 the model knows something. NaN if `y` does not vary."""
    loss, mean = log_loss(y, p), float(np.mean(np.asarray(y)))
    constant = float(entr(mean) + entr(1 - mean))
    return loss / constant if constant > 0 else float("nan")


def calibration_ratio(y: ArrayLike, p: ArrayLike) -> float:
    """Sum of predictions over sum of outcomes, 1 ideal. NaN without a positive."""
    y, p = probabilities("y", y, ndim=1), probabilities("p", p, ndim=1)
    same_length(y=y, p=p)
    positives = float(y.sum())
    return float(p.sum()) / positives if positives else float("nan")


def ece(y: ArrayLike, p: ArrayLike, bins: int = 15, strategy: Literal["quantile", "uniform"] = "quantile") -> float:
    """Expected calibration error: mean distance of prediction and rate over bins, weighted by rows (Naeini 2015).

    "quantile" cuts at the quantiles of `p` (equal mass; equal predictions share a bin), "uniform" cuts [0, 1] evenly.
    """
    y, p = probabilities("y", y, ndim=1), probabilities("p", p, ndim=1)
    rows = same_length(y=y, p=p)
    one_of("strategy", strategy, ("quantile", "uniform"))
    if bins < 1 or not rows:
        raise ValueError(f"bins is {bins} for {rows} rows; expected 1 or more of both.")
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    chosen = np.searchsorted(np.quantile(p, inner) if strategy == "quantile" else inner, p)
    return float(np.abs(np.bincount(chosen, p - y)).sum() / rows)


def ndcg_at_k(relevance: ArrayLike, score: ArrayLike, k: int, gain: Literal["linear", "exp2"] = "linear") -> float:
    """Mean NDCG over rows, (N, I) each; gain is the relevance or 2^relevance - 1 (Jarvelin 2002, Burges 2005).

    Equal scores share their mean gain; a row without relevance counts 0, as in scikit-learn.
    """
    relevance, score = _two_tables("relevance", relevance, score, k)
    one_of("gain", gain, ("linear", "exp2"))
    if (relevance < 0).any():
        raise ValueError(f"relevance holds {relevance.min():g}; expected 0 or more.")
    gains = relevance if gain == "linear" else np.exp2(relevance) - 1
    discount = 1 / np.log2(np.arange(2, min(k, gains.shape[1]) + 2))
    reached = _tie_averaged(gains, score)[:, :k] @ discount
    best = -np.sort(-gains, axis=1)[:, :k] @ discount
    return float(np.divide(reached, best, out=np.zeros(len(gains)), where=best > 0).mean())


def recall_at_k(relevant: ArrayLike, score: ArrayLike, k: int) -> float:
    """Share of a row's relevant items among its k best scores, (N, I) each; mean over the rows that have a relevant item.

    Equal scores at the edge count by the share of them that fits. NaN without a relevant item.
    """
    relevant, score = _two_tables("relevant", binary("relevant", relevant), score, k)
    total = relevant.sum(axis=1)
    some = total > 0
    if not some.any():
        return float("nan")
    found = _tie_averaged(relevant, score)[:, :k].sum(axis=1)
    return float((found[some] / total[some]).mean())


def mass_at_k(p_true: ArrayLike, ids: ArrayLike) -> Mass:
    """Mean over users of the probability that the next choice is among `ids` (U, k), by `p_true` (U, I).

    -1 is an empty slot; an item named twice counts once.
    """
    p_true, chosen = probabilities("p_true", p_true, ndim=2), np.asarray(ids)
    same_length(p_true=p_true, ids=chosen)
    items = p_true.shape[1]
    if chosen.ndim != 2 or chosen.dtype.kind not in "iu" or (chosen.size and (chosen.min() < -1 or chosen.max() >= items)):
        raise ValueError(f"ids has shape {chosen.shape} and type {chosen.dtype}; expected whole numbers (U, k) from -1 to {items - 1}.")
    k = min(chosen.shape[1], items)
    best = np.partition(p_true, items - k, axis=1)[:, items - k :].sum(axis=1).mean() if k else 0.0
    mass = float(_taken(p_true, chosen).sum(axis=1).mean())
    return Mass(mass, mass / float(best) if best > 0 else float("nan"))


def _taken(p_true: Floats, ids: NDArray[np.integer]) -> Floats:
    """Probabilities of the ids of each row, 0 for empty slots and repeats."""
    ids = np.sort(ids, axis=1)
    counts = ids >= 0
    counts[:, 1:] &= np.diff(ids, axis=1) != 0
    return np.where(counts, np.take_along_axis(p_true, np.maximum(ids, 0), axis=1), 0.0)


def _tie_averaged(values: Floats, score: Floats) -> Floats:
    """Values of each row by falling score; equal scores share their mean value."""
    order = np.argsort(-score, axis=1)
    score, values = np.take_along_axis(score, order, axis=1), np.take_along_axis(values, order, axis=1)
    first = np.ones(score.shape, bool)
    first[:, 1:] = np.diff(score, axis=1) != 0
    tie = np.cumsum(first.ravel()) - 1
    means = np.bincount(tie, values.ravel()) / np.bincount(tie)
    averaged: Floats = means[tie].reshape(values.shape)
    return averaged


def _two_probabilities(name: str, y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    y, p = probabilities(name, y, ndim=1), probabilities("p", p, ndim=1)
    if not same_length(**{name: y, "p": p}):
        raise ValueError(f"{name} has no rows; expected at least 1.")
    return y, np.clip(p, EPS, 1 - EPS)


def _two_tables(name: str, values: ArrayLike, score: ArrayLike, k: int) -> tuple[Floats, Floats]:
    values, score = finite(name, values, ndim=2), finite("score", score, ndim=2)
    if values.shape != score.shape or not values.size:
        raise ValueError(f"{name} has shape {values.shape} and score {score.shape}; expected one shape (N, I) with rows and items.")
    if k < 1:
        raise ValueError(f"k is {k}; expected 1 or more.")
    return values, score
