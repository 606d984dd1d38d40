"""Fragments that set runs side by side: the pinned baseline, the trade-off map, sweeps."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import ensure_user
from mlsd_app.runs import compare, present, selectors, sweeps
from mlsd_app.runs.forms import params_from_query
from mlsd_app.runs.models import RunState, Sweep
from mlsd_app.runs.services import RunRefused, baseline_pin
from mlsd_app.runs.views import dataset_from, lab_or_404, lab_url, own_run, seed_from
from simulators.errors import InvalidInput
from simulators.figures import colours_of
from simulators.lab import Lab


@require_POST
@login_required
def baseline(request: HttpRequest, problem: str, slug: str) -> HttpResponse:
    """Pins the run named in the body, or unpins; answers with the result fragment of the run on the page."""
    found = lab_or_404(problem, slug)
    run = own_run(request, UUID(request.POST["run"])) if _is_uuid(request.POST.get("run")) else None
    if run and ((run.problem, run.lab) != (problem, slug) or run.state != RunState.DONE):
        return HttpResponse("Only a finished run of this lab can be the baseline.", status=422, content_type="text/plain; charset=utf-8")
    baseline_pin(user=cast(User, request.user), lab=found, run=run)
    shown = own_run(request, UUID(request.POST["shown"])) if _is_uuid(request.POST.get("shown")) else run
    if shown is None or shown.result is None:
        return HttpResponse(status=204)
    return HttpResponse(present.result_html(present.result_context(shown, request.user)))


def _is_uuid(text: str | None) -> bool:
    try:
        return bool(text and UUID(text))
    except ValueError:
        return False


@require_GET
def tradeoff_map(request: HttpRequest, problem: str, slug: str) -> HttpResponse:
    """Every finished run of the caller as dots over two chosen metrics."""
    found = lab_or_404(problem, slug)
    finished = selectors.finished_runs(user=request.user, lab=found)
    runs = [compare.RunMetrics(str(run.pk), run.params, run.result.metrics) for run in finished if run.result]
    offered = compare.quantities(runs)
    x, y = _axes(found, offered, request.GET.get("x"), request.GET.get("y"))
    context: dict[str, Any] = {"lab": found, "runs": runs, "quantities": offered, "x": x, "y": y}
    if x and y:
        points = compare.map_points(runs, x, y)
        figures = finished[0].result.body["figures"] if finished[0].result else []
        colours = colours_of(trace for figure in figures for trace in figure["plot"]["data"])
        context |= {"points": points, "figure": compare.map_figure(points, x, y, colours)}
    return render(request, "runs/_map.html", context)


def _axes(
    lab: type[Lab], offered: list[compare.Quantity], x: str | None, y: str | None
) -> tuple[compare.Quantity | None, compare.Quantity | None]:
    """The chosen quantities, else the lab's own choice, else the first two."""
    by_key = {quantity.key: quantity for quantity in offered}
    first = [*(lab.map_axes or ()), *by_key]
    fallback = [by_key[key] for key in dict.fromkeys(first) if key in by_key] + [None, None]
    return by_key.get(x or "") or fallback[0], by_key.get(y or "") or fallback[1]


# --- sweeps --------------------------------------------------------------------------------------------------------------


@require_POST
def sweep_start(request: HttpRequest, problem: str, slug: str) -> HttpResponse:
    """Starts a sweep over `sweep-field` from `sweep-low` to `sweep-high`; the fragment is polled until it has ended.

    The hyphen keeps these keys apart from the lab's parameters, one of which may well be called "scale".
    """
    found = lab_or_404(problem, slug)
    try:
        over = sweeps.sweep_values(
            lab=found,
            field=request.POST.get("sweep-field", ""),
            low=_number(request, "low"),
            high=_number(request, "high"),
            points=int(_number(request, "points")),
            scale=request.POST.get("sweep-scale", "linear"),
        )
        made = sweeps.sweep_start(
            user=ensure_user(request=request),
            lab=found,
            values=params_from_query(found, request.POST),
            field=request.POST.get("sweep-field", ""),
            over=over,
            dataset=dataset_from(request, request.POST, found),
            seed=seed_from(request.POST),
        )
    except InvalidInput as error:
        return render(request, "runs/_sweep.html", {"lab": found, "error": error.message, "field": error.field}, status=422)
    except RunRefused as error:
        return render(request, "runs/_sweep.html", {"lab": found, "error": error.message}, status=error.status)
    return _sweep_fragment(request, made)


def _number(request: HttpRequest, key: str) -> float:
    text = request.POST.get(f"sweep-{key}", "")
    try:
        value = float(text)
    except ValueError:
        raise InvalidInput(f"{key.capitalize()}: {text[:40]!r} was given; expected a number.", field=key) from None
    if abs(value) > 1e15 or value != value:
        raise InvalidInput(f"{key.capitalize()}: {text[:40]} was given; expected a number of ordinary size.", field=key)
    return value


@require_GET
@login_required
def sweep(request: HttpRequest, sweep_id: UUID) -> HttpResponse:
    return _sweep_fragment(request, _own_sweep(request, sweep_id))


@require_POST
@login_required
def sweep_cancel(request: HttpRequest, sweep_id: UUID) -> HttpResponse:
    found = _own_sweep(request, sweep_id)
    try:
        sweeps.sweep_cancel(sweep=found)
    except RunRefused as error:
        return render(
            request, "runs/_sweep.html", {"lab": lab_or_404(found.problem, found.lab), "error": error.message}, status=error.status
        )
    return _sweep_fragment(request, found)


def _own_sweep(request: HttpRequest, sweep_id: UUID) -> Sweep:
    return get_object_or_404(selectors.sweeps_of(user=cast(User, request.user)), pk=sweep_id)


def _sweep_fragment(request: HttpRequest, found: Sweep) -> HttpResponse:
    lab = lab_or_404(found.problem, found.lab)
    points = sweeps.sweep_points(sweep=found)
    finished = [(run.sweep_value or 0.0, run.result.metrics) for run in points if run.result]
    offered = compare.quantities([compare.RunMetrics("", {}, metrics) for _, metrics in finished])
    chosen = next((q for q in offered if q.key == request.GET.get("metric")), None) or next(
        (q for q in offered if lab.map_axes and q.key == lab.map_axes[1]), offered[0] if offered else None
    )
    extra = sweeps.field_extra(lab, found.field)
    title = lab.Params.model_fields[found.field].title or found.field
    context: dict[str, Any] = {
        "lab": lab,
        "sweep": found,
        "field_title": title,
        "points": [(run, lab_url(lab, {**found.params, found.field: run.params[found.field]})) for run in points],
        "progress": sweeps.sweep_progress(points),
        "quantities": offered,
        "metric": chosen,
        "poll_url": reverse("runs:sweep", args=[found.pk]),
        "failures": list(
            dict.fromkeys(run.error for run in points if run.state in (RunState.FAILED, RunState.LOST, RunState.EXPIRED) and run.error)
        ),
        "figure": compare.sweep_figure(title, extra["unit"], extra["scale"], finished, chosen) if chosen else None,
    }
    return render(request, "runs/_sweep.html", context)
