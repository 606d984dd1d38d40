"""The declaration of one operation: what it is called, what it takes, and every status it may answer with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from mlsd_app.api.serializers import Error

F = TypeVar("F", bound=Callable[..., Any])

MEANINGS = {
    400: "The body is not JSON, or not well formed.",
    401: "No sign-in, or a token that is not known.",
    403: "Signed in, but not allowed; in a browser session also a missing CSRF token.",
    404: "There is nothing by that name, or it belongs to someone else.",
    405: "Not with this method.",
    406: "No such form of answer; see the media types above.",
    409: "Not in the present state.",
    410: "It is over; what was sent may still be kept, as `stored` says.",
    413: "The body is too large.",
    415: "The body is in a form that is not taken here.",
    422: "A value is wrong; errors says which and why.",
    423: "Locked just now: paused, closed, or held by another page.",
    429: "Too many requests or runs; Retry-After says when to come back, where that is known.",
    503: "The engines cannot be reached right now.",
}
ALWAYS = (401, 405, 406, 429, 503)
WITH_BODY = (400, 403, 413, 415, 422)


def operation(
    *,
    tag: str,
    summary: str,
    answers: dict[Any, Any],
    errors: Sequence[int] = (),
    request: Any = None,
    parameters: Sequence[Any] = (),
    changes: bool = False,
    **options: Any,
) -> Callable[[F], F]:
    """`answers` are the good ones; `errors` come on top of those every operation has, `changes` adds what a browser session needs."""
    statuses = sorted({*ALWAYS, *errors, *(WITH_BODY if request else ()), *((403,) if changes else ())})
    failures = {(status, "application/json"): OpenApiResponse(Error, description=MEANINGS[status]) for status in statuses}
    found: Callable[[F], F] = extend_schema(
        tags=[tag], summary=summary, responses={**answers, **failures}, request=request, parameters=list(parameters), **options
    )
    return found


LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID", str, OpenApiParameter.HEADER, required=False, description="Go on after this event; browsers send it by themselves."
)
