"""Hit curves against caches written with dictionaries."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.serving.hit_curve import POLICIES, hit_curve
from simulators.engines.serving.synth import synth_trace
from simulators.engines.serving.trace import Trace
from simulators.engines.serving.trace_files import load_trace
from simulators.errors import InvalidInput

DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def made(prompts: list[list[int]]) -> Trace:
    sizes = [len(prompt) for prompt in prompts]
    ids = [block for prompt in prompts for block in prompt]
    return Trace(np.arange(len(prompts)), sizes, [1] * len(prompts), hash_ids=ids, hash_ptr=np.cumsum([0, *sizes]), block_tokens=1)


def by_dictionary(prompts: list[list[int]], capacity: int, policy: str) -> float:
    """[uses, time of last use (lru, lfu) or of insertion (fifo)] of each block; the least goes, by uses only under lfu."""
    cache: dict[int, list[int]] = {}
    clock = hits = 0
    for prompt in prompts:
        hits += sum(block in cache for block in prompt)
        for block in prompt:
            clock += 1
            if block in cache:
                cache[block][0] += 1
                cache[block][1] = cache[block][1] if policy == "fifo" else clock
                continue
            if capacity and len(cache) == capacity:
                del cache[min(cache, key=lambda b: (cache[b][0] if policy == "lfu" else 0, cache[b][1]))]
            cache[block] = [1, clock]
    return hits / sum(map(len, prompts))


@given(
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=9), min_size=1, max_size=30),
    st.sampled_from(POLICIES),
)
@settings(max_examples=150, deadline=None)
def test_every_policy_equals_a_dictionary(prompts: list[list[int]], policy: str) -> None:
    capacities = [0, 1, 2, 5, 9, 20]
    expected = [by_dictionary(prompts, capacity, policy) for capacity in capacities]
    assert hit_curve(made(prompts), capacities, policy).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_lru_equals_an_ordered_dictionary_on_chats(seed: int) -> None:
    trace = synth_trace("multi_turn", 1500, 3.3, seed)
    for capacity in (300, 3000):
        cache: OrderedDict[int, None] = OrderedDict()
        hits = 0
        for start, end in zip(trace.hash_ptr[:-1], trace.hash_ptr[1:], strict=True):
            prompt = trace.hash_ids[start:end].tolist()
            hits += sum(block in cache for block in prompt)
            for block in prompt:
                if block not in cache and len(cache) == capacity:
                    cache.popitem(last=False)
                cache[block] = None
                cache.move_to_end(block)
        assert hit_curve(trace, [capacity])[0] == hits / len(trace.hash_ids)
    curve = hit_curve(trace, [100, 1000, 10_000, 100_000, 0])
    assert np.all(np.diff(curve) >= 0) and curve[-1] == curve[-2]


def test_bad_input() -> None:
    trace = made([[1, 2]])
    with pytest.raises(InvalidInput, match="expected one of lru, fifo, lfu"):
        hit_curve(trace, [1], "random")
    with pytest.raises(InvalidInput, match="whole numbers of blocks"):
        hit_curve(trace, [-1])
    with pytest.raises(InvalidInput, match="no hash_ids"):
        hit_curve(Trace([0], [1], [1]), [1])


@pytest.mark.validation
def test_the_public_trace_hits_as_often_as_published() -> None:
    path = DATA / "serving_traces" / "mooncake_synthetic_trace.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is absent; set LOOP45_DATA to the folder that holds serving_traces")
    curve = hit_curve(load_trace(path), [1000, 5000, 10_000, 30_000, 50_000, 0])
    assert 100 * curve == pytest.approx([8.2, 27.9, 42.3, 62.4, 64.0, 64.0], abs=0.5)
