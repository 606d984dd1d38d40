"""Independent streams of random numbers, one a purpose: moving one knob of a world leaves the draws of the others alone."""

from __future__ import annotations

import zlib

import numpy as np


def draw(seed: int, purpose: str) -> np.random.Generator:
    """The stream of a purpose; the same seed and purpose give the same numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()),)))
