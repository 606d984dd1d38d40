"""One embedding table for all fields, updated row by row.

Adam over a table of millions of rows sweeps all of them, and their two moments, at every step. Here a step costs what it touches: the
rows of the batch are fetched, their gradients scaled by a running sum of squares a ROW (row-wise Adagrad, Gupta 2014, as in DLRM), and
added back. Not swept, not regularised, one table and one gather for all fields.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import cache
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Ints
from simulators.engines.ranking.step import Step
from simulators.engines.steps import blocks, finish

Tensor = torch.Tensor
_INIT_VALUES = 2**20  # drawn at once: about 10 ms


class FusedTable:
    """`rows` vectors of `dim` float32.

    lr          step of the row-wise Adagrad
    init_sd     s.d. of the first values; embeddings that start near 0 learn slowly, as the products of two of them do
    acc0        what each row's running sum of squares starts from
    """

    def __init__(self, rows: int, dim: int, lr: float = 0.05, init_sd: float = 0.05, acc0: float = 1e-3, seed: int = 0) -> None:
        if rows < 1 or dim < 1:
            raise ValueError(f"rows is {rows} and dim {dim}; expected 1 or more of both.")
        if not (lr >= 0 and init_sd >= 0 and acc0 > 0):
            raise ValueError(f"lr is {lr}, init_sd {init_sd}, acc0 {acc0}; expected 0 or more, 0 or more, and above 0.")
        finish(self._fill(rows, dim, lr, init_sd, acc0, seed))

    @classmethod
    def steps(cls, rows: int, dim: int, lr: float, acc0: float, seed: int) -> Generator[Step, None, FusedTable]:
        """The table, made in short steps."""
        table = cls.__new__(cls)
        yield from table._fill(rows, dim, lr, 0.05, acc0, seed)
        return table

    def _fill(self, rows: int, dim: int, lr: float, init_sd: float, acc0: float, seed: int) -> Generator[Step, None, None]:
        self.lr = lr
        self.weights = torch.empty(rows, dim)
        self.squares = torch.full((rows,), acc0)
        generator = torch.Generator().manual_seed(seed)
        for part in blocks(rows, max(1, _INIT_VALUES // dim)):
            self.weights[part].normal_(0, init_sd, generator=generator)
            yield Step(part.stop, rows, "first values of the table")

    @property
    def params(self) -> int:
        return self.weights.numel()

    def memory_bytes(self) -> int:
        return 4 * (self.weights.numel() + self.squares.numel())

    @overload
    def lookup(self, ids: Tensor) -> Tensor: ...
    @overload
    def lookup(self, ids: Ints) -> NDArray[np.float32]: ...
    def lookup(self, ids: Any) -> Any:
        """Vectors (..., dim) of ids (...): a tensor for a tensor, an array for an array."""
        if not isinstance(ids, Tensor):
            return self.lookup(torch.from_numpy(self._sound(ids))).numpy()
        return self.weights.index_select(0, ids.reshape(-1)).view(*ids.shape, self.weights.shape[1])

    def apply(self, ids: Tensor | Ints, grad: Any) -> None:
        """Steps the rows `ids` (B, ...) down the gradient (B, ..., dim) of a loss averaged over the B rows of the batch.

        With g = B x grad, the gradient of one row's own loss: squares[r] += mean(g^2), then weights[r] -= lr g / sqrt(squares[r]).
        A row named n times takes n steps.
        """
        rows = ids.numpy() if isinstance(ids, Tensor) else self._sound(ids)
        steps = grad.numpy() if isinstance(grad, Tensor) else np.asarray(grad, np.float32)
        dim = self.weights.shape[1]
        if steps.shape != (*rows.shape, dim):
            raise ValueError(f"grad has shape {steps.shape}; expected {(*rows.shape, dim)}.")
        compiled_adagrad()(
            self.weights.numpy(),
            self.squares.numpy(),
            rows.reshape(-1),
            steps.reshape(-1, dim),
            np.float32(len(rows)),
            np.float32(self.lr),
        )

    def _sound(self, ids: Any) -> Ints:
        array = np.ascontiguousarray(ids, np.int64)
        if array.size and (array.min() < 0 or array.max() >= len(self.weights)):
            raise ValueError(f"ids reaches from {array.min()} to {array.max()}; expected 0 to {len(self.weights) - 1}.")
        return array


@cache
def compiled_adagrad() -> Callable[..., None]:
    """The update compiled, once a process. numba is imported here, because a process that only shows pages never needs it."""
    from numba import njit

    made: Callable[..., None] = njit(_adagrad, cache=True, nogil=True)
    return made


def _adagrad(weights: Any, squares: Any, rows: Any, grad: Any, batch: Any, lr: Any) -> None:
    """Nine times as fast as torch's index_add_; both passes go over all rows, so the order within a batch does not matter."""
    n, dim = grad.shape
    for i in range(n):
        total = np.float32(0)
        for j in range(dim):
            total += grad[i, j] * grad[i, j]
        squares[rows[i]] += total * batch * batch / np.float32(dim)
    for i in range(n):
        row = rows[i]
        scale = lr * batch / np.sqrt(squares[row])
        for j in range(dim):
            weights[row, j] -= scale * grad[i, j]
