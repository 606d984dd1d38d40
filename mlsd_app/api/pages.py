"""Long lists in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.api.serializers import MAX_OFFSET


def page(request: Request, found: QuerySet[Any], limit: int, offset: int, present: Callable[[Any], dict[str, Any]]) -> Response:
    """`limit` items after `offset`, with the addresses of the pages before and after."""
    count = found.count()
    after, before = offset + limit, max(0, offset - limit)
    return Response(
        {
            "count": count,
            "next": _address(request, limit, after) if after < count and after <= MAX_OFFSET else None,
            "previous": _address(request, limit, before) if offset else None,
            "results": [present(item) for item in found[offset : offset + limit]],
        }
    )


def _address(request: Request, limit: int, offset: int) -> str:
    return f"{request.path}?{urlencode({**request.query_params.dict(), 'limit': limit, 'offset': offset})}"
