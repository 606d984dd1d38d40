"""Traces made to order: shapes, shares and rates that their descriptions promise."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.engines.serving.hit_curve import hit_curve
from simulators.engines.serving.synth import LENGTHS, QUANTILES, synth_trace
from simulators.errors import InvalidInput

SEEDS = range(3)
KINDS = ("conversation", "long_mix", "multi_turn", "tenants", "batch")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_trace(kind: str) -> None:
    one, same, other = (synth_trace(kind, 300, 5.0, seed) for seed in (1, 1, 2))
    assert len(one) == 300 and not one.notes
    assert np.array_equal(one.prompt_tokens, same.prompt_tokens) and np.array_equal(one.arrival_s, same.arrival_s)
    assert not np.array_equal(one.prompt_tokens, other.prompt_tokens)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_lengths_follow_their_quantiles(lengths: str, seed: int) -> None:
    trace = synth_trace("conversation", 40_000, 24.0, seed, lengths=lengths)
    for tokens, values in zip((trace.prompt_tokens, trace.output_tokens), LENGTHS[lengths], strict=True):
        assert tokens.min() >= values[0] and tokens.max() <= values[-1]
        shares = [(tokens <= value).mean() for value in values[1:-1]]
        assert shares == pytest.approx(np.interp(np.array(values[1:-1]) + 0.5, values, QUANTILES), abs=0.012)  # tokens are rounded
    assert trace.rate_rps == pytest.approx(24, rel=0.02)
    assert abs(np.corrcoef(trace.prompt_tokens, trace.output_tokens)[0, 1]) < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_long_prompts_lie_at_random_rows(seed: int) -> None:
    trace = synth_trace("long_mix", 6000, 24.0, seed)
    rows = np.flatnonzero(trace.prompt_tokens == 100_000)
    assert len(rows) == 24 and np.all(trace.output_tokens[rows] == 500)
    assert len(set(np.diff(rows))) > 10 and len(set(rows % 4)) == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_chats_reuse_blocks_as_the_public_trace_does(seed: int) -> None:
    trace = synth_trace("multi_turn", 11_600, 11_600 / 3537, seed)
    assert 7800 < len(np.unique(trace.session)) < 8600
    assert trace.prompt_tokens.mean() == pytest.approx(12_600, rel=0.08) and trace.prompt_tokens.max() <= 126_000
    assert 100 * hit_curve(trace, [1000, 5000, 10_000, 30_000, 0]) == pytest.approx([4.3, 12, 22, 35, 37.5], abs=1.6)
    assert trace.arrival_s[-1] <= 3537
    first = trace.hash_ids[trace.hash_ptr[:-1]]
    assert set(first) == {0}  # the system prompt
    partial = trace.prompt_tokens % 512 != 0
    last = trace.hash_ids[trace.hash_ptr[1:] - 1][partial]
    assert np.isin(trace.hash_ids, last).sum() == len(last)  # nobody shares half a block


def test_a_turn_continues_its_session() -> None:
    trace = synth_trace("multi_turn", 3000, 3.3, 0)
    for session in np.unique(trace.session)[:200]:
        rows = np.flatnonzero(trace.session == session)
        for before, after in zip(rows[:-1], rows[1:], strict=True):
            full = trace.prompt_tokens[before] // 512
            assert trace.prompt_tokens[after] >= min(trace.prompt_tokens[before] + trace.output_tokens[before], 126_000)
            a, b = (trace.hash_ids[trace.hash_ptr[row] :][:full] for row in (before, after))
            assert np.array_equal(a, b)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_tenant_bursts(seed: int) -> None:
    trace = synth_trace("tenants", 7000, 12.0, seed, ttft_slo_s=(8, 4, 2, 1))
    inside = (trace.arrival_s >= 60) & (trace.arrival_s < 120)
    free = trace.tenant == trace.tenant_names.index("free")
    assert (inside & free).sum() / 60 == pytest.approx(63, rel=0.1)
    assert (inside & ~free).sum() / 60 == pytest.approx(9, rel=0.2)
    assert (~inside).sum() / (trace.arrival_s[-1] - 60) == pytest.approx(12, rel=0.1)
    assert np.bincount(trace.tenant[~inside]) / (~inside).sum() == pytest.approx([0.25] * 4, abs=0.04)
    assert set(trace.ttft_slo_s[free]) == {8}


def test_a_batch_comes_at_once() -> None:
    assert synth_trace("batch", 50, float("inf"), 0).duration_s == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "storm"}, "kind is 'storm'; expected one of conversation"),
        ({"n": 0}, "n is 0"),
        ({"rate_rps": 0}, "rate_rps is 0"),
        ({"lengths": "poems"}, "lengths is 'poems'; expected one of conversation, code, reasoning"),
        ({"kind": "long_mix", "long_share": 2}, "long_share is 2"),
        ({"speed": 2}, "conversation knows no speed; expected lengths"),
        ({"kind": "tenants", "burst_tenant": "me"}, "burst_tenant is 'me'"),
    ],
)
def test_bad_input(arguments: dict[str, object], said: str) -> None:
    usual = {"kind": "conversation", "n": 10, "rate_rps": 1.0, "seed": 0}
    with pytest.raises(InvalidInput, match=said):
        synth_trace(**(usual | arguments))  # type: ignore[arg-type]
