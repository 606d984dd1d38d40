"""Figures of a group as JSON. What is withheld was withheld before it came here; NaN never leaves."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone

from mlsd_app.cohorts.analytics.challenges import challenge_page
from mlsd_app.cohorts.analytics.items import ItemRow, ItemsPage
from mlsd_app.cohorts.analytics.mocks import mock_page
from mlsd_app.cohorts.analytics.overview import CohortPage
from mlsd_app.cohorts.analytics.population import Population
from mlsd_app.cohorts.analytics.predictions import TopicRow, prediction_rows
from mlsd_app.cohorts.models import Assignment, Export, Kind
from mlsd_app.cohorts.services.exports import ready
from mlsd_app.cohorts.trade_map import TradeMap


def plain(value: Any) -> Any:
    """Dataclasses and tuples as JSON has them; a model by its key."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(inner) for name, inner in vars(value).items()}
    if isinstance(value, Model):
        return value.pk
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def cohort_figures(page: CohortPage, topics: tuple[TopicRow, ...], which: str) -> dict[str, Any]:
    return {"which": which, "n": page.learners, "figures": {**plain(page), "predictions": plain(topics)}}


def assignment_figures(assignment: Assignment, population: Population) -> dict[str, Any]:
    figures: dict[str, Any] = {"began": population.began, "running": population.running}
    if assignment.kind == Kind.MOCK:
        figures |= plain(mock_page(assignment, population))
    if assignment.kind == Kind.CHALLENGE:
        figures["challenge"] = plain(challenge_page(assignment, population))
    if assignment.kind == Kind.PREDICTION:
        figures["predictions"] = plain(prediction_rows(assignment, population))
    return {"which": population.which, "n": population.n, "figures": figures}


def items_answer(page: ItemsPage) -> dict[str, Any]:
    return {"n": page.n, "whole": {**plain(page.whole), "totals": plain(page.totals)}, "items": [_item(row) for row in page.rows]}


def _item(row: ItemRow) -> dict[str, Any]:
    column = {name: getattr(row.column, name) for name in ("item", "revision", "kind", "title", "unmarked")}
    wrong = [{**asdict(cluster), "share": cluster.share} for cluster in row.clusters]
    return {**column, **plain(row.figures), "curve": plain(row.curve), "wrong": wrong}


def map_answer(found: TradeMap) -> dict[str, Any]:
    counts = {name: getattr(found, name) for name in ("people", "left_out", "other_versions", "other_worlds", "own_data")}
    axes = {"x": found.x.key if found.x else None, "y": found.y.key if found.y else None}
    dots = [
        {
            "series": dot.point.series,
            "x": dot.point.x,
            "y": dot.point.y,
            "colour": dot.colour,
            "front": dot.point.best,
            "own": dot.own,
            "name": dot.name,
            "params": dict(dot.params),
        }
        for dot in found.dots
    ]
    return {"hidden": found.hidden, "lab": found.lab.slug if found.lab else None, **axes, **counts, "dots": dots}


def export_answer(export: Export) -> dict[str, Any]:
    names = ("kind", "format", "status", "rows", "error", "created_at", "expires_at")
    file = reverse("api:export_file", args=[export.pk]) if ready(export, timezone.now()) else None
    return {"id": export.pk, "cohort": export.cohort_id, **{name: getattr(export, name) for name in names}, "file": file}
