"""Signs that towers have collapsed: vectors that point the same way, use few directions, or differ wildly in length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from simulators.engines.ranking.arguments import Floats, finite


class Health(NamedTuple):
    mean_cosine: float  # over pairs of different vectors; 1: all point the same way. NaN with fewer than two vectors above length 0
    effective_rank: float  # exp of the entropy of the singular values' shares (Roy & Vetterli 2007), 1 to d; 0 where all is 0
    norm_cv: float  # standard deviation of the lengths over their mean; NaN where all is 0


def tower_health(vectors: ArrayLike) -> Health:
    """Of vectors (n, d), not centred: a tower that gives everybody nearly the same vector has rank 1."""
    rows = finite("vectors", vectors, ndim=2)
    if not rows.size:
        raise ValueError(f"vectors has shape {rows.shape}; expected at least one vector.")
    lengths = np.linalg.norm(rows, axis=1)
    mean = lengths.mean()
    return Health(
        _mean_cosine(rows[lengths > 0], lengths[lengths > 0]), _effective_rank(rows), float(lengths.std() / mean) if mean else float("nan")
    )


def _mean_cosine(rows: Floats, lengths: Floats) -> float:
    """All pairs at once: the squared length of the sum of unit vectors counts every pair twice, and each vector with itself."""
    n = len(rows)
    total = (rows / lengths[:, None]).sum(axis=0)
    return float((total @ total - n) / (n * (n - 1))) if n > 1 else float("nan")


def _effective_rank(rows: Floats) -> float:
    """Singular values from the d x d products, which a million vectors fit in."""
    squares = np.linalg.eigvalsh(rows.T @ rows)
    singular = np.sqrt(np.maximum(squares, 0.0))
    share = singular[singular > 1e-7 * singular.max()] if singular.max() > 0 else singular[:0]
    if not len(share):
        return 0.0
    share = share / share.sum()
    return float(np.exp(-(share * np.log(share)).sum()))
