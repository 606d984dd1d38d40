"""Makes the shipped weights: python -m simulators.engines.serving.tiny.train [folder]

Next-token training on fresh text of the synthetic language, one thread: a few minutes for the target, half a minute for the draft. The
weak draft is the same draft stopped early, so that one can see what speculation is worth when the guesses are poor.
"""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from simulators.engines.serving.tiny.language import language
from simulators.engines.serving.tiny.model import DRAFT, TARGET, WEIGHTS, Shape, TinyLM, text_logits

log = logging.getLogger(__name__)

TEXTS, LENGTH = 6, 160  # a step's batch
LONG_LENGTH, LONG_EVERY = 960, 8  # every eighth step is one long text: far positions must be as good as near ones
RECIPES: dict[str, tuple[Shape, int, float]] = {  # steps, peak learning rate
    "target": (TARGET, 700, 2e-3),
    "draft": (DRAFT, 1500, 6e-3),
    "weak_draft": (DRAFT, 150, 6e-3),
}


def train(shape: Shape, steps: int, peak_rate: float, seed: int = 0) -> TinyLM:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    model = TinyLM(shape)
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak_rate, betas=(0.9, 0.95), weight_decay=0.02)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = peak_rate * rate_share(step / steps)
        loss = cross_entropy(model, batch(step, rng))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 25 == 0:
            log.info("step %d of %d, loss %.3f nats/token (floor %.3f)", step, steps, loss.item(), language().entropy_rate)
    return model.eval().requires_grad_(False)


def rate_share(done: float) -> float:
    """Warm-up over the first 5 %, then half a cosine down to nothing."""
    return done / 0.05 if done < 0.05 else 0.5 * (1 + math.cos(math.pi * (done - 0.05) / 0.95))


def batch(step: int, rng: np.random.Generator) -> Tensor:
    texts, length = (1, LONG_LENGTH) if step % LONG_EVERY == LONG_EVERY - 1 else (TEXTS, LENGTH)
    return torch.tensor([language().sample(length + 1, rng) for _ in range(texts)])


def cross_entropy(model: TinyLM, texts: Tensor) -> Tensor:
    """nats per token."""
    logits = text_logits(model, texts[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), texts[:, 1:].flatten())


def main(folder: Path) -> None:
    for name, (shape, steps, rate) in RECIPES.items():
        log.info("training %s", name)
        train(shape, steps, rate).save(folder / f"{name}.npz")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS)
