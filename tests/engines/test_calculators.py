"""The calculator language and the capacity figures of the vector search problem."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.calculators import Calculator, CalculatorResult, evaluate
from problems.conditions import holds
from problems.errors import InvalidInput
from problems.expressions import MAX_LENGTH, evaluate_expression, names_in
from problems.loader import load_problem
from simulators.engines.ann.memory import index_bytes

# --- the language ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 ** 2", 19),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("7 // 2 + 7 / 2", 6.5),
        ("ceil(2.1) + floor(2.9) + sqrt(9) + log2(8) + log10(100) + log(1)", 13),
        ("max(1, n, 3) - min(n, 2)", 3),
        ("normal_quantile(0.975) + normal_quantile(n / 10)", 1.959964),
        ("where(n > 4, 10, 20) + where(n < 4, 1, 2)", 12),
        ("1 < n <= 5", 1),
        ("n >= 5 and not n > 6 or 0", 1),
        ("where(n > 0, 1 / n, 1 / (n - n))", 0.2),
    ],
)
def test_expression_has_the_value_arithmetic_gives_it(text: str, expected: float) -> None:
    assert evaluate_expression(text, {"n": 5}) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not an expression"),
        ("1 +", "not an expression"),
        ("m + 1", "no value 'm'"),
        ("n.real", "n.real"),
        ("n[0]", "n[0]"),
        ("__import__('os')", "__import__"),
        ("(lambda: 1)()", "lambda"),
        ("[n for n in n]", "[n for n in n]"),
        ("'a' * 9", "'a'"),
        ("True", "True"),
        ("1j", "1j"),
        ("n if n else 1", "if"),
        ("ceil(n, 2)", "ceil takes 1"),
        ("min(n)", "min takes 2 to 8"),
        ("max(n, *n)", "*n"),
        ("ceil(x=n)", "ceil(x=n)"),
        ("n % 2", "n % 2"),
        ("n & 2", "n & 2"),
        ("1 / (n - 5)", "divides by zero with n = 5"),
        ("9 ** 9 ** 9", "exponent"),
        ("n ** 1000", "too large"),
        ("(0 - n) ** 0.5", "no real value"),
        ("log(0)", "outside its domain"),
        ("sqrt(0 - n)", "outside its domain"),
        ("normal_quantile(n / 5)", "outside its domain"),
        ("1e999", "not finite"),
        ("1" * (MAX_LENGTH + 1), f"at most {MAX_LENGTH}"),
        ("9" * MAX_LENGTH, "too large"),
        ("-" * 60 + "1", "nested"),
    ],
)
def test_what_is_no_expression_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        evaluate_expression(text, {"n": 5})
    assert said in refused.value.message


@given(st.text(alphabet="n0123456789.+-*/()<>=, eminaxlogsqrtwherceilfd_[]'\"\\\n\0", max_size=MAX_LENGTH + 20))
@settings(max_examples=500, deadline=1000)
def test_any_text_gives_a_finite_number_or_a_refusal(text: str) -> None:
    with suppress(InvalidInput):
        assert math.isfinite(evaluate_expression(text, {"n": 3.0}))


@dataclass(frozen=True)
class Sum:
    """An expression in our language beside the value that plain arithmetic, without a parser, gives it."""

    text: str
    value: float


def _joined(parts: tuple[Sum, str, Sum]) -> Sum:
    left, op, right = parts
    value = {"+": left.value + right.value, "-": left.value - right.value, "*": left.value * right.value}
    compared = {"<": float(left.value < right.value), ">=": float(left.value >= right.value)}
    named = {"max": max(left.value, right.value), "min": min(left.value, right.value)}
    if op in named:
        return Sum(f"{op}({left.text}, {right.text})", named[op])
    return Sum(f"({left.text} {op} {right.text})", {**value, **compared}[op])


_numbers = st.integers(0, 50).map(lambda n: Sum(str(n), float(n)))
_sums = st.recursive(
    _numbers,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "<", ">=", "max", "min"]), inner).map(_joined),
    max_leaves=12,
)


@given(_sums)
@settings(max_examples=200)
def test_nested_expressions_agree_with_plain_arithmetic(case: Sum) -> None:
    assert evaluate_expression(case.text, {}) == pytest.approx(case.value)


def test_names_are_the_values_an_expression_needs() -> None:
    assert names_in("max(n, d) * where(s < 1, n, 2)") == {"n", "d", "s"}


def test_a_condition_holds_when_one_design_meets_all_of_it() -> None:
    metrics = {"recall@hnsw": 0.99, "memory_share@hnsw": 1.4, "recall@ivf": 0.8, "memory_share@ivf": 0.3, "p99_ms": 5.0}
    assert holds("recall >= 0.95", metrics)
    assert not holds("recall >= 0.95 and memory_share <= 0.4", metrics), "the two halves hold for different designs"
    assert holds("recall >= 0.75 and memory_share <= 0.4 and p99_ms < 6", metrics)
    assert not holds("unknown > 0", metrics)
    assert not holds("recall >= 0", {"recall@hnsw": None})
    assert holds("lift > 1", {"lift": 1.5})


# --- the figures -----------------------------------------------------------------------------------------------------


def calculator(key: str) -> Calculator:
    found = load_problem("vector_search").calculator(key)
    assert found
    return found


def computed(key: str, **inputs: float) -> CalculatorResult:
    return evaluate(calculator(key), inputs)


@pytest.mark.parametrize(
    ("key", "output", "expected"),
    [
        ("raw_vectors", "raw_tb", 3.072),
        ("shard_count", "brim_full", 50.25),
        ("shard_count", "memory_nodes", 68),
        ("shard_count", "total_memory_nodes", 136),
        ("pq_total", "codes_gb", 32),
        ("pq_total", "total_gb", 40.4),
        ("pq_total", "compression", 96),
        ("pq_total", "nodes", 1),
        ("disk_graph", "record", 3332),
        ("disk_graph", "ssd_tb", 4.096),
        ("disk_graph", "ram_gb", 32),
        ("disk_graph", "ssd_nodes", 3),
        ("flat_scan", "read_ms", 112),
        ("ivf_scan", "codes", 488_281),
        ("ivf_scan", "codes_mb", 15.6),
        ("filter_crossover", "crossover", 0.1),
        ("tail_fanout", "slow_share", 47.4),
        ("reindex_window", "build_core_h", 118),
        ("recall_sampling", "queries", 384),
        ("index_memory", "hnsw_mib", 62.6),
        ("compaction", "memory_days", 42.86),
        ("compaction", "interval", 7),
    ],
)
def test_defaults_reproduce_the_figures_the_walkthrough_quotes(key: str, output: str, expected: float) -> None:
    tolerance = 0.03 if output == "crossover" else 0.003
    assert computed(key).value(output) == pytest.approx(expected, rel=tolerance)


def test_other_inputs_reproduce_the_other_figures() -> None:
    assert computed("index_memory", links=32).value("hnsw_mib") == pytest.approx(74.8, rel=0.002)
    assert computed("index_memory", d=768).value("hnsw_mib") == pytest.approx(307, rel=0.002)
    assert computed("reindex_window", build_us=107).value("build_core_h") == pytest.approx(53.5, rel=0.01)
    assert computed("filter_crossover", n=100_000).value("crossover") == pytest.approx(0.02, rel=0.03)
    assert [round(computed("tail_fanout", shards=n).value("slow_share")) for n in (1, 16, 100)] == [1, 15, 63]
    assert computed("shard_count", n=1e8).value("index_tb") == pytest.approx(0.322, rel=0.002)
    assert computed("shard_count", n=1e8, d=256, bytes_per_dim=2).value("index_tb") == pytest.approx(0.066, rel=0.01)
    assert computed("shard_count", bytes_per_dim=1).value("memory_nodes") == 20


def test_disk_model_lands_near_the_published_machine() -> None:
    """DiskANN, NeurIPS 2019: a billion 128-byte vectors on one 64 GB, 16-core node at over 5,000 QPS and under 3 ms mean."""
    sift = computed("disk_graph", d=128, bytes_per_dim=1)
    assert sift.value("per_sector") == 10
    assert sift.value("ssd_tb") == pytest.approx(0.41, rel=0.01)
    assert sift.value("latency_ms") < 3
    assert sift.value("node_qps") > 5000
    assert sift.value("ssd_nodes") == sift.value("ram_nodes") == 1


@pytest.mark.parametrize("d", [64, 128, 768])
def test_bytes_a_vector_agree_with_the_memory_model_of_the_engines(d: int) -> None:
    result = computed("index_memory", d=d)
    n, nlist = int(result.inputs["n"]), int(result.inputs["nlist"])
    kinds = {"flat": {}, "sq8": {}, "ivf_flat": {"nlist": nlist}, "ivf_sq8": {"nlist": nlist}, "hnsw": {"M": 16}}
    for kind, params in {**kinds, "ivf_rabitq": {"nlist": nlist}}.items():
        output = kind.removeprefix("ivf_") if kind == "ivf_rabitq" else kind
        assert result.value(output) == pytest.approx(index_bytes(n, d, kind, **params).total / n, rel=0.01), kind


def test_crossovers_are_where_the_costs_meet() -> None:
    """At the crossover, the scan of what passes costs what the walk costs; below it the scan is cheaper."""
    at = computed("filter_crossover").value("crossover")
    meet, below = computed("filter_crossover", pass_share=at), computed("filter_crossover", pass_share=at / 2)
    assert meet.value("pre_cost") == pytest.approx(meet.value("inline_cost"))
    assert below.value("pre_cost") < below.value("inline_cost")
    recall = computed("filter_crossover").value("crossover_accept")
    meet = computed("filter_crossover", pass_share=recall)
    assert meet.value("pre_cost") == pytest.approx(meet.value("accept_cost"))


def test_compaction_keeps_the_tombstones_at_the_trigger() -> None:
    """At heavy churn memory sets the pace, and the share just before a rebuild is the trigger itself."""
    heavy = computed("compaction", churn=20)
    assert heavy.dominating == "by_memory"
    assert heavy.value("by_memory") == pytest.approx(0.467, rel=0.01)
    assert heavy.value("dead") == pytest.approx(30)
    assert computed("compaction").value("dead") < 30


def test_the_constraint_follows_the_inputs() -> None:
    assert computed("shard_count").dominating == "total_memory_nodes"
    busy = computed("shard_count", qps=100_000)
    assert busy.dominating == "rate_nodes" and "query work" in busy.constraint
    assert computed("flat_scan").dominating == "read_ms"
    assert computed("flat_scan", batch=64).dominating == "compute_ms"


def test_a_quoted_figure_is_compared_with_the_computed_one() -> None:
    outputs = {output.key: output for output in computed("shard_count").outputs}
    nodes = outputs["memory_nodes"]
    assert nodes.ratio == pytest.approx(1.36) and nodes.source_agrees is False
    assert outputs["brim_full"].source_agrees is True
    assert outputs["rate_nodes"].ratio is None and outputs["rate_nodes"].source_agrees is None
    assert computed("shard_count").at_defaults and not computed("shard_count", n=2e9).at_defaults


@pytest.mark.parametrize(
    ("inputs", "field", "said"),
    [
        ({"vectors": 1}, "vectors", "it has n, d"),
        ({"n": 1}, "n", "expected 1000 to 1e+11"),
        ({"d": float("nan")}, "d", "expected a number of dims"),
        ({"d": float("inf")}, "d", "expected a number of dims"),
        ({"d": True}, "d", "expected a number of dims"),
        ({"usable": 1.5}, "usable", "expected 0.3 to 1"),
    ],
)
def test_bad_inputs_are_refused_beside_their_field(inputs: dict[str, float], field: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        computed("raw_vectors", **inputs)
    assert refused.value.field == field
    assert said in refused.value.message


def test_numbers_too_large_for_a_float_are_refused_in_words() -> None:
    calculator = next(item for item in load_problem("vector_search").calculators if item.key == "raw_vectors")
    for value in (10**400, -(10**400), float("inf"), float("nan"), True):
        with pytest.raises(InvalidInput, match="was given; expected"):
            evaluate(calculator, {calculator.inputs[0].key: value})
