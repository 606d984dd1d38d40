"""Files to take away: of a cohort by its owner and instructors, of oneself by anybody."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.exports.kinds import KINDS
from mlsd_app.cohorts.forms import ExportForm
from mlsd_app.cohorts.models import Cohort, Export
from mlsd_app.cohorts.selectors import exports_visible_to
from mlsd_app.cohorts.services import exports as services
from mlsd_app.cohorts.views.access import answering, cohort_page, found_or_404, user_of

TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8", "zip": "application/zip"}
LISTED = 20


@require_http_methods(["GET", "POST"])
@cohort_page("export_cohort")
def listing(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    form = ExportForm(request.POST or None, cohort=cohort)
    if request.method == "POST" and form.is_valid():
        services.export_create(by=By.of(request), cohort=cohort, **form.cleaned_data, now=timezone.now())
        return redirect("cohorts:exports", cohort.pk)
    rows = exports_visible_to(user_of(request)).filter(cohort=cohort)[:LISTED]
    context = {"cohort": cohort, "form": form, "exports": _shown(rows), "kinds": KINDS.values()}
    return render(request, "cohorts/exports.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@answering
def own(request: HttpRequest) -> HttpResponse:
    """Everything of the user's own, in one zip."""
    if request.method == "POST":
        services.export_own(by=By.of(request), now=timezone.now())
        return redirect("cohorts:own_exports")
    rows = exports_visible_to(user_of(request)).filter(cohort=None)[:LISTED]
    return render(request, "cohorts/own_exports.html", {"exports": _shown(rows)})


def _shown(rows: Iterable[Export]) -> list[tuple[Export, bool]]:
    now = timezone.now()
    return [(row, services.ready(row, now)) for row in rows]


@require_GET
@answering
def file(request: HttpRequest, export_id: int) -> HttpResponse | StreamingHttpResponse:
    """The file itself, to whoever asked for it and may still export that cohort."""
    export = found_or_404(exports_visible_to(user_of(request)), export_id, "There is no such file of yours; files are kept for seven days.")
    if not services.ready(export, timezone.now()):
        raise Http404("This file is not there yet, or no longer.")
    return file_response(export)


def file_response(export: Export) -> StreamingHttpResponse:
    name = f"loop45-{export.kind}-{export.created_at:%Y-%m-%d}-{export.pk}.{export.format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(services.file_pieces(export), content_type=TYPES[export.format], headers=headers)
