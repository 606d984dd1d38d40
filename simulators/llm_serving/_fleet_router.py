"""Which model answers: the choices of this run, and the frontier of cost and quality around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulators.engines.serving.cascade import TIERS, Mixture, RouteResult, expected_quality, judge, route
from simulators.lab import Context, Progress, Working
from simulators.llm_serving._fleet_params import FleetDayParams

Floats = npt.NDArray[np.float64]
QUERIES = 20_000
BLIND_NOISE = 9.0  # a signal that says next to nothing
PRICES = np.geomspace(0.005, 3.0, 66)
CURVES = ("router", "oracle", "blind")
PRICES_A_STEP = 8


@dataclass(frozen=True)
class Queries:
    difficulty: Floats
    error: Floats  # of a router with noise 1


def queries(ctx: Context) -> Queries:
    rng = ctx.rng("fleet/queries")
    return Queries(Mixture().draw(rng, QUERIES), rng.normal(0, 1, QUERIES))


def noise_of(routing: str, router_noise: float) -> float:
    return {"oracle": 0.0, "blind": BLIND_NOISE}.get(routing, router_noise)


def single(asked: Queries, name: str) -> RouteResult:
    """Everything to one model."""
    at = [tier.name for tier in TIERS].index(name)
    return judge(asked.difficulty, np.full(QUERIES, at))


def chosen(asked: Queries, params: FleetDayParams) -> RouteResult:
    if params.routing in {tier.name for tier in TIERS}:
        return single(asked, params.routing)
    return judge(asked.difficulty, route(_expected(asked, noise_of(params.routing, params.router_noise)), params.quality_price))


def _expected(asked: Queries, noise: float) -> Floats:
    return expected_quality(asked.difficulty + noise * asked.error, noise)


def frontier(ctx: Context, asked: Queries, router_noise: float) -> Working[dict[str, list[RouteResult]]]:
    """Each kind of router at every price."""

    def build() -> Working[dict[str, list[RouteResult]]]:
        curves: dict[str, list[RouteResult]] = {}
        for done, name in enumerate(CURVES):
            quality = _expected(asked, noise_of(name, router_noise))
            curves[name] = []
            for k, price in enumerate(PRICES):
                curves[name].append(judge(asked.difficulty, route(quality, float(price))))
                if k % PRICES_A_STEP == 0:
                    yield Progress(done, len(CURVES), "tracing the frontier")
        return curves

    return (yield from ctx.asset_steps(f"serving/fleet/frontier/{ctx.seed}/{router_noise!r}", build, disk=False))


def cost_within(curve: list[RouteResult], best: RouteResult, points: float) -> float | None:
    """Cheapest GPU seconds of a curve within so many points of the best quality, over the best's; None if it gets nowhere near."""
    near = [result.gpu_s for result in curve if result.quality >= best.quality - points / 100]
    return min(near) / best.gpu_s if near else None
