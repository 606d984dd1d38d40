"""Training of all tasks at once, and the model it leaves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, finite, one_of, same_length
from simulators.engines.ranking.multitask.labels import WATCH_LOSSES, Labels, WatchLoss, labels_of, loss
from simulators.engines.ranking.multitask.net import KINDS, Kind, Net, layout_of
from simulators.engines.ranking.step import Pace, Step
from simulators.engines.steps import blocks, finished

PREDICT_ROWS = 8192


@dataclass(frozen=True)
class MultiTask:
    """A trained net; inputs are standardised by the mean and deviation of the rows it was trained on."""

    net: Net
    mean: Floats  # (D,)
    deviation: Floats  # (D,), 1 where a column is constant
    watch_task: int | None

    def predict(self, X: ArrayLike) -> Floats:
        """(N, T): probabilities; in the watch task's column the odds, which are the expected minutes under the exact loss.

        ValueError where X is not (N, D) or holds NaN.
        """
        logits = self._each(X, self.net)
        found = np.asarray(expit(logits))
        if self.watch_task is not None:
            found[:, self.watch_task] = np.exp(logits[:, self.watch_task])
        return found

    def gates(self, X: ArrayLike) -> Floats:
        """(T, experts): the weight a task gives each expert, mean over the rows; a task's weights sum to 1. ValueError as `predict`."""
        weights = self._each(X, lambda x: self.net.mixture(x).expand(-1, -1, len(x)).permute(2, 0, 1))  # (N, T, E)
        return np.asarray(weights.mean(axis=0))

    @property
    def n_params(self) -> int:
        return sum(weights.numel() for weights in self.net.parameters())

    def _each(self, X: ArrayLike, found: Callable[[torch.Tensor], torch.Tensor]) -> Floats:
        rows = finite("X", X, ndim=2)
        if rows.shape[1] != len(self.mean) or not len(rows):
            raise ValueError(f"X is {rows.shape[0]} x {rows.shape[1]}; expected at least one row of {len(self.mean)} columns.")
        with torch.inference_mode():
            return np.concatenate([found(self.scaled(rows[block])).double().numpy() for block in blocks(len(rows), PREDICT_ROWS)])

    def scaled(self, rows: Floats) -> torch.Tensor:
        return torch.from_numpy((rows - self.mean) / self.deviation).float()


Probe = Callable[[MultiTask], Mapping[str, float]]


def iter_multitask(
    X: ArrayLike,
    Y: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    kind: Kind = "single",
    experts: int = 8,
    expert: Sequence[int] = (12, 8),
    tower: Sequence[int] = (8,),
    normalise_rare: bool = True,
    weights: Sequence[float] | None = None,
    watch_task: int | None = None,
    watch_loss: WatchLoss = "exact",
    epochs: int = 10,
    batch: int = 512,
    lr: float = 5e-3,
    seed: int = 0,
    probe: Probe | None = None,
) -> Generator[Step, None, MultiTask]:
    """A net for T labels, trained by Adam on the sum of the tasks' losses.

    X, Y            (N, D) inputs and (N, T) labels: 0 or 1, minutes in the watch task's column, NaN where unlabelled
    mask            (N, T) bool, where a label counts; None: wherever Y is not NaN
    experts         number of experts, of mmoe and ple alone; ple: one a task, the rest shared
    expert, tower   widths of the layers of an expert, and of a task's tower before its logit
    normalise_rare  divide a task's loss by its labelled rows in the batch, not by all rows
    weights         (T,) of the tasks' losses; None: all 1
    watch_task      column of Y that holds minutes watched, 0 where there was no click

    ValueError names the argument that is wrong.

    In steps, each with the mean loss since the last; after each pass what `probe` finds of the model so far. `fit_multitask` is the same
    in one go.
    """
    one_of("kind", kind, KINDS)
    one_of("watch_loss", watch_loss, WATCH_LOSSES)
    _check_sizes(experts=experts, epochs=epochs, batch=batch, expert=expert, tower=tower, lr=lr)
    inputs, labels = finite("X", X, ndim=2), labels_of(Y, mask, watch_task, watch_loss)
    n, tasks = same_length(X=inputs, Y=labels.yes), labels.yes.shape[1]
    task_weights = _task_weights(weights, tasks)
    draws = torch.Generator().manual_seed(seed)
    net = Net(inputs.shape[1], layout_of(kind, tasks, experts), expert, tower, draws)
    spread = inputs.std(axis=0)
    model = MultiTask(net, inputs.mean(axis=0), np.where(spread > 0, spread, 1.0), watch_task)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, fused=True)

    def descend(x: torch.Tensor, y: Labels) -> float:
        optimiser.zero_grad()
        total = (loss(net(x), y, per_label=normalise_rare) * task_weights).sum()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(total.detach())

    scaled, pace, steps = model.scaled(inputs), Pace(), -(-n // batch)
    for epoch in range(epochs):
        # Batches of equal size, for a short one at the end would count as much as a full one.
        for step, rows in enumerate(torch.randperm(n, generator=draws).tensor_split(steps), 1):
            found = descend(scaled[rows], labels.at(rows))
            if pace.due():
                yield Step(epoch * steps + step, epochs * steps, f"pass {epoch + 1} of {epochs}", {"loss": found})
        if probe is not None:
            yield Step((epoch + 1) * steps, epochs * steps, f"pass {epoch + 1} of {epochs}", probe(model))
    return model


fit_multitask = finished("fit_multitask", iter_multitask)


def _check_sizes(*, expert: Sequence[int], tower: Sequence[int], lr: float, **counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; expected 1 or more.")
    for name, widths in (("expert", expert), ("tower", tower)):
        if any(width < 1 for width in widths) or (name == "expert" and not widths):
            raise ValueError(f"{name} is {tuple(widths)}; expected the widths of its layers, each 1 or more.")
    if not 0 < lr < np.inf:
        raise ValueError(f"lr is {lr}; expected a learning rate above 0.")


def _task_weights(weights: Sequence[float] | None, tasks: int) -> torch.Tensor:
    if weights is None:
        return torch.ones(tasks)
    found = finite("weights", weights, ndim=1)
    if len(found) != tasks or (found < 0).any() or not found.any():
        raise ValueError(f"weights is {tuple(found)}; expected {tasks} numbers, 0 or more, not all 0.")
    return torch.from_numpy(found).float()
