"""Speculation leaves the distribution alone: the rule by itself, and whole answers drawn by the engine."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simulators.engines.serving.tiny import PagedEngine, Request, TinyLM
from simulators.engines.serving.tiny.language import language
from simulators.engines.serving.tiny.speculate import draw, probabilities, verify, verify_greedy

DRAWS = 12_000


@pytest.fixture(scope="module")
def engine() -> PagedEngine:
    return PagedEngine(TinyLM.load("target"), TinyLM.load("draft"))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("certain", [False, True])
def test_pairs_of_tokens_are_distributed_as_the_target_says(seed: int, certain: bool) -> None:
    """Two guesses of five tokens, q far from p: the first two tokens that come out follow p exactly (chi-square over 25 pairs)."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(5), 3), rng.dirichlet(np.ones(5), 2)
    counts, accepted, expected = np.zeros((5, 5)), 0, 0.0
    for _ in range(DRAWS):
        drafts = [2, 3] if certain else [draw(q[0], rng), draw(q[1], rng)]
        verdict = verify(p, drafts, None if certain else q, rng)
        tokens = verdict.tokens if len(verdict.tokens) > 1 else [*verdict.tokens, draw(p[1], rng)]
        counts[tokens[0], tokens[1]] += 1
        accepted += verdict.accepted
        expected += sum(verdict.chances)
    assert stats.chisquare(counts.ravel(), DRAWS * np.outer(p[0], p[1]).ravel()).pvalue > 1e-3
    assert accepted == pytest.approx(expected, abs=4 * np.sqrt(DRAWS))


def test_a_rule_without_the_correction_would_be_noticed() -> None:
    """Keeping every guess gives q, and the same chi-square says so."""
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5))
    counts = np.bincount([draw(q, rng) for _ in range(DRAWS)], minlength=5)
    assert stats.chisquare(counts, DRAWS * p).pvalue < 1e-6


def test_greedy_is_the_limit_of_low_temperature() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        logits = rng.normal(size=(4, 6))
        p = probabilities(logits, 0)
        drafts = [int(rng.integers(6)) if rng.random() < 0.5 else int(row.argmax()) for row in logits[:3]]
        drawn, chosen = verify(p, drafts, None, rng), verify_greedy(logits.argmax(axis=1).tolist(), drafts)
        assert drawn == chosen


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("spec", ["draft", "ngram"])
def test_sampled_answers_with_guesses_pass_a_chi_square_against_direct_ones(spec: str, seed: int) -> None:
    """The same prompt many times: second and third token together, with guesses against without, in one contingency table."""
    engine = PagedEngine(TinyLM.load("draft"), TinyLM.load("weak_draft"))  # a target that is quick, guesses that are poor
    prompt = language().sample(40, np.random.default_rng(seed))
    requests = [Request(prompt, 4)] * 400
    options = {"max_seqs": 64, "token_budget": 256, "temperature": 1.0}
    direct, guessed = (engine.serve(requests, spec=kind, seed=seed + 10 * (kind is None), **options) for kind in (None, spec))
    assert guessed.proposed > 0
    pairs = sorted({(answer[1], answer[2]) for run in (direct, guessed) for answer in run.tokens})
    table = np.zeros((2, len(pairs)))
    for row, run in enumerate((direct, guessed)):
        for answer in run.tokens:
            table[row, pairs.index((answer[1], answer[2]))] += 1
    common = table.sum(axis=0) >= 10
    merged = np.column_stack([table[:, common], table[:, ~common].sum(axis=1)])
    merged = merged[:, merged.sum(axis=0) > 0]
    assert merged.shape[1] >= 2, "the text goes on in more than one way"
    assert stats.chi2_contingency(merged).pvalue > 1e-3


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_acceptance_scatters_around_its_expectation(engine: PagedEngine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    requests = [Request(language().sample(40, rng), 30) for _ in range(10)]
    counts = engine.serve(requests, spec="draft", temperature=1.0, seed=seed).counts
    assert abs(counts.accepted - counts.expected) < 4 * np.sqrt(counts.variance)
    assert 0.80 < counts.expected / counts.tested < 0.99


def test_a_hardly_trained_draft_guesses_worse() -> None:
    requests = [Request(language().sample(40, np.random.default_rng(i)), 20) for i in range(8)]
    rates = []
    for name in ("draft", "weak_draft"):
        run = PagedEngine(TinyLM.load("target"), TinyLM.load(name)).serve(requests, spec="draft")
        rates.append(run.acceptance)
    assert rates[1] < rates[0] - 0.2
