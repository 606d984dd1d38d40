"""Lab: what cache size, cache tier and router each buy on traffic that repeats itself."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.serving import Trace, hit_curve, warm_up
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps, Working
from simulators.llm_serving import _prefix_views as views
from simulators.llm_serving._prefix_challenge import FIVE_TERABYTES
from simulators.llm_serving._prefix_insights import insights
from simulators.llm_serving._prefix_params import ROUTERS, PrefixParams
from simulators.llm_serving._prefix_world import DATA, Reading, World, hit_curves, make_world, measured, requests_of


class PrefixCache(Lab):
    """How much prefill can you not do?

    **Traffic.** Chats whose every turn repeats the turns before: about 8,200 sessions in an hour, fitted to Mooncake's conversation trace,
    all beginning with the same system prompt. A prompt is a chain of blocks; equal ids mean equal prefixes. Blocks that a prompt fills are
    shared, a last one that is not full never is. Or your own trace with block hashes.

    **Workers.** The prefill side of a disaggregated fleet: each worker is 8 x H100 with Llama-3.1-70B in BF16 and reads one prompt at a
    time; the time to first token ends with the prompt. A prompt finds its leading blocks in the fastest tier that holds them. Blocks in
    use are pinned, blocks being computed are not there yet, at least one token is always computed. HBM costs nothing, DRAM and pool
    cost the bytes over their link before the prompt starts.

    **Routers** see loads and caches as they were `signal_delay_s` ago. `Longest cached prefix` looks at the caches alone, `least loaded`
    at the queues alone, `queue + uncached prefill` adds the seconds of both.

    **Bounds.** The hit curve replays the trace against one cache of each size, exactly, without a clock. It bounds every fleet with the
    same memory in several caches. What an unbounded cache does not find is new text.

    Times are a roofline's: mean times of such models have been within 13 % of real engines.
    """

    title = "Prefix cache and router"
    why = "Reuse and load balance pull in opposite directions, and a hit rate is not a latency."
    phase = "deep_dive"
    engines = (
        "simulators.engines.serving.simulate",
        "simulators.engines.serving.kernel_cache",
        "simulators.engines.serving.kernel_router",
        "simulators.engines.serving.hit_curve",
        "simulators.engines.serving.synth",
    )
    sources = (
        "Kwon et al. 2023, PagedAttention, SOSP",
        "Zheng et al. 2024, SGLang and RadixAttention, NeurIPS",
        "Qin et al. 2025, Mooncake, FAST",
        "Mirrokni, Thorup & Zadimoghaddam 2018, Consistent hashing with bounded loads, SODA",
    )
    map_axes = ("hit_tokens", "ttft_mean_s")
    Params = PrefixParams
    challenges = (FIVE_TERABYTES,)
    data = DATA
    presets = (
        Preset(
            "hot_prefix",
            "Every chat starts alike",
            "The router follows the longest cached prefix. All prompts share their first block, so one worker takes them all.",
            {"router": "max_prefix"},
        ),
        Preset(
            "cache_or_router",
            "Bigger cache or better router?",
            "Four times the memory with a router that does not look into the caches. Compare with the default.",
            {"router": "least_loaded", "hbm_blocks": 8_000},
        ),
        Preset(
            "slow_pool",
            "Slow pool",
            "Everybody finds what any worker has read, over 5 GB/s: the GPUs compute keys and values faster. Compare with the default.",
            {"pool_blocks": 32_000, "pool_link_gb_s": 5.0},
        ),
        Preset("stale", "Router reads yesterday's news", "Loads and caches as they were five seconds ago.", {"signal_delay_s": 5.0}),
    )

    @classmethod
    def warm_up(cls) -> None:
        warm_up()
        hit_curve(Trace([0.0], [1], [1], hash_ids=[0], hash_ptr=[0, 1]), 1)

    def run(self, params: PrefixParams, ctx: Context) -> Steps:
        yield Progress(0, 1, "making the chats")
        world = make_world(ctx, params)
        mine = yield from measured(ctx, world, params, params.router)
        fixed = views.metrics(world, params, mine)
        figures = [views.load_figure(mine), views.tier_figure(world, params, mine)]
        yield Frame(fixed, figures)
        curves = yield from hit_curves(ctx, world, views.total_blocks(params))
        all_metrics = [*views.bound_metrics(params, mine, curves), *fixed]
        curve = views.curve_figure(params, curves, mine)
        yield Frame(all_metrics, [curve])
        readings = yield from _all_routers(ctx, world, params)
        fresh = unpooled = None
        if params.signal_delay_s:
            fresh = yield from measured(ctx, world, params.model_copy(update={"signal_delay_s": 0.0}), params.router)
        if params.pool_blocks:
            unpooled = yield from measured(ctx, world, params.model_copy(update={"pool_blocks": 0}), params.router)
        return Result(
            metrics=all_metrics,
            figures=[views.router_figure(params, readings), curve, *figures],
            tables=[views.router_table(readings), views.curve_table(curves), views.hot_table(world)],
            insights=tuple(insights(world, params, readings, curves, fresh, unpooled)),
            notes=tuple(_notes(ctx, world, params)),
        )


def _all_routers(ctx: Context, world: World, params: PrefixParams) -> Working[dict[str, Reading]]:
    readings = {}
    for router in ROUTERS:
        readings[router] = yield from measured(ctx, world, params, router)
        if len(readings) > 1:
            yield Frame(figures=[views.router_figure(params, readings)])
    return readings


def _notes(ctx: Context, world: World, params: PrefixParams) -> Iterator[str]:
    yield from world.trace.notes
    if ctx.data is None:
        if requests_of(params) < params.requests:
            yield (
                f"With blocks of {params.block_tokens} tokens only the first {requests_of(params):,} prompts are replayed; caches are "
                "colder than after all of them."
            )
        return
    if world.trace.block_tokens != params.block_tokens:
        yield f"Your trace names blocks of {world.trace.block_tokens} tokens; the page's block size and system prompt do nothing to it."
    if params.cache_decode and world.trace.session is None:
        yield "Your trace names no sessions, so it does not say which prompt continues which answer: keeping answers changes nothing."
