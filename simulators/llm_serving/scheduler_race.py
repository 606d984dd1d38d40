"""Lab: seven schedulers, six queue orders, and a prompt of 100,000 tokens among short ones."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.serving import warm_up
from simulators.lab import Context, Figure, Frame, Lab, Preset, Progress, Result, Steps
from simulators.llm_serving import _race_report as shown
from simulators.llm_serving import _race_views as views
from simulators.llm_serving._race_challenge import LONG_AND_SHORT
from simulators.llm_serving._race_insights import insights, side_insight
from simulators.llm_serving._race_measure import Report
from simulators.llm_serving._race_params import RaceParams
from simulators.llm_serving._race_sides import CURVE_REQUESTS, SCENE_REQUESTS, Sides, curves, own_side, scene_of, sides
from simulators.llm_serving._race_world import WHOLE_PROMPTS, cost_of, own_setup, served, world_of
from simulators.llm_serving._trace_data import SPEC

EIGHT_B = {"model": "Llama-3.1-8B", "tp": "1", "replicas": 1, "long_share": 0.0}


class SchedulerRace(Lab):
    """Who waits when a prompt of 100,000 tokens lands on a busy pool?

    **The machine.** A replica runs one iteration after the other. Each holds answers, one token each, and chunks of prompts; how long it
    takes follows from FLOP and bytes (a roofline over data sheet figures). What is simulated is every iteration of every replica, with its
    block table of keys and values; nothing is drawn from a waiting-time formula.

    **The policies** differ in who may share an iteration. Static batching waits for the slowest member. Orca forms every iteration anew
    but reserves memory for the longest answer. vLLM v0 pages memory and reads waiting prompts before anything else, whole. Sarathi cuts
    prompts into chunks that ride along with the answers. vLLM v1 has one token budget for both. SGLang reads prompts first, in large
    chunks. Disaggregated pools read on some replicas and write on others, and move the keys and values between them.

    **The orders** say who of the waiting is next: by arrival, tier, length, what is left to read (SRPT, also among half-read prompts),
    deadline, or service received so far (VTC, a counter a tenant).

    **Where the time went.** Each request's time from arrival to last token falls into parts that add up: queue, reading, being set aside
    half-read, decoding, what decoding took longer because prompts were read in the same iterations, and evictions or moves between pools.
    The dashed line is what the same request would take alone on the machine.

    TTFT is the time from arrival to the first token, as the engine sees it. ITL pools every gap between two tokens of an answer. A request
    counts for goodput if its TTFT is within the limit and so is its mean gap. Short means up to 8,000 prompt tokens.
    """

    title = "Scheduler race"
    why = (
        "A long prompt at the head of the line is the serving accident an interviewer waits for. Chunked prefill, queue orders, and split "
        "pools each cure a different half of it, and a mean or a p99 over all requests hides whether they did."
    )
    engines = (
        "simulators.engines.serving",
        "simulators.engines.serving.simulate",
        "simulators.engines.serving.scheduler",
        "simulators.engines.serving.cost_roofline",
    )
    sources = (
        "Yu et al. 2022, Orca, OSDI",
        "Kwon et al. 2023, PagedAttention, SOSP, arXiv 2309.06180",
        "Agrawal et al. 2024, Sarathi-Serve, OSDI, arXiv 2403.02310",
        "Zhong et al. 2024, DistServe, OSDI, arXiv 2401.09670",
        "Sheng et al. 2024, Fairness in serving large language models, OSDI, arXiv 2401.00588",
    )
    map_axes = ("short_ttft_p99_s", "itl_p99_ms")
    Params = RaceParams
    data = SPEC
    challenges = (LONG_AND_SHORT,)
    presets = (
        Preset(
            "long_prompt_lands",
            "100k prompt lands on a busy pool",
            "Pools cure the gaps between tokens. Look who still waits for the first one, then keep a prefill replica for long prompts.",
            {"policy": "disaggregated"},
        ),
        Preset(
            "still_blocked",
            "Chunked, yet still blocked",
            "Chunks of 512 tokens tame the gaps. The short prompts wait as before: change the order of the queue.",
            {"policy": "sarathi", "token_budget": 512},
        ),
        Preset(
            "gone_viral",
            "One tenant goes viral",
            "The free tier sends 21 times as much for a minute. First come, first served lets everybody wait; try fair shares.",
            {**EIGHT_B, "rate": 12.0, "burst": 21.0},
        ),
        Preset(
            "recompute_storm",
            "Recompute storm",
            "A twentieth of the memory: answers grow, blocks run out, the newest is thrown out and read again.",
            {"kv_blocks_scale": 0.05, "long_share": 0.0, "long_tokens": 32_000, "rate": 32.0},
        ),
        Preset(
            "static_2021",
            "Static batching 2021",
            "A batch runs until its last member is done, and each slot reserves 8,192 tokens. Switch to any later policy.",
            {**EIGHT_B, "policy": "static", "rate": 8.0},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        warm_up()
        cost_of(RaceParams()).step_s([1], [])

    def run(self, params: RaceParams, ctx: Context) -> Steps:
        self.warm_up()  # nothing to do where the worker has
        yield Progress(0, 1, "drawing requests")
        world = world_of(params, ctx)
        yield Progress(0, 1, "serving")
        setup = own_setup(world)
        report = Report(world, setup, (yield from served(setup, world.trace, world, "serving", log=True)))
        metrics, figures = shown.metrics(report), list(own_figures(report))
        yield Frame(metrics, figures)
        scene = scene_of(world, ctx)
        found = yield from ctx.asset_steps(f"{world.key}/{params.rate}/sides", lambda: sides(scene))
        mine = yield from own_side(scene)
        beside = [*found.found.values(), mine]
        suffered = shown.suffered_figure(beside, scene)
        yield Frame(figures=[suffered])
        curve = yield from ctx.asset_steps(f"{world.key}/curves", lambda: curves(world))
        capacity = [shown.capacity_figure(curve, report)] if curve else []
        return Result(
            metrics=metrics,
            figures=[suffered, *figures, *capacity],
            tables=[shown.sides_table(beside, scene), *shown.tables(report)],
            insights=[*side_insight(found.found), *insights(report)],
            notes=list(notes(report, found)),
        )


def own_figures(report: Report) -> Iterator[Figure]:
    yield views.ttft_figure(report)
    yield views.itl_figure(report)
    yield views.timeline_figure(report)
    times, waiting, free = views.over_time(report)
    yield views.queue_figure(times, waiting)
    yield views.blocks_figure(report, times, free)
    yield views.slowest_figure(report)


def notes(report: Report, found: Sides) -> Iterator[str]:
    world, p = report.world, report.world.params
    low, high = report.run.error_band
    yield (
        f"Times by {world.cost.name}: models of this kind were {-low:.0%} below to {high:.0%} above the mean end-to-end time of published "
        "runs of vLLM."
    )
    needed = report.setup.scheduler.max_len
    if p.policy in ("static", "orca") and needed > p.max_len:
        yield f"{needed:,} tokens are reserved for each request, not {p.max_len:,}: the longest of this trace needs them."
    if p.policy == "vllm_v0" and report.setup.scheduler.max_batch_tokens > WHOLE_PROMPTS:
        most = report.setup.scheduler.max_batch_tokens
        yield f"vLLM v0 reads prompts whole, so a batch may hold {most:,} prompt tokens: as many as the longest prompt has."
    yield from world.trace.notes
    yield from found.refused
    if world.own:
        most = SCENE_REQUESTS[1]
        yield f"Side by side: at most the first {most:,} requests of your trace. Capacity: its first {CURVE_REQUESTS:,}, at other rates."
