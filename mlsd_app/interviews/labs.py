"""What the Labs tab shows: a lab's form with what is fixed in it, and a run's result as far as the attempt may see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlsd_app.interviews.interviewer.record import interviewer_of, locks
from mlsd_app.interviews.interviewer.throwing import runs_awaited
from mlsd_app.interviews.models import Attempt, Curveball, RunLink
from mlsd_app.interviews.runs import prediction_due
from mlsd_app.runs import compare, present
from mlsd_app.runs.forms import Control, LabForm, fields_of
from mlsd_app.runs.models import Run
from problems.expressions import names_in
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.registry import get_lab


def form_context(attempt: Attempt, lab: type[Lab], *, run: str = "", as_set: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The form of a lab at run `run`, or where its last run left it; `as_set` goes before that, and what is fixed before both."""
    fixed = locks(attempt)["labs"].get(lab.slug, {})
    ball = active_curveball(attempt, lab)
    values = {**_values_of(attempt, lab, ball, run), **(as_set or {}), **{name: lock["value"] for name, lock in fixed.items()}}
    form = LabForm(lab, values)
    return {
        "attempt": attempt,
        "lab": lab,
        "form": form,
        "presets": present.presets(lab),
        "curveball": ball,
        "predict": known_metrics(lab) if prediction_due(attempt, lab.slug) else [],
        "locked": [_locked(control, fixed[control.name]) for control in form.controls if control.name in fixed],
        "locked_names": list(fixed),
    }


def _locked(control: Control, lock: Mapping[str, Any]) -> dict[str, str]:
    text = ", ".join(control.field.label(item) for item in control.value) if control.kind == "chips" else control.text
    return {"title": control.title, "text": text, "unit": control.unit, "why": lock["why"]}


def _values_of(attempt: Attempt, lab: type[Lab], ball: Curveball | None, run: str) -> dict[str, Any]:
    """Parameters of the run that was asked for; else of the newest run of this lab, or those an event has left it with; else none."""
    links = attempt.runlinks.filter(run__lab=lab.slug).select_related("run").order_by("-number")
    if run.isascii() and run.isdigit() and len(run) < 6:
        link, ball = links.filter(number=int(run)).first(), None
    else:
        link = (links.filter(curveball=ball) if ball else links).first()
    values = link.run.params if link else ball.params if ball else {}
    known = {field.name for field in fields_of(lab)}
    return {name: value for name, value in values.items() if name in known}


def known_metrics(lab: type[Lab]) -> list[Mapping[str, Any]]:
    """What the lab measures, as its newest result on this site shows; empty while there is none. Data of users is not looked at."""
    done = Run.objects.filter(problem=lab.problem, lab=lab.slug, lab_version=lab.version, dataset=None, result__isnull=False)
    newest = done.select_related("result").defer("result__body").first()
    return list(newest.result.metrics) if newest and newest.result else []


def active_curveball(attempt: Attempt, lab: type[Lab] | None = None) -> Curveball | None:
    """The newest event that the design has not recovered from; of one lab where that is given."""
    rows = attempt.curveball_rows.filter(state="active").order_by("-shown_at", "-pk")
    return (rows.filter(lab=lab.slug) if lab else rows).first()


def result_context(attempt: Attempt, run: Run) -> dict[str, Any]:
    """Metrics and figures always; what they mean only in Study."""
    if run.result is None:
        raise InvalidInput("This run has no result.")
    body = run.result.body
    study = attempt.show == "study"
    return {
        "tiles": compare.tiles(run.result.metrics, None),
        "figures": body["figures"],
        "insights": body["insights"] if study else [],
        "notes": body["notes"],
    }


def prediction_from(post: Mapping[str, str]) -> dict[str, Any] | None:
    """What was expected before the run; None where nothing was said. Raises InvalidInput for half a range."""
    low, high = (post.get(f"prediction-{end}", "").strip() for end in ("lower", "upper"))
    if not low and not high:
        return None
    try:
        lower, upper = float(low), float(high)
    except ValueError as error:
        raise InvalidInput("A prediction is a range of two numbers; leave both blank to skip it.", field="prediction") from error
    return {"metric": post.get("prediction-metric", "")[:120], "lower": min(lower, upper), "upper": max(lower, upper)}


def curveball_context(attempt: Attempt, ball: Curveball) -> dict[str, Any]:
    """Before and under the event, by the metrics it is about, once both runs have a result (`awaited`: not yet); what it holds fast."""
    runs = {link.pk: link for link in RunLink.objects.filter(pk__in=[ball.base_id, ball.broken_id]).select_related("run__result")}
    base, broken = runs.get(ball.base_id or 0), runs.get(ball.broken_id or 0)
    rows = _compared(base, broken, _told_by(attempt, ball)) if base and broken else []
    held = _held(attempt, ball) if ball.lab else []
    return {"ball": ball, "broken": broken, "rows": rows, "awaited": not rows and runs_awaited(ball), "locked": held}


def _told_by(attempt: Attempt, ball: Curveball) -> frozenset[str]:
    """Metrics by which one sees whether a design has come through the event."""
    thrown = next((item for item in interviewer_of(attempt).curveballs if item.key == ball.key), None)
    return names_in(thrown.change.recover) if thrown and thrown.change else frozenset()


def _compared(base: RunLink, broken: RunLink, wanted: frozenset[str]) -> list[dict[str, Any]]:
    """A row for each design and each of the metrics `wanted`."""
    if base.run.result is None or broken.run.result is None:
        return []
    after = {metric["key"]: metric["value"] for metric in broken.run.result.metrics}
    before = [metric for metric in base.run.result.metrics if metric["key"].partition("@")[0] in wanted and metric["key"] in after]
    return [{"metric": metric, "before": metric["value"], "after": after[metric["key"]]} for metric in before]


def _held(attempt: Attempt, ball: Curveball) -> list[dict[str, str]]:
    form = LabForm(get_lab(attempt.problem, ball.lab), ball.locked)
    return [_locked(control, {"why": ""}) for control in form.controls if control.name in ball.locked]
