"""Distinct counts by sketch, and averages by a popular mistake."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.engines.features.layouts import Window
from simulators.engines.features.tiles import HyperLogLog
from simulators.engines.features.times import US_PER_S
from simulators.engines.features.windows import EventLog, Mode, bounds
from simulators.feature_store._windows_params import WindowsParams
from simulators.feature_store._windows_stream import Served, Stream
from simulators.feature_store._windows_world import Events, Floats
from simulators.lab import Context, Progress, Working

SKETCHED = 240  # requests answered by sketch as well
SIZES = (30, 100, 300, 1_000, 3_000, 10_000, 30_000)
TRIALS = 12


@dataclass(frozen=True)
class Sketches:
    """Relative errors of sketches: of windows (exact (m,), estimate (m,)), and of sets of known size, root mean square (s,)."""

    exact: Floats
    estimate: Floats
    bound: float
    size_errors: Floats

    @property
    def error(self) -> float | None:
        """Root mean square over the windows that hold something."""
        some = self.exact > 0
        return float(np.sqrt(np.mean((self.estimate[some] / self.exact[some] - 1) ** 2))) if some.any() else None


def sketches(params: WindowsParams, stream: Stream, ctx: Context) -> Working[Sketches]:
    """A sketch of the longest window at some requests (the registers of merged tiles are those of all values at once)."""
    window, size = params.shapes[-1], len(stream.at)
    some = np.linspace(0, size - 1, min(SKETCHED, size)).astype(int)
    edges = bounds(stream.at[some], window.window_s, params.mode, window.hop_s)
    low, high = stream.counted.events.places(stream.key[some], *edges)
    values = stream.counted.events.values
    exact, estimate = np.zeros(len(some)), np.zeros(len(some))
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        inside = values[a:b]
        exact[i], estimate[i] = len(np.unique(inside)), HyperLogLog(params.hll_p).add(inside).count() if len(inside) else 0.0
        if i % 40 == 39:
            yield Progress(i, len(some), "sketching")
    errors = yield from ctx.asset_steps(f"windows/hll/p={params.hll_p}/seed={ctx.seed}", lambda: _size_errors(params.hll_p, ctx))
    return Sketches(exact, estimate, HyperLogLog(params.hll_p).standard_error, errors)


def _size_errors(p: int, ctx: Context) -> Working[Floats]:
    draws, out = ctx.rng("windows/hll"), np.empty(len(SIZES))
    for i, size in enumerate(SIZES):
        found = [HyperLogLog(p).add(draws.integers(0, 2**62, size)).count() / size - 1 for _ in range(TRIALS)]
        out[i] = np.sqrt(np.mean(np.square(found)))
        yield Progress(i, len(SIZES), "sketching sets of known size")
    return out


def average_of_averages(window: Window, mode: Mode, found: Served, events: Events, stream: Stream) -> float | None:
    """Mean absolute error, over the mean exact value, when each tile keeps its average only and a request averages those."""
    hop = window.hop_s * US_PER_S
    tile = events.ts // hop
    first = np.flatnonzero(np.append(True, (events.key[1:] != events.key[:-1]) | (tile[1:] != tile[:-1])))
    means = np.add.reduceat(events.amount, first) / np.diff(np.append(first, events.n))
    log = EventLog(events.key[first], tile[first] * hop, means)
    start, end = bounds(stream.at, window.window_s, "sawtooth" if mode == "sliding" else mode, window.hop_s)
    naive = log.over(*log.places(stream.key, start, end), "avg")
    return Served(window, found.exact, naive, naive).error()
