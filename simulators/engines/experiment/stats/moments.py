"""Counts, means and centred cross products of one arm, gathered in one pass and merged without loss.

Sums of squares about zero lose every digit once the mean is large against the spread: at mean 1e9 and s.d. 1 the two terms of
sum(x^2) - sum(x)^2/n agree in all sixteen digits. So each block of rows is summed around a shift close to its own values, and blocks
are merged by the update of Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.experiment.stats.kernel import Floats, picked_sums
from simulators.errors import InvalidInput

Kind = Literal["mean", "proportion"]  # a proportion is a column of 0 and 1: its variance is p(1 - p)
BLOCK_ROWS = 262_144  # 2 MB a column: shorter blocks spend more on their bookkeeping, longer ones leave the cache
_VIEW_ROWS = 1_048_576  # of columns that need no copy: read once from memory whatever the block, so only the bookkeeping counts
_SHIFT_SAMPLE = 33  # the upper median of so many values is one of them, so a constant column is centred to exact zeros


@dataclass(frozen=True, init=False, eq=False)
class Moments:
    """Sums of k columns over the n units of one arm.

    `Moments(names, n, sums (k,), cross (k, k), kinds)` takes plain sums and sums of products; with `shift` (k,) they are taken as
    sums of x - shift. Kept are `mean` (k,) and `centred` (k, k), the sums of products about the means; `a + b` merges two arms' sums.
    Raises InvalidInput where shapes or names do not fit.
    """

    names: tuple[str, ...]
    n: int
    mean: Floats
    centred: Floats
    kinds: tuple[Kind, ...]

    def __init__(
        self,
        names: Sequence[str],
        n: int,
        sums: ArrayLike,
        cross: ArrayLike,
        kinds: Sequence[Kind] | None = None,
        *,
        shift: ArrayLike = 0.0,
    ) -> None:
        total, products = np.asarray(sums, dtype=float), np.asarray(cross, dtype=float)
        k = len(names)
        if total.shape != (k,) or products.shape != (k, k):
            given = f"sums of shape {total.shape} and cross products of shape {products.shape}"
            raise InvalidInput(f"{k} names were given with {given}; expected ({k},) and ({k}, {k}).")
        mean, centred = centred_sums(np.asarray(n), total, products, np.asarray(shift, dtype=float))
        self._set(tuple(names), int(n), mean, centred, _kinds(names, kinds))

    @classmethod
    def _of(cls, names: tuple[str, ...], n: int, mean: Floats, centred: Floats, kinds: tuple[Kind, ...]) -> Moments:
        made = cls.__new__(cls)
        made._set(names, n, mean, centred, kinds)
        return made

    def _set(self, names: tuple[str, ...], n: int, mean: Floats, centred: Floats, kinds: tuple[Kind, ...]) -> None:
        for field, value in (("names", names), ("n", n), ("mean", mean), ("centred", centred), ("kinds", kinds)):
            object.__setattr__(self, field, value)

    @classmethod
    def from_arrays(cls, columns: Mapping[str, ArrayLike], where: ArrayLike | None = None) -> Moments:
        """One pass over columns of n numbers each; `where` (n,), true or false, picks rows. Boolean columns are proportions.

        Raises InvalidInput for columns of unequal length, of text, or with a missing or infinite value among the picked rows.
        """
        arrays = number_columns(columns)
        mask = None if where is None else np.asarray(where, dtype=bool)
        if mask is not None:
            equal_lengths(arrays | {"where": mask})
        names, kinds = tuple(arrays), column_kinds(arrays)
        merged = empty(names, kinds)
        for rows in blocks(arrays):
            block = block_columns(arrays, rows)
            picked = np.ones(len(block[0]), dtype=bool) if mask is None else mask[rows]
            with np.errstate(invalid="ignore"):  # infinite values are refused below, by name
                shift = typical_values(block, picked)
                n, sums, cross = picked_sums(block, shift, picked)
                merged += cls(names, int(n), sums, cross, kinds, shift=shift)
        refuse_not_finite(merged)
        return merged

    def __add__(self, other: Moments) -> Moments:
        if self.names != other.names or self.kinds != other.kinds:
            raise InvalidInput(f"Moments of {', '.join(self.names)} cannot be merged with moments of {', '.join(other.names)}.")
        n, mean, centred = merge_centred(np.asarray(self.n), self.mean, self.centred, np.asarray(other.n), other.mean, other.centred)
        return Moments._of(self.names, int(n), mean, centred, self.kinds)

    @property
    def sums(self) -> Floats:
        """(k,) plain sums."""
        return self.n * self.mean

    @property
    def cross(self) -> Floats:
        """(k, k) plain sums of products; loses digits where a mean is large against its s.d., so nothing here computes with it."""
        return self.centred + self.n * np.outer(self.mean, self.mean)

    def index(self, name: str) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise InvalidInput(f"There is no column {name!r}; the sums hold {', '.join(self.names)}.") from None

    def is_binary(self, name: str) -> bool:
        """Whether the column is a proportion, or numbers whose sums are those of 0 and 1: the sum of squares is then the sum."""
        i = self.index(name)
        mean = float(self.mean[i])
        return self.kinds[i] == "proportion" or abs(float(self.centred[i, i]) - self.n * mean * (1 - mean)) <= 1e-9 * self.n

    def covariance(self) -> Floats:
        """(k, k), ddof 1; the variance of a proportion is p(1 - p). Needs n >= 2."""
        covariance: Floats = self.centred / (self.n - 1)
        for i, kind in enumerate(self.kinds):
            if kind == "proportion":
                covariance[i, i] = self.mean[i] * (1 - self.mean[i])
        return covariance


def summary(n: int, sum: float, sum_squares: float | None = None, name: str = "y") -> Moments:
    """Moments of one column from published totals; without `sum_squares` it is a proportion (0 <= sum <= n)."""
    if sum_squares is None:
        if not 0 <= sum <= n:
            raise InvalidInput(f"{name}: {sum:g} successes of {n} units; a proportion needs 0 to {n}, a mean needs sum_squares as well.")
        return Moments((name,), n, [sum], [[sum]], ("proportion",))
    return Moments((name,), n, [sum], [[sum_squares]], ("mean",))


def empty(names: tuple[str, ...], kinds: tuple[Kind, ...]) -> Moments:
    k = len(names)
    return Moments(names, 0, np.zeros(k), np.zeros((k, k)), kinds)


# --- arithmetic, also over a leading axis of cells ---------------------------------------------------------------------


def centred_sums(n: NDArray[Any], sums: Floats, cross: Floats, shift: Floats) -> tuple[Floats, Floats]:
    """Means (..., k) and centred products (..., k, k) from counts (...), sums (..., k) and products (..., k, k) about `shift`."""
    count = np.maximum(n, 1)[..., None]
    offset = sums / count
    return shift + offset, cross - sums[..., :, None] * offset[..., None, :]


def merge_centred(
    n_a: NDArray[Any], mean_a: Floats, centred_a: Floats, n_b: NDArray[Any], mean_b: Floats, centred_b: Floats
) -> tuple[NDArray[Any], Floats, Floats]:
    """Chan, Golub & LeVeque's pairwise update; an empty side leaves the other unchanged."""
    n = n_a + n_b
    share = n_b / np.maximum(n, 1)
    delta = np.where((n_a > 0)[..., None], mean_b - mean_a, 0.0)
    mean = np.where((n_a > 0)[..., None], mean_a + delta * share[..., None], mean_b)
    spread = (n_a * share)[..., None, None] * delta[..., :, None] * delta[..., None, :]
    return n, np.where((n_b > 0)[..., None], mean, mean_a), centred_a + centred_b + spread


def typical_values(columns: Sequence[Floats], picked: NDArray[np.bool_]) -> Floats:
    """(k,) of each column the median of a few picked values, so that one outlier does not set the shift.

    A column that is constant over the picked rows is centred to exact zeros.
    """
    at = np.arange(0, len(picked), -(-len(picked) // (_SHIFT_SAMPLE * 8)) or 1)
    at = at[picked[at]]
    if not len(at):
        at = np.flatnonzero(picked)
    at = at[:: -(-len(at) // _SHIFT_SAMPLE) or 1]
    return np.array([np.sort(column[at])[len(at) // 2] if len(at) else 0.0 for column in columns])


# --- columns -----------------------------------------------------------------------------------------------------------


def number_columns(columns: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """The columns as 1-D numeric or boolean arrays of one length."""
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "biuf":
            raise InvalidInput(f"Column {name} has type {array.dtype} and shape {array.shape}; a metric is one row of numbers.", field=name)
    equal_lengths(arrays)
    return arrays


def equal_lengths(arrays: Mapping[str, NDArray[Any]]) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"Columns have unequal lengths: {', '.join(f'{name} {length}' for name, length in lengths.items())}.")


def block_columns(arrays: Mapping[str, NDArray[Any]], rows: slice) -> list[Floats]:
    """One block of each column as contiguous floats; a view where the column is that already."""
    return [np.ascontiguousarray(array[rows], dtype=np.float64) for array in arrays.values()]


def blocks(arrays: Mapping[str, NDArray[Any]]) -> Iterator[slice]:
    n = len(next(iter(arrays.values()))) if arrays else 0
    views = len(arrays) <= 3 and all(array.dtype in (np.float64, np.int8) and array.flags.c_contiguous for array in arrays.values())
    step = _VIEW_ROWS if views else BLOCK_ROWS
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def column_kinds(arrays: Mapping[str, NDArray[Any]]) -> tuple[Kind, ...]:
    return tuple("proportion" if array.dtype.kind == "b" else "mean" for array in arrays.values())


def refuse_not_finite(moments: Moments) -> None:
    for name, value in zip(moments.names, np.diag(moments.centred), strict=True):
        if not np.isfinite(value):
            raise InvalidInput(f"Column {name} holds a missing or infinite value; leave such rows out before summing.", field=name)


def _kinds(names: Sequence[str], kinds: Sequence[Kind] | None) -> tuple[Kind, ...]:
    mean: Kind = "mean"
    made = (mean,) * len(names) if kinds is None else tuple(kinds)
    if len(made) != len(names) or not set(made) <= {"mean", "proportion"}:
        raise InvalidInput(f"Kinds {made} were given for {', '.join(names)}; expected 'mean' or 'proportion' for each.")
    return made
