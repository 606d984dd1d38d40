"""The towers while they are trained: vectors for a batch on the way in, gradients by them on the way back."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from simulators.engines.ranking.models.table import FusedTable
from simulators.engines.ranking.retrieval.settings import Log, Settings
from simulators.engines.ranking.retrieval.two_tower import Encoder, scaled
from simulators.engines.ranking.step import Step

Tensor = torch.Tensor
Floats32 = NDArray[np.float32]
TABLE_LR, ACC0, DENSE_LR = 0.15, 1e-3, 3e-3


class UserTower(Protocol):
    def vectors(self, rows: Tensor) -> Tensor:
        """(B, d) of rows of the log."""

    def step(self, rows: Tensor, grad: Tensor) -> None:
        """Down `grad` (B, d), by the vectors that `vectors(rows)` gave last, of each row's own loss."""

    def all(self) -> Floats32:
        """(U, d), or (1, d) where everybody has the same."""

    def encoder(self) -> Encoder | None: ...


def user_tower(log: Log, settings: Settings, random: torch.Generator) -> Generator[Step, None, UserTower]:
    length, seed = 1 / settings.temperature if settings.temperature else 0.0, _seed(random)
    if settings.user_tower == "history":
        table = yield from FusedTable.steps(log.n_items, settings.dim, TABLE_LR, ACC0, seed)
        return _Watchers(log, settings, table, length, random)
    same = settings.user_tower == "none"
    table = yield from FusedTable.steps(1 if same else log.n_users, settings.dim, TABLE_LR, ACC0, seed)
    return _Known(torch.from_numpy(np.zeros_like(log.users) if same else log.users), table, length)


class _Known:
    """A vector a user, or one for all."""

    def __init__(self, who: Tensor, table: FusedTable, length: float) -> None:
        self.who, self.table, self.length = who, table, length

    def vectors(self, rows: Tensor) -> Tensor:
        return to_length(self.table.lookup(self.who[rows]), self.length)

    def step(self, rows: Tensor, grad: Tensor) -> None:
        users = self.who[rows]
        _apply(self.table, users, through_length(self.table.lookup(users), grad, self.length) if self.length else grad)

    def all(self) -> Floats32:
        return scaled(self.table.weights.numpy().copy(), self.length)

    def encoder(self) -> None:
        return None


class _Watchers:
    """The mean (over the root of their number) of the vectors of what was watched, plus what the user's features say."""

    def __init__(self, log: Log, settings: Settings, table: FusedTable, length: float, random: torch.Generator) -> None:
        assert log.history is not None
        self.log, self.table, self.length, self.random = log, table, length, random
        self.dropout = settings.history_dropout
        self.history, self.who = torch.from_numpy(log.history), torch.from_numpy(log.users)
        self.features = None if log.user_features is None else torch.from_numpy(log.user_features)
        self.content = None if log.item_features is None else torch.from_numpy(log.item_features)
        widths = [0 if table is None else table.shape[1] for table in (self.content, self.features)]
        self.dense = Dense([*widths, 1], settings.dim, random)
        self._seen: tuple[Tensor, Tensor, Tensor] = (torch.empty(0), torch.empty(0), torch.empty(0))

    def vectors(self, rows: Tensor) -> Tensor:
        users = self.who[rows]
        history = self.history[rows if self.log.history_by_row else users]
        known = history >= 0
        if self.dropout:
            known &= self._kept(known)
        weight = known / known.sum(1, keepdim=True).clamp_min(1).sqrt()
        content, features, offset = self.dense.weights
        raw = offset + torch.einsum("bl,bld->bd", weight, self.table.lookup(history.clamp_min(0)))
        if self.content is not None:
            raw = raw + torch.einsum("bl,blf->bf", weight, self.content[history.clamp_min(0)]) @ content
        if self.features is not None:
            raw = raw + self.features[users] @ features
        self._seen = history, weight, raw
        return to_length(raw, self.length)

    def _kept(self, known: Tensor) -> Tensor:
        """The last ones, their number drawn evenly from none to all."""
        count = known.sum(1)
        keep = (torch.rand(len(known), generator=self.random) * (count + 1)).long()
        newer = known.flip(1).cumsum(1).flip(1)  # known ones from here to the end
        return newer <= keep[:, None]

    def step(self, rows: Tensor, grad: Tensor) -> None:
        history, weight, raw = self._seen
        grad = through_length(raw, grad, self.length) if self.length else grad
        some = weight > 0
        per_item = (weight[..., None] * grad[:, None])[some]
        if len(per_item):
            _apply(self.table, history[some], per_item)
        if self.content is not None:
            self.dense.add(0, torch.einsum("bl,blf->bf", weight, self.content[history.clamp_min(0)]).T @ grad)
        if self.features is not None:
            self.dense.add(1, self.features[self.who[rows]].T @ grad)
        self.dense.add(2, grad.sum(0, keepdim=True))
        self.dense.step(len(rows))

    def all(self) -> Floats32:
        last = self.log.history
        assert last is not None
        if self.log.history_by_row:
            last = _last_rows(self.log)
        return self.encoder()(last, self.log.user_features)

    def encoder(self) -> Encoder:
        content, features, offset = (weights.detach().numpy().copy() for weights in self.dense.weights)
        return Encoder(
            self.table.weights.numpy().copy(),
            None if self.content is None else content,
            None if self.features is None else features,
            offset[0],
            self.log.item_features,
            self.length,
        )


def _last_rows(log: Log) -> NDArray[np.int64]:
    """(U, L) the history of each user's last row; none for users without rows."""
    assert log.history is not None
    last = np.full((log.n_users, log.history.shape[1]), -1, np.int64)
    last[log.users] = log.history  # of repeated users the last one stays
    return last


class ItemTower:
    """A vector and a bias an item, and a projection of its features."""

    def __init__(self, log: Log, settings: Settings, table: FusedTable, bias: FusedTable, random: torch.Generator) -> None:
        self.table, self.bias = table, bias
        self.length = 1.0 if settings.temperature else 0.0
        self.features = None if log.item_features is None else torch.from_numpy(log.item_features)
        self.dense = Dense([0 if self.features is None else self.features.shape[1]], settings.dim, random)

    @classmethod
    def steps(cls, log: Log, settings: Settings, random: torch.Generator) -> Generator[Step, None, ItemTower]:
        table = yield from FusedTable.steps(log.n_items, settings.dim, TABLE_LR, ACC0, _seed(random))
        bias = yield from FusedTable.steps(log.n_items, 1, TABLE_LR, ACC0, _seed(random))
        return cls(log, settings, table, bias, random)

    def _raw(self, ids: Tensor) -> Tensor:
        raw = self.table.lookup(ids)
        return raw if self.features is None else raw + self.features[ids] @ self.dense.weights[0]

    def vectors(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(..., d) and biases (...) of ids (...)."""
        return to_length(self._raw(ids), self.length), self.bias.lookup(ids)[..., 0]

    def step(self, ids: Tensor, grad: Tensor, grad_bias: Tensor) -> None:
        """Down gradients (n, d), (n,) by the vectors and biases of ids (n,); the projection waits for `finish`."""
        grad = through_length(self._raw(ids), grad, self.length) if self.length else grad
        if self.features is not None:
            self.dense.add(0, self.features[ids].T @ grad)
        _apply(self.table, ids, grad)
        _apply(self.bias, ids, grad_bias[:, None])

    def finish(self, rows: int) -> None:
        self.dense.step(rows)

    def all(self) -> tuple[Floats32, Floats32]:
        """(I, d), (I,)."""
        raw = self.table.weights if self.features is None else self.table.weights + self.features @ self.dense.weights[0]
        return scaled(raw.numpy().copy(), self.length), self.bias.weights[:, 0].numpy().copy()


class Dense:
    """Small matrices (width, d), stepped together by Adam; width 0 stands for one that is not there."""

    def __init__(self, widths: list[int], dim: int, random: torch.Generator) -> None:
        self.weights = [0.1 * torch.randn(width, dim, generator=random) for width in widths]
        for weights in self.weights:
            weights.grad = torch.zeros_like(weights)
        self._adam = torch.optim.Adam([weights for weights in self.weights if weights.numel()] or [torch.zeros(1)], lr=DENSE_LR, fused=True)

    def add(self, place: int, grad: Tensor) -> None:
        """Gradient summed over the rows of the batch."""
        found = self.weights[place].grad
        assert found is not None
        found += grad

    def step(self, rows: int) -> None:
        """Down the mean gradient of `rows` rows."""
        for weights in self.weights:
            assert weights.grad is not None
            weights.grad /= rows
        self._adam.step()
        for weights in self.weights:
            assert weights.grad is not None
            weights.grad.zero_()


def to_length(raw: Tensor, length: float) -> Tensor:
    """Every vector at `length`; 0 leaves them as they are."""
    if not length:
        return raw
    norm: Tensor = raw.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    made: Tensor = raw * (length / norm)
    return made


def through_length(raw: Tensor, grad: Tensor, length: float) -> Tensor:
    """The gradient by the raw vectors: what points along them is lost, for their length does not count."""
    norm = raw.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    unit = raw / norm
    across: Tensor = (grad - (grad * unit).sum(-1, keepdim=True) * unit) * (length / norm)
    return across


def _apply(table: FusedTable, ids: Tensor, grad: Tensor) -> None:
    """`grad` (n, d) of each row's own loss; the table expects those of the mean over its n rows."""
    table.apply(ids, (grad / len(ids)).contiguous())


def _seed(random: torch.Generator) -> int:
    return int(torch.randint(2**31, (1,), generator=random))
