"""How do these users read? Three models of readers, fitted to the log with the level of relevance in place of a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.search.clicks import DBN, PBM, Cascade, ClickModel, Sessions
from simulators.lab import Progress, Working

ITERATIONS = 20
READERS: dict[str, tuple[str, Callable[[], ClickModel]]] = {
    "pbm": ("position-based", PBM),
    "cascade": ("cascade, one click", Cascade),
    "dbn": ("dynamic Bayesian network", DBN),
}


class Read(NamedTuple):
    """Perplexity of each reader's model on the quarter of the pages that it was not fitted to, and what the last would say of going on."""

    perplexity: dict[str, float]
    continuation: float

    @property
    def best(self) -> str:
        return min(self.perplexity, key=lambda name: self.perplexity[name])


def read_steps(level: Ints, clicks: Floats) -> Working[Read]:
    """`level`, `clicks` (n, K). Levels of relevance come from a model, so its mistakes are the readers' mistakes too."""
    fitted, held_out = (
        _sessions(level, clicks, slice(None, 3 * len(level) // 4)),
        _sessions(level, clicks, slice(3 * len(level) // 4, None)),
    )
    found, continuation = {}, 0.0
    for number, (name, (_, make)) in enumerate(READERS.items()):
        model = make()
        for done, _ in enumerate(model.iter_fit(fitted, 1 if name == "cascade" else ITERATIONS)):
            yield Progress(number + done / ITERATIONS, len(READERS), "fitting models of readers")
        found[name] = model.perplexity(held_out)
        continuation = model.continuation if isinstance(model, DBN) else continuation
    return Read(found, continuation)


def _sessions(level: Ints, clicks: Floats, part: slice) -> Sessions:
    docs = level[part].astype(np.int32)
    return Sessions(np.zeros(len(docs), np.int32), docs, clicks[part].astype(np.uint8))
