"""Lab pages: the page itself, and starting, following and cancelling a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import ensure_user
from mlsd_app.core.content import labs_taught, problem_title
from mlsd_app.core.sse import event_stream
from mlsd_app.runs import present, selectors
from mlsd_app.runs.forms import LabForm, params_from_query, query_of, unknown_keys
from mlsd_app.runs.models import Dataset, Run, RunState
from mlsd_app.runs.services import RunRefused, run_cached, run_cancel, run_start
from mlsd_app.runs.stream import Event, resume_after, watch
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab, problems

MAX_SLOT = 64
HISTORY_PAGE = 50


def lab_or_404(problem: str, slug: str) -> type[Lab]:
    try:
        return get_lab(problem, slug)
    except InvalidInput as error:
        raise Http404(error.message) from error


def seed_from(query: QueryDict) -> int:
    """The seed in the query, 0 without one; InvalidInput outside 0 to 2**31 - 1."""
    text = query.get("seed") or "0"
    if not (text.isascii() and text.isdigit() and int(text[:12]) < 2**31):
        raise InvalidInput(f"Seed: {text[:40]!r} was given; expected a whole number from 0 to 2 147 483 647.", field="seed")
    return int(text)


def dataset_from(request: HttpRequest, query: QueryDict, lab: type[Lab]) -> Dataset | None:
    """The caller's own data set named in the query; InvalidInput when there is none by that name."""
    given = query.get("dataset")
    if not given:
        return None
    try:
        found = selectors.datasets_of(user=request.user, lab=lab).filter(pk=UUID(given)).first()
    except ValueError:
        found = None
    if found is None:
        raise InvalidInput(
            "That data set is not among yours. A shared link carries parameters, not files; upload yours to compare.", field="dataset"
        )
    return found


# --- pages -------------------------------------------------------------------------------------------------------------


@require_GET
def labs(request: HttpRequest) -> HttpResponse:
    groups = [(problem_title(problem), found) for problem in problems() if (found := labs_taught(problem))]
    return render(request, "runs/labs.html", {"groups": sorted(groups, key=lambda group: group[0].lower())})


@require_GET
@ensure_csrf_cookie
def lab(request: HttpRequest, problem: str, slug: str) -> HttpResponse:
    """The lab with the parameters of the query string; a bad value is shown beside its field and the page still opens."""
    found = lab_or_404(problem, slug)
    values, errors, dataset = params_from_query(found, request.GET), {}, None
    try:
        dataset = dataset_from(request, request.GET, found)
        seed_from(request.GET)
        parse_params(found, values)
    except InvalidParams as error:
        errors = error.errors
    except InvalidInput as error:
        errors = {error.field or "": error.message}
    notices = [
        f"This link has a parameter {key!r} that the lab does not know; it was left out." for key in unknown_keys(found, request.GET)
    ]
    return _lab_page(request, found, LabForm(found, values, errors), dataset=dataset, notices=notices)


@require_GET
@ensure_csrf_cookie
@login_required
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A kept run: the lab page with its parameters and its own result."""
    kept = own_run(request, run_id)
    found = lab_or_404(kept.problem, kept.lab)
    known = {name: value for name, value in kept.params.items() if name in found.Params.model_fields}
    return _lab_page(request, found, LabForm(found, known), run=kept, dataset=kept.dataset)


def _lab_page(
    request: HttpRequest,
    found: type[Lab],
    form: LabForm,
    *,
    run: Run | None = None,
    dataset: Dataset | None = None,
    notices: list[str] | None = None,
) -> HttpResponse:
    context = {
        "lab": found,
        "problem_title": problem_title(found.problem),
        "form": form,
        "run": run,
        "seed": run.seed if run else request.GET.get("seed", "0"),
        "presets": present.presets(found),
        "explanation": present.explanation(found),
        "datasets": selectors.datasets_of(user=request.user, lab=found),
        "dataset": dataset,
        "baseline": selectors.baseline_of(user=request.user, lab=found),
        "notices": notices or [],
        **(present.result_context(run, request.user) if run and run.result else {}),
    }
    return render(request, "runs/lab.html", context, status=422 if form.errors else 200)


@require_GET
@login_required
def history(request: HttpRequest) -> HttpResponse:
    runs = selectors.runs_of(user=cast(User, request.user)).filter(sweep=None)
    if chosen := request.GET.get("lab"):
        problem, _, slug = chosen.partition("/")
        runs = runs.filter(problem=problem, lab=slug)
    if (state := request.GET.get("state")) in RunState.values:
        runs = runs.filter(state=state)
    page = Paginator(runs, HISTORY_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [present.history_row(run) for run in page],
        "lab_choices": present.lab_choices(),
        "states": RunState.choices,
    }
    return render(request, "runs/history.html", {**context, "chosen_lab": chosen or "", "chosen_state": state or ""})


# --- a run -------------------------------------------------------------------------------------------------------------


def own_run(request: HttpRequest, run_id: UUID) -> Run:
    found = get_object_or_404(Run.objects.select_related("result", "dataset"), pk=run_id)
    if not selectors.run_visible(user=request.user, run=found):
        raise Http404
    return found


@require_POST
async def start(request: HttpRequest, problem: str, slug: str) -> HttpResponseBase:
    """Starts a run and answers with its events; 422, 429 or 503 with sentences when it cannot."""
    begun = await sync_to_async(_begin)(request, problem, slug)
    if isinstance(begun, HttpResponse):
        return begun
    return event_stream(_page_events(request, begun, "0"))


def _begin(request: HttpRequest, problem: str, slug: str) -> Run | HttpResponse:
    found = lab_or_404(problem, slug)
    try:
        return _start_from(request, found)
    except InvalidParams as error:
        return JsonResponse({"errors": error.errors}, status=422)
    except InvalidInput as error:
        return JsonResponse({"errors": {error.field or "": error.message}}, status=422)
    except RunRefused as error:
        return JsonResponse({"detail": error.message, "kind": error.kind}, status=error.status)


def _start_from(request: HttpRequest, found: type[Lab]) -> Run:
    """A visitor who asks for what is known already is answered without an account being made."""
    values, seed, dataset = params_from_query(found, request.POST), seed_from(request.POST), dataset_from(request, request.POST, found)
    fresh = request.POST.get("fresh") == "1"
    params = parse_params(found, values)
    if not request.user.is_authenticated and not fresh and (known := run_cached(user=request.user, lab=found, params=params, seed=seed)):
        return known
    slot = request.POST.get("slot", "")[:MAX_SLOT]
    user = ensure_user(request=request)
    return run_start(user=user, lab=found, values=values, dataset=dataset, seed=seed, slot=slot, fresh=fresh, attended=True)


@require_GET
async def events(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """Goes on with a run's events after the one named by Last-Event-ID."""
    found = await sync_to_async(own_run)(request, run_id)
    return event_stream(_page_events(request, found, resume_after(request.headers.get("Last-Event-ID"))))


@require_POST
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    try:
        run_cancel(run=own_run(request, run_id))
    except RunRefused as error:
        return JsonResponse({"detail": error.message, "kind": error.kind}, status=error.status)
    return HttpResponse(status=204)


async def _page_events(request: HttpRequest, run: Run, last_id: str) -> AsyncIterator[str]:
    """The run's events in the form the page takes: figures as JSON, everything else as the fragments the server renders."""
    if run.state == RunState.DONE:
        yield (await sync_to_async(_done_event)(request, run, Event("", "done", {}), True)).encode()
        return
    urls = {"events_url": reverse("runs:events", args=[run.pk]), "cancel_url": reverse("runs:cancel", args=[run.pk])}
    yield Event("", "queued", {"run": str(run.pk), **urls}).encode()
    tiles = present.TilesSoFar(await sync_to_async(present.baseline_metrics)(run))
    async for event in watch(run.pk, last_id):
        if event.kind == "done":
            event = await sync_to_async(_done_event)(request, run, event, False)
        elif event.kind == "frame":
            event = Event(event.id, "frame", {"figures": event.data["figures"], "html": tiles.render(event.data["metrics"])})
        yield event.encode()


def _done_event(request: HttpRequest, run: Run, event: Event, cached: bool) -> Event:
    finished = run if cached else Run.objects.select_related("result", "dataset").get(pk=run.pk)
    context = {**present.result_context(finished, request.user), "cached": cached}
    data: dict[str, Any] = {"run": str(run.pk), "figures": context["figures"], "cached": cached, "html": present.result_html(context)}
    return Event(event.id, "done", data)


@require_GET
@login_required
def result_json(request: HttpRequest, run_id: UUID) -> HttpResponse:
    kept = own_run(request, run_id)
    return _download(JsonResponse(present.result_document(kept), json_dumps_params={"indent": 2}), kept, "json")


@require_GET
@login_required
def result_csv(request: HttpRequest, run_id: UUID) -> HttpResponse:
    kept = own_run(request, run_id)
    return _download(HttpResponse(present.result_csv(kept), content_type="text/csv; charset=utf-8"), kept, "csv")


def _download(response: HttpResponse, run: Run, suffix: str) -> HttpResponse:
    response["Content-Disposition"] = f'attachment; filename="{run.problem}-{run.lab}-{str(run.pk)[:8]}.{suffix}"'
    return response


def lab_url(lab: type[Lab], values: dict[str, Any]) -> str:
    return f"{reverse('runs:lab', args=[lab.problem, lab.slug])}?{query_of(lab, values)}"
