"""The one loop of the stopping simulation: every rule reads the same path, with and without the effect.

Compiled by numba: a path leaves each rule's loop at its first crossing, which array operations cannot do. The noise comes in, so that the
caller owns the seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.engines.compiled import compiled


def _first_crossings(noise: Any, step_sd: Any, drift: Any, bounds: Any, scale: Any, stops: Any, moments: Any) -> None:
    """noise (m, k) standard normal; step_sd (k,) of the score; drift (k,) expected z; bounds (rules, k); scale (k,) estimate / z.

    Adds to stops (2, rules, k), tests stopped at each look without and with the effect, and to moments (rules, 3): sum and sum of
    squares of the estimate over tests that stopped under the effect, and how many of these had the wrong sign.
    """
    paths, looks = noise.shape
    z = np.empty((2, looks))
    for i in range(paths):
        score, time = 0.0, 0.0
        for k in range(looks):
            score += step_sd[k] * noise[i, k]
            time += step_sd[k] * step_sd[k]
            z[0, k] = score / np.sqrt(time)
            z[1, k] = z[0, k] + drift[k]
        for rule in range(bounds.shape[0]):
            for world in range(2):
                for k in range(looks):
                    if abs(z[world, k]) >= bounds[rule, k]:
                        stops[world, rule, k] += 1
                        if world == 1:
                            estimate = z[1, k] * scale[k]
                            moments[rule, 0] += estimate
                            moments[rule, 1] += estimate * estimate
                            moments[rule, 2] += estimate * drift[k] < 0
                        break


def first_crossings(*arrays: Any) -> None:
    """`_first_crossings`, compiled."""
    compiled(_first_crossings)(*arrays)


def warm_up() -> None:
    """Compiles the loop, or loads what an earlier process compiled."""
    one = np.ones(1)
    first_crossings(np.zeros((1, 1)), one, one, np.ones((1, 1)), one, np.zeros((2, 1, 1), dtype=np.int64), np.zeros((1, 3)))
