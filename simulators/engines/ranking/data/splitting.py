"""Training and test rows of a log. By time is the honest one: a random split lets the model see the future of the very same users."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

import numpy as np

from simulators.engines.ranking.arguments import Floats, Ints, one_of
from simulators.engines.ranking.worlds.draws import draw

By = Literal["time", "random", "leave_last"]


class Log(Protocol):
    """What can be split: rows with a time (None: already in its order) and a group, the user."""

    def __len__(self) -> int: ...

    @property
    def time(self) -> Floats | Ints | None: ...

    @property
    def group(self) -> Ints: ...

    def take(self, rows: Ints, /) -> object: ...


T = TypeVar("T", bound=Log)


def split(data: T, by: By = "time", test: float = 0.2, *, seed: int = 0) -> tuple[T, T]:
    """Training and test part of a log, each in the log's order.

    "time": the last share `test` of the rows. "random": any share of them. "leave_last": the last row of each user who has more
    than one. Rows of equal time keep their order.
    """
    train, held = split_rows(len(data), by, test, time=data.time, group=data.group, seed=seed)
    return data.take(train), data.take(held)  # type: ignore[return-value]


def split_rows(
    rows: int, by: By, test: float = 0.2, *, time: Floats | Ints | None = None, group: Ints | None = None, seed: int = 0
) -> tuple[Ints, Ints]:
    """Row numbers of training and test, ascending."""
    one_of("by", by, ("time", "random", "leave_last"))
    if not 0 < test < 1:
        raise ValueError(f"test is {test}; expected a share between 0 and 1.")
    if rows < 2:
        raise ValueError(f"data has {rows} rows; expected 2 or more.")
    order = np.arange(rows) if time is None else np.argsort(time, kind="stable")
    if by == "random":
        order = draw(seed, "random split").permutation(rows)
    if by == "leave_last":
        held = _last_of_each(order, np.zeros(rows, np.int64) if group is None else group)
    else:
        held = order[rows - max(1, round(test * rows)) :]
    chosen = np.zeros(rows, bool)
    chosen[held] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _last_of_each(order: Ints, group: Ints) -> Ints:
    """The latest row of each group that keeps another for training."""
    grouped = order[np.argsort(group[order], kind="stable")]
    codes = group[grouped]
    last = np.append(codes[1:] != codes[:-1], True)
    alone = last & np.append(True, codes[1:] != codes[:-1])
    kept: Ints = grouped[last & ~alone]
    return kept
