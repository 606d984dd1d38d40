"""Server-sent events as a response."""

from __future__ import annotations

from collections.abc import AsyncIterator

from django.http import StreamingHttpResponse


def event_stream(encoded: AsyncIterator[str]) -> StreamingHttpResponse:
    """The encoded events, with headers that keep proxies from holding them back."""
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(encoded, content_type="text/event-stream", headers=headers)
