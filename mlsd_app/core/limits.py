"""A bound on request bodies that holds before Django reads them (Django spools a body to disk before any view can object)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def limit_body(app: App) -> App:
    """Answers 413 with a sentence when a body is, or claims to be, larger than settings.MAX_REQUEST_BYTES."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        if _claimed(scope) > settings.MAX_REQUEST_BYTES:
            return await _refuse(scope, send, _claimed(scope))
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            # Told that the client has gone, Django closes what it has spooled and answers nothing; the answer is ours then.
            return {"type": "http.disconnect"} if read > settings.MAX_REQUEST_BYTES else message

        await app(scope, counted, send)
        if read > settings.MAX_REQUEST_BYTES:
            await _refuse(scope, send, read)

    return limited


def _claimed(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _refuse(scope: Scope, send: Send, size: int) -> None:
    """A page for whoever follows a link or sends a form; JSON for scripts, and for htmx, whose page says it in a sentence of its own."""
    limit = settings.MAX_REQUEST_BYTES
    sentence = f"The request has {size / 2**20:,.0f} MB or more; at most {limit / 2**20:,.0f} MB are accepted. Nothing was stored."
    kind, body = b"application/json", json.dumps({"detail": sentence, "errors": {}}).encode()
    sent = dict(scope["headers"])
    if b"text/html" in sent.get(b"accept", b"") and b"hx-request" not in sent:
        kind, body = b"text/html; charset=utf-8", render_to_string("413.html", {"sentence": sentence}).encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
