"""What a day of the lab `fleet_day` says: one sentence an effect, from the run's own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from simulators.engines.serving.cascade import RouteResult
from simulators.engines.serving.safety import checked_tokens, exposure_tokens
from simulators.lab import Insight
from simulators.llm_serving._fleet_load import Loads, fastest_rise
from simulators.llm_serving._fleet_params import FleetDayParams
from simulators.llm_serving._fleet_pools import POOLS, RTT_S, FleetDay, lag_of
from simulators.llm_serving._fleet_router import cost_within
from simulators.llm_serving._fleet_safety import SafetyReport

LAGS_S = (30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0)  # at which policies are compared
POINT = 1.0


def router(curves: Mapping[str, list[RouteResult]], singles: Mapping[str, RouteResult]) -> Iterator[Insight]:
    best = singles["reasoning"]
    shares = {name: cost_within(curve, best, POINT) for name, curve in curves.items()}
    if shares["router"] is None or shares["oracle"] is None:
        return
    blind = f", one that sees next to nothing {shares['blind']:.0%}" if shares["blind"] is not None else ""
    yield Insight(
        f"Within one point of all reasoning ({best.quality:.1%} right) this router costs {shares['router']:.0%} of its GPU time; one that "
        f"knows the difficulty {shares['oracle']:.0%}{blind}.",
        "architecture",
        "router",
    )


def scaling(fleet: FleetDay, loads: Loads, params: FleetDayParams, missed: Mapping[str, Sequence[float]], own: bool) -> Iterator[Insight]:
    lag_s = max(lag_of(pool, params) for pool in POOLS)
    ahead = round(lag_s + params.interval_s)
    rise, room = fastest_rise(loads.total_rps, ahead), 1 / params.target
    if params.policy == "reactive":
        verdict = "faster than" if rise > room else "within"
        yield Insight(
            f"Within lag and interval ({ahead} s) the load rises up to {rise:.2f} times, {verdict} the {room:.2f} times that a target of "
            f"{params.target:.0%} leaves: {fleet.violation_share:.2%} of the requests wait over 2 s.",
            "capacity",
            "reactive_lag",
        )
    elif params.policy in {"predictive", "hybrid"}:
        yield Insight(
            f"{params.policy.capitalize()} scaling orders before the load comes: {fleet.violation_share:.2%} of the requests wait over "
            f"2 s, with {fleet.gpu_hours:,.0f} GPU-hours.",
            "architecture",
            "forecast",
        )
    if params.spike > 1 and not own:
        at = LAGS_S.index(300.0)
        yield Insight(
            f"Nobody forecast the {params.spike:.1f}x spike at 15:00: at a lag of 300 s reactive scaling misses "
            f"{missed['reactive'][at]:.2%}, predictive {missed['predictive'][at]:.2%}, the larger of both {missed['hybrid'][at]:.2%}.",
            "evaluation",
            "spike",
        )


def safety(report: SafetyReport, params: FleetDayParams) -> Iterator[Insight]:
    totals = {name: parts.total for name, parts in report.waterfalls.items()}
    shown = exposure_tokens("optimistic", report.typical, params.answer_tokens, params.window)
    yield Insight(
        f"The first token is visible after {totals[params.safety]:.2f} s on the {params.safety} path; serial {totals['serial']:.2f} s, "
        f"streaming {totals['streaming']:.2f} s, optimistic {totals['optimistic']:.2f} s, which shows {shown:.0f} tokens of an "
        "unsafe answer before a check can stop it.",
        "deep_dive",
        "safety_path",
    )
    if params.recheck and params.safety in {"streaming", "optimistic"}:
        twice = checked_tokens(2 * params.answer_tokens, params.window, cumulative=True)
        yield Insight(
            f"Each check reads all so far: {report.checked_tokens:,} tokens for an answer of {params.answer_tokens:,}, and {twice:,} for "
            "one twice as long: the work grows with the square.",
            "deep_dive",
            "quadratic_checks",
        )


def world(fleet: FleetDay, loads: Loads, alone_peak_to_mean: float, params: FleetDayParams) -> Iterator[Insight]:
    if params.regions > 1:
        how = (
            f"{loads.remote:.0%} of the requests travel {RTT_S * 1000:.0f} ms"
            if params.spill
            else "each region still pays for its own peak"
        )
        yield Insight(
            f"{params.regions} regions: the load has a peak of {loads.peak_to_mean:.2f} times its mean where it is served, against "
            f"{alone_peak_to_mean:.2f} times in one region alone; {how}.",
            "architecture",
            "regions",
        )
    if fleet.retries > 1.005:
        yield Insight(
            f"Wrong answers asked for again add {fleet.retries - 1:.1%} load: a cheaper model mix pays part of its saving back, and most "
            "when quality drops.",
            "evaluation",
            "retries",
        )
    if fleet.shed_share > 0:
        yield Insight(f"{fleet.shed_share:.2%} of the requests were turned away so that the others did not wait.", "deep_dive", "shed")
