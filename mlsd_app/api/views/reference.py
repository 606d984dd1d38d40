"""The reference page, rendered on the server from the schema: Swagger's own page needs inline scripts, which our CSP refuses."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.api.reference import reference


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    base = request.build_absolute_uri("/").rstrip("/")
    return render(request, "api/docs.html", {"groups": reference(), "base": base})


@extend_schema(exclude=True)
@api_view(["GET", "POST", "PUT", "PATCH", "DELETE"])
@permission_classes([AllowAny])
def nothing_here(request: Request) -> Response:
    """Unknown addresses under /api/v1/ answer in the API's shape, not with the site's page."""
    raise Http404(f"There is nothing at {request.path[:200]}. The schema is at /api/v1/schema/.")
