"""What a choice is compared with in training, and the correction for how often each item is among the candidates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from simulators.engines.ranking.retrieval.settings import POOL, Log, Settings
from simulators.engines.ranking.retrieval.towers import ItemTower, UserTower
from simulators.engines.steps import blocks

Tensor = torch.Tensor
MINED = 4  # the pools are made anew after each quarter of the training; the first quarter has none
_SCORES_AT_ONCE = 2**19


class Negatives:
    """Candidates by batch. q is an item's share of the log; with mixed negatives its share of the mixture (Yang 2020)."""

    def __init__(self, log: Log, settings: Settings, random: torch.Generator) -> None:
        self.kind, self.n_uniform, self.random = settings.negatives, settings.n_uniform, random
        self.n_items, self.n_hard = log.n_items, settings.n_hard if settings.negatives == "hard" else 0
        self.with_batch = settings.negatives != "uniform"
        self._users = torch.from_numpy(log.users)
        self._pools: Tensor | None = None  # (U, POOL)
        self._correction = settings.logq * torch.from_numpy(_log_q(log, settings))

    def correction(self, ids: Tensor) -> Tensor:
        return self._correction[ids]

    def shared(self, chosen: Tensor) -> Tensor:
        """Ids that all rows of the batch are compared with; beside the batch's own choices unless negatives are uniform."""
        if self.kind in ("in_batch", "hard") or not self.n_uniform:
            return chosen
        return torch.randint(0, self.n_items, (self.n_uniform,), generator=self.random)

    @property
    def own_count(self) -> int:
        return self.n_hard if self._pools is not None else 0

    def own(self, rows: Tensor) -> Tensor | None:
        """(r, n_hard) candidates of each row alone."""
        if self._pools is None or not self.n_hard:
            return None
        pools = self._pools[self._users[rows]]
        return pools.gather(1, torch.randint(0, pools.shape[1], (len(rows), self.n_hard), generator=self.random))

    def stale(self, step: int, steps: int) -> bool:
        quarter = max(1, steps // MINED)
        return bool(self.n_hard) and step % quarter == 0

    def mine(self, users: UserTower, items: ItemTower) -> Iterator[float]:
        """The share done, while every user's POOL best items are found."""
        vectors, bias = (torch.from_numpy(array) for array in items.all())
        everybody = torch.from_numpy(np.ascontiguousarray(users.all()))
        pools = torch.empty(len(everybody), min(POOL, self.n_items), dtype=torch.int64)
        for part in blocks(len(everybody), max(1, _SCORES_AT_ONCE // self.n_items)):
            pools[part] = torch.addmm(bias, everybody[part], vectors.T).topk(pools.shape[1], dim=1, sorted=False).indices
            yield part.stop / len(everybody)
        self._pools = pools if len(everybody) > 1 else pools.expand(int(self._users.max()) + 1, -1)


def _log_q(log: Log, settings: Settings) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(I,) 0 where every item is as likely a candidate as any other: a constant would change nothing."""
    if settings.negatives == "uniform":
        return np.zeros(log.n_items, np.float32)
    count = np.bincount(log.items, minlength=log.n_items)
    q = np.maximum(count, 0.5) / len(log.items)  # hard negatives may be items the log does not hold
    if settings.negatives == "mixed" and settings.n_uniform:
        q = (settings.batch * q + settings.n_uniform / log.n_items) / (settings.batch + settings.n_uniform)
    return np.log(q).astype(np.float32)
