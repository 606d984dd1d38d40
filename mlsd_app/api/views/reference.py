"""The reference page, rendered on the server from the schema: Swagger's own page needs inline scripts, which our CSP refuses."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.api.reference import example, reference


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    context = {
        "groups": reference(),
        "example": example(request.build_absolute_uri("/").rstrip("/")),
        "limits": settings.API_LIMITS,
        "active_runs": settings.RUN_LIMITS["active_per_user"],
    }
    return render(request, "api/docs.html", context)


@extend_schema(exclude=True)  # type: ignore[untyped-decorator]
@api_view(["GET", "POST", "PUT", "PATCH", "DELETE"])
@permission_classes([AllowAny])
def nothing_here(request: Request) -> Response:
    """Unknown addresses under /api/v1/ answer in the API's shape, not with the site's page."""
    raise Http404(f"There is nothing at {request.path[:200]}. The schema is at /api/v1/schema/.")
