"""Lab: prefill and decode pools against chunked prefill, at equal GPUs and limits."""

from __future__ import annotations

from functools import partial

from simulators.engines.serving import warm_up
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps
from simulators.llm_serving import _disagg_views as views
from simulators.llm_serving._disagg_challenge import STRICT_GAPS
from simulators.llm_serving._disagg_insights import insights
from simulators.llm_serving._disagg_params import DisaggregationParams
from simulators.llm_serving._disagg_world import carried, cost_of, own_layout, served, sweep, tail, tails, world_of
from simulators.llm_serving._trace_data import SPEC


class Disaggregation(Lab):
    """Split the pools, or chunk?

    Llama-3.1-70B on as many GPUs as you set. Colocated, every replica reads prompts in chunks beside the answers it writes. Disaggregated,
    prefill replicas read, the keys and values cross a link, and decode replicas write. Both are simulated iteration by iteration on a
    roofline cost model.

    **Goodput** is the highest rate at which the 99th percentiles of the time to first token and of the gaps between tokens stay within
    their limits, by bisection over replays of the same requests at other rates. The gap after a transfer counts as a gap, not as waiting
    for the first token.

    **The sweep** tries every split of the same GPUs and three chunk sizes; its best is the mark your layout is held against. Bars give
    goodput a replica for up to three and three.

    **Tensor parallelism.** More GPUs share each layer, so a step is shorter and two all-reduces a layer longer; keys and values are kept
    more than once when there are more GPUs than KV heads.

    **Speculation.** Guessed tokens are verified in one step: cheap while reading weights binds, dear once arithmetic does. Accepted tokens
    are drawn a request and step; the expected number is (1 - a^(k+1)) / (1 - a) (Leviathan et al. 2023).
    """

    title = "Disaggregate, or chunk"
    why = (
        "Splitting prefill from decode is the stock answer. It pays under a strict limit on the gaps and a split that fits the lengths; a "
        "well-chosen chunk comes close, and a wrong split loses to both."
    )
    phase = "architecture"
    engines = (
        "simulators.engines.serving",
        "simulators.engines.serving.simulate",
        "simulators.engines.serving.capacity",
        "simulators.engines.serving.cost_roofline",
        "simulators.engines.serving.tokens",
    )
    sources = (
        "Zhong et al. 2024, DistServe, OSDI, arXiv 2401.09670",
        "Patel et al. 2024, Splitwise, ISCA, arXiv 2311.18677",
        "Qin et al. 2025, Mooncake, FAST, arXiv 2407.00079",
        "Leviathan et al. 2023, Speculative decoding, ICML, arXiv 2211.17192",
        "Li et al. 2025, EAGLE-3, arXiv 2503.01840",
    )
    map_axes = ("itl_p99_ms", "goodput_rps")
    Params = DisaggregationParams
    data = SPEC
    challenges = (STRICT_GAPS,)
    presets = (
        Preset(
            "strict_itl",
            "Strict ITL",
            "Twenty milliseconds between tokens: a chunk of 256 tokens draws level with pools.",
            {"layout": "colocated", "chunk": 256, "slo_itl": 20.0},
        ),
        Preset(
            "wrong_split",
            "Wrong split",
            "One replica reads for three that write: the GPUs are there, in the wrong pool.",
            {"prefill_replicas": 1, "decode_replicas": 3, "rate": 20.0},
        ),
        Preset(
            "reasoning",
            "Reasoning traffic arrives",
            "Short questions, long answers: the split that fitted conversations starves for decode replicas.",
            {"lengths": "reasoning", "rate": 8.0},
        ),
        Preset(
            "speculate_full",
            "Speculate at batch 256",
            "Five guesses a step speed a lone request up and slow a full batch down.",
            {"spec": "draft", "k": 5, "rate": 45.0},
        ),
        Preset(
            "a100_decode",
            "A100 decode pool",
            "Decoding reads memory: older cards with two thirds of the bandwidth for less money.",
            {"decode_gpu": "A100", "decode_replicas": 2},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        warm_up()
        cost_of(DisaggregationParams(), "H100").step_s([1], [])

    def run(self, params: DisaggregationParams, ctx: Context) -> Steps:
        self.warm_up()  # nothing to do where the worker has
        yield Progress(0, 1, "drawing requests")
        world = world_of(params, ctx)
        layout = own_layout(world)
        reading = views.Reading(world, layout, (yield from served(layout, world.trace, world, "serving", log=True)))
        first, at_once = views.reading_metrics(reading), list(views.figures_at_once(reading))
        yield Frame(first, at_once)
        limits = f"{world.key}/{params.slo_ttft}/{params.slo_itl}"
        own = yield from ctx.asset_steps(f"{world.key}/{layout.label}/{world.replicas}/tail", lambda: tail(layout, world), disk=False)
        search = partial(carried, layout, world, rates=own.between(world.slo))
        goodput = yield from ctx.asset_steps(f"{limits}/{layout.label}/{world.replicas}", search, disk=False)
        found = yield from ctx.asset_steps(f"{world.key}/{world.replicas}/tails", lambda: tails(world))
        by_limit = views.limits_figure(world, found, own)
        yield Frame(figures=[by_limit])
        swept = yield from ctx.asset_steps(f"{limits}/{world.replicas}/sweep", lambda: sweep(world))
        return Result(
            metrics=[*views.goodput_metrics(world, goodput, swept), *first],
            figures=[by_limit, views.split_figure(world, swept), *at_once],
            tables=views.tables(world, swept),
            insights=list(insights(reading, goodput, swept, found, own)),
            notes=[
                *([f"Searches replay the first {len(world.search):,} requests of your trace, at other rates."] if ctx.data else []),
                f"Times by {world.cost.name}: models of this kind were 13% below to 13% above the mean of published runs of vLLM.",
                "Prices by the hour are assumed: " + ", ".join(f"{gpu} ${usd:g}" for gpu, usd in views.prices(world).items()) + ".",
                *world.trace.notes,
            ],
        )
