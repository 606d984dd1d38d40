"""Training of click models, from a linear one to trees, with one signature."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Floats, one_of
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.metrics import excess_log_loss, log_loss
from simulators.engines.ranking.models.nets import KINDS, Shape
from simulators.engines.ranking.models.network import History, Inputs, NetScorer, Network
from simulators.engines.ranking.models.precision import Bf16, use_bf16
from simulators.engines.ranking.models.table import FusedTable
from simulators.engines.ranking.models.trees import iter_trees
from simulators.engines.ranking.one_thread import on_one_thread
from simulators.engines.ranking.step import Pace, Step
from simulators.engines.ranking.worlds.draws import draw
from simulators.engines.steps import finish, finished

Kind = Literal["lr", "fm", "deepfm", "dlrm", "dcnv2", "masknet", "lightgbm"]

ACC0 = 0.01  # ten times the table's own start: an untrained net's first gradients move the vectors less
REPORTS = 40


class Scorer(Protocol):
    """What predicts: a net on its table, or trees."""

    @property
    def table_params(self) -> int: ...
    @property
    def macs_per_row(self) -> int: ...
    def predict_steps(self, data: CtrData) -> Generator[Step, None, Floats]: ...


@dataclass(frozen=True)
class CtrModel:
    """A trained click model.

    table_params    numbers in the embedding table (0 for trees)
    macs_per_row    multiply-adds of a prediction, the table's gather left out (of trees: comparisons)
    rows_seen       rows trained on, each epoch counted, dropped negatives not
    cpu_seconds     CPU time of the training
    """

    kind: str
    scorer: Scorer
    rows_seen: int
    cpu_seconds: float

    @property
    def table_params(self) -> int:
        return self.scorer.table_params

    @property
    def macs_per_row(self) -> int:
        return self.scorer.macs_per_row

    def predict(self, data: CtrData) -> Floats:
        """Probabilities (N,), or (N, T) when trained on several labels. Of a sampled log: not corrected for the sampling."""
        return finish(self.predict_steps(data))

    def predict_steps(self, data: CtrData) -> Generator[Step, None, Floats]:
        scores, _ = yield from on_one_thread(self.scorer.predict_steps(data))
        return scores[:, 0] if scores.shape[1] == 1 else scores


def iter_ctr(
    data: CtrData,
    kind: Kind = "dlrm",
    *,
    dim: int = 8,
    history: History | None = None,
    candidate_field: int = 3,
    cross_rank: int | None = 16,
    hidden: Sequence[int] = (64, 32),
    epochs: int = 1,
    batch: int = 512,
    table_lr: float = 0.08,
    dense_lr: float = 3e-3,
    keep_negatives: float | Sequence[float] = 1.0,
    bf16: Bf16 | bool = "auto",
    seed: int = 0,
) -> Generator[Step, None, CtrModel]:
    """A click model of a kind: row-wise Adagrad on the table, Adam on the net, rows in a random order.

    dim               width of the vectors (fm and deepfm: beside a weight an id)
    history           how the last choices are pooled: not at all, by mean, or by attention to the candidate (DIN)
    candidate_field   the field whose ids the history holds, and whose vector attends
    cross_rank        of DCN-V2's matrices; None: full
    keep_negatives    share of the negatives trained on, per head if a list; predictions are those of the sampled log
    lightgbm takes the numbers, small fields as categories, fields above 50 values by 5-fold target encoding, and with a history the
    share of it that equals the candidate; of the options above only `epochs` (times 100 trees), `keep_negatives` and `seed` concern it.
    Raises ValueError naming the argument.

    In short steps: some forty of a net carry `metrics`, `log_loss` of the rows since the last of them, each predicted before it was
    learned from, and `excess_log_loss` (nats) where the truth is known. `fit_ctr` is the same in one go.
    """
    one_of("kind", kind, tuple(KINDS))
    _check(data, history, candidate_field)
    _check_numbers(dim=dim, epochs=epochs, batch=batch, table_lr=table_lr, dense_lr=dense_lr)
    if cross_rank is not None and cross_rank < 1 or any(width < 1 for width in hidden):
        raise ValueError(f"cross_rank is {cross_rank} and hidden {tuple(hidden)}; expected 1 or more, or None for a full matrix.")
    y, rows = _kept(data, keep_negatives, seed)
    if kind == "lightgbm":
        work: Generator[Step, None, Scorer] = iter_trees(data, y, rows, candidate_field if history else None, epochs, seed)
    else:
        inputs = Inputs.of(data, history, candidate_field)
        shape = Shape(len(data.cards) + bool(inputs.length), dim, data.dense.shape[1], data.heads, tuple(hidden), cross_rank)
        work = _train(data, y, rows, kind, shape, inputs, epochs, batch, table_lr, dense_lr, bf16, seed)
    scorer, cpu_s = yield from on_one_thread(work)
    return CtrModel(kind, scorer, epochs * len(rows), cpu_s)


fit_ctr = finished("fit_ctr", iter_ctr)


def _check(data: CtrData, history: str | None, candidate_field: int) -> None:
    if history is None:
        return
    one_of("history", history, ("mean", "din"))
    if data.history is None:
        raise ValueError(f"history is {history!r}, but data has none.")
    if not 0 <= candidate_field < len(data.cards):
        raise ValueError(f"candidate_field is {candidate_field}; expected 0 to {len(data.cards) - 1}.")
    if data.history.size and data.history.max() >= data.cards[candidate_field]:
        raise ValueError(
            f"data.history holds {data.history.max()}; field {candidate_field} has ids up to {data.cards[candidate_field] - 1}."
        )


def _check_numbers(**values: float) -> None:
    for name, value in values.items():
        lowest = 0 if name.endswith("lr") else 1
        if not lowest <= value < np.inf:
            raise ValueError(f"{name} is {value}; expected {lowest} or more.")


def _kept(data: CtrData, keep: float | Sequence[float], seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Labels (N, T) with the dropped negatives unlabelled, and the rows that have a label left."""
    y = data.y.reshape(len(data), -1)
    shares = np.broadcast_to(np.asarray(keep, np.float64), y.shape[1]) if np.ndim(keep) == 0 else np.asarray(keep, np.float64)
    if shares.shape != (y.shape[1],) or not ((shares > 0) & (shares <= 1)).all():
        raise ValueError(f"keep_negatives is {keep}; expected a share above 0 and up to 1, one or {y.shape[1]} of them.")
    if (shares < 1).any():
        dropped = (y == 0) & (draw(seed, "ctr/negatives").random(y.shape) >= shares)
        y = np.where(dropped, np.nan, y)
    rows = np.flatnonzero(~np.isnan(y).all(axis=1))
    if not len(rows):
        raise ValueError("y holds no label to learn from.")
    return y, rows


# --- nets ------------------------------------------------------------------------------------------------------------


def _train(
    data: CtrData,
    y: Floats,
    rows: NDArray[np.int64],
    kind: str,
    shape: Shape,
    inputs: Inputs,
    epochs: int,
    batch: int,
    table_lr: float,
    dense_lr: float,
    bf16: Bf16 | bool,
    seed: int,
) -> Generator[Step, None, NetScorer]:
    network = Network(kind, shape, inputs, torch.Generator().manual_seed(seed + 1))
    table = yield from FusedTable.steps(max(1, sum(data.cards)), network.width, table_lr, ACC0, seed)
    adam = torch.optim.Adam(network.parameters(), lr=dense_lr, fused=True)
    scorer = NetScorer(inputs, table, network, _log_odds(y[rows]), use_bf16(bf16, network.macs * batch))
    total, pace, seen = epochs * len(rows), Pace(), Seen(data)
    window = total / REPORTS
    for done, chosen in _batches(rows, epochs, batch, seed):
        target = torch.from_numpy(y[chosen].astype(np.float32))
        labelled = ~torch.isnan(target)
        logits = scorer.learn(inputs.rows(data, chosen), target.nan_to_num(), None if labelled.all() else labelled.float(), adam)
        seen.add(chosen, y[chosen], logits)
        if seen.rows >= window or (done == total and seen.rows >= window / 2):  # a few last rows would be all noise
            yield Step(done, total, f"training {kind}", seen.metrics())
        elif pace.due():
            yield Step(done, total, f"training {kind}")
    return scorer


def _log_odds(y: Floats) -> torch.Tensor:
    labels = np.maximum(1, (~np.isnan(y)).sum(axis=0))
    mean = (np.nansum(y, axis=0) + 0.5) / (labels + 1)
    return torch.from_numpy(np.log(mean / (1 - mean)).astype(np.float32))


def _batches(rows: NDArray[np.int64], epochs: int, batch: int, seed: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(Rows done, rows of the batch), every epoch in an order of its own."""
    for epoch in range(epochs):
        order = rows[draw(seed, f"ctr/order/{epoch}").permutation(len(rows))]
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            yield epoch * len(rows) + start + len(part), part


class Seen:
    """Predictions made before learning, since the last report; of the first head."""

    def __init__(self, data: CtrData) -> None:
        self.truth = None if data.p is None else data.p.reshape(len(data), -1)[:, 0]
        self.parts: list[tuple[NDArray[np.int64], Floats, torch.Tensor]] = []
        self.rows = 0

    def add(self, rows: NDArray[np.int64], y: Floats, logits: torch.Tensor) -> None:
        self.parts.append((rows, y[:, 0], logits[:, 0]))
        self.rows += len(rows)

    def metrics(self) -> dict[str, float]:
        rows, labels, logits = zip(*self.parts, strict=True)
        self.parts.clear()
        self.rows = 0
        at, y = np.concatenate(rows), np.concatenate(labels)
        p = torch.sigmoid(torch.cat(logits).double()).numpy()
        known = ~np.isnan(y)
        found = {"log_loss": log_loss(y[known], p[known])} if known.any() else {}
        return found if self.truth is None else found | {"excess_log_loss": excess_log_loss(self.truth[at], p)}


@cache
def warm_up() -> None:
    """Compiles the table's update, probes bfloat16 and loads what the first training of a net and of trees loads; once a process."""
    tiny = CtrData(np.zeros((64, 1), np.int64), (1,), np.zeros((64, 1), np.float32), None, np.tile([0.0, 1.0], 32))
    kinds: tuple[Kind, ...] = ("dcnv2", "lightgbm")
    for kind in kinds:
        fit_ctr(tiny, kind).predict(tiny)
    use_bf16("auto", np.inf)
