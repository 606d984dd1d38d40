"""Every policy beside the others: on one long prompt among short ones, and over rising rates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulators.engines.serving import SimResult, Trace, synth_trace
from simulators.engines.serving.world import check_fits
from simulators.errors import InvalidInput
from simulators.lab import Context, Progress, Working
from simulators.llm_serving._race_measure import grouped
from simulators.llm_serving._race_world import (
    BLOCK,
    LONG_TOKENS,
    Alone,
    Floats,
    Setup,
    World,
    alone_times,
    cures,
    own_setup,
    ranked,
    served,
    shipped,
    with_long_rows,
)

SCENE_S = 50.0
SCENE_REQUESTS = (240, 1_500)  # at least, at most
ROOM = 0.9  # of a replica's memory that the one long prompt takes at most
LANDS = 0.2  # of the scene's requests have come when the long prompt lands
CURVE_REQUESTS = 600
CURVE_STEPS = np.array([0.25, 0.45, 0.6, 0.75, 0.95, 1.25])  # of the rate that the pool can just carry


@dataclass(frozen=True)
class Side:
    """How one contestant served the scene. `victim` is the short request that lost most time."""

    label: str
    policy: str
    victim_parts: Floats  # seconds, float64[6], `_race_measure.PARTS`
    victim_alone_s: float
    victim_ttft_s: float
    victim_prompt: int
    victim_output: int
    short_ttft_p99_s: float
    long_ttft_s: float | None
    itl_p99_ms: float | None
    itl_max_ms: float | None
    makespan_s: float

    @property
    def loss_s(self) -> float:
        """What the victim took longer than alone."""
        return float(self.victim_parts.sum()) - self.victim_alone_s


@dataclass(frozen=True)
class Sides:
    """By key of the setup; `refused` says which cannot serve the scene on this memory, and why."""

    found: dict[str, Side]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Curve:
    """Requests a second within both limits, over offered requests a second; `ttft` and `tpot` are kept so that limits can move."""

    policy: str
    label: str
    rates_rps: Floats
    ttft_s: list[Floats]
    tpot_s: list[Floats]

    def goodput_rps(self, ttft_limit_s: float, itl_limit_s: float) -> Floats:
        """Share within the limits of what is offered: over the whole replay the last, long answers would count as idle time."""
        good = [float(np.mean((t <= ttft_limit_s) & ~(g > itl_limit_s))) for t, g in zip(self.ttft_s, self.tpot_s, strict=True)]
        return np.asarray(self.rates_rps * np.array(good))


# --- one long prompt -----------------------------------------------------------------------------------------------------------


def scene_of(world: World, ctx: Context) -> World:
    """Less than a minute of short requests at the page's rate, one long prompt after ten seconds or so; of an own trace, its beginning."""
    low, high = SCENE_REQUESTS
    if world.own:
        return beginning(world, high)
    p = world.params
    count = int(np.clip(SCENE_S * p.rate, low, high))
    drawn = synth_trace("tenants", count, p.rate, ctx.seed, burst_rps=0.0)
    room = int(ROOM * world.num_blocks * BLOCK)
    trace = with_long_rows(drawn, [round(LANDS * count)], min(p.long_tokens, room))
    alone = alone_times(trace, world.cost)
    return replace(world, trace=ranked(trace, p, alone), alone=alone)


def beginning(world: World, count: int) -> World:
    first = slice(0, count)
    return replace(world, trace=world.trace.rows(first), alone=Alone(world.alone.ttft_s[first], world.alone.e2e_s[first]))


def sides(scene: World) -> Working[Sides]:
    setups, found, refused = shipped(scene) | cures(scene), {}, []
    for i, (key, setup) in enumerate(setups.items()):
        label = f"side by side: {setup.label}"
        try:
            run = yield from served(setup, scene.trace, scene, label, done=i, total=len(setups))
        except InvalidInput as error:
            refused.append(f"{setup.label} is left out: {error.message}")
            continue
        found[key] = side_of(setup, scene, run)
        yield Progress(i + 1, len(setups), label)
    return Sides(found, tuple(refused))


def own_side(scene: World) -> Working[Side]:
    setup = own_setup(scene)
    return side_of(setup, scene, (yield from served(setup, scene.trace, scene, "side by side: your settings")))


def side_of(setup: Setup, scene: World, run: SimResult) -> Side:
    long = scene.trace.prompt_tokens > LONG_TOKENS
    short = ~long if not long.all() else long
    delay = np.where(short, run.e2e_s - scene.alone.e2e_s, -np.inf)
    victim = int(np.argmax(delay))
    gap = run.itl_percentile_s(99)
    return Side(
        label=setup.label,
        policy=setup.scheduler.policy,
        victim_parts=grouped(run.breakdown[[victim]])[0],
        victim_alone_s=float(scene.alone.e2e_s[victim]),
        victim_ttft_s=float(run.ttft_s[victim]),
        victim_prompt=int(scene.trace.prompt_tokens[victim]),
        victim_output=int(scene.trace.output_tokens[victim]),
        short_ttft_p99_s=float(np.percentile(run.ttft_s[short], 99)),
        long_ttft_s=float(run.ttft_s[long].max()) if long.any() else None,
        itl_p99_ms=None if gap is None else 1e3 * gap,
        itl_max_ms=None if gap is None else 1e3 * run.itl_max_s,
        makespan_s=run.makespan_s,
    )


# --- rising rates ----------------------------------------------------------------------------------------------------------------


def curves(whole: World) -> Working[list[Curve]]:
    """One curve a policy as it comes, on the first requests at rates from a fraction to beyond what the pool can carry."""
    world = beginning(whole, CURVE_REQUESTS)
    trace = world.trace
    setups = [setup for setup in shipped(world).values() if able(setup, trace, world)]
    most = yield from saturation_rps(world, trace, setups)
    rates = np.unique(np.array([float(f"{share * most:.2g}") for share in CURVE_STEPS]))
    found, total = [], len(setups) * len(rates)
    for i, setup in enumerate(setups):
        curve = Curve(setup.scheduler.policy, setup.label, rates, [], [])
        for j, rate in enumerate(rates):
            label = f"{setup.label} at {rate:g} requests/s"
            run = yield from served(setup, trace.at_rate(rate), world, label, done=i * len(rates) + j, total=total)
            curve.ttft_s.append(run.ttft_s.astype(np.float32))
            curve.tpot_s.append(run.tpot_s.astype(np.float32))
            yield Progress(i * len(rates) + j + 1, total, label)
        found.append(curve)
    return found


def able(setup: Setup, trace: Trace, world: World) -> bool:
    """Whether every request fits the memory under this policy."""
    try:
        check_fits(trace, setup.scheduler, world.num_blocks)
    except InvalidInput:
        return False
    return True


def saturation_rps(world: World, trace: Trace, setups: list[Setup]) -> Working[float]:
    """Requests a second when all wait at the door from the start, under vLLM v1."""
    crowd = replace(trace, arrival_s=np.zeros(len(trace)))
    setup = next(item for item in setups if item.scheduler.policy == "vllm_v1")
    run = yield from served(setup, crowd, world, "what the pool can carry")
    return len(trace) / run.makespan_s
