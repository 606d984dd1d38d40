"""The real engine: paged attention against a plain forward pass, equal answers in every mode, memory, the rules the simulator has too."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from simulators.engines.serving import CostModel, SchedulerConfig, Trace, simulate
from simulators.engines.serving.tiny import PagedEngine, Request, ServeResult, TinyLM, compare_tokens, to_text
from simulators.engines.serving.tiny.language import language
from simulators.engines.serving.tiny.paged import BlockPool, prefix_keys
from simulators.errors import InvalidInput

MODES = ({"mode": "static", "max_seqs": 4}, {"max_seqs": 3, "token_budget": 24}, {"max_seqs": 16})


@pytest.fixture(scope="module")
def target() -> TinyLM:
    return TinyLM.load("target")


@pytest.fixture(scope="module")
def draft() -> TinyLM:
    return TinyLM.load("draft")


@pytest.fixture(scope="module")
def engine(target: TinyLM, draft: TinyLM) -> PagedEngine:
    return PagedEngine(target, draft)


def some_requests(seed: int, count: int = 10, shared: int = 0, longest: int = 30) -> list[Request]:
    rng = np.random.default_rng(seed)
    prefix = language().sample(shared, rng) if shared else []
    lengths, answers = rng.integers(4, 70, count), rng.integers(1, longest + 1, count)
    return [Request([*prefix, *language().sample(int(n), rng)], int(m)) for n, m in zip(lengths, answers, strict=True)]


def written_without_cache(model: TinyLM, request: Request) -> tuple[list[int], list[float]]:
    """Greedy answer by whole forward passes, nothing kept between tokens; and the margins of its choices."""
    import torch

    from simulators.engines.serving.tiny.model import text_logits

    text, margins = list(request.prompt), []
    with torch.inference_mode():
        for _ in range(request.output_tokens):
            best = text_logits(model, torch.tensor([text]))[0, -1].topk(2)
            text.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
    return text[len(request.prompt) :], margins


def assert_same(one: ServeResult, other: ServeResult) -> None:
    same = compare_tokens(one, other)
    assert same.different == 0
    assert same.identical >= 0.8 * sum(same), "ties are rare"


# --- the answers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_paged_answers_are_those_of_plain_forward_passes(engine: PagedEngine, seed: int) -> None:
    requests = some_requests(seed, 4, longest=12)
    served = engine.serve(requests, token_budget=24)
    for answer, request in zip(served.tokens, requests, strict=True):
        expected, margins = written_without_cache(engine.model, request)
        parted = next((i for i, (a, b) in enumerate(zip(answer, expected, strict=True)) if a != b), None)
        assert parted is None or margins[parted] < 1e-4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_are_the_same_in_every_mode(engine: PagedEngine, seed: int) -> None:
    requests = some_requests(seed, 5, shared=40, longest=9)
    reference = engine.serve(requests, mode="sequential", prefix_cache=False)
    assert [len(answer) for answer in reference.tokens] == [request.output_tokens for request in requests]
    for options in MODES:
        for spec in (None, "ngram", {"kind": "draft", "k": 3}):
            assert_same(engine.serve(requests, **options, spec=spec), reference)


@pytest.mark.parametrize("spec", [None, "ngram", "draft"])
def test_preemption_changes_no_answer(target: TinyLM, draft: TinyLM, spec: str | None) -> None:
    requests = some_requests(4, 12, longest=40)
    roomy = PagedEngine(target, draft).serve(requests)
    tight = PagedEngine(target, draft, num_blocks=12).serve(requests, spec=spec)
    assert tight.restarts.sum() > 0
    assert tight.blocks_peak <= 12
    assert_same(tight, roomy)


def test_a_wrong_cache_would_be_noticed(engine: PagedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: with two tokens' keys in one slot, answers differ by more than a tie."""
    from simulators.engines.serving.tiny import paged

    requests = some_requests(1, 6)
    right = engine.serve(requests)
    slots = paged._slots
    monkeypatch.setattr(paged, "_slots", lambda span, size: slots(span, size) // 2 * 2)
    assert compare_tokens(engine.serve(requests), right).different > 0


def test_a_text_is_served_as_its_words(engine: PagedEngine) -> None:
    tokens = language().sample(12, np.random.default_rng(0))
    by_text, by_tokens = (engine.serve([Request(prompt, 6)]).tokens for prompt in (to_text(tokens), tokens))
    assert by_text == by_tokens


# --- the language ------------------------------------------------------------------------------------------------------------


def test_the_target_comes_near_the_entropy_and_never_below(target: TinyLM, draft: TinyLM) -> None:
    import torch

    from simulators.engines.serving.tiny.train import cross_entropy

    losses = {}
    for name, model in (("target", target), ("draft", draft), ("weak", TinyLM.load("weak_draft"))):
        with torch.inference_mode():
            texts = [torch.tensor([language().sample(301, np.random.default_rng([9, i]))]) for i in range(12)]
            losses[name] = float(np.mean([float(cross_entropy(model, text)) for text in texts]))
    floor = language().entropy_rate
    assert 0.37 < floor < 0.40
    assert floor - 0.03 < losses["target"] < floor + 0.10  # 0.03: three standard errors of 3,600 tokens
    assert losses["weak"] > 2 * losses["draft"]


def test_the_entropy_rate_is_that_of_long_texts() -> None:
    """Counting choices of phrases in a text gives the same nats a token."""
    spoken, rng = language(), np.random.default_rng(3)
    nats, tokens, phrase = 0.0, 0, 0
    for _ in range(30_000):
        choice = int(rng.choice(len(spoken.weights), p=spoken.weights))
        nats -= float(np.log(spoken.weights[choice]))
        phrase = int(spoken.followers[phrase, choice])
        tokens += len(spoken.phrases[phrase])
    assert nats / tokens == pytest.approx(spoken.entropy_rate, rel=0.02)


# --- the rules, and the memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("blocks", [1_024, 24])
def test_iterations_are_those_the_simulator_forms(draft: TinyLM, seed: int, blocks: int) -> None:
    """Same requests, same rules: as many sequences, tokens and prompt tokens in every iteration, also where some are evicted."""
    requests = some_requests(seed, 24, longest=60)
    trace = Trace(np.zeros(24), [len(r.prompt) for r in requests], [r.output_tokens for r in requests])
    cost = CostModel.roofline("Llama-3.1-8B", "H100 SXM")
    real = PagedEngine(draft, num_blocks=blocks).serve(requests, max_seqs=8, token_budget=48, prefix_cache=False)
    rules = SchedulerConfig("vllm_v1", max_seqs=8, token_budget=48)
    said = simulate(trace, cost, rules, num_blocks=blocks, log_iterations=True)
    assert (real.restarts == said.restarts).all()
    assert [(r.sequences, r.tokens) for r in real.log] == [(int(r["batch_size"]), int(r["total_tokens"])) for r in said.iteration_log]


def test_static_iterations_are_those_the_simulator_forms(draft: TinyLM) -> None:
    requests = some_requests(5, 20, longest=60)
    trace = Trace(np.zeros(20), [len(r.prompt) for r in requests], [r.output_tokens for r in requests])
    real = PagedEngine(draft).serve(requests, mode="static", max_seqs=8, max_len=160)
    rules = SchedulerConfig("static", max_seqs=8, max_len=160)
    said = simulate(trace, CostModel.roofline("Llama-3.1-8B", "H100 SXM"), rules, num_blocks=1_024, log_iterations=True)
    assert [(r.sequences, r.tokens) for r in real.log] == [(int(r["batch_size"]), int(r["total_tokens"])) for r in said.iteration_log]
    assert real.blocks_peak == 8 * 10


def test_shared_prompts_share_blocks(engine: PagedEngine) -> None:
    requests = some_requests(6, 12, shared=128)
    cached, plain = engine.serve(requests), engine.serve(requests, prefix_cache=False)
    assert cached.cached_tokens[1:].min() >= 0
    assert cached.hits * 16 == cached.cached_tokens.sum() > 0
    assert (cached.cached_tokens < [len(request.prompt) for request in requests]).all()
    assert cached.blocks_peak < plain.blocks_peak
    assert plain.hits == 0


def test_a_prompt_of_whole_blocks_computes_its_last_block(engine: PagedEngine) -> None:
    """At most floor((P - 1) / 16) blocks are taken from the cache: the last token's logits are wanted."""
    prompt = language().sample(64, np.random.default_rng(1))
    run = engine.serve([Request(prompt, 3), Request(prompt, 3)], mode="sequential")
    assert run.cached_tokens.tolist() == [0, 48]


def test_pool_conserves_blocks_and_remembers_the_recent() -> None:
    """Random use against a plain model: counts add up, shared blocks are never overwritten, the least recent prefix goes first."""
    rng, pool = np.random.default_rng(0), BlockPool(20, 4)
    held: list[list[int]] = []
    for step in range(2_000):
        if held and (rng.random() < 0.5 or pool.available < 4):
            pool.release(held.pop(int(rng.integers(len(held)))))
        else:
            keys = prefix_keys([int(rng.integers(3))] * 8, 4)
            known = pool.known(keys)
            if pool.idle_among(known) + 4 - len(known) > pool.available:
                continue
            pool.share(known)
            held.append([*known, *pool.take(4 - len(known))])
            for key, block in zip(keys, held[-1], strict=False):
                pool.remember(key, block)
        used = {block for blocks in held for block in blocks}
        assert pool.in_use == len(used), step
    for blocks in held:
        pool.release(blocks)
    assert pool.available == 20


# --- the clock ---------------------------------------------------------------------------------------------------------------


def test_times_are_in_order_and_arrivals_are_waited_for(engine: PagedEngine) -> None:
    requests = [request._replace(arrival_s=0.5 * i) for i, request in enumerate(some_requests(7, 4, longest=5))]
    run = engine.serve(requests)
    assert (run.first_token_s > run.arrival_s).all()
    assert (run.finished_s >= run.first_token_s).all()
    assert run.busy_s < 1.0 < run.makespan_s  # waiting for arrivals is skipped on the clock, not computed
    assert all(later.start_s >= earlier.start_s + earlier.duration_s - 1e-9 for earlier, later in zip(run.log, run.log[1:], strict=False))


def test_loading_is_quick_and_small() -> None:
    from simulators.engines.serving.tiny.model import WEIGHTS

    TinyLM.load("draft")
    times = []
    for _ in range(3):
        began = time.process_time()
        TinyLM.load("target")
        times.append(time.process_time() - began)
    assert min(times) < 0.3
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= 8e6


def test_naming_the_package_loads_no_torch() -> None:
    code = "import sys, simulators.llm_serving.real_engine, simulators.engines.serving.tiny.language\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- bad input ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requests", "options", "said"),
    [
        ([], {}, "no requests"),
        ([Request([], 4)], {}, "Request 1 has an empty prompt"),
        ([Request([1], 4), Request([1, 512], 4)], {}, "Request 2, token 2 is 512"),
        ([Request([1], 0)], {}, "at least 1"),
        ([Request([1], 1, -1.0)], {}, "0 s or later"),
        ([Request("baba unheard", 2)], {}, "Word 2 of the prompt, 'unheard'"),
        ([Request([1] * 500, 40)], {}, "32 blocks of 16 tokens hold 512"),
        ([Request([1], 1)], {"mode": "dynamic"}, "sequential, static, continuous"),
        ([Request([1], 1)], {"max_seqs": 0}, "max_seqs is 0"),
        ([Request([1], 1)], {"spec": "draft"}, "needs a draft model"),
        ([Request([1], 1)], {"spec": {"kind": "draft", "k": 4}}, "needs a draft model"),
        ([Request([1], 1)], {"spec": "oracle"}, "none, ngram or draft"),
        ([Request([1], 1)], {"spec": {"kind": "ngram", "k": -1}}, "0 or more"),
        ([Request([1], 1)], {"temperature": -1.0}, "temperature is -1"),
    ],
)
def test_bad_input_is_refused_in_words(target: TinyLM, requests: list[Request], options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said.replace("(", r"\(")):
        PagedEngine(target, num_blocks=32).serve(requests, **options)  # type: ignore[arg-type]


def test_unknown_weights_are_named() -> None:
    with pytest.raises(InvalidInput, match="draft, target, weak_draft"):
        TinyLM.load("gpt")
