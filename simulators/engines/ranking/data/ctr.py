"""A log of impressions as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Floats, Ints, same_length


@dataclass(frozen=True)
class CtrData:
    """N impressions with F categorical fields, D numbers and, if known, the L things the user last chose.

    Raises ValueError naming the argument for shapes that do not fit, ids outside their field, and numbers that are not finite.
    """

    fields: Ints  # (N, F), ids of field f in 0 .. cards[f]-1
    cards: tuple[int, ...]  # (F,) ids a field
    dense: NDArray[np.float32]  # (N, D)
    history: Ints | None  # (N, L), ids of one of the fields; -1: no entry
    y: Floats  # (N,) or (N, T): 0, 1 or NaN = unlabelled; one head a column
    p: Floats | None = None  # as y: the known probability
    time: Floats | None = None  # (N,), in any unit; rows are in order of time when None
    names: tuple[str, ...] = ()  # of the fields, then of the dense columns

    def __post_init__(self) -> None:
        object.__setattr__(self, "cards", tuple(int(card) for card in self.cards))
        object.__setattr__(self, "fields", _ids("fields", self.fields, 0))
        object.__setattr__(self, "dense", _numbers("dense", self.dense, np.float32, 2))
        object.__setattr__(self, "y", _labels(self.y))
        if self.history is not None:
            object.__setattr__(self, "history", _ids("history", self.history, -1))
        if self.p is not None:
            object.__setattr__(self, "p", _known(self.p, self.y))
        if self.time is not None:
            object.__setattr__(self, "time", _numbers("time", self.time, np.float64, 1))
        self._check()

    def _check(self) -> None:
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("cards", "names")}
        same_length(**{name: array for name, array in given.items() if array is not None})
        if self.fields.shape[1] != len(self.cards):
            raise ValueError(f"fields has {self.fields.shape[1]} columns; expected {len(self.cards)}, one a number of cards.")
        if len(self) and (self.fields.max(axis=0) >= self.cards).any():
            field = int(np.argmax(self.fields.max(axis=0) >= self.cards))
            raise ValueError(f"fields holds {self.fields[:, field].max()} in column {field}; expected 0 to {self.cards[field] - 1}.")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def heads(self) -> int:
        return 1 if self.y.ndim == 1 else self.y.shape[1]

    @property
    def group(self) -> Ints:
        """Who sees the impressions, by house custom the first field."""
        users: Ints = self.fields[:, 0]
        return users

    def take(self, rows: NDArray[Any]) -> CtrData:
        """The rows of an index or a mask."""

        def of(array: NDArray[Any] | None) -> Any:
            return None if array is None else array[rows]

        return CtrData(
            self.fields[rows], self.cards, self.dense[rows], of(self.history), self.y[rows], of(self.p), of(self.time), self.names
        )


def _ids(name: str, values: Any, lowest: int) -> Ints:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.ndim != 2:
        raise ValueError(f"{name} is of type {array.dtype} with {array.ndim} dimensions; expected whole numbers with 2.")
    if array.size and array.min() < lowest:
        raise ValueError(f"{name} holds {array.min()}; expected {lowest} or more.")
    return array.astype(np.int64, copy=False)


def _numbers(name: str, values: Any, kind: Any, ndim: int) -> NDArray[Any]:
    array = np.asarray(values, dtype=kind)
    if array.ndim != ndim:
        raise ValueError(f"{name} has {array.ndim} dimensions; expected {ndim}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite; expected numbers.")
    return array


def _labels(values: Any) -> Floats:
    y = np.asarray(values, dtype=np.float64)
    if y.ndim not in (1, 2):
        raise ValueError(f"y has {y.ndim} dimensions; expected (N,) or (N, T).")
    wrong = ~((y == 0) | (y == 1) | np.isnan(y))
    if wrong.any():
        raise ValueError(f"y holds {y[wrong][0]:g}; expected 0, 1 or NaN for unlabelled.")
    return y


def _known(values: Any, y: Floats) -> Floats:
    p = np.asarray(values, dtype=np.float64)
    if p.shape != y.shape:
        raise ValueError(f"p has shape {p.shape}; expected that of y, {y.shape}.")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p holds values that are no probabilities; expected numbers in [0, 1].")
    return p
