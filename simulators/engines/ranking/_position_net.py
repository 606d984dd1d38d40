"""The nets behind `position`: relevance from features, and what a position does to a click."""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.step import Pace, Step
from simulators.engines.steps import blocks

Kind = Literal["naive", "feature", "pal", "ips", "random_only"]
Init = Literal["zeros", "normal"]
HIDDEN = (32, 16)
LEARNING_RATE = 0.02
PREDICT_ROWS = 16_384


class Settings(NamedTuple):
    kind: Kind
    position_lr: float
    position_init: Init
    steps: int
    batch: int
    seed: int


class Net(torch.nn.Module):
    """(n, D) -> (n,) logits of relevance; `position` (K,) is PAL's tower, `seen` how many one-hot columns the first layer has for it."""

    def __init__(self, inputs: int, positions: int, settings: Settings, draws: torch.Generator) -> None:
        super().__init__()
        self.kind, self.positions = settings.kind, positions
        seen = positions if settings.kind == "feature" else 0
        sizes = (inputs + seen, *HIDDEN, 1)
        self.weights = torch.nn.ParameterList(
            torch.randn(a, b, generator=draws) * (2 / a) ** 0.5 * (1 if b > 1 else 0.1) for a, b in zip(sizes, sizes[1:], strict=False)
        )
        self.biases = torch.nn.ParameterList(torch.zeros(b) for b in sizes[1:])
        normal = settings.kind == "pal" and settings.position_init == "normal"
        self.position = torch.nn.Parameter(torch.randn(positions, generator=draws) if normal else torch.zeros(positions))

    def forward(self, x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        if self.kind == "feature":
            x = torch.cat([x, functional.one_hot(position, self.positions).to(x.dtype)], dim=1)
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in hidden:
            x = torch.relu(torch.addmm(bias, x, weight))
        return torch.addmm(last[1], x, last[0]).squeeze(1)

    def loss(self, x: torch.Tensor, position: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean over rows; `target` is the click, for ips the click over its propensity, so that its mean is the relevance."""
        logit: torch.Tensor = self(x, position)
        if self.kind != "pal":
            return (functional.softplus(logit) - target * logit).mean()
        clicked = functional.logsigmoid(logit) + functional.logsigmoid(self.position[position])
        return -(target * clicked + (1 - target) * torch.log1p(-clicked.exp().clamp(max=1 - 1e-6))).mean()

    def probability(self, x: Floats, position: int) -> Floats:
        """(n,): of a click at `position` (from 0) by the feature model, of relevance by the others."""
        with torch.inference_mode():
            parts = [self._probability(x[rows], position) for rows in blocks(len(x), PREDICT_ROWS)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _probability(self, x: Floats, position: int) -> Floats:
        place = torch.full((len(x),), position)
        return np.asarray(torch.sigmoid(self(torch.from_numpy(x).float(), place)).double().numpy())

    def examined(self) -> Floats:
        """(K,): PAL's probability that a position is looked at, up to the factor that relevance takes."""
        with torch.inference_mode():
            return np.asarray(torch.sigmoid(self.position).double().numpy())


def train(x: Floats, position: Ints, target: Floats, positions: int, settings: Settings) -> Generator[Step, None, Net]:
    """Adam on random batches; both learning rates fall linearly to 0, so the last steps average the noise of clicks away.

    The number of steps does not grow with the log: a small share of random slates is read many times.
    """
    draws = torch.Generator().manual_seed(settings.seed)
    net = Net(x.shape[1], positions, settings, draws)
    rates = {"net": LEARNING_RATE, "position": settings.position_lr}
    of_net = [*net.weights, *net.biases]
    groups = [{"params": of_net, "lr": rates["net"]}, {"params": [net.position], "lr": rates["position"]}]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)
    rows, places, targets = torch.from_numpy(x).float(), torch.from_numpy(position), torch.from_numpy(target).float()
    pace, order, batch, at = Pace(), torch.empty(0, dtype=torch.int64), min(settings.batch, len(x)), 0
    for step in range(settings.steps):
        if at + batch > len(order):
            order, at = torch.randperm(len(rows), generator=draws), 0
        chosen, at = order[at : at + batch], at + batch
        for group, rate in zip(optimiser.param_groups, rates.values(), strict=True):
            group["lr"] = rate * (1 - step / settings.steps)
        optimiser.zero_grad()
        loss = net.loss(rows[chosen], places[chosen], targets[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if pace.due():
            yield Step(step + 1, settings.steps, f"training {settings.kind}", {"loss": float(loss.detach())})
    yield Step(settings.steps, settings.steps, f"training {settings.kind}")
    return net
