"""A cost model fitted to a measured run: three constants found by least squares, judged on requests they have not seen.

Kernels are scaled by one factor; a constant host time is added to every iteration; an all-reduce takes at least a floor. That is all a
per-request log can tell apart: kernels grow with the batch, host time and floors do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from simulators.engines.serving.cost import CostModel
from simulators.engines.serving.cost_table import VIDUR
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.simulate import simulate
from simulators.engines.serving.trace import Floats, Trace
from simulators.errors import InvalidInput

MEASURES = ("ttft", "tpot", "e2e")
LEAST = 1e-9  # seconds a measure must last to have a relative error
MS, US = 1e-3, 1e-6
STEPS = (0.1, 0.03)  # of the finite differences, relative
GROUPS = 12  # of requests, for each measure


@dataclass(frozen=True)
class Errors:
    """Relative errors of a set of requests, in percent. `mean_pct[m]`: mean simulated over mean measured, less one. `mape_pct[m]`: mean
    over requests of |simulated / measured - 1|. m: ttft, tpot (requests of two tokens and more), e2e. NaN where no request has it."""

    mean_pct: dict[str, float]
    mape_pct: dict[str, float]


@dataclass(frozen=True)
class FitReport:
    """What was found, and the errors on the half it was found on and on the half held out, before and after."""

    kernel_scale: float
    host_s: float
    allreduce_floor_s: float
    fit_before: Errors
    fit_after: Errors
    holdout_before: Errors
    holdout_after: Errors
    fit_rows: Any
    holdout_rows: Any


def fit_cost(
    cost: CostModel,
    trace: Trace,
    measured: Mapping[str, ArrayLike],
    scheduler: SchedulerConfig,
    *,
    holdout: float = 0.5,
    seed: int = 0,
    **simulate_kw: Any,
) -> tuple[CostModel, FitReport]:
    """The cost model that comes nearest to `measured`: float64[n] `first_token_s` and `finished_s` on the trace's clock.

    A share `holdout` of the requests, drawn by `seed`, is kept out of the fit. All requests are simulated together (they queue behind
    each other); only the others' errors are made small. `allreduce_floor_s` is fitted
    only where the model has all-reduces of its own (tensor parallelism; not Vidur's tables, which hold them). `simulate_kw`
    goes to `simulate` (num_blocks, replicas ...). Raises InvalidInput for measurements that do not fit the trace.
    """
    first_token, finished = _measured(trace, measured)
    fit_rows, holdout_rows = _split(len(trace), holdout, seed)
    truth = _measures(trace, first_token, finished)

    def simulated(model: CostModel) -> dict[str, Floats]:
        result = simulate(trace, model, scheduler, **simulate_kw)
        return _measures(trace, result.first_token_s, result.finished_s)

    fitted = _solve(cost, simulated, {name: truth[name][fit_rows] for name in truth}, fit_rows)
    before, after = simulated(cost), simulated(fitted)
    holdout_after = _errors(after, truth, holdout_rows)
    worst = max(abs(value) for value in holdout_after.mean_pct.values() if np.isfinite(value)) / 100
    fitted = replace(fitted, name=f"{cost.name}, fitted", error_band=(-worst, worst))
    report = FitReport(
        kernel_scale=fitted.tables.kernel_scale / cost.tables.kernel_scale,
        host_s=fitted.tables.host_s - cost.tables.host_s,
        allreduce_floor_s=fitted.tables.allreduce_floor_s,
        fit_before=_errors(before, truth, fit_rows),
        fit_after=_errors(after, truth, fit_rows),
        holdout_before=_errors(before, truth, holdout_rows),
        holdout_after=holdout_after,
        fit_rows=fit_rows,
        holdout_rows=holdout_rows,
    )
    return fitted, report


def _measured(trace: Trace, measured: Mapping[str, ArrayLike]) -> tuple[Floats, Floats]:
    columns = []
    for name in ("first_token_s", "finished_s"):
        if name not in measured:
            raise InvalidInput(f"measured has no {name}; found {', '.join(measured)}; expected first_token_s and finished_s.", field=name)
        values = np.asarray(measured[name], dtype=np.float64)
        if values.shape != (len(trace),):
            raise InvalidInput(f"measured {name} has shape {values.shape}; expected ({len(trace)},), one a request.", field=name)
        columns.append(values)
    first_token, finished = columns
    bad = np.flatnonzero(~((first_token > trace.arrival_s) & (finished >= first_token) & np.isfinite(finished)))
    if len(bad):
        i = bad[0]
        times = f"arrival {trace.arrival_s[i]:g} s, first token {first_token[i]:g} s, finish {finished[i]:g} s"
        raise InvalidInput(f"measured row {i + 1}: {times}; expected them in this order.", field="first_token_s")
    return first_token, finished


def _split(n: int, holdout: float, seed: int) -> tuple[Any, Any]:
    held = round(n * holdout)
    if not 0 < holdout < 1 or held < 1 or n - held < 3:
        message = f"holdout is {holdout:g} of {n} requests; expected a share that leaves 3 requests to fit and 1 to judge."
        raise InvalidInput(message, field="holdout")
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[held:]), np.sort(order[:held])


def _measures(trace: Trace, first_token_s: Floats, finished_s: Floats) -> dict[str, Floats]:
    """Seconds: TTFT, TPOT (NaN for one token), end to end."""
    gaps = np.where(trace.output_tokens > 1, trace.output_tokens - 1.0, np.nan)
    times = (first_token_s - trace.arrival_s, (finished_s - first_token_s) / gaps, finished_s - trace.arrival_s)
    return dict(zip(MEASURES, times, strict=True))


def _solve(cost: CostModel, simulated: Callable[[CostModel], dict[str, Floats]], truth: dict[str, Floats], rows: Any) -> CostModel:
    """Least squares over the relative errors of TTFT, TPOT and end-to-end time, each as means over groups of like requests.

    A schedule flips from one batch to another at some parameters, so the residuals are smooth only from afar: differences are taken
    over wide steps first and over narrower ones around what those found.
    """
    from scipy.optimize import least_squares

    unknowns = _unknowns(cost)
    groups = {name: _groups(truth[name]) for name in MEASURES}

    def residuals(x: Floats) -> Floats:
        made = simulated(_with(cost, unknowns, x))
        ratios = [made[name][rows][group].mean() / truth[name][group].mean() for name in MEASURES for group in groups[name]]
        return np.array(ratios) - 1

    x = np.ones(len(unknowns))
    bounds = [unknown.low for unknown in unknowns], [unknown.high for unknown in unknowns]
    for step in STEPS:
        found = least_squares(
            residuals, x, bounds=bounds, loss="soft_l1", f_scale=0.05, jac="3-point", diff_step=[step] * len(x), max_nfev=20
        )
        x = found.x
    return _with(cost, unknowns, x)


def _groups(values: Floats) -> list[Any]:
    """Requests of like measured value, for which the chance of arriving early or late in an iteration averages out."""
    there = np.flatnonzero(values > LEAST)
    order = there[np.argsort(values[there], kind="stable")]
    return [group for group in np.array_split(order, max(min(GROUPS, len(order) // 5), 1)) if len(group)]


@dataclass(frozen=True)
class Unknown:
    """A field of the cost tables as start + (x - 1) x unit, so that x is of the order of 1 and begins there."""

    field: str
    start: float
    unit: float
    low: float
    high: float

    def value(self, x: float) -> float:
        return max(self.start + (x - 1) * self.unit, 0.0)


def _unknowns(cost: CostModel) -> list[Unknown]:
    """Kernel scale, host time, and the floor of an all-reduce where there is one."""
    tables = cost.tables
    found = [
        Unknown("kernel_scale", tables.kernel_scale, tables.kernel_scale, 0.05, 20.0),
        Unknown("host_s", tables.host_s, 1 * MS, 1 - tables.host_s / MS - 1e-6, 1000.0),
    ]
    if tables.kind != VIDUR and tables.allreduce_calls:
        unit = max(tables.allreduce_base_s, 10 * US)
        floor = max(tables.allreduce_floor_s, tables.allreduce_base_s)
        found.append(Unknown("allreduce_floor_s", floor, unit, 1 - floor / unit - 1e-6, 1000.0))
    return found


def _with(cost: CostModel, unknowns: list[Unknown], x: Floats) -> CostModel:
    return cost.with_tables(**{unknown.field: unknown.value(float(value)) for unknown, value in zip(unknowns, x, strict=True)})


def _errors(made: dict[str, Floats], truth: dict[str, Floats], rows: Any) -> Errors:
    mean, mape = {}, {}
    for name in MEASURES:
        simulated, measured = made[name][rows], truth[name][rows]
        there = np.isfinite(measured) & (measured > LEAST)
        simulated, measured = simulated[there], measured[there]
        mean[name] = 100 * float(simulated.mean() / measured.mean() - 1) if len(measured) else float("nan")
        mape[name] = 100 * float(np.abs(simulated / measured - 1).mean()) if len(measured) else float("nan")
    return Errors(mean, mape)
