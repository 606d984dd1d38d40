"""Cost models and traces that the simulator's tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.engines.serving import CostModel, SimResult, Trace
from simulators.engines.serving.cost_table import ROOFLINE, make_tables, vidur_tables

NO_BAND = (0.0, 0.0)


def constant_cost(seconds: float, **fields: Any) -> CostModel:
    """Every iteration takes as long, whatever is in it."""
    return CostModel(make_tables(ROOFLINE, host_s=seconds, **fields), "constant", NO_BAND)


def token_cost(per_token_s: float = 1e-4, host_s: float = 1e-3) -> CostModel:
    """Time grows with the tokens of the iteration, and a little with what decodes read."""
    tables = make_tables(ROOFLINE, linear_s_per_token=per_token_s, kv_s_per_token=per_token_s / 1000, host_s=host_s)
    return CostModel(tables, "by tokens", NO_BAND)


def jagged_cost(seed: int = 0, tokens: int = 2048, decodes: int = 64, kv: int = 64) -> CostModel:
    """Vidur tables of random numbers: a wrong lookup or another order of additions shows in the last bit."""
    rng = np.random.default_rng(seed)
    names = ("attn_pre_proj", "attn_post_proj", "attn_rope", "attn_kv_cache_save", "mlp_up_proj", "mlp_act", "mlp_down_proj")
    flat = (*names, "input_layernorm", "post_attention_layernorm", "add", "all_reduce")
    arrays = {name: rng.uniform(0.01, 0.3, tokens + 1) for name in flat}
    arrays["attn_decode__bs_x_kv64"] = rng.uniform(0.01, 0.3, (decodes + 1, kv + 1))
    arrays["attn_prefill__kv64_x_chunk"] = rng.uniform(0.01, 0.3, (kv + 1, tokens + 1))
    return CostModel(vidur_tables(arrays, 48), "jagged", NO_BAND)


def random_trace(n: int, rate_rps: float, seed: int, prompt: int = 200, output: int = 60, **columns: Any) -> Trace:
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.exponential(1 / rate_rps, n))
    return Trace(arrival_s, rng.integers(1, prompt + 1, n), rng.integers(1, output + 1, n), **columns)


def check_conservation(result: SimResult, *, prompts_cut: bool = False) -> None:
    """What holds for every policy: blocks come back, tokens in are tokens out, each request is served once and its time accounted for.

    prompts_cut: a half-read prompt that Sarathi restarts is read no further and the rest written as output, as in Vidur.
    """
    trace = result.trace
    assert (result.blocks_free == result.blocks_total).all()
    assert np.isfinite(result.finished_s).all()
    assert (trace.arrival_s <= result.scheduled_s).all()
    assert (result.scheduled_s < result.first_token_s).all()
    assert (result.first_token_s <= result.finished_s).all()
    written = result.itl_hist.sum() + len(trace)
    assert written >= trace.output_tokens.sum() if prompts_cut else written == trace.output_tokens.sum()
    np.testing.assert_allclose(result.breakdown.sum(axis=1), result.e2e_s, atol=1e-9)
    assert result.breakdown.min() > -1e-9
    assert (result.busy_s <= result.makespan_s * (1 + 1e-9)).all()
