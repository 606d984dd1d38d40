"""The parts click models are made of. Each knows its multiply-adds a row: `macs`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

Tensor = torch.Tensor


class Counted(Protocol):
    macs: int

    def __call__(self, x: Tensor) -> Tensor: ...


class Linear(nn.Module):
    """x W' + b, started as wide as torch's own layer: what starts wider leaves noise that one pass does not undo."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, generator=generator) * math.sqrt(1 / (3 * max(1, inputs))))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.macs = inputs * outputs

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


class MLP(nn.Module):
    """Linear layers with a ReLU after each."""

    def __init__(self, inputs: int, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(a, b, generator) for a, b in zip([inputs, *widths], widths, strict=False))
        self.macs = sum(a * b for a, b in zip([inputs, *widths], widths, strict=False))
        self.width = widths[-1] if widths else inputs

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


class Cross(nn.Module):
    """x0 * (W x + b) + x (Wang 2020); W of full rank, or U V' of the given one."""

    def __init__(self, width: int, rank: int | None, generator: torch.Generator) -> None:
        super().__init__()
        self.down = None if rank is None else Linear(width, rank, generator, bias=False)
        self.up = Linear(width if rank is None else rank, width, generator)
        self.macs = self.up.macs + (self.down.macs if self.down else 0) + width

    def forward(self, first: Tensor, x: Tensor) -> Tensor:
        return torch.addcmul(x, first, self.up(x if self.down is None else self.down(x)))


class MaskBlock(nn.Module):
    """relu(norm(W (mask(embedding) * x))): the mask is the instance's own gate on x (Wang 2021)."""

    def __init__(self, embedding: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        middle = 2 * inputs
        self.narrow, self.mask = Linear(embedding, middle, generator), Linear(middle, inputs, generator)
        self.hidden = Linear(inputs, outputs, generator, bias=False)
        self.norm = nn.LayerNorm(outputs)
        self.macs = self.narrow.macs + self.mask.macs + self.hidden.macs + inputs

    def forward(self, embedding: Tensor, x: Tensor) -> Tensor:
        mask = self.mask(torch.relu(self.narrow(embedding)))
        return torch.relu(self.norm(self.hidden(mask * x)))


class MeanHistory(nn.Module):
    """The mean vector of the entries there are."""

    macs = 0

    def forward(self, history: Tensor, known: Tensor, candidate: Tensor) -> Tensor:
        """(B, L, d), (B, L, 1) of 0 or 1, (B, d) -> (B, d)."""
        mean: Tensor = (history * known).sum(1) / known.sum(1).clamp(min=1)
        return mean


class Attention(nn.Module):
    """Each entry weighed 0 to 1 by how it goes with the candidate; not normalised, so that strong interests show (DIN, Zhou 2018)."""

    def __init__(self, dim: int, length: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden, self.weight = Linear(4 * dim, 16, generator), Linear(16, 1, generator)
        self.macs = length * (self.hidden.macs + self.weight.macs + 2 * dim)

    def forward(self, history: Tensor, known: Tensor, candidate: Tensor) -> Tensor:
        wanted = candidate.unsqueeze(1).expand_as(history)
        seen = torch.cat([history, wanted, history * wanted, history - wanted], 2)
        weight = torch.sigmoid(self.weight(torch.relu(self.hidden(seen))))
        pooled: Tensor = (history * (weight * known)).sum(1)
        return pooled


class _UpperTriangle(torch.autograd.Function):
    """The pairs above the diagonal of (B, n, n). torch's own gradient of a gather adds up; these places are distinct, so it may write."""

    @staticmethod
    def forward(ctx: Any, products: Tensor, pairs: Tensor) -> Tensor:
        ctx.save_for_backward(pairs)
        ctx.side = products.shape[1]
        return products.flatten(1).index_select(1, pairs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (pairs,) = ctx.saved_tensors
        full = grad.new_zeros(len(grad), ctx.side**2)
        full[:, pairs] = grad
        return full.view(-1, ctx.side, ctx.side), None


class PairDots(nn.Module):
    """Inner products of all pairs of n vectors: (B, n, d) -> (B, n(n-1)/2)."""

    pairs: Tensor

    def __init__(self, vectors: int, dim: int) -> None:
        super().__init__()
        row, column = torch.triu_indices(vectors, vectors, 1)
        self.register_buffer("pairs", row * vectors + column)
        self.width = len(row)
        self.macs = self.width * dim

    def forward(self, vectors: Tensor) -> Tensor:
        found: Tensor = _UpperTriangle.apply(torch.bmm(vectors, vectors.transpose(1, 2)), self.pairs)  # type: ignore[no-untyped-call]
        return found
