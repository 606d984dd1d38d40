"""CUPED Welch test on ten million users: our single pass against pandas with statsmodels, in one run on one core.

Run: OMP_NUM_THREADS=1 python -m benchmarks.cuped [rows]
The columns (two float64, one int8 arm) lie in memory. Peers do what their users do: the pandas route adjusts the metric with
theta = cov / var, within the arms, and calls statsmodels' ttest_ind; the OLS route regresses the metric on arm and covariate.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray
from statsmodels.stats.weightstats import ttest_ind

from simulators.engines.experiment.stats import Comparison, Moments, MomentTable, compare

Columns = dict[str, NDArray[np.generic]]
REPEATS = 5


def make(rows: int) -> Columns:
    rng = np.random.default_rng(45)
    history = rng.normal(10, 2, rows)
    arm = rng.integers(0, 2, rows, dtype=np.int8)
    return {"arm": arm, "y": 0.7 * history + rng.normal(0, 1.4, rows) + 0.002 * arm, "x": history}


def ours(columns: Columns) -> Comparison:
    table = MomentTable(("arm",)).update(columns)
    return compare(table.total(arm=0), table.total(arm=1), covariates=("x",))


def ours_two_masks(columns: Columns) -> Comparison:
    metrics = {name: columns[name] for name in ("y", "x")}
    control, treatment = (Moments.from_arrays(metrics, where=columns["arm"] == arm) for arm in (0, 1))
    return compare(control, treatment, covariates=("x",))


def pandas_ttest(columns: Columns) -> float:
    frame = pd.DataFrame(columns, copy=False)
    treated = frame["arm"] == 1
    arms = [frame.loc[rows, ["y", "x"]] for rows in (treated, ~treated)]
    theta = sum(arm["y"].cov(arm["x"]) for arm in arms) / sum(arm["x"].var() for arm in arms)
    centre = frame["x"].mean()
    adjusted = [arm["y"] - theta * (arm["x"] - centre) for arm in arms]
    return float(ttest_ind(*adjusted, usevar="unequal")[1])


def pandas_groupby_ttest(columns: Columns) -> float:
    frame = pd.DataFrame(columns, copy=False)
    within = frame.groupby("arm")[["y", "x"]].cov()
    theta = within.xs("y", level=1)["x"].sum() / within.xs("x", level=1)["x"].sum()
    adjusted = frame["y"] - theta * (frame["x"] - frame["x"].mean())
    return float(ttest_ind(adjusted[frame["arm"] == 1], adjusted[frame["arm"] == 0], usevar="unequal")[1])


def statsmodels_ols(columns: Columns) -> float:
    design = np.column_stack([np.ones(len(columns["y"])), columns["arm"], columns["x"]])
    return float(sm.OLS(columns["y"], design).fit().pvalues[1])


def read_once(columns: Columns) -> float:
    return float(sum(column.sum() for column in columns.values()))


def best_s(routes: dict[str, Callable[[Columns], object]], columns: Columns) -> dict[str, float]:
    """CPU time of each route's quickest repeat, taken in turn: what disturbs the machine only adds time, and to all alike."""

    def once(work: Callable[[Columns], object]) -> float:
        start = time.process_time()
        work(columns)
        return time.process_time() - start

    rounds = [{name: once(work) for name, work in routes.items()} for _ in range(REPEATS)]
    return {name: min(found[name] for found in rounds) for name in routes}


def peak_mb(work: Callable[[Columns], object], columns: Columns) -> float:
    tracemalloc.start()
    work(columns)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    columns = make(rows)
    routes: dict[str, Callable[[Columns], object]] = {
        "ours, MomentTable by arm": ours,
        "ours, from_arrays with two masks": ours_two_masks,
        "pandas (masks) + statsmodels ttest_ind": pandas_ttest,
        "pandas (groupby) + statsmodels ttest_ind": pandas_groupby_ttest,
        "statsmodels OLS with covariate": statsmodels_ols,
        "numpy sum of the same bytes (floor)": read_once,
    }
    seconds = best_s(routes, columns)
    own = seconds["ours, MomentTable by arm"]
    print(f"CUPED on {rows:,} users, best of {REPEATS}, one process\n")
    print("| route | CPU time (s) | time / ours | memory above the input (MiB) |\n|---|---|---|---|")
    for name, work in routes.items():
        print(f"| {name} | {seconds[name]:.4f} | {seconds[name] / own:.2f} | {peak_mb(work, columns):.1f} |")
    print(f"\np-value: ours {ours(columns).p_value:.6g}, ttest_ind {pandas_ttest(columns):.6g}, OLS {statsmodels_ols(columns):.6g}")


if __name__ == "__main__":
    main()
