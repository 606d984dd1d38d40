"""Independent streams of random numbers, one a purpose: moving one knob of a world leaves the draws of the others alone."""

from __future__ import annotations

import zlib

import numpy as np

from simulators.engines.ranking.arguments import Floats, Ints


def draw(seed: int, purpose: str) -> np.random.Generator:
    """The stream of a purpose; the same seed and purpose give the same numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()),)))


def chosen(p: Floats, row: Ints, places: Floats) -> Ints:
    """One column a draw: the first whose cumulative weight passes places in [0, 1), in row `row` of p. Rows need not add up to 1."""
    cumulative = p.cumsum(axis=1)
    cumulative /= cumulative[:, -1:]
    cumulative += np.arange(len(p))[:, None]  # one rising line through all rows
    found = np.searchsorted(cumulative.ravel(), places + row, side="right") - row * p.shape[1]
    columns: Ints = np.minimum(found, p.shape[1] - 1)
    return columns
