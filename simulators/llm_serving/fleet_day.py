"""Lab: what a day of an LLM fleet costs with a model router, an autoscaler and a safety path."""

from __future__ import annotations

from simulators.engines.serving import simulate_day, warm_up
from simulators.engines.serving.cascade import TIERS
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps, Working
from simulators.llm_serving import _fleet_insights as say
from simulators.llm_serving import _fleet_views as views
from simulators.llm_serving._fleet_challenge import ORDINARY_DAY
from simulators.llm_serving._fleet_load import DATA, make_loads
from simulators.llm_serving._fleet_params import FleetDayParams
from simulators.llm_serving._fleet_pools import FleetDay, fleet_day, pool_day, static_reasoning_gpu_hours, surfaces
from simulators.llm_serving._fleet_router import chosen, cost_within, frontier, queries, single
from simulators.llm_serving._fleet_safety import safety_report

COMPARED = ("reactive", "predictive", "hybrid")


class FleetDayLab(Lab):
    """What does a day cost?

    **Load.** 86,400 seconds: a slow wave, a step of 1.8 times at nine that the forecast knows, noise by the minute that it does not, and a
    spike at 15:00 if you ask for one. Or your own curve.

    **Models.** Queries have a difficulty; a model of ability a answers one of difficulty z rightly with chance sigmoid(2 (a - z)). Mini,
    full and reasoning cost 0.05, 0.30 and 2.0 GPU seconds a query. The router sees the difficulty with noise and takes, query by query,
    the model with the largest expected quality less price times GPU seconds. Wrong answers are asked for again with the chance you set.

    **Pools.** Every model has its own replicas in every region and its own autoscaler. Requests queue as a fluid, second by second; one
    that waits over 2 s is a miss. Running and warm replicas are paid for. Time to first token and between tokens come from replays of the
    batching simulator at the utilisation of the moment.

    **Safety.** 1 % of the answers are unsafe. An input check takes 120 ms (lognormal), an output check 80 ms. What each path adds is
    sampled over the answers of the day. A detector that has read t tokens finds harm with chance 0.95 (1 - exp(-t / 40)).

    (Trap: slow growth over the day never breaks reactive scaling. Only a rise beyond one over the target, within lag and interval, does.)
    """

    title = "A day of the fleet"
    why = "GPU cost is the constraint; lag, misrouting and safety checks are the effects one sees only in operation."
    phase = "architecture"
    engines = (
        "simulators.engines.serving.day",
        "simulators.engines.serving.cascade",
        "simulators.engines.serving.safety",
        "simulators.engines.serving.simulate",
    )
    sources = (
        "Gandhi, Harchol-Balter, Raghunathan & Kozuch 2012, AutoScale, ACM TOCS 30(4)",
        "Chen, Zaharia & Zou 2023, FrugalGPT",
        "Ong et al. 2024, RouteLLM",
    )
    map_axes = ("cost_share", "violation_share")
    Params = FleetDayParams
    challenges = (ORDINARY_DAY,)
    data = DATA
    presets = (
        Preset("keynote", "Keynote at nine", "The load rises 1.8 times, and replicas need ten minutes.", {"lag_s": 600.0}),
        Preset(
            "wrong_forecast",
            "Forecast was wrong",
            "A spike that nobody foresaw, and an autoscaler that believes only the forecast.",
            {"policy": "predictive", "spike": 1.5},
        ),
        Preset("reasoning", "Everyone wants reasoning", "The best model for every query. Look at the bill.", {"routing": "reasoning"}),
        Preset(
            "filter_twice",
            "Filter everything, twice",
            "Input check, whole answer, output check, then show it.",
            {"safety": "serial", "policy": "hybrid"},
        ),
        Preset(
            "follow_the_sun",
            "Follow the sun",
            "Three regions eight hours apart share their replicas: the peaks fill the troughs.",
            {"regions": 3, "spill": True, "policy": "hybrid"},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        warm_up()
        simulate_day([1.0, 1.0], 1.0, "reactive")

    def run(self, params: FleetDayParams, ctx: Context) -> Steps:
        yield Progress(0, 1, "drawing queries and load")
        asked = ctx.asset(f"serving/fleet/queries/{ctx.seed}", lambda: queries(ctx), disk=False)
        routed, singles = chosen(asked, params), {tier.name: single(asked, tier.name) for tier in TIERS}
        yield Progress(0, 1, "drawing queries and load")
        loads = make_loads(ctx, params)
        fleet = yield from fleet_day(loads, routed, params)
        best = singles["reasoning"]
        yardstick = static_reasoning_gpu_hours(loads, params, 1 / (1 - params.retry * (1 - best.quality)))
        curve = yield from surfaces(ctx)
        report = safety_report(ctx, fleet, curve, params, loads.remote)
        shown = [*views.day_metrics(fleet, params, yardstick, loads), *views.safety_metrics(report)]
        first = [views.day_figure(fleet), views.safety_figure(report, params.safety)]
        yield Frame(shown, first)
        curves = yield from frontier(ctx, asked, params.router_noise)
        within = cost_within(curves["oracle"], best, max(100 * (best.quality - routed.quality), 0.01))
        quality = views.quality_metrics(routed, best, None if within is None else within * best.gpu_s)
        ahead = views.frontier_figure(curves, singles, routed)
        yield Frame(quality, [ahead])
        missed = yield from _missed(fleet, params)
        own = make_loads(ctx, params.model_copy(update={"regions": 1}))
        return Result(
            metrics=[*quality, *shown],
            figures=[first[0], ahead, views.lag_figure(say.LAGS_S, missed, fleet, params), first[1]],
            tables=[views.pool_table(fleet), views.mix_table(routed, singles)],
            insights=(
                *say.router(curves, singles),
                *say.scaling(fleet, loads, params, missed, ctx.data is not None),
                *say.safety(report, params),
                *say.world(fleet, loads, own.peak_to_mean, params),
            ),
            notes=("Queues are a fluid of requests; waits below a second are not resolved.",),
        )


def _missed(fleet: FleetDay, params: FleetDayParams) -> Working[dict[str, list[float]]]:
    """Share of requests over the SLO by policy and lag, of the same pools and loads."""
    plain = params.model_copy(update={"admission": "none"})
    total = max(sum(float(part.load_rps.sum()) for part in fleet.pools), 1e-9)
    missed: dict[str, list[float]] = {policy: [] for policy in COMPARED}
    for policy in COMPARED:
        for lag_s in say.LAGS_S:
            late = 0.0
            for part in fleet.pools:
                day = pool_day(part.pool, part.load_rps, part.forecast_rps, plain, policy=policy, lag_s=lag_s).day
                late += float(part.load_rps.sum()) * day.violation_share
                yield Progress(len(missed[policy]), len(say.LAGS_S), f"{policy} scaling at other lags")
            missed[policy].append(late / total)
    return missed
