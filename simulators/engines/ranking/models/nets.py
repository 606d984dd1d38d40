"""Click models over the vectors of one table, each from vectors (B, n, width) and numbers (B, D) to logits (B, T).

`width` is what a net wants of the table; `macs` its multiply-adds a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from simulators.engines.ranking.models.layers import MLP, Cross, Linear, MaskBlock, PairDots

Tensor = torch.Tensor
NetKind = Literal["lr", "fm", "deepfm", "dlrm", "dcnv2", "masknet"]
CROSS_LAYERS = 2


@dataclass(frozen=True)
class Shape:
    """What a net is made for: n vectors of `dim`, D numbers, T heads."""

    vectors: int
    dim: int
    dense: int
    heads: int
    hidden: tuple[int, ...]
    cross_rank: int | None

    @property
    def flat(self) -> int:
        return self.vectors * self.dim + self.dense


class LogisticRegression(nn.Module):
    """A weight an id and head, and a linear term of the numbers."""

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = Linear(shape.dense, shape.heads, generator)
        nn.init.zeros_(self.linear.weight)
        self.macs = self.linear.macs

    @staticmethod
    def width(shape: Shape) -> int:
        return shape.heads

    def forward(self, vectors: Tensor, dense: Tensor) -> Tensor:
        logits: Tensor = self.linear(dense) + vectors.sum(1)
        return logits


class FactorisationMachine(nn.Module):
    """A weight and a vector an id and head; pairs meet by inner product, summed in linear time (Rendle 2010)."""

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = LogisticRegression(shape, generator)
        self.heads, self.dim = shape.heads, shape.dim
        self.macs = self.linear.macs + 2 * shape.vectors * shape.dim * shape.heads

    @staticmethod
    def width(shape: Shape) -> int:
        return shape.heads * (shape.dim + 1)

    def forward(self, vectors: Tensor, dense: Tensor) -> Tensor:
        weights, factors = vectors[..., : self.heads], vectors[..., self.heads :]
        total = factors.sum(1)
        pairs = (total * total - (factors * factors).sum(1)).view(-1, self.heads, self.dim)
        logits: Tensor = self.linear(weights, dense) + pairs.sum(2) / 2
        return logits


class DeepFM(nn.Module):
    """A factorisation machine plus a net over the same vectors (Guo 2017)."""

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.fm = FactorisationMachine(shape, generator)
        self.deep = MLP(shape.vectors * self.width(shape) + shape.dense, shape.hidden, generator)
        self.head = Linear(self.deep.width, shape.heads, generator, bias=False)
        self.macs = self.fm.macs + self.deep.macs + self.head.macs

    @staticmethod
    def width(shape: Shape) -> int:
        return FactorisationMachine.width(shape)

    def forward(self, vectors: Tensor, dense: Tensor) -> Tensor:
        logits: Tensor = self.fm(vectors, dense) + self.head(self.deep(torch.cat([vectors.flatten(1), dense], 1)))
        return logits


class _Embedded(nn.Module):
    @staticmethod
    def width(shape: Shape) -> int:
        return shape.dim


class DLRM(_Embedded):
    """Numbers become one more vector; a net over the vectors and the inner products of all pairs (Naumov 2019)."""

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.bottom = MLP(shape.dense, (32, shape.dim), generator)
        self.dots = PairDots(shape.vectors + 1, shape.dim)
        self.top = MLP((shape.vectors + 1) * shape.dim + self.dots.width, shape.hidden, generator)
        self.head = Linear(self.top.width, shape.heads, generator)
        self.macs = self.bottom.macs + self.dots.macs + self.top.macs + self.head.macs

    def forward(self, vectors: Tensor, dense: Tensor) -> Tensor:
        vectors = torch.cat([self.bottom(dense).unsqueeze(1), vectors], 1)
        logits: Tensor = self.head(self.top(torch.cat([vectors.flatten(1), self.dots(vectors)], 1)))
        return logits


class DCNV2(_Embedded):
    """Cross layers beside a net, both over all vectors and numbers end to end (Wang 2020, the parallel form)."""

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.crosses = nn.ModuleList(Cross(shape.flat, shape.cross_rank, generator) for _ in range(CROSS_LAYERS))
        self.deep = MLP(shape.flat, shape.hidden, generator)
        self.head = Linear(shape.flat + self.deep.width, shape.heads, generator)
        self.macs = sum(layer.macs for layer in self.crosses) + self.deep.macs + self.head.macs  # type: ignore[misc]

    def forward(self, vectors: Tensor, dense: Tensor) -> Tensor:
        first = crossed = torch.cat([vectors.flatten(1), dense], 1)
        for layer in self.crosses:
            crossed = layer(first, crossed)
        logits: Tensor = self.head(torch.cat([crossed, self.deep(first)], 1))
        return logits


class MaskNet(_Embedded):
    """Mask blocks one after the other, each gated by the embedding (Wang 2021, the serial form)."""

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        widths = (shape.flat, *shape.hidden)
        self.norm = nn.LayerNorm(shape.flat)
        self.blocks = nn.ModuleList(MaskBlock(shape.flat, a, b, generator) for a, b in zip(widths, widths[1:], strict=False))
        self.head = Linear(widths[-1], shape.heads, generator)
        self.macs = sum(block.macs for block in self.blocks) + self.head.macs  # type: ignore[misc]

    def forward(self, vectors: Tensor, dense: Tensor) -> Tensor:
        embedding = torch.cat([vectors.flatten(1), dense], 1)
        x = self.norm(embedding)
        for block in self.blocks:
            x = block(embedding, x)
        logits: Tensor = self.head(x)
        return logits


NETS: dict[str, Any] = {
    "lr": LogisticRegression,
    "fm": FactorisationMachine,
    "deepfm": DeepFM,
    "dlrm": DLRM,
    "dcnv2": DCNV2,
    "masknet": MaskNet,
}
KINDS: Sequence[str] = (*NETS, "lightgbm")
