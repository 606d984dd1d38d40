"""Middleware of our own."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_only_middleware

GetResponse = Callable[[HttpRequest], HttpResponseBase]


@sync_only_middleware
def in_one_thread(get_response: GetResponse) -> GetResponse:
    """Stands last and makes every middleware before it run in one thread, with one hop from the event loop and back.

    Most of Django's middleware is synchronous at heart: run asynchronously each of them hops to a thread and back twice, which took
    several milliseconds of every request.
    """
    return get_response
