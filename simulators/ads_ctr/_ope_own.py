"""Every estimate on the user's own log; the truth is unknown, so the diagnosis of the weights stands in its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulators.ads_ctr._ope_data import read_steps, target_of, trouble
from simulators.ads_ctr._ope_params import ESTIMATORS, LABELS, SHORT, Estimator, OffPolicyParams
from simulators.ads_ctr._ope_study import Log, predicted, ridge_by_action
from simulators.ads_ctr._ope_views import weights_figure
from simulators.engines.ranking.data.bandit import BanditLog
from simulators.engines.ranking.ope import Diagnosis, Estimate, diagnose, iter_estimate, weights
from simulators.engines.steps import blocks, relay
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Result, Steps, Table, Working

MODELLED: tuple[Estimator, ...] = ("dm", "dr", "dr_clipped")
RESAMPLES, RESAMPLED_ROWS, BLOCK = 200, 100_000, 20_000
PER, UNIT = 1_000, "reward per 1,000 rows"
MOST_POSITIONS = 20


@dataclass(frozen=True)
class Own:
    file: str
    log: BanditLog
    rows: Log
    found: dict[Estimator, Estimate]
    resampled: Estimate | None  # the chosen one's, by bootstrap
    chosen: Estimator
    weights: Diagnosis

    @property
    def mine(self) -> Estimate:
        return self.found[self.chosen]


def run_own(params: OffPolicyParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    data = ctx.data
    log = yield from ctx.asset_steps(f"off_policy/own/{data.digest}", lambda: read_steps(data), disk=False)
    own = yield from _judged(data.files["log"].name, log, params)
    figures = [_estimates_figure(own), weights_figure(weights(own.rows.propensity, own.rows.target))]
    yield Frame(_metrics(own), figures)
    return Result(_metrics(own), figures, list(_tables(own)), list(_insights(own)), list(_notes(own, params)))


def _judged(file: str, log: BanditLog, params: OffPolicyParams) -> Working[Own]:
    rows = yield from _modelled(log)
    names = [name for name in ESTIMATORS if log.target is None or name not in MODELLED]
    found: dict[Estimator, Estimate] = {}
    for name in names:
        found[name] = rows.estimate(name, params.clip)
        yield Progress(len(found), len(names), "estimating")
    chosen: Estimator = params.estimator if params.estimator in found else "snips"
    resampled = None
    if chosen != "log_mean" and len(log.action) <= RESAMPLED_ROWS:
        steps = iter_estimate(
            rows.reward,
            rows.propensity,
            rows.target,
            method=chosen,
            q_logged=rows.q_logged,
            q_target=rows.q_target,
            clip=params.clip,
            bootstrap=RESAMPLES,
        )
        resampled = yield from relay(steps, lambda step: Progress(step.done, step.total, step.label))
    return Own(file, log, rows, found, resampled, chosen, diagnose(rows.propensity, rows.target))


def _modelled(log: BanditLog) -> Working[Log]:
    """A ridge regression for each action; under the uniform target its mean over the actions is the modelled value."""
    target = target_of(log)
    if log.target is not None:
        nothing = np.zeros(len(target))
        return Log(log.reward, log.propensity, target, nothing, nothing)
    yield Progress(0, 1, "modelling the reward")
    spread = log.context.std(axis=0)
    x = (log.context - log.context.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    fitted = ridge_by_action(x, log.action, log.reward, len(log.actions))
    q_logged, q_target = np.empty(len(target)), np.empty(len(target))
    for part in blocks(len(target), BLOCK):
        q = predicted(x[part], fitted)
        q_logged[part], q_target[part] = q[np.arange(len(q)), log.action[part]], q.mean(axis=1)
        yield Progress(part.stop, len(target), "modelling the reward")
    return Log(log.reward, log.propensity, target, q_logged, q_target)


# --- tiles, figures, tables ---------------------------------------------------------------------------------------------------


def _metrics(own: Own) -> list[Metric]:
    seen, mine, found = own.found["log_mean"], own.mine, own.weights
    apart = 100 * (mine.value / seen.value - 1) if seen.value else None
    return [
        _metric("value", f"Target policy, {LABELS[own.chosen]}", mine),
        _metric("log_value", "Logging policy, mean of the log", seen),
        Metric("difference", "Target against logging", apart, "%", note="" if apart is not None else "the log has no reward"),
        Metric("mean_weight", "Mean weight", found.mean_weight, "×", limit=1.0, limit_label="must be"),
        Metric("ess", "Effective sample, share of the rows", _percent(found.ess_fraction), "%", "up", limit=100.0),
        Metric("max_weight", "Largest weight", found.max_weight, "×", "down"),
        Metric("rows", "Rows", float(len(own.log.action)), "rows"),
    ]


def _metric(key: str, label: str, of: Estimate) -> Metric:
    if np.isnan(of.value):
        return Metric(key, label, None, UNIT, note="no row has any weight")
    return Metric(key, label, PER * of.value, UNIT, ci=None if np.isnan(of.se) else (PER * of.lo, PER * of.hi))


def _percent(share: float) -> float | None:
    return None if np.isnan(share) else 100 * share


def _estimates_figure(own: Own) -> Figure:
    kept = {name: found for name, found in own.found.items() if np.isfinite(found.lo)}
    names = [SHORT[name] for name in kept]
    values, low, high = ([PER * getattr(found, part) for found in kept.values()] for part in ("value", "lo", "hi"))
    series = Series("estimate and 95 % interval", names, values, "markers", 0, low=low, high=high)
    bad = trouble(own.weights)
    title = f"{LABELS[own.chosen][0].upper()}{LABELS[own.chosen][1:]}: {_text(own.mine)} {UNIT}"
    if bad:
        title = "Do not use these estimates: " + bad[0].lower() + bad[1:].rstrip(".")
    said = "; ".join(f"{LABELS[name]} {_text(found)}" for name, found in own.found.items())
    figure = line_figure("estimates", title, f"{said}, {UNIT}.", [series], Axis("Estimator"), Axis("Value of the policy", UNIT))
    return with_line(figure, label="mean of the log", y=PER * own.found["log_mean"].value)


def _text(of: Estimate) -> str:
    if np.isnan(of.value):
        return "undefined"
    return f"{PER * of.value:.3g}" + ("" if np.isnan(of.se) else f" ({PER * of.lo:.3g} to {PER * of.hi:.3g})")


def _tables(own: Own) -> Iterator[Table]:
    columns = ("Estimator", f"Value ({UNIT})", f"Standard error ({UNIT})", f"95 %, from ({UNIT})", f"95 %, to ({UNIT})")
    rows = [(LABELS[name], *_cells(found)) for name, found in own.found.items()]
    if own.resampled:
        rows.append((f"{LABELS[own.chosen]}, {RESAMPLES} resamples", *_cells(own.resampled)))
    yield Table("estimators", "Every estimate of the target policy's value", columns, tuple(rows))
    position = own.log.position
    if position is not None and 1 < len(np.unique(position)) <= MOST_POSITIONS:
        yield _positions(own, position)


def _cells(of: Estimate) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else PER * value for value in (of.value, of.se, of.lo, of.hi))


def _positions(own: Own, position: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Table:
    columns = ("Position", "Rows", f"Mean of the log ({UNIT})", "Mean weight (×)", "Effective sample (% of rows)", "Largest weight (×)")
    rows = []
    for place in np.unique(position):
        here = position == place
        found = diagnose(own.rows.propensity[here], own.rows.target[here])
        seen = PER * float(own.rows.reward[here].mean())
        rows.append((f"{place:g}", int(here.sum()), seen, found.mean_weight, _percent(found.ess_fraction), found.max_weight))
    return Table("positions", "The weights by position: a slice may be worse covered than the whole", columns, tuple(rows))


# --- words --------------------------------------------------------------------------------------------------------------------


def _insights(own: Own) -> Iterator[Insight]:
    found, bad = own.weights, trouble(own.weights)
    if bad:
        yield Insight(f"{bad} Log with some exploration before you compare policies.", "evaluation", "own_weights")
    else:
        yield Insight(
            f"Weights have mean {found.mean_weight:.2f} (must be 1) and do the work of {found.ess_fraction:.1%} of the rows; the "
            f"largest is {found.max_weight:.3g}.",
            "evaluation",
            "own_weights",
        )
    seen, mine = own.found["log_mean"], own.mine
    if np.isnan(mine.se):
        return
    error = float(np.hypot(mine.se, seen.se))
    told = "within noise of" if abs(mine.value - seen.value) < 2 * error else "different from"
    yield Insight(
        f"{LABELS[own.chosen][0].upper()}{LABELS[own.chosen][1:]} gives the target policy {_text(mine)} {UNIT}, {told} the {_text(seen)} "
        "of the policy that wrote the log.",
        "evaluation",
        "own_value",
    )


def _notes(own: Own, params: OffPolicyParams) -> Iterator[str]:
    yield (
        f"Target: every one of {len(own.log.actions):,} actions alike."
        if own.log.target is None
        else "Target: the probabilities in the column named; a model needs them for all actions, so only weights are used."
    )
    if own.chosen != params.estimator:
        yield f"{LABELS[params.estimator][0].upper()}{LABELS[params.estimator][1:]} cannot be had from this file; SNIPS is read instead."
    if own.log.left_out:
        yield f"Columns left out: {', '.join(own.log.left_out)[:200]}."
