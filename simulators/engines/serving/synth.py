"""Traces made to order, shaped after public ones; the same arguments give the same trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from simulators.engines.serving.trace import Floats, Ints, Trace
from simulators.errors import InvalidInput

QUANTILES = np.array([0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100]) / 100
# Tokens at QUANTILES: (prompt, output).
LENGTHS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    # Azure LLM inference trace 2023, conversation (Splitwise, ISCA 2024).
    "conversation": (
        (2, 26, 181, 245, 409, 1041, 1165, 2228, 4032, 4058, 4071),
        (10, 14, 41, 56, 91, 217, 405, 432, 498, 622, 1000),
    ),
    # Shaped after the code half of that trace: means 2,048 and 28, medians 1,500 and 13.
    "code": (
        (3, 30, 110, 300, 800, 1500, 2900, 5000, 6600, 7250, 7430),
        (1, 6, 7, 8, 9, 13, 26, 60, 95, 220, 560),
    ),
    # Short questions, long trains of thought: means of about 350 and 3,500.
    "reasoning": (
        (20, 40, 80, 110, 180, 300, 450, 650, 850, 1300, 2000),
        (100, 400, 800, 1100, 1900, 3000, 4600, 6600, 8000, 11000, 16000),
    ),
}


def synth_trace(kind: str, n: int, rate_rps: float, seed: int, **params: Any) -> Trace:
    """`n` requests, Poisson arrivals of `rate_rps` on average unless said otherwise.

    conversation: independent lengths, `lengths` = conversation, code or reasoning.
    long_mix: the same, and a share `long_share` (0.004) of them at random rows replaced by `long_tokens` (100,000) in, `long_output`
        (500) out. On a fixed stride they would meet round robin and all land on one replica.
    multi_turn: sessions that repeat their history, with hash_ids and session (see `multi_turn`); arrivals within n / rate_rps seconds.
    tenants: the rate shared equally by `tenants`; one of them, `burst_tenant`, adds `burst_rps` for `burst_s` seconds (see `tenants`).
    batch: all at 0 s, whatever the rate.

    Raises InvalidInput for an unknown kind or parameter and for numbers out of range.
    """
    if kind not in KINDS:
        raise InvalidInput(f"kind is {kind!r}; expected one of {', '.join(KINDS)}.", field="kind")
    if n < 1 or n != int(n):
        raise InvalidInput(f"n is {n}; expected a whole number of requests, at least 1.", field="n")
    if not (rate_rps > 0 and (np.isfinite(rate_rps) or kind == "batch")):
        raise InvalidInput(f"rate_rps is {rate_rps:g}; expected requests a second above 0.", field="rate_rps")
    make, defaults = KINDS[kind]
    unknown = sorted(set(params) - set(defaults))
    if unknown:
        raise InvalidInput(f"{kind} knows no {', '.join(unknown)}; expected {', '.join(defaults)}.", field=unknown[0])
    return make(int(n), float(rate_rps), np.random.default_rng(seed), **(defaults | params))


def draw_lengths(rng: np.random.Generator, n: int, lengths: str) -> tuple[Ints, Ints]:
    """Prompt and output tokens, int64[n] each, from piecewise linear quantile functions, independent of each other."""
    if lengths not in LENGTHS:
        raise InvalidInput(f"lengths is {lengths!r}; expected one of {', '.join(LENGTHS)}.", field="lengths")
    prompt, output = (np.rint(np.interp(rng.random(n), QUANTILES, values)).astype(np.int64) for values in LENGTHS[lengths])
    return prompt, output


def poisson_arrivals(rng: np.random.Generator, n: int, rate_rps: float) -> Floats:
    return np.cumsum(rng.exponential(1 / rate_rps, n))


def conversation(n: int, rate_rps: float, rng: np.random.Generator, *, lengths: str) -> Trace:
    return Trace(poisson_arrivals(rng, n, rate_rps), *draw_lengths(rng, n, lengths))


def batch(n: int, rate_rps: float, rng: np.random.Generator, *, lengths: str) -> Trace:
    return Trace(np.zeros(n), *draw_lengths(rng, n, lengths))


def long_mix(
    n: int, rate_rps: float, rng: np.random.Generator, *, lengths: str, long_share: float, long_tokens: int, long_output: int
) -> Trace:
    if not 0 <= long_share <= 1:
        raise InvalidInput(f"long_share is {long_share:g}; expected a share from 0 to 1.", field="long_share")
    trace = conversation(n, rate_rps, rng, lengths=lengths)
    rows = rng.choice(n, size=round(long_share * n), replace=False)
    prompt, output = trace.prompt_tokens.copy(), trace.output_tokens.copy()
    prompt[rows], output[rows] = long_tokens, long_output
    return replace(trace, prompt_tokens=prompt, output_tokens=output)


def tenants(
    n: int,
    rate_rps: float,
    rng: np.random.Generator,
    *,
    lengths: str,
    tenants: Sequence[str],
    burst_tenant: str,
    burst_rps: float,
    burst_start_s: float,
    burst_s: float,
    priorities: Sequence[float] | None,
    ttft_slo_s: Sequence[float] | None,
) -> Trace:
    """The first n requests of a Poisson process of rate `rate_rps`, higher by `burst_rps` from `burst_start_s` on for `burst_s` seconds.

    `priorities` and `ttft_slo_s` hold one value a tenant.
    """
    names = list(tenants)
    if burst_tenant not in names:
        raise InvalidInput(f"burst_tenant is {burst_tenant!r}; expected one of {', '.join(names)}.", field="burst_tenant")
    if min(burst_rps, burst_start_s, burst_s) < 0:
        raise InvalidInput("burst_rps, burst_start_s and burst_s must be 0 or more.", field="burst_rps")
    # Arrivals of a unit-rate process, read off the expected count so far: piecewise linear with bends at the ends of the burst.
    ends = np.array([0.0, burst_start_s, burst_start_s + burst_s, burst_start_s + burst_s + 2 * n / rate_rps + 10])
    expected = np.cumsum([0, *np.diff(ends) * np.array([rate_rps, rate_rps + burst_rps, rate_rps])])
    unit = np.cumsum(rng.exponential(1.0, n))
    beyond = np.maximum(unit - expected[-1], 0) / rate_rps
    arrival = np.interp(unit, expected, ends) + beyond
    tenant = rng.integers(0, len(names), n)
    bursting = (arrival >= ends[1]) & (arrival < ends[2]) & (rng.random(n) < burst_rps / (rate_rps + burst_rps))
    tenant[bursting] = names.index(burst_tenant)
    per_tenant = {"priority": priorities, "ttft_slo_s": ttft_slo_s}
    columns: dict[str, Any] = {
        name: np.asarray(values, dtype=np.float64)[tenant] for name, values in per_tenant.items() if values is not None
    }
    return Trace(arrival, *draw_lengths(rng, n, lengths), tenant=tenant, tenant_names=tuple(names), **columns)


def multi_turn(
    n: int,
    rate_rps: float,
    rng: np.random.Generator,
    *,
    block_tokens: int,
    shared_system_tokens: int,
    max_prompt_tokens: int,
    speed: float,
) -> Trace:
    """Sessions fitted to Mooncake's conversation trace (FAST 2025).

    A session starts evenly over n / rate_rps seconds with a prompt of lognormal(ln 5,264, 1.2) tokens. A turn's prompt is the last one,
    its answer (gamma(1.6, 214)) and lognormal(ln 829, 1.6) new tokens; turns are lognormal(ln 123 s, 0.95) apart. A session goes on with
    a chance of its own, drawn from Beta(0.4, 1.6); turns after the end of the window are cut. All prompts begin with the same
    `shared_system_tokens`. Blocks that a prompt fills are shared, a last one that is not full is the prompt's own. `speed` runs the
    clock faster.
    """
    if min(block_tokens, max_prompt_tokens) < 1 or shared_system_tokens < 0 or not speed > 0:
        raise InvalidInput("multi_turn expects block_tokens and max_prompt_tokens of 1 or more, shared_system_tokens >= 0, speed > 0.")
    session, arrival, prompt, output = _turns(n, n / rate_rps, rng, shared_system_tokens + 1, max_prompt_tokens)
    ids, ptr = _block_ids(session, prompt, block_tokens, shared_system_tokens // block_tokens)
    return Trace(arrival / speed, prompt, output, session=session, hash_ids=ids, hash_ptr=ptr, block_tokens=block_tokens)


def _turns(n: int, window_s: float, rng: np.random.Generator, least_prompt: int, most_prompt: int) -> tuple[Ints, Floats, Ints, Ints]:
    """Session, arrival, prompt and output of the first n turns, session by session, that fall into the window; by arrival."""
    sessions = n  # a session's first turn is always inside, so n sessions suffice
    turns = np.minimum(rng.geometric(1 - rng.beta(0.4, 1.6, sessions)), n)
    session = np.repeat(np.arange(sessions), turns)
    first = np.concatenate([[0], np.cumsum(turns)[:-1]])
    total = len(session)
    opens = np.zeros(total, dtype=bool)
    opens[first] = True
    gap = np.where(opens, 0.0, rng.lognormal(np.log(123), 0.95, total))
    arrival = rng.uniform(0, window_s, sessions)[session] + _since_first(gap, first, turns)
    output = np.maximum(np.rint(rng.gamma(1.6, 214, total)), 1)
    added = np.maximum(np.rint(rng.lognormal(np.log(829), 1.6, total)), 1)
    grown = np.where(opens, 0.0, np.concatenate([[0], output[:-1]]) + added)
    start = np.maximum(np.rint(rng.lognormal(np.log(5264), 1.2, sessions)), least_prompt)
    prompt = np.minimum(start[session] + _since_first(grown, first, turns), most_prompt)
    kept = np.flatnonzero(arrival < window_s)[:n]
    kept = kept[np.argsort(arrival[kept], kind="stable")]
    return session[kept], arrival[kept], prompt[kept].astype(np.int64), output[kept].astype(np.int64)


def _since_first(values: Floats, first: Ints, turns: Ints) -> Floats:
    """Running sums that begin anew with every session."""
    running = np.cumsum(values)
    return np.asarray(running - np.repeat(running[first] - values[first], turns))


def _block_ids(session: Ints, prompt: Ints, block_tokens: int, shared_blocks: int) -> tuple[Ints, Ints]:
    """hash_ids and hash_ptr: shared blocks first, then (session, place) of full blocks, then an id of its own for a part of a block."""
    blocks = -(-prompt // block_tokens)
    ptr = np.concatenate([[0], np.cumsum(blocks)])
    request = np.repeat(np.arange(len(prompt)), blocks)
    place = np.arange(ptr[-1]) - ptr[request]
    width = int(blocks.max())
    ids = shared_blocks + session[request] * width + place
    ids[place < shared_blocks] = place[place < shared_blocks]
    partial = (place + 1) * block_tokens > prompt[request]
    ids[partial] = shared_blocks + (int(session.max()) + 1) * width + request[partial]
    return ids, ptr


_LENGTHS = {"lengths": "conversation"}
KINDS: dict[str, tuple[Callable[..., Trace], dict[str, Any]]] = {
    "conversation": (conversation, _LENGTHS),
    "long_mix": (long_mix, _LENGTHS | {"long_share": 0.004, "long_tokens": 100_000, "long_output": 500}),
    "multi_turn": (multi_turn, {"block_tokens": 512, "shared_system_tokens": 512, "max_prompt_tokens": 126_000, "speed": 1.0}),
    "tenants": (
        tenants,
        _LENGTHS
        | {
            "tenants": ("free", "plus", "pro", "api"),
            "burst_tenant": "free",
            "burst_rps": 60.0,
            "burst_start_s": 60.0,
            "burst_s": 60.0,
            "priorities": None,
            "ttft_slo_s": None,
        },
    ),
    "batch": (batch, _LENGTHS),
}
