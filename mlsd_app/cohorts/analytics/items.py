"""The item table of an assignment, figures of the whole test, and curves by fifths of the group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlsd_app.cohorts.analytics.matrix import Column, Marks, marks_of
from mlsd_app.cohorts.analytics.population import Population
from mlsd_app.cohorts.analytics.small import Histogram, histogram
from mlsd_app.cohorts.analytics.wrong import Cluster, clusters_of
from mlsd_app.cohorts.item_analysis import CORRELATIONS_FROM, Matrix, item_statistics, presented, test_statistics
from mlsd_app.cohorts.models import Assignment, Kind

FIFTHS = 5
SCORE_EDGES = tuple(float(edge) for edge in range(0, 101, 10))


@dataclass(frozen=True)
class CurvePoint:
    """Mean share of the highest mark among one fifth of the people, weakest fifth first."""

    n: int
    facility: float


@dataclass(frozen=True)
class ItemRow:
    """`figures` went through `item_analysis.presented`: what `n` people cannot carry is None there."""

    column: Column
    figures: dict[str, Any]
    curve: tuple[CurvePoint, ...]
    clusters: tuple[Cluster, ...]


@dataclass(frozen=True)
class ItemsPage:
    n: int
    rows: tuple[ItemRow, ...]
    whole: dict[str, Any]
    totals: Histogram


def items_page(assignment: Assignment, population: Population, *, pooled: bool = False) -> ItemsPage:
    marks = marks_of(assignment, population, pooled=pooled)
    if not marks.columns:
        return ItemsPage(population.n, (), presented(test_statistics(np.empty((0, 0)), np.empty(0))), histogram([], SCORE_EDGES))
    highest = marks.of("highest")
    found = item_statistics(marks.values, highest, marks.of("weight"), marks.of("guess"))
    wrong = clusters_of(assignment, population, pooled=pooled) if assignment.kind == Kind.QUIZ else {}
    curves = _curves(marks)
    rows = [
        ItemRow(column, presented(item), curve, wrong.get(column.key, ()))
        for column, item, curve in zip(marks.columns, found, curves, strict=True)
    ]
    whole = presented(test_statistics(marks.values, highest))
    return ItemsPage(population.n, tuple(rows), whole, histogram(totals_of(marks), SCORE_EDGES))


def totals_of(marks: Marks) -> Matrix:
    """Each person's total in percent of the highest marks of what was asked of and marked for this person."""
    asked = ~np.isnan(marks.values)
    highest = (asked * marks.of("highest")).sum(axis=1)
    return np.asarray(100 * np.nansum(marks.values, axis=1)[highest > 0] / highest[highest > 0])


def _curves(marks: Marks) -> list[tuple[CurvePoint, ...]]:
    scaled = marks.values / marks.of("highest")
    totals = np.nansum(scaled, axis=1)
    return [_curve(scaled[:, place], totals) for place in range(scaled.shape[1])]


def _curve(own: Matrix, totals: Matrix) -> tuple[CurvePoint, ...]:
    """People ordered by their total without this item; nothing below thirty."""
    reached = ~np.isnan(own)
    if reached.sum() < CORRELATIONS_FROM:
        return ()
    marks = own[reached]
    order = np.argsort(totals[reached] - marks, kind="stable")
    return tuple(CurvePoint(len(part), float(marks[part].mean())) for part in np.array_split(order, FIFTHS))
