"""Pages of the site itself."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from mlsd_app.core.health import health


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while pages can be read, 503 without the database. A missing Redis or worker is named, and is no reason to restart the web."""
    found = health()
    return JsonResponse(found.as_json(), status=200 if found.database else 503)
