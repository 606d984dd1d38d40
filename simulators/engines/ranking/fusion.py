"""Several vectors an item, some missing: fused into one prediction, and what each is used for.

    concat       all vectors side by side, zeros where one is missing
    concat_mask  the same and a flag for each vector that is there
    mean         the mean of the vectors present
    late         a net a modality, then the mean of the logits of those present
    gated        a mixture by a softmax gate that sees vectors and flags; a missing vector has a learned stand-in

Each vector is first projected to one width, which is all that frozen encoders leave to learn.

Modality dropout hides vectors while training, as serving will (Neverova et al. 2016, ModDrop; gates: Arevalo et al. 2017, GMU).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from torch.nn.functional import linear, softplus

from simulators.engines.ranking import metrics
from simulators.engines.ranking.arguments import Floats, binary, finite, one_of, same_length
from simulators.engines.ranking.step import Pace, Step
from simulators.engines.steps import blocks, finished

if TYPE_CHECKING:
    from simulators.engines.ranking.worlds import ModalWorld

Kind = Literal["concat", "concat_mask", "mean", "late", "gated"]
KINDS: tuple[Kind, ...] = ("concat", "concat_mask", "mean", "late", "gated")
PREDICT_ROWS = 8192
Flags = NDArray[np.bool_]
Predict = Callable[[Mapping[str, Floats], Flags], Floats]


class Layer(torch.nn.Module):
    """An affine map with first weights of a stream of its own."""

    def __init__(self, inputs: int, outputs: int, draws: torch.Generator) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = torch.nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=draws))
        self.bias = torch.nn.Parameter(torch.empty(outputs).uniform_(-bound, bound, generator=draws))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.weight, self.bias)


class Net(torch.nn.Module):
    """Projections (d -> hidden), a mixture of what is present, and a head (-> 2 hidden -> 1); late has a head a modality."""

    def __init__(self, kind: Kind, widths: Sequence[int], hidden: int, draws: torch.Generator) -> None:
        super().__init__()
        self.kind, count = kind, len(widths)
        self.projections = torch.nn.ModuleList(Layer(width, hidden, draws) for width in widths)
        fused = {"concat": count * hidden, "concat_mask": count * (hidden + 1)}.get(kind, hidden)
        self.heads = torch.nn.ModuleList(Layer(fused, 2 * hidden, draws) for _ in range(count if kind == "late" else 1))
        self.last = torch.nn.ModuleList(Layer(2 * hidden, 1, draws) for _ in self.heads)
        if kind == "gated":
            self.gate = Layer(count * (hidden + 1), count, draws)
            self.missing = torch.nn.Parameter(torch.zeros(count, hidden))

    def projected(self, X: list[torch.Tensor], present: torch.Tensor) -> torch.Tensor:
        """(n, M, hidden); what is missing is zero, or the learned stand-in of the gated net."""
        z = torch.stack([project(x) for project, x in zip(self.projections, X, strict=True)], dim=1)
        there = present[:, :, None]
        return z * there + self.missing * (1 - there) if self.kind == "gated" else z * there

    def mixture(self, z: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(n, M) weights that sum to 1."""
        if self.kind == "gated":
            return torch.softmax(self.gate(torch.cat([z.flatten(1), present], dim=1)), dim=1)
        return present / present.sum(dim=1, keepdim=True)

    def forward(self, X: list[torch.Tensor], present: torch.Tensor) -> torch.Tensor:
        """Logits (n,)."""
        z = self.projected(X, present)
        if self.kind == "late":
            logits = torch.cat([self._head(m, z[:, m]) for m in range(len(X))], dim=1)
            return (logits * self.mixture(z, present)).sum(dim=1)
        if self.kind == "concat":
            return self._head(0, z.flatten(1))[:, 0]
        if self.kind == "concat_mask":
            return self._head(0, torch.cat([z.flatten(1), present], dim=1))[:, 0]
        return self._head(0, (z * self.mixture(z, present)[:, :, None]).sum(dim=1))[:, 0]

    def _head(self, which: int, fused: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last[which](torch.relu(self.heads[which](fused)))
        return out


@dataclass(frozen=True)
class Fusion:
    """A trained net. `mean` and `scale` of each modality are those of the training rows that had it; 0 and 1 without `normalise`."""

    net: Net
    names: tuple[str, ...]
    mean: Mapping[str, Floats]  # (d,)
    scale: Mapping[str, float]

    def predict(self, X: Mapping[str, ArrayLike], present: ArrayLike) -> Floats:
        """(N,) probabilities. ValueError names what does not fit the training: a modality, its width, NaN where present, an empty row."""
        logits = self._each(X, present, self.net)
        return np.asarray(expit(logits))

    def gates(self, X: Mapping[str, ArrayLike], present: ArrayLike) -> Floats:
        """(N, M) weights of the modalities, summing to 1: the gate's, or equal shares of those present; NaN for concat, which has none."""
        if self.net.kind in ("concat", "concat_mask"):
            return np.full(_checked(X, present, self.names)[1].shape, np.nan)
        return self._each(X, present, lambda vectors, there: self.net.mixture(self.net.projected(vectors, there), there))

    @property
    def n_params(self) -> int:
        return sum(weights.numel() for weights in self.net.parameters())

    def _each(
        self, X: Mapping[str, ArrayLike], present: ArrayLike, found: Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]
    ) -> Floats:
        vectors, there = self.tensors(*_checked(X, present, self.names))
        with torch.inference_mode():
            parts = [found([x[rows] for x in vectors], there[rows]) for rows in blocks(len(there), PREDICT_ROWS)]
            return np.asarray(torch.cat(parts).double().numpy())

    def tensors(self, X: Mapping[str, Floats], present: Flags) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Vectors scaled, zero where missing, and the flags as numbers."""
        for name in self.names:
            if X[name].shape[1] != len(self.mean[name]):
                raise ValueError(f"X[{name!r}] has {X[name].shape[1]} columns; expected {len(self.mean[name])}, as in training.")
        scaled = [np.where(present[:, [m]], (X[name] - self.mean[name]) / self.scale[name], 0.0) for m, name in enumerate(self.names)]
        return [torch.from_numpy(x).float() for x in scaled], torch.from_numpy(present).float()


def iter_fusion(
    X: Mapping[str, ArrayLike],
    present: ArrayLike,
    y: ArrayLike,
    *,
    kind: Kind = "concat",
    modality_dropout: float | Mapping[str, float] = 0.3,
    normalise: bool = True,
    epochs: int = 4,
    seed: int = 0,
    hidden: int = 24,
    batch: int = 1_024,
    lr: float = 2e-3,
) -> Generator[Step, None, Fusion]:
    """A net for one binary label.

    X, present        vectors (N, d) by modality, and (N, M) bool: where each counts, in the order of X; absent ones may be NaN
    modality_dropout  share of rows on which a modality is hidden in training, for all or by name; a row never loses its last one
    normalise         centre each modality and divide it by one number, so that its vectors have unit variance

    ValueError names the argument that is wrong.

    In steps, each with the loss of its last batch. `fit_fusion` is the same in one go.
    """
    one_of("kind", kind, KINDS)
    names = tuple(X)
    vectors, there = _checked(X, present, names)
    labels = torch.from_numpy(binary("y", y, ndim=1)).float()
    n = same_length(present=there, y=labels)
    for name, count in (("epochs", epochs), ("hidden", hidden), ("batch", batch)):
        if count < 1:
            raise ValueError(f"{name} is {count}; expected 1 or more.")
    hidden_share = torch.from_numpy(_dropout(modality_dropout, names)).float()
    draws = torch.Generator().manual_seed(seed)
    net = Net(kind, [vectors[name].shape[1] for name in names], hidden, draws)
    model = Fusion(net, names, *_moments(vectors, there, normalise))
    tensors, flags = model.tensors(vectors, there)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    pace, steps = Pace(), -(-n // batch)
    for epoch in range(epochs):
        for step, rows in enumerate(torch.randperm(n, generator=draws).tensor_split(steps), 1):
            shown = _dropped(flags[rows], hidden_share, draws)
            optimiser.zero_grad()
            logits = net([x[rows] for x in tensors], shown)
            loss = (softplus(logits) - labels[rows] * logits).mean()
            loss.backward()
            optimiser.step()
            if pace.due():
                yield Step(epoch * steps + step, epochs * steps, f"pass {epoch + 1} of {epochs}", {"loss": float(loss.detach())})
    return model


fit_fusion = finished("fit_fusion", iter_fusion)


def usage(predict: Predict, world: ModalWorld) -> dict[str, float]:
    """How much a model uses each modality: the AUC it loses on the test rows without it, over the AUC the Bayes rule loses.

    1: as much as is right; above 1: it leans on it more. NaN where the Bayes rule loses nothing.
    """
    names = tuple(world.X)

    def lost(rule: Predict) -> dict[str, float]:
        full = metrics.expected_auc(world.p_test, rule(world.X_test, world.served(*names)))
        return {
            name: full - metrics.expected_auc(world.p_test, rule(world.X_test, world.served(*(other for other in names if other != name))))
            for name in names
        }

    own, best = lost(predict), lost(world.bayes)
    return {name: own[name] / best[name] if best[name] > 0 else float("nan") for name in names}


# --- arguments -----------------------------------------------------------------------------------------------------------------


def _checked(X: Mapping[str, ArrayLike], present: ArrayLike, names: tuple[str, ...]) -> tuple[dict[str, Floats], Flags]:
    if not X or set(X) != set(names):
        raise ValueError(f"X has the modalities {', '.join(X) or 'none'}; expected {', '.join(names) or 'at least one'}.")
    there = binary("present", present) > 0
    if there.ndim != 2 or there.shape[1] != len(names):
        raise ValueError(f"present has shape {there.shape}; expected a column for each of {', '.join(names)}.")
    if not len(there) or not there.any(axis=1).all():
        raise ValueError(f"present has {len(there)} rows, {int((~there.any(axis=1)).sum())} without any modality; expected one on each.")
    vectors = {}
    for m, name in enumerate(names):
        values = np.asarray(X[name], dtype=np.float64)
        if values.ndim != 2 or len(values) != len(there):
            raise ValueError(f"X[{name!r}] has shape {values.shape}; expected {len(there)} rows of a vector each.")
        vectors[name] = finite(f"X[{name!r}]", np.where(there[:, [m]], values, 0.0))
    return vectors, there


def _dropout(shares: float | Mapping[str, float], names: tuple[str, ...]) -> Floats:
    by_name = dict(shares) if isinstance(shares, Mapping) else dict.fromkeys(names, shares)
    if set(by_name) - set(names):
        raise ValueError(f"modality_dropout names {', '.join(sorted(set(by_name) - set(names)))}; the modalities are {', '.join(names)}.")
    found = np.array([by_name.get(name, 0.0) for name in names], dtype=np.float64)
    if not ((found >= 0) & (found < 1)).all():
        raise ValueError(f"modality_dropout is {shares}; expected shares from 0 to below 1.")
    return found


def _dropped(present: torch.Tensor, shares: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """The flags with some hidden; a row that would keep nothing keeps what it had."""
    kept = present * (torch.rand(present.shape, generator=draws) >= shares)
    return torch.where(kept.sum(dim=1, keepdim=True) > 0, kept, present)


def _moments(X: Mapping[str, Floats], present: Flags, normalise: bool) -> tuple[dict[str, Floats], dict[str, float]]:
    means, scales = {}, {}
    for m, (name, values) in enumerate(X.items()):
        seen = values[present[:, m]] if normalise and present[:, m].any() else np.zeros((1, values.shape[1]))
        means[name] = seen.mean(axis=0)
        spread = float(np.sqrt(((seen - means[name]) ** 2).mean()))
        scales[name] = spread if spread > 0 else 1.0
    return means, scales
