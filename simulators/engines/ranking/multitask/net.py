"""Experts, gates and towers in as few matrix products as a step can have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Kind = Literal["single", "shared_bottom", "mmoe", "ple"]
KINDS: tuple[Kind, ...] = ("single", "shared_bottom", "mmoe", "ple")


class Layout(NamedTuple):
    """Which expert (column) a task (row) may use, and whether the weights among them are learned."""

    allowed: NDArray[np.bool_]  # (T, E)
    gated: bool


def layout_of(kind: Kind, tasks: int, experts: int) -> Layout:
    """`experts` counts for mmoe and ple only. ValueError where ple has fewer experts than tasks."""
    own = np.eye(tasks, dtype=np.bool_)
    if kind == "single":
        return Layout(own, gated=False)
    if kind == "shared_bottom":
        return Layout(np.ones((tasks, 1), dtype=np.bool_), gated=False)
    if kind == "mmoe":
        return Layout(np.ones((tasks, experts), dtype=np.bool_), gated=True)
    if experts < tasks:
        raise ValueError(f"experts is {experts}; expected at least {tasks}, for ple gives each task one of its own.")
    return Layout(np.concatenate([own, np.ones((tasks, experts - tasks), dtype=np.bool_)], axis=1), gated=True)


class Parallel(torch.nn.Module):
    """Linear layers of the same shape side by side: (copies or 1, inputs, N) -> (copies, outputs, N).

    Rows come last, so that everything between two products runs along memory: twice the speed of rows first at these widths.
    """

    def __init__(self, copies: int, inputs: int, outputs: int, draws: torch.Generator) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = torch.nn.Parameter(torch.empty(copies, outputs, inputs).uniform_(-bound, bound, generator=draws))
        self.bias = torch.nn.Parameter(torch.empty(copies, outputs, 1).uniform_(-bound, bound, generator=draws))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, self.weight, x.expand(len(self.weight), -1, -1))


class Net(torch.nn.Module):
    """A gate has a weight for every expert; those a task may not use get the weight 0 whatever it learned."""

    def __init__(self, features: int, layout: Layout, expert: Sequence[int], tower: Sequence[int], draws: torch.Generator) -> None:
        super().__init__()
        tasks, experts = layout.allowed.shape
        allowed = torch.from_numpy(layout.allowed)[:, :, None]
        self.fixed = allowed.float()  # (T, E, 1)
        self.closed = torch.where(allowed, 0.0, -torch.inf)
        self.experts = _stack(experts, (features, *expert), draws)
        self.towers = _stack(tasks, (expert[-1], *tower), draws)
        self.last = Parallel(tasks, (*expert, *tower)[-1], 1, draws)
        self.gates = Parallel(tasks, features, experts, draws) if layout.gated else None

    def mixture(self, x: torch.Tensor) -> torch.Tensor:
        """Weight of each expert for inputs (N, D): (T, E, N), or (T, E, 1) where it is fixed."""
        if self.gates is None:
            return self.fixed
        return torch.softmax(self.gates(x.T[None]) + self.closed, dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, T) of inputs (N, D)."""
        seen = x.T[None]
        for layer in self.experts:
            seen = torch.relu(layer(seen))  # (E, width, N)
        # Without gates there is an expert a task, or one that broadcasts over the tasks: nothing to mix.
        mixed = seen if self.gates is None else (self.mixture(x)[:, :, None] * seen).sum(dim=1)
        for layer in self.towers:
            mixed = torch.relu(layer(mixed))  # (T, width, N)
        logits: torch.Tensor = self.last(mixed)[:, 0].T
        return logits


def _stack(copies: int, sizes: Sequence[int], draws: torch.Generator) -> torch.nn.ModuleList:
    return torch.nn.ModuleList(Parallel(copies, inputs, outputs, draws) for inputs, outputs in zip(sizes, sizes[1:], strict=False))
