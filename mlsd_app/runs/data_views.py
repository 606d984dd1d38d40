"""The user's own files: upload, the columns of a table for the mapping form, deletion."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST

from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import ensure_user
from mlsd_app.runs import selectors
from mlsd_app.runs.datasets import dataset_columns, dataset_create, dataset_delete
from mlsd_app.runs.views import lab_or_404
from simulators.errors import InvalidInput
from simulators.lab import Lab


@require_POST
def upload(request: HttpRequest, problem: str, slug: str) -> HttpResponse:
    """Checks and keeps the files; the fragment lists the user's data sets with the new one chosen, or says what is wrong."""
    found = lab_or_404(problem, slug)
    options = {key.removeprefix("option-"): ",".join(request.POST.getlist(key)) for key in request.POST if key.startswith("option-")}
    try:
        made = dataset_create(
            user=ensure_user(request=request), lab=found, files=uploads(request), options=options, name=request.POST.get("name", "")
        )
    except InvalidInput as error:
        return _fragment(request, found, status=422, error=error.message, error_field=error.field)
    return _fragment(request, found, dataset=made)


def uploads(request: HttpRequest) -> dict[str, UploadedFile]:
    """Files by slot."""
    return {key: cast(UploadedFile, file) for key, file in request.FILES.items() if file}


@require_POST
def columns(request: HttpRequest, problem: str, slug: str) -> HttpResponse:
    """Column names of a table, from the first part of the file that the browser sends."""
    found = lab_or_404(problem, slug)
    file = next(iter(uploads(request).values()), None)
    try:
        if file is None:
            raise InvalidInput("No file arrived.")
        return JsonResponse({"columns": dataset_columns(lab=found, file=file)})
    except InvalidInput as error:
        return JsonResponse({"detail": error.message}, status=422)


@require_POST
@login_required
def delete(request: HttpRequest, dataset_id: UUID) -> HttpResponse:
    found = get_object_or_404(selectors.datasets_of(user=cast(User, request.user)), pk=dataset_id)
    lab = lab_or_404(found.problem, found.lab)
    dataset_delete(dataset=found)
    return _fragment(request, lab)


def _fragment(request: HttpRequest, lab: type[Lab], *, status: int = 200, **extra: Any) -> HttpResponse:
    context = {"lab": lab, "datasets": selectors.datasets_of(user=request.user, lab=lab), **extra}
    return render(request, "runs/_data.html", context, status=status)
