"""Stopping rules on 100,000 tests of 14 looks: our single pass against the same table in vectorised numpy; bounds against two packages.

Run: OMP_NUM_THREADS=1 python -m benchmarks.peeking [tests]
Both routes start from the seed, draw the same noise, read every rule of the lab with and without an effect, and make the same table;
statsmodels gives the peer its standard errors. Bounds are taken as known in both. The bounds for 180 looks are compared with
scipy's bivariate normal (two looks) and, where it is installed, with the recursion of the package `gsdesign`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import multivariate_normal
from statsmodels.stats.proportion import std_prop

from benchmarks._measure import table
from simulators.engines.experiment.sequential import RULES, group_sequential_bounds, powered_effect, simulate_stopping

LOOKS, N_PER_LOOK, SEED, REPEATS, MANY_LOOKS = 14, 500, 45, 5, 180
GRID = 18  # gsdesign's own default fineness
Floats = NDArray[np.float64]


def numpy_route(bounds: Mapping[Any, Floats], reps: int, effect: float) -> dict[Any, tuple[float, ...]]:
    """The obvious way: all z at once, the first crossing by argmax."""
    noise = np.random.default_rng(SEED).standard_normal((reps, LOOKS))
    looks = np.arange(1, LOOKS + 1)
    se = np.sqrt(2 / (N_PER_LOOK * looks))
    null = np.cumsum(noise, axis=1) / np.sqrt(looks)
    shifted = null + effect / se
    return {rule: _numpy_row(null, shifted, bound, se, effect) for rule, bound in bounds.items()}


def _numpy_row(null: Floats, shifted: Floats, bound: Floats, se: Floats, effect: float) -> tuple[float, ...]:
    crossed = np.abs(shifted) >= bound
    stopped, first = crossed.any(axis=1), crossed.argmax(axis=1)
    fpr, power = float((np.abs(null) >= bound).any(axis=1).mean()), float(stopped.mean())
    looks = np.where(stopped, first + 1, len(se))
    ratio = (shifted[np.arange(len(first)), first] * se[first])[stopped] / effect
    fpr_se, power_se = (float(std_prop(share, len(first))) for share in (fpr, power))
    looks_se, ratio_se = (float(values.std() / np.sqrt(len(values))) for values in (looks, ratio))
    return fpr, fpr_se, power, power_se, float(looks.mean()), looks_se, float(ratio.mean()), ratio_se


def best_cpu_s(work: Callable[[], object]) -> float:
    def once() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return min(once() for _ in range(REPEATS))


def simulation(reps: int) -> None:
    effect = powered_effect(LOOKS, N_PER_LOOK)

    def ours() -> dict[Any, Any]:
        return simulate_stopping(RULES, LOOKS, N_PER_LOOK, effect, reps, SEED)

    bounds = {rule: row.bounds for rule, row in simulate_stopping(RULES, LOOKS, N_PER_LOOK, effect, 1, SEED).items()}
    own, peer = best_cpu_s(ours), best_cpu_s(lambda: numpy_route(bounds, reps, effect))
    print(f"{reps:,} tests x {LOOKS} looks x {len(RULES)} rules, without and with an effect; CPU time, best of {REPEATS}\n")
    print(
        table(
            ("route", "time (s)", "time / ours"),
            [("ours, bounds included", f"{own:.3f}", "1.00"), _line("numpy, all z at once", peer, own)],
        )
    )
    theirs = numpy_route(bounds, reps, effect)
    gap = max(
        abs(a - b)
        for rule, row in ours().items()
        for a, b in zip((*row[:6], row.exaggeration, row.exaggeration_se), theirs[rule], strict=True)
    )
    print(f"\nLargest difference of any cell of the table: {gap:.2g}")


def _line(name: str, seconds: float, own: float) -> tuple[str, str, str]:
    return name, f"{seconds:.3f}", f"{seconds / own:.2f}"


def spending() -> None:
    shares = np.arange(1, MANY_LOOKS + 1) / MANY_LOOKS
    rows, own = [], {}
    for rule in ("obrien_fleming", "pocock", "power"):
        own[rule] = best_cpu_s(lambda rule=rule: group_sequential_bounds(shares, spending=rule))  # type: ignore[misc]
        rows.append((f"ours, {rule}", f"{own[rule]:.3f}", "1.00"))
    peer = _gsdesign()
    if peer:
        rows.append(_line(f"gsdesign's recursion, power, r = {GRID}", best_cpu_s(lambda: peer(shares)), own["power"]))
    print(f"\nSpending bounds, {MANY_LOOKS} looks, alpha 5 %, two-sided; CPU time, best of {REPEATS}\n")
    print(table(("route", "time (s)", "time / ours"), rows))
    if peer:
        print(f"\nLargest difference of a bound: {np.abs(peer(shares) - group_sequential_bounds(shares, spending='power')).max():.2g}")
    else:
        print("\ngsdesign is not installed; its bounds were not compared.")
    two = group_sequential_bounds((0.4, 1.0), spending="pocock")
    inside = multivariate_normal.cdf(two, cov=[[1, 0.4**0.5], [0.4**0.5, 1]], lower_limit=-two)
    print(f"Two looks: total error by scipy's bivariate normal {1 - inside:.12f}, asked for 0.05")


def _gsdesign() -> Callable[[Floats], Floats] | None:
    """Power spending by the recursion of the package `gsdesign`, a port of R's gsDesign; the search is scipy's."""
    try:
        from gsdesign.integration import h1, hupdate
    except ImportError:
        return None

    def bounds(shares: Floats) -> Floats:
        spent = np.diff(0.025 * shares**2, prepend=0.0)
        found: list[float] = []
        grid: Any = None

        def look(k: int, low: float, high: float) -> Any:
            if k == 0:
                return h1(GRID, 0.0, shares[0], low, high)
            return hupdate(GRID, 0.0, shares[k], low, high, 0.0, shares[k - 1], grid)

        for k, share in enumerate(spent):
            found.append(brentq(lambda z, k=k, share=share: float(np.sum(look(k, z, np.inf)[2])) - share, 1.0, 8.0, xtol=1e-12))
            grid = look(k, -found[-1], found[-1])
        return np.asarray(found)

    return bounds


def main() -> None:
    reps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    simulation(reps)
    spending()


if __name__ == "__main__":
    main()
