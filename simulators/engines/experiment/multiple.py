"""Adjusted p-values: compare each with alpha, and the whole family keeps its error rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

Method = Literal["bonferroni", "holm", "bh"]


def adjust(p: ArrayLike, method: Method = "bonferroni") -> NDArray[np.float64]:
    """Adjusted p-values (m,) in the order given, at most 1; of several families (runs, m) each row is one.

    bonferroni  any false rejection has probability at most alpha: p times m
    holm        the same promise, never less powerful (Holm 1979)
    bh          false among the rejected are at most the share alpha on average, for independent or positively dependent tests
                (Benjamini & Hochberg 1995)

    No p-values give none. Raises InvalidInput for another method, or p-values outside 0 to 1.
    """
    try:
        values = np.asarray(p, dtype=float)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim not in (1, 2) or not ((values >= 0) & (values <= 1)).all():
        raise InvalidInput("p-values were given that are not numbers from 0 to 1 in a row a family.", field="p")
    if method not in ("bonferroni", "holm", "bh"):
        raise InvalidInput(f"method {method!r} was given; expected bonferroni, holm or bh.", field="method")
    m = values.shape[-1]
    if method == "bonferroni":
        return np.asarray(np.minimum(1.0, values * m))
    order = np.argsort(values, axis=-1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=-1)
    ranks = np.arange(1, m + 1)
    if method == "holm":
        ordered = np.maximum.accumulate(ascending * (m - ranks + 1), axis=-1)
    else:
        ordered = np.minimum.accumulate((ascending * m / ranks)[..., ::-1], axis=-1)[..., ::-1]
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, np.minimum(1.0, ordered), axis=-1)
    return adjusted
