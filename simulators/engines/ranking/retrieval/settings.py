"""What a two-tower model is trained with, checked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Ints

Floats32 = NDArray[np.float32]
POOL = 100  # a user's best items by the model so far, from which hard negatives are drawn


class Settings(NamedTuple):
    """See `fit_two_tower`."""

    negatives: str
    n_uniform: int
    n_hard: int
    logq: float
    dim: int
    batch: int
    epochs: int
    temperature: float | None
    user_tower: str
    seed: int
    history_dropout: bool


class Log(NamedTuple):
    """Choices (n,) and what is known of users and items."""

    users: Ints
    items: Ints
    n_users: int
    n_items: int
    item_features: Floats32 | None  # (I, F)
    history: Ints | None  # (U, L) or (n, L), -1 for none
    user_features: Floats32 | None  # (U, G)

    @property
    def history_by_row(self) -> bool:
        """A history a row of the log, not a user."""
        return self.history is not None and len(self.history) != self.n_users
