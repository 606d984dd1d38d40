"""What templates and downloads show of a lab and a run. Reads, never writes."""

from __future__ import annotations

import csv
import inspect
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.template.loader import render_to_string
from django.urls import reverse

from mlsd_app.accounts.models import User
from mlsd_app.core.content import problem_title
from mlsd_app.runs import compare
from mlsd_app.runs.forms import query_of
from mlsd_app.runs.models import Run
from mlsd_app.runs.selectors import baseline_of
from simulators.encoding import plain
from simulators.lab import Lab
from simulators.registry import get_lab, labs

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

MetricDict = compare.MetricDict


# --- of a lab ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PresetLink:
    key: str
    title: str
    story: str
    url: str


@dataclass(frozen=True)
class Explanation:
    """ "How it works": the lab's docstring and what stands behind it."""

    question: str
    body: str  # Markdown
    engines: Sequence[tuple[str, str]]  # module, first line of its docstring
    sources: Sequence[str]
    code: str  # path of the lab's module


def question(lab: type[Lab]) -> str:
    return (inspect.getdoc(lab) or lab.title).partition("\n")[0]


def explanation(lab: type[Lab]) -> Explanation:
    head, _, body = (inspect.getdoc(lab) or "").partition("\n")
    engines = [(name, _first_line_of(name)) for name in lab.engines]
    return Explanation(head, body.strip(), engines, lab.sources, lab.__module__.replace(".", "/") + ".py")


def _first_line_of(module: str) -> str:
    from importlib import import_module

    return (import_module(module).__doc__ or "").strip().partition("\n")[0]


def presets(lab: type[Lab]) -> list[PresetLink]:
    page = reverse("runs:lab", args=[lab.problem, lab.slug])
    return [PresetLink(item.key, item.title, item.story, f"{page}?{query_of(lab, item.values)}") for item in lab.presets]


def lab_choices() -> list[tuple[str, str]]:
    """("vector_search/index_tradeoffs", title) of every lab, for a select."""
    return [(f"{problem}/{slug}", f"{problem_title(problem)}: {lab.title}") for (problem, slug), lab in labs().items()]


# --- of a run ------------------------------------------------------------------------------------------------------------


def baseline_metrics(run: Run) -> list[MetricDict] | None:
    """Metrics of the run its owner pinned for this lab, unless it is this very run."""
    if run.user_id is None:
        return None
    pinned = baseline_of(user=run.user, lab=get_lab(run.problem, run.lab))
    return pinned.result.metrics if pinned and pinned.result and pinned.pk != run.pk else None


class TilesSoFar:
    """Tiles of a run under way: each frame adds metrics or replaces those of the same key."""

    def __init__(self, baseline: list[MetricDict] | None) -> None:
        self._baseline = baseline
        self._metrics: dict[str, MetricDict] = {}

    def render(self, metrics: Sequence[MetricDict]) -> str:
        self._metrics |= {metric["key"]: metric for metric in metrics}
        return render_to_string("runs/_tiles.html", {"tiles": compare.tiles(list(self._metrics.values()), self._baseline)})


def result_context(run: Run, user: User | AnonymousUser) -> dict[str, Any]:
    """Context of `runs/_result.html` for a run with a result."""
    assert run.result is not None
    body, lab = run.result.body, get_lab(run.problem, run.lab)
    pinned = baseline_of(user=user, lab=lab)
    return {
        "run": run,
        "lab": lab,
        "kept": run.user_id is not None,  # a visitor's answer from the cache has no page of its own
        "metrics": run.result.metrics,
        "tiles": compare.tiles(run.result.metrics, pinned.result.metrics if pinned and pinned.result and pinned.pk != run.pk else None),
        "figures": body["figures"],
        "tables": body["tables"],
        "insights": body["insights"],
        "notes": body["notes"],
        "measured": any(metric["measured"] for metric in run.result.metrics),
        "measured_at": run.result.created_at,
        "baseline": pinned,
        "problem_url": reverse("catalog:problem", args=[run.problem]),
    }


def result_html(context: dict[str, Any]) -> str:
    return render_to_string("runs/_result.html", context)


def result_document(run: Run) -> dict[str, Any]:
    """Everything about a run as plain JSON: inputs, state, result. Also what the REST API answers."""
    result = None
    if run.result:
        result = {"metrics": run.result.metrics, **run.result.body, "measured_at": run.result.created_at.isoformat()}
    return {
        "id": str(run.pk),
        "problem": run.problem,
        "lab": run.lab,
        "lab_version": run.lab_version,
        "params": run.params,
        "seed": run.seed,
        "dataset": str(run.dataset_id) if run.dataset_id else None,
        "state": run.state,
        "error": run.error,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "result": plain(result),
    }


def result_csv(run: Run) -> str:
    """The metrics, one a row, then each table under its title."""
    out = io.StringIO()
    write = csv.writer(out).writerow
    write(["metric", "design", "value", "unit", "low", "high", "measured", "note"])
    for metric in run.result.metrics if run.result else []:
        low, high = metric["ci"] or (None, None)
        write(
            [
                _inert(cell)
                for cell in (
                    metric["label"],
                    metric["series"],
                    metric["value"],
                    metric["unit"],
                    low,
                    high,
                    metric["measured"],
                    metric["note"],
                )
            ]
        )
    for table in run.result.body["tables"] if run.result else []:
        write([])
        write([_inert(table["title"])])
        write([_inert(cell) for cell in table["columns"]])
        for row in table["rows"]:
            write([_inert(cell) for cell in row])
    return out.getvalue()


def _inert(cell: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a quote in front (names of the user's columns end up here)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


@dataclass(frozen=True)
class HistoryRow:
    run: Run
    title: str
    url: str
    headline: Sequence[MetricDict]  # the first few metrics
    changed: dict[str, Any]  # parameters that differ from the lab's defaults


def history_row(run: Run) -> HistoryRow:
    lab = labs().get((run.problem, run.lab))
    fields = lab.Params.model_fields if lab else {}
    changed = {name: value for name, value in run.params.items() if name not in fields or plain(fields[name].default) != value}
    title = lab.title if lab else f"{run.problem}/{run.lab} (no longer on the site)"
    return HistoryRow(run, title, reverse("runs:run", args=[run.pk]), run.result.metrics[:4] if run.result else [], changed)
