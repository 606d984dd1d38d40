"""What a replay of the lab `prefix_cache` says: one sentence an effect, from the run's own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simulators.lab import Insight
from simulators.llm_serving._prefix_params import ROUTERS, PrefixParams
from simulators.llm_serving._prefix_world import CAPACITIES, Floats, Reading, World

COLLAPSED = 2.0  # times the mean work
CLEAR = 1.1


def insights(
    world: World,
    params: PrefixParams,
    readings: Mapping[str, Reading],
    curves: Mapping[str, Floats],
    fresh: Reading | None,
    unpooled: Reading | None,
) -> Iterator[Insight]:
    """`readings` by router, the chosen one among them; the same fleet `fresh`: with a router that sees the present, `unpooled`: without
    the shared pool."""
    mine = readings[params.router]
    yield _bound(params, mine, curves)
    yield from _reuse_or_balance(readings)
    yield from _hot_prefix(params, readings)
    if fresh is not None:
        yield _stale(params, mine, fresh)
    if unpooled is not None:
        yield _pool(world, params, mine, unpooled)
    yield from _eviction(curves)


def _bound(params: PrefixParams, mine: Reading, curves: Mapping[str, Floats]) -> Insight:
    bound, one = float(curves["lru"][len(CAPACITIES) - 1]), float(curves[params.policy][-1])
    text = (
        f"{ROUTERS[params.router]} finds {mine.hit:.1%} of the prompt blocks; one cache of the same total memory would find {one:.1%} and "
        f"an unbounded one {bound:.1%}: the rest of each prompt is new."
    )
    return Insight(text, "capacity", "bound")


def _reuse_or_balance(readings: Mapping[str, Reading]) -> Iterator[Insight]:
    session, cost = readings["session"], readings["cost"]
    if session.hit_tokens > cost.hit_tokens and cost.ttft_mean_s < session.ttft_mean_s:
        yield Insight(
            f"Hit rate is not latency: session hashing finds {session.hit_tokens:.1%} of the tokens and takes {session.ttft_mean_s:.2f} s "
            f"to the first one, weighing queue against reuse finds {cost.hit_tokens:.1%} and takes {cost.ttft_mean_s:.2f} s.",
            "deep_dive",
            "reuse_or_balance",
        )


def _hot_prefix(params: PrefixParams, readings: Mapping[str, Reading]) -> Iterator[Insight]:
    trap = readings["max_prefix"]
    if params.workers > 1 and trap.imbalance > COLLAPSED:
        yield Insight(
            f"Longest cached prefix sends the chats where the common first block lies: one worker does {trap.imbalance:.1f} times the mean "
            f"work and the first token takes {trap.ttft_mean_s:,.0f} s. A prefix that all share says nothing about where to go.",
            "deep_dive",
            "hot_prefix",
        )


def _stale(params: PrefixParams, mine: Reading, fresh: Reading) -> Insight:
    text = (
        f"A view {params.signal_delay_s:g} s old sends bursts to the same worker: mean TTFT {mine.ttft_mean_s:.2f} s instead of "
        f"{fresh.ttft_mean_s:.2f} s, {mine.hit_tokens:.1%} of the tokens found instead of {fresh.hit_tokens:.1%}."
    )
    return Insight(text, "architecture", "stale_view")


def _pool(world: World, params: PrefixParams, mine: Reading, unpooled: Reading) -> Insight:
    link, even = params.pool_link_gb_s, world.break_even_gb_s
    seen = (
        f"{mine.hit_tokens:.1%} of the tokens are found instead of {unpooled.hit_tokens:.1%}, and mean TTFT is {mine.ttft_mean_s:.2f} s "
        f"instead of {unpooled.ttft_mean_s:.2f} s"
    )
    if link < even:
        text = (
            f"The pool's link of {link:g} GB/s is below the break-even of {even:.1f} GB/s, at which loading a prompt of the mean length "
            f"takes as long as reading it anew. With the pool {seen}."
        )
        return Insight(text, "capacity", "slow_pool")
    text = (
        f"With the pool every worker finds what any has read: {seen}; its link of {link:g} GB/s is {link / even:.1f} times the break-even."
    )
    return Insight(text, "architecture", "pool")


def _eviction(curves: Mapping[str, Floats]) -> Iterator[Insight]:
    lost = curves["lru"][:-1] - curves["fifo"][:-1]
    at = int(lost.argmax())
    if lost[at] > 0.005:
        yield Insight(
            f"Evicting the oldest instead of the longest unused block costs up to {100 * lost[at]:.1f} points of hit rate, at "
            f"{CAPACITIES[at]:,} blocks.",
            "deep_dive",
            "fifo",
        )
