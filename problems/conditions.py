"""Conditions over a run's metrics: what a rubric item asks for and when a curveball counts as recovered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from problems.expressions import evaluate_expression, names_in


def holds(condition: str, metrics: Mapping[str, float | None]) -> bool:
    """Whether one design of the run satisfies `condition`.

    condition  an expression over metric names without their series: "recall >= 0.95 and memory_share <= 0.4"
    metrics    {metric key: value}; "recall@hnsw" is the metric `recall` of the series `hnsw`
    A metric of no series counts for every one. A design that lacks a named metric, or has None there, does not satisfy it.
    """
    needed = names_in(condition)
    return any(needed <= design.keys() and bool(evaluate_expression(condition, design)) for design in _designs(metrics))


def _designs(metrics: Mapping[str, float | None]) -> list[dict[str, float]]:
    """{metric: value} of each series, or the one of a run that has no series."""
    common: dict[str, float] = {}
    designs: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for key, value in metrics.items():
        name, _, series = key.partition("@")
        if value is not None:
            (designs[series] if series else common)[name] = value
    return [{**common, **own} for own in designs.values()] or [common]
