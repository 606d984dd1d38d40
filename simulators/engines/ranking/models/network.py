"""A net on a fused table: from rows of a log to logits, and one step of training."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.models.layers import Attention, MeanHistory
from simulators.engines.ranking.models.nets import NETS, Shape
from simulators.engines.ranking.models.table import FusedTable
from simulators.engines.ranking.step import Step

Tensor = torch.Tensor
History = Literal["mean", "din"]
SCORED_ROWS = 2048


class Rows(NamedTuple):
    """Some rows as a net takes them."""

    ids: Tensor  # (B, F + L), rows of the table
    dense: Tensor  # (B, D)
    known: Tensor | None  # (B, L, 1), where the history has an entry


@dataclass(frozen=True)
class Inputs:
    """How rows of a log become ids of one table and numbers of about unit size."""

    cards: tuple[int, ...]
    history: History | None
    candidate_field: int
    length: int  # entries of history, 0 without
    mean: NDArray[np.float32]  # (D,)
    scale: NDArray[np.float32]  # (D,)

    @classmethod
    def of(cls, data: CtrData, history: History | None, candidate_field: int) -> Inputs:
        length = data.history.shape[1] if history and data.history is not None else 0
        spread = data.dense.std(axis=0, dtype=np.float64)
        scale = np.where(spread > 0, spread, 1).astype(np.float32)
        return cls(data.cards, history, candidate_field, length, data.dense.mean(axis=0, dtype=np.float64).astype(np.float32), scale)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """First row in the table of each field, then of the history's entries: they live in the candidate's field."""
        starts = np.cumsum([0, *self.cards])[:-1]
        return np.concatenate([starts, np.repeat(starts[self.candidate_field], self.length)]) if self.length else starts

    def rows(self, data: CtrData, rows: Any) -> Rows:
        ids, known = data.fields[rows], None
        if self.length and data.history is not None:
            past = data.history[rows]
            known = torch.from_numpy((past >= 0).astype(np.float32)).unsqueeze(2)
            ids = np.concatenate([ids, np.maximum(past, 0)], axis=1)
        dense = (data.dense[rows] - self.mean) / self.scale
        return Rows(torch.from_numpy(ids + self.offsets), torch.from_numpy(dense), known)

    def check(self, data: CtrData) -> None:
        """ValueError when the log is not of the shape the model was trained on."""
        if data.cards != self.cards or data.dense.shape[1] != len(self.mean):
            raise ValueError(
                f"data has cards {data.cards} and {data.dense.shape[1]} dense columns; expected {self.cards} and {len(self.mean)}."
            )
        if self.length and (data.history is None or data.history.shape[1] != self.length):
            raise ValueError(f"data has a history of {getattr(data.history, 'shape', None)}; expected {self.length} entries a row.")


class Network(nn.Module):
    """The dense part: history pooled into one more vector, then the net of a kind."""

    def __init__(self, kind: str, shape: Shape, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        self.fields, self.candidate = len(inputs.cards), inputs.candidate_field
        self.width = NETS[kind].width(shape)
        self.pool: nn.Module | None = None
        if inputs.length:
            self.pool = MeanHistory() if inputs.history == "mean" else Attention(self.width, inputs.length, generator)
        self.net = NETS[kind](shape, generator)
        self.macs: int = self.net.macs + (self.pool.macs if self.pool else 0)

    def forward(self, vectors: Tensor, dense: Tensor, known: Tensor | None) -> Tensor:
        """(B, F + L, width), (B, D), (B, L, 1) -> logits (B, T)."""
        fields = vectors[:, : self.fields]
        if self.pool is not None:
            pooled = self.pool(vectors[:, self.fields :], known, fields[:, self.candidate])
            fields = torch.cat([fields, pooled.unsqueeze(1)], 1)
        logits: Tensor = self.net(fields, dense)
        return logits


@dataclass
class NetScorer:
    """A trained net and its table; also what trains them."""

    inputs: Inputs
    table: FusedTable
    network: Network
    bias: Tensor  # (T,) log odds of the mean label: the net learns what differs from it
    bf16: bool

    @property
    def table_params(self) -> int:
        return self.table.params

    @property
    def macs_per_row(self) -> int:
        return self.network.macs

    def memory_bytes(self) -> int:
        return self.table.memory_bytes() + 4 * sum(p.numel() for p in self.network.parameters())

    def logits(self, vectors: Tensor, rows: Rows) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext():
            found = self.network(vectors, rows.dense, rows.known)
        logits: Tensor = found.float() + self.bias
        return logits

    def learn(self, rows: Rows, y: Tensor, labelled: Tensor | None, adam: torch.optim.Optimizer) -> Tensor:
        """One step; the logits before it. The loss is the sum over heads of the mean over the batch, unlabelled entries left out."""
        vectors = self.table.lookup(rows.ids).requires_grad_()
        logits = self.logits(vectors, rows)
        loss = binary_cross_entropy_with_logits(logits, y, labelled, reduction="sum") / len(y)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if vectors.grad is not None:
            self.table.apply(rows.ids, vectors.grad)
        adam.step()
        return logits.detach()

    def predict_steps(self, data: CtrData) -> Generator[Step, None, Floats]:
        """Probabilities (N, T)."""
        self.inputs.check(data)
        scores = np.empty((len(data), len(self.bias)))
        for start in range(0, len(data), SCORED_ROWS):
            rows = self.inputs.rows(data, slice(start, start + SCORED_ROWS))
            with torch.inference_mode():
                scores[start : start + SCORED_ROWS] = torch.sigmoid(self.logits(self.table.lookup(rows.ids), rows).double()).numpy()
            yield Step(min(start + SCORED_ROWS, len(data)), len(data), "scoring")
        return scores
