"""Labels as a loss reads them: what a row adds to each task's loss when the logit says yes, and when it says no.

Every task's loss is yes * softplus(-o) + no * softplus(o) with a logit o. A binary label has yes = y, no = 1 - y. Watch minutes w have
yes = w and, by the exact loss, no = 1 on every impression: least at the odds exp(o) = E[w]. Covington's form has no = 1 on the impressions
without a click alone, and its odds are E[w] / (1 - p): close where clicks are rare.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn.functional import softplus

from simulators.engines.ranking.arguments import Floats, binary

WatchLoss = Literal["exact", "covington"]
WATCH_LOSSES: tuple[WatchLoss, ...] = ("exact", "covington")


class Labels(NamedTuple):
    """Each (N, T); all 0 where a row is unlabelled."""

    yes: torch.Tensor
    no: torch.Tensor
    known: torch.Tensor

    def at(self, rows: torch.Tensor) -> Labels:
        return Labels(self.yes[rows], self.no[rows], self.known[rows])


def labels_of(Y: ArrayLike, mask: ArrayLike | None, watch_task: int | None, watch_loss: WatchLoss) -> Labels:
    """ValueError for a label outside {0, 1}, minutes below 0, a label the mask promises and Y lacks, a task without any."""
    values = np.asarray(Y, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"Y has shape {values.shape}; expected a column a task.")
    known = _known(values, mask)
    if watch_task is not None and not 0 <= watch_task < values.shape[1]:
        raise ValueError(f"watch_task is {watch_task}; Y has the columns 0 to {values.shape[1] - 1}.")
    for task in range(values.shape[1]):
        _check(values[known[:, task], task], task, watched=task == watch_task)
    yes = np.where(known, values, 0.0)
    no = np.where(known, 1 - yes, 0.0)
    if watch_task is not None:
        counted = known[:, watch_task] if watch_loss == "exact" else known[:, watch_task] & (yes[:, watch_task] == 0)
        no[:, watch_task] = counted
    return Labels(*(torch.from_numpy(part).float() for part in (yes, no, known)))


def loss(logits: torch.Tensor, labels: Labels, *, per_label: bool) -> torch.Tensor:
    """(T,): a task's loss, divided by its labelled rows or by all rows of the batch."""
    total = ((labels.yes + labels.no) * softplus(logits) - labels.yes * logits).sum(dim=0)
    return total / (labels.known.sum(dim=0).clamp(min=1.0) if per_label else len(logits))


def _known(values: Floats, mask: ArrayLike | None) -> NDArray[np.bool_]:
    present = ~np.isnan(values)
    if mask is None:
        return present
    wanted = binary("mask", mask) > 0
    if wanted.shape != values.shape:
        raise ValueError(f"mask has shape {wanted.shape}; expected {values.shape}, as Y has.")
    if (wanted & ~present).any():
        raise ValueError(f"Y holds {int((wanted & ~present).sum())} NaN where mask says that there is a label.")
    return wanted


def _check(found: Floats, task: int, *, watched: bool) -> None:
    if not len(found):
        raise ValueError(f"Y has no label in column {task}; expected at least one.")
    bad = found[~np.isfinite(found) | (found < 0)] if watched else found[(found != 0) & (found != 1)]
    if len(bad):
        raise ValueError(f"Y holds {bad[0]:g} in column {task}; expected {'minutes, 0 or more' if watched else '0, 1 or NaN'}.")
