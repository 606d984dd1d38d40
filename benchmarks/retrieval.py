"""Two-tower training on a million items: tables stepped by the row against PyTorch's Adam, dense and sparse, on the same batches.

Run: OMP_NUM_THREADS=1 python -m benchmarks.retrieval [items]
All routes: in-batch softmax with logQ correction, a vector a user and an item and a bias an item, 32 dimensions, batch 512, the same log.
A user's and an item's popularity fall with the square root of their rank. Peers are what their users write: `nn.Embedding`, autograd, and
`torch.optim.Adam` over everything, or `sparse=True` with `SparseAdam`. CPU time of this thread after the tables are made; the dense sweep
does fewer steps, for each takes as long as the tables are large.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._measure import table
from simulators.engines.ranking.retrieval import fit_two_tower, iter_two_tower
from simulators.engines.ranking.worlds import retrieval_world

DIM, BATCH, REPEATS = 32, 512, 3


class Log:
    """Rows of (user, item); both ids among `size`."""

    def __init__(self, rows: int, size: int) -> None:
        rng = np.random.default_rng(45)
        self.size = size
        self.users, self.items = ((size * rng.random(rows) ** 2).astype(np.int64) for _ in range(2))


def ours(log: Log) -> float:
    """CPU s a row; the tables are made before the first batch, and what the model keeps is copied after the last."""
    steps = iter_two_tower(log.users, log.items, log.size, log.size, dim=DIM, batch=BATCH, epochs=1)
    first, started = 0, 0.0
    for step in steps:
        if "loss" not in step.metrics:
            continue
        if not first:
            first, started = step.done, time.thread_time()
        last, ended = step.done, time.thread_time()
    return (ended - started) / ((last - first) * BATCH)


class Peer(nn.Module):
    def __init__(self, size: int, log_q: Tensor, *, sparse: bool) -> None:
        super().__init__()
        self.user, self.item = (nn.Embedding(size, DIM, sparse=sparse) for _ in range(2))
        self.bias = nn.Embedding(size, 1, sparse=sparse)
        self.log_q = log_q

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        logits = self.user(users) @ self.item(items).T + self.bias(items)[:, 0] - self.log_q[items]
        own = torch.eye(len(items), dtype=torch.bool)
        logits = logits.masked_fill((items == items[:, None]) & ~own, -torch.inf)
        return nn.functional.cross_entropy(logits, torch.arange(len(items)))


def peer(*, batches: int, sparse: bool = False, fused: bool = False) -> Callable[[Log], float]:
    def run(log: Log) -> float:
        log_q = torch.from_numpy(np.log(np.maximum(np.bincount(log.items, minlength=log.size), 0.5) / len(log.items))).float()
        model = Peer(log.size, log_q, sparse=sparse)
        parameters = list(model.parameters())
        optimiser = torch.optim.SparseAdam(parameters) if sparse else torch.optim.Adam(parameters, fused=fused)
        users, items = torch.from_numpy(log.users), torch.from_numpy(log.items)
        started = 0.0
        for step in range(batches + 1):
            part = slice(step * BATCH, (step + 1) * BATCH)
            optimiser.zero_grad()
            model(users[part], items[part]).backward()
            optimiser.step()
            if step == 0:
                started = time.thread_time()  # moments of the tables are made in the first step
        return (time.thread_time() - started) / (batches * BATCH)

    return run


def first_frame_ms() -> float:
    """Wall-clock from the call to the first loss, on the lab's own world."""
    world = retrieval_world(0)
    fit_two_tower(world.users[:1000], world.items[:1000], world.n_users, world.n_items, item_features=world.content)
    started = time.perf_counter()
    steps = iter_two_tower(world.users, world.items, world.n_users, world.n_items, item_features=world.content)
    while "loss" not in next(steps).metrics:
        pass
    steps.close()
    return 1e3 * (time.perf_counter() - started)


def main() -> None:
    torch.set_num_threads(1)
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    log = Log(200_000, size)
    routes: dict[str, Callable[[Log], float]] = {
        "ours, rows touched only": ours,
        "nn.Embedding(sparse=True), SparseAdam": peer(sparse=True, batches=100),
        "nn.Embedding, Adam": peer(batches=4),
        "nn.Embedding, Adam(fused=True)": peer(batches=4, fused=True),
    }
    rounds = [{name: run(log) for name, run in routes.items()} for _ in range(REPEATS)]
    best = {name: min(found[name] for found in rounds) for name in routes}
    own = best["ours, rows touched only"]
    print(f"Users and items: {size:,} each x {DIM}; best of {REPEATS}, in turn\n")
    rows = [[name, f"{1 / seconds:,.0f}", f"{seconds / own:.1f}"] for name, seconds in best.items()]
    print(table(["route", "rows / CPU-s", "time / ours"], rows))
    print(f"\nFirst loss of a warm process, 5,000 items and 200,000 rows: {first_frame_ms():.0f} ms after the call.")


if __name__ == "__main__":
    main()
