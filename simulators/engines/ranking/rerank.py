"""From scores to a page: weights over heads, diversity, caps an author, and what a page is worth to someone who gets tired of likeness.

Maximal marginal relevance: Carbonell & Goldstein 1998. Determinantal point process: Chen, Zhang & Zhou 2018, "Fast greedy MAP inference
for determinantal point process to improve recommendation diversity". A page never holds more than there are candidates: functions that
take k return at most k places. Among equals the candidate with the smaller index goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.compiled import compiled
from simulators.engines.ranking import _picks
from simulators.engines.ranking.arguments import finite, ids, same_length

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

warm_up = _picks.warm_up


def weighted_score(heads: Mapping[str, ArrayLike], weights: Mapping[str, float]) -> Floats:
    """Sum over heads of weight x prediction (n,); a head without a weight counts nothing, a weight without a head is refused."""
    arrays = {name: finite(f"heads[{name!r}]", values, ndim=1) for name, values in heads.items()}
    if not arrays:
        raise ValueError("heads is empty; expected at least one head.")
    total = np.zeros(same_length(**arrays))
    for name, weight in weights.items():
        if name not in arrays:
            raise ValueError(f"weights names {name!r}; the heads are {', '.join(arrays)}.")
        total += float(finite(f"weights[{name!r}]", weight, ndim=0)) * arrays[name]
    return total


def ranked(scores: ArrayLike, k: int | None = None) -> Ints:
    """Candidates by falling score, (..., k): the whole order without k."""
    order = np.argsort(-finite("scores", scores), axis=-1, kind="stable")
    cut: Ints = order if k is None else order[..., : _places(k, order.shape[-1])]
    return cut


def mmr(scores: ArrayLike, emb: ArrayLike, k: int, lam: float) -> Ints:
    """Page (k,) by maximal marginal relevance; scores (n,), emb (n, d).

    Each place takes the largest lam x s - (1 - lam) x (largest cosine with what stands above); s are the scores min-max scaled over this
    page's candidates, so what lam means depends on who else is a candidate. The first place goes to the best score. lam in [0, 1].
    """
    return mmr_pages(*_one_page(scores, emb), k, lam).ravel()


def mmr_pages(scores: ArrayLike, emb: ArrayLike, k: int, lam: float) -> Ints:
    """`mmr` for many pages at once: scores (S, n), emb (S, n, d), pages (S, k)."""
    lam = _between("lam", lam, 0.0, 1.0)
    return _pick(_picks._closest, "scores", scores, emb, k, _min_max, lam)


def dpp_greedy(scores: ArrayLike, emb: ArrayLike, k: int, theta: float) -> Ints:
    """Page (k,) that greedily maximises log det of L = diag(q) S diag(q); scores (n,), emb (n, d).

    q = exp(alpha s) with alpha = theta / (2 (1 - theta)) and s the scores min-max scaled; S is the Gram matrix of the unit vectors plus
    1e-6 on its diagonal. theta in [0, 1): 0 is diversity alone, towards 1 score alone.
    """
    return dpp_pages(*_one_page(scores, emb), k, theta).ravel()


def dpp_pages(scores: ArrayLike, emb: ArrayLike, k: int, theta: float) -> Ints:
    """`dpp_greedy` for many pages at once: scores (S, n), emb (S, n, d), pages (S, k)."""
    theta = _between("theta", theta, 0.0, 1.0)
    if theta == 1.0:
        raise ValueError("theta is 1; expected less than 1, where the weight of the score is infinite.")
    alpha = theta / (2 * (1 - theta))
    return _pick(_picks._determinant, "scores", scores, emb, k, lambda s: alpha * _min_max(s))


# --- authors ------------------------------------------------------------------------------------------------------------------------


def author_place(scores: ArrayLike, authors: ArrayLike) -> Ints:
    """(n,) how many candidates of the same author stand before this one by score: 0 for an author's best."""
    values, names = finite("scores", scores, ndim=1), np.asarray(authors)
    if names.ndim != 1:
        raise ValueError(f"authors has {names.ndim} dimensions; expected 1.")
    same_length(scores=values, authors=names)
    code = np.unique(names, return_inverse=True)[1]
    order = np.lexsort((-values, code))  # stable: equal scores keep their order
    grouped = code[order]
    starts = np.flatnonzero(np.diff(grouped, prepend=-1))
    place = np.empty(len(values), np.int64)
    place[order] = np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
    return place


def author_decay(scores: ArrayLike, authors: ArrayLike, decay: float = 0.5, floor: float = 0.25) -> Floats:
    """Scores (n,) after each author's own crowding: the k-th best (from 0) is multiplied by floor + (1 - floor) x decay^k.

    A negative score is divided by it instead, so that decay never helps; where the factor is 0 it becomes -inf. decay, floor in [0, 1].
    """
    decay, floor = _between("decay", decay, 0.0, 1.0), _between("floor", floor, 0.0, 1.0)
    values = finite("scores", scores, ndim=1)
    factor = floor + (1 - floor) * decay ** author_place(values, authors).astype(float)
    with np.errstate(divide="ignore"):
        return np.where(values < 0, values / factor, values * factor)


def author_cap(scores: ArrayLike, authors: ArrayLike, k: int, cap: int) -> Ints:
    """The best k (k,) of which no author has more than `cap`; fewer where the cap leaves fewer."""
    if cap != int(cap) or cap < 1:
        raise ValueError(f"cap is {cap}; expected a whole number of 1 or more.")
    values = finite("scores", scores, ndim=1)
    order = ranked(values)
    allowed = order[author_place(values, authors)[order] < cap]
    return allowed[: _places(k, len(allowed))]


# --- satiation ----------------------------------------------------------------------------------------------------------------------


def satiation(emb: ArrayLike, gamma: float) -> Floats:
    """What is left (..., k) of each item's outcomes on pages of vectors emb (..., k, d), from the top of the page.

    exp(-gamma x sum over the items above of the squared cosine, where it is positive). gamma >= 0.
    """
    gamma = _between("gamma", gamma, 0.0, np.inf)
    unit = _unit(finite("emb", emb))
    likeness = np.maximum(unit @ np.swapaxes(unit, -1, -2), 0.0) ** 2
    left: Floats = np.exp(-gamma * np.tril(likeness, -1).sum(axis=-1))
    return left


def satiated_value(value: ArrayLike, emb: ArrayLike, order: ArrayLike, gamma: float) -> float:
    """Worth of the page `order` (k,) of candidates with values (n,) and vectors emb (n, d), for a viewer who satiates by gamma."""
    values, vectors = finite("value", value, ndim=1), finite("emb", emb, ndim=2)
    page = ids("order", order, below=same_length(value=values, emb=vectors), ndim=1)
    return float(values[page] @ satiation(vectors[page], gamma))


def satiated_pages(value: ArrayLike, emb: ArrayLike, k: int, gamma: float) -> Ints:
    """Pages (S, k) of one who knows satiation: each place takes the item worth most after those above; value (S, n), emb (S, n, d)."""
    gamma = _between("gamma", gamma, 0.0, np.inf)
    return _pick(_picks._satiated, "value", value, emb, k, np.asarray, gamma)


# --- shared -------------------------------------------------------------------------------------------------------------------------


def _pick(
    loop: Callable[..., None], name: str, values: ArrayLike, emb: ArrayLike, k: int, prepare: Callable[[Floats], Floats], *knobs: float
) -> Ints:
    checked, vectors = finite(name, values, ndim=2), finite("emb", emb, ndim=3)
    if vectors.shape[:2] != checked.shape:
        raise ValueError(f"emb has shape {vectors.shape}; expected {checked.shape} first, the shape of {name}.")
    order = np.empty((len(checked), _places(k, checked.shape[1])), np.int64)
    unit = np.ascontiguousarray(np.swapaxes(_unit(vectors), 1, 2))
    compiled(loop)(np.ascontiguousarray(prepare(checked)), unit, *knobs, order)
    return order


def _one_page(scores: ArrayLike, emb: ArrayLike) -> tuple[Floats, Floats]:
    values, vectors = finite("scores", scores, ndim=1), finite("emb", emb, ndim=2)
    same_length(scores=values, emb=vectors)
    return values[None], vectors[None]


def _min_max(scores: Floats) -> Floats:
    """Scaled to 0..1 over each page; 0 where all scores are equal."""
    if not scores.size:
        return scores
    low = scores.min(axis=-1, keepdims=True)
    spread = scores.max(axis=-1, keepdims=True) - low
    scaled: Floats = np.divide(scores - low, spread, out=np.zeros_like(scores), where=spread > 0)
    return scaled


def _unit(vectors: Floats) -> Floats:
    """Of length 1; a vector of zeros stays, and is like nothing."""
    length = np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    unit: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit


def _places(k: int, available: int) -> int:
    if k != int(k) or k < 0:
        raise ValueError(f"k is {k}; expected a whole number of 0 or more.")
    return min(int(k), available)


def _between(name: str, value: Any, low: float, high: float) -> float:
    number = float(value)
    if not low <= number <= high or not np.isfinite(number):
        raise ValueError(f"{name} is {number:g}; expected {low:g} or more" + (f" and at most {high:g}." if np.isfinite(high) else "."))
    return number
