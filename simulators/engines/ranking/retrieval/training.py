"""Training of two towers by sampled softmax, gradients written out.

A row of the log is a user u and the item i they chose. Among i and the candidates c the loss is
-log( exp(s_i) / (exp(s_i) + sum_c exp(s_c)) ) with s = u . v + bias - logq x log q. Its gradient by s is the model's share of each item,
less 1 for the chosen one, and so the gradients by the vectors are two matrix products. Tables step only in the rows they touched.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch

from simulators.engines.ranking.one_thread import on_one_thread
from simulators.engines.ranking.retrieval.negatives import Negatives
from simulators.engines.ranking.retrieval.settings import Log, Settings
from simulators.engines.ranking.retrieval.towers import ItemTower, UserTower, user_tower
from simulators.engines.ranking.retrieval.two_tower import TwoTower
from simulators.engines.ranking.step import Step

Tensor = torch.Tensor
REPORTS = 50  # of the loss, at the same rows on every machine
_WORK = 40_000_000  # products between two yields: about 10 ms
_A_STEP = 2_000_000  # what a step of the optimiser costs besides, in products


def iter_train(log: Log, settings: Settings) -> Generator[Step, None, TwoTower]:
    """See `iter_two_tower`."""
    model, cpu_s = yield from on_one_thread(_train(log, settings))
    return replace(model, cpu_seconds=cpu_s)


def _train(log: Log, settings: Settings) -> Generator[Step, None, TwoTower]:
    random, seen = torch.Generator().manual_seed(settings.seed), _Seen(settings.dim)
    items = yield from ItemTower.steps(log, settings, random)
    users = yield from user_tower(log, settings, random)
    negatives = Negatives(log, settings, random)
    all_items, n = torch.from_numpy(log.items), len(log.items)
    steps = settings.epochs * -(-n // settings.batch)
    for done, rows in enumerate(_batches(n, settings, random), 1):
        if negatives.stale(done, steps):
            for share in negatives.mine(users, items):
                yield Step(done, steps, f"looking for hard negatives, {share:.0%}")
        for told in _descend(users, items, rows, all_items[rows], negatives):
            seen.add(told)
            if seen.due():
                yield Step(done, steps, "training")
        if done * REPORTS // steps > (done - 1) * REPORTS // steps:
            yield Step(done, steps, "training", seen.take())
    vectors, bias = items.all()
    return TwoTower(users.all(), vectors, bias, log.n_users, users.encoder(), seen.pairs, n * settings.epochs, 0.0)


def _batches(n: int, settings: Settings, random: torch.Generator) -> Iterator[Tensor]:
    for _ in range(settings.epochs):
        yield from torch.randperm(n, generator=random).split(settings.batch)  # type: ignore[no-untyped-call]


class _Seen:
    """The mean loss since the last report, all pairs scored, and the work since somebody could last stop it.

    Work is counted, not timed, so that a run has the same steps wherever it runs.
    """

    def __init__(self, dim: int) -> None:
        self.loss, self.rows, self.pairs, self.work = 0.0, 0, 0, 0
        self._dim = dim

    def add(self, told: _Told) -> None:
        self.loss, self.rows, self.pairs = self.loss + told.loss, self.rows + told.rows, self.pairs + told.pairs
        self.work += told.pairs * (self._dim + 8) + _A_STEP

    def due(self) -> bool:
        if self.work < _WORK:
            return False
        self.work = 0
        return True

    def take(self) -> dict[str, float]:
        mean, self.loss, self.rows = self.loss / self.rows, 0.0, 0
        return {"loss": mean, "pairs": float(self.pairs)}


class _Told(NamedTuple):
    loss: float  # summed over the rows
    rows: int
    pairs: int


def _descend(users: UserTower, items: ItemTower, rows: Tensor, chosen: Tensor, negatives: Negatives) -> Generator[_Told, None, None]:
    """One step of the optimiser, in slices of the batch that take about as long as one may be silent."""
    shared_ids = negatives.shared(chosen)
    ids = chosen if shared_ids is chosen else torch.cat([chosen, shared_ids])
    vectors, bias = items.vectors(ids)
    u = users.vectors(rows)
    size = len(rows)
    first = 0 if negatives.with_batch else size  # where the shared candidates begin among ids
    shared = _Shared(ids[first:], vectors[first:], bias[first:] - negatives.correction(ids[first:]))
    offset = bias[:size] - negatives.correction(chosen)
    grad_u, grad_v, grad_b = torch.empty_like(u), torch.zeros_like(vectors), torch.zeros_like(bias)
    slice_rows = max(1, _WORK // max(1, (len(shared.ids) + negatives.own_count) * (u.shape[1] + 8)))
    for start in range(0, size, slice_rows):
        part = slice(start, min(start + slice_rows, size))
        own = negatives.own(rows[part])
        found = _softmax(u[part], vectors[:size][part], offset[part], chosen[part], shared, own, items, negatives)
        grad_u[part] = found.grad_u
        grad_v[first:] += found.grad_shared
        grad_b[first:] += found.grad_shared_bias
        grad_v[:size][part] += found.grad_chosen[:, None] * u[part]
        grad_b[:size][part] += found.grad_chosen
        yield _Told(found.loss, part.stop - part.start, (part.stop - part.start) * (len(shared.ids) + negatives.own_count))
    users.step(rows, grad_u)
    items.step(ids, grad_v, grad_b)
    items.finish(size)


class _Shared:
    """Candidates that every row of the batch is compared with: ids (S,), vectors (S, d), offset (S,) bias less correction."""

    def __init__(self, ids: Tensor, vectors: Tensor, offset: Tensor) -> None:
        self.ids, self.vectors, self.offset = ids, vectors, offset
        self._sorted, self._order = ids.sort()

    def places_of(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """(row, column) of every candidate that is the row's chosen item: few, and so found quicker than by comparing all pairs."""
        first = torch.searchsorted(self._sorted, chosen)
        count = torch.searchsorted(self._sorted, chosen, right=True) - first
        row = torch.arange(len(chosen)).repeat_interleave(count)
        within = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
        return row, self._order[first[row] + within]


class _Found(NamedTuple):
    loss: float
    grad_u: Tensor  # (r, d)
    grad_chosen: Tensor  # (r,) by the logit of the chosen item
    grad_shared: Tensor  # (S, d)
    grad_shared_bias: Tensor  # (S,)


def _softmax(
    u: Tensor,
    v: Tensor,
    offset: Tensor,
    chosen: Tensor,
    shared: _Shared,
    own: Tensor | None,
    items: ItemTower,
    negatives: Negatives,
) -> _Found:
    """Loss and gradients of r rows. A candidate that is the row's chosen item is left out: the item stands in its own column already."""
    target = (u * v).sum(1) + offset
    logits = torch.addmm(shared.offset, u, shared.vectors.T)
    logits[shared.places_of(chosen)] = -torch.inf
    top = torch.maximum(target, logits.amax(1)) if len(shared.ids) else target
    own_logits, own_vectors = None, None
    if own is not None:
        own_vectors, own_bias = items.vectors(own)
        own_logits = torch.einsum("rd,rhd->rh", u, own_vectors) + own_bias - negatives.correction(own)
        own_logits.masked_fill_(own == chosen[:, None], -torch.inf)
        top = torch.maximum(top, own_logits.amax(1))
    weight = logits.sub_(top[:, None]).exp_()
    chosen_weight = (target - top).exp()
    total = weight.sum(1) + chosen_weight
    if own_logits is not None:
        own_weight = (own_logits - top[:, None]).exp_()
        total = total + own_weight.sum(1)
    grad_chosen = chosen_weight / total - 1
    scaled_u = u / total[:, None]
    grad_u = (weight @ shared.vectors) / total[:, None] + grad_chosen[:, None] * v
    if own is not None and own_vectors is not None:
        share = own_weight / total[:, None]
        grad_u += torch.einsum("rh,rhd->rd", share, own_vectors)
        items.step(own.reshape(-1), (share[..., None] * u[:, None]).reshape(-1, u.shape[1]), share.reshape(-1))
    loss = float((total.log() + top - target).sum())
    return _Found(loss, grad_u, grad_chosen, weight.T @ scaled_u, weight.T @ total.reciprocal())
