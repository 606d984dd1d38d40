"""The claim checker on sentences labelled by hand: which state a figure with a unit, and what a run says of those that are linked."""

from __future__ import annotations

import time

import pytest

from mlsd_app.interviews.scoring.claims import Param, Parsed, judge, parse
from mlsd_app.interviews.scoring.figures import statements, unlinked

# --- detector: 34 sentences that say how much of what, 26 that only hold digits --------------------------------------------

STATES = [
    "HNSW at ef 64 gives 95 % recall at 3 ms.",
    "The raw vectors take 3 TB before any index.",
    "We need 48 nodes of 64 GB with two copies.",
    "p99 stays below 50 ms at the evening peak.",
    "Prefill reaches 20,000 tokens/s on one card.",
    "About 2.5 million users are online at once.",
    "The cache hits in 40 % of requests.",
    "That is 3x cheaper than the graph in memory.",
    "A rebuild takes 6 hours on eight machines.",
    "Compaction writes 200 MB/s while it runs.",
    "The fleet costs $4,200 a day at on-demand prices.",
    "Each vector weighs 3072 bytes.",
    "Post-filtering fetches 10,000 candidates to keep ten.",
    "The queue drains in 12 s after the burst.",
    "CUPED removes 45% of the variance.",
    "We lose 2 pp of recall by quantising.",
    "The hash join reads 1.2 GB in each hour.",
    "Decode is at 28 ms a token with 64 sequences.",
    "Two replicas carry 5000 requests/s between them.",
    "The stream lags by 30 minutes at worst.",
    "Only 0.1 % of vectors pass that filter.",
    "The index holds 1e9 vectors in 120 shards.",
    "At 60 % utilisation we need 14 GPUs.",
    "The model has 7 billion parameters.",
    "It answers 2,000 queries/s on one node.",
    "The encoder costs 15 ms for each picture.",
    "A false block costs $12 on average.",
    "Labels arrive 45 days after the payment.",
    "The canary serves 1% of sessions for a day.",
    "Reviewers clear 400 cases/day each.",
    "The KV cache takes 160 kB a token.",
    "Recall falls to 0.7 x what it was.",
    "The table needs 400 GB of RAM.",
    "Latency doubles beyond 4,000 tokens of prompt.",
]
STATES_NOTHING = [
    "DCN-v2 crosses features explicitly.",
    "We store FP8 weights on the card.",
    "See section 3 for the trade-off.",
    "In 2023 most teams moved to continuous batching.",
    "1. Ask for the filters.",
    "2) Draw the write path.",
    "GPT-4 writes the judgements.",
    "The H100 is bound by bandwidth here.",
    "Version 2.1 of the client retries.",
    "Is 100 ms enough for the whole path?",
    "I would start from step 2 and go on.",
    "p99 is what we promise to product teams.",
    "[run 7] shows it.",
    "INT8 quantisation is the first thing to try.",
    "Figure 4 has the flows.",
    "The S3 bucket keeps the snapshots.",
    "We compare top 10 lists.",
    "Phase 2 begins after the migration.",
    "BM25 and dense scores are fused by rank.",
    "Use HTTP/2 between the router and the shards.",
    "Recall@10 is our target metric.",
    "The 99th percentile hides the retries.",
    "On 12 March the region failed.",
    "`ef_search = 64` is the default.",
    "Log-odds are summed over trees.",
    "The F1 score misleads at this base rate.",
]


def test_detector_finds_sentences_with_a_figure() -> None:
    hits = [sentence for sentence in STATES if list(statements(sentence))]
    false = [sentence for sentence in STATES_NOTHING if list(statements(sentence))]
    assert len(STATES) + len(STATES_NOTHING) == 60
    assert len(hits) / len(STATES) >= 0.85, [sentence for sentence in STATES if sentence not in hits]
    assert len(hits) / (len(hits) + len(false)) >= 0.90, false


def test_sentences_stand_where_the_detector_says() -> None:
    text = "We keep a graph. It takes 3 TB in memory.\n\n1. See step 2.\n2. A query costs 12 ms."
    found = list(statements(text))
    assert [entry.text for entry in found] == ["It takes 3 TB in memory.", "A query costs 12 ms."]
    assert all(text[entry.start : entry.end] == entry.text for entry in found)


def test_a_linked_sentence_is_not_listed() -> None:
    text = "It takes 3 TB in memory. A query costs 12 ms."
    start = text.index("12 ms")
    assert [entry.text for entry in unlinked(text, [(start, start + 5)])] == ["It takes 3 TB in memory."]


@pytest.mark.parametrize(
    "text", ["1" * 20_000, "1 " * 10_000, "a." * 10_000, "1," * 10_000, "$" * 20_000, "1e9" * 6_000, "9.9.9 ms " * 2_000]
)
def test_nothing_anybody_types_stops_the_detector(text: str) -> None:
    begun = time.process_time()
    list(statements(text))
    assert time.process_time() - begun < 2


# --- parser ----------------------------------------------------------------------------------------------------------

METRICS = [
    {"key": "recall@hnsw", "label": "Recall at 10", "value": 0.951, "unit": "share", "ci": [0.94, 0.962]},
    {"key": "recall@ivf_pq", "label": "Recall at 10", "value": 0.88, "unit": "share", "ci": [0.86, 0.90]},
    {"key": "p99_ms@hnsw", "label": "p99 latency", "value": 3.1, "unit": "ms", "measured": True},
    {"key": "p99_ms@ivf_pq", "label": "p99 latency", "value": 1.4, "unit": "ms", "measured": True},
    {"key": "bytes@hnsw", "label": "Bytes a vector", "value": 652.0, "unit": "B"},
    {"key": "bytes@ivf_pq", "label": "Bytes a vector", "value": 72.0, "unit": "B"},
    {"key": "build_s", "label": "Build time", "value": 41.0, "unit": "s", "measured": True},
    {"key": "short", "label": "Answers that come short", "value": 0.0, "unit": "share"},
    {"key": "rate", "label": "Queries answered", "value": 2150.0, "unit": "queries/s", "ci": [2050.0, 2250.0]},
    {"key": "lost", "label": "Variance left", "value": None, "unit": "share"},
]
PARAMS = [
    Param("ef_search", "efSearch"),
    Param("nprobe", "Cells visited"),
    Param("kind", "Index", {"hnsw": "HNSW", "ivf_pq": "IVF-PQ"}),
    Param("n", "Vectors"),
]
RUN = {"ef_search": 64, "nprobe": 16, "kind": ["hnsw", "ivf_pq"], "n": 20000}


@pytest.mark.parametrize(
    ("span", "metric", "op", "value", "unit", "conditions"),
    [
        ("HNSW at ef 64 gives 95 % recall at 3 ms", "recall@hnsw", "about", 95, "%", {"ef_search": 64, "kind": "hnsw"}),
        ("recall of at least 0.9 with ef_search = 64 for HNSW", "recall@hnsw", ">=", 0.9, "share", {"ef_search": 64, "kind": "hnsw"}),
        ("the p99 of IVF-PQ stays below 2 ms", "p99_ms@ivf_pq", "<=", 2, "ms", {"kind": "ivf_pq"}),
        ("HNSW takes exactly 652 bytes a vector", "bytes@hnsw", "=", 652, "bytes/vector", {"kind": "hnsw"}),
        ("the build takes 40 seconds or less", "build_s", "<=", 40, "s", {}),
        ("with nprobe 16 it answers 2,000 queries/s", "rate", "about", 2000, "queries/s", {"nprobe": 16}),
    ],
)
def test_parser_reads_a_marked_span(span: str, metric: str, op: str, value: float, unit: str, conditions: dict[str, object]) -> None:
    found = parse(span, METRICS, PARAMS)
    assert (found.metric, found.op, found.value, found.conditions) == (metric, op, value, conditions)
    assert found.unit == unit


def test_parser_leaves_open_what_it_cannot_read() -> None:
    assert parse("it is fast", METRICS, PARAMS) == Parsed()
    found = parse("the page costs $3", METRICS, PARAMS)
    assert (found.metric, found.value) == ("", 3)


# --- verdicts: 40 claims against one run -----------------------------------------------------------------------------

LINKED: list[tuple[Parsed, str]] = [
    (Parsed("recall@hnsw", "about", 95, "%"), "supported"),
    (Parsed("recall@hnsw", "about", 0.95, "share"), "supported"),
    (Parsed("recall@hnsw", ">=", 94, "%"), "supported"),
    (Parsed("recall@hnsw", ">=", 95, "%"), "unclear"),
    (Parsed("recall@hnsw", ">=", 97, "%"), "contradicted"),
    (Parsed("recall@hnsw", "<=", 97, "%"), "supported"),
    (Parsed("recall@hnsw", "<=", 95, "%"), "unclear"),
    (Parsed("recall@hnsw", "<=", 90, "%"), "contradicted"),
    (Parsed("recall@hnsw", "about", 80, "%"), "contradicted"),
    (Parsed("recall@hnsw", "=", 95, "%"), "supported"),
    (Parsed("recall@ivf_pq", ">=", 0.9, "share"), "unclear"),
    (Parsed("recall@ivf_pq", ">=", 0.95, "share"), "contradicted"),
    (Parsed("recall@ivf_pq", "about", 0.9, "share"), "supported"),
    (Parsed("recall", "about", 0.9, "share"), "unclear"),
    (Parsed("recall@hnsw", "about", 95, "%", {"ef_search": 64}), "supported"),
    (Parsed("recall@hnsw", "about", 95, "%", {"ef_search": 128}), "wrong_conditions"),
    (Parsed("recall@hnsw", "about", 95, "%", {"kind": "hnsw"}), "supported"),
    (Parsed("recall@hnsw", "about", 95, "%", {"kind": "flat"}), "wrong_conditions"),
    (Parsed("recall@hnsw", "about", 95, "%", {"shards": 4}), "wrong_conditions"),
    (Parsed("recall@hnsw", "about", 20, "%", {"n": 1e9}), "wrong_conditions"),
    (Parsed("p99_ms@hnsw", "<=", 50, "ms"), "supported"),
    (Parsed("p99_ms@hnsw", "<=", 0.05, "s"), "supported"),
    (Parsed("p99_ms@hnsw", "<=", 2, "ms"), "contradicted"),
    (Parsed("p99_ms@hnsw", "about", 3, "ms"), "supported"),
    (Parsed("p99_ms@hnsw", "about", 3.8, "ms"), "supported"),
    (Parsed("p99_ms@hnsw", "about", 6, "ms"), "contradicted"),
    (Parsed("p99_ms@hnsw", "about", 3, "GB"), "unclear"),
    (Parsed("bytes@hnsw", "=", 652, "B"), "supported"),
    (Parsed("bytes@hnsw", "=", 700, "B"), "contradicted"),
    (Parsed("bytes@hnsw", "about", 700, "B"), "supported"),
    (Parsed("bytes@ivf_pq", "<=", 0.1, "kB"), "supported"),
    (Parsed("bytes@ivf_pq", ">=", 100, "B"), "contradicted"),
    (Parsed("build_s", "<=", 1, "min"), "supported"),
    (Parsed("build_s", "about", 1, "min"), "contradicted"),
    (Parsed("short", "<=", 1, "%"), "supported"),
    (Parsed("rate", "about", 2000, "queries/s"), "supported"),
    (Parsed("rate", ">=", 2100, "queries/s"), "unclear"),
    (Parsed("rate", ">=", 120000, "queries/min"), "supported"),
    (Parsed("lost", "<=", 50, "%"), "unclear"),
    (Parsed("p50_ms", "<=", 5, "ms"), "unclear"),
]


def test_verdicts_on_linked_claims() -> None:
    wrong = [(claim, verdict, judge(claim, RUN, METRICS)) for claim, verdict in LINKED if judge(claim, RUN, METRICS).verdict != verdict]
    assert len(LINKED) == 40
    assert len(wrong) / len(LINKED) <= 0.05, wrong


def test_a_claim_without_a_run_is_untested() -> None:
    assert judge(LINKED[0][0], None, []).verdict == "untested"


def test_a_verdict_says_what_the_run_had() -> None:
    reason = judge(Parsed("recall@hnsw", ">=", 97, "%"), RUN, METRICS).reason
    assert "0.951" in reason and "0.97" in reason
    assert "ef_search is 64, not 128" in judge(Parsed("recall@hnsw", "about", 95, "%", {"ef_search": 128}), RUN, METRICS).reason
