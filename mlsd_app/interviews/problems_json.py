"""Refusals as application/problem+json, and the JSON that pages send."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse

from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput
from simulators.params import InvalidParams

View = Callable[..., HttpResponseBase]
CONTENT_TYPE = "application/problem+json"
MAX_BODY = 256 * 1024


def problem_json(status: int, code: str, detail: str, **members: Any) -> JsonResponse:
    """{"type", "code", "detail", ...}: `code` for programs, `detail` a sentence for people."""
    return JsonResponse({"type": "about:blank", "code": code, "detail": detail, **members}, status=status, content_type=CONTENT_TYPE)


def problem_of(error: Refused | InvalidInput) -> JsonResponse:
    if isinstance(error, Refused):
        return problem_json(error.status, error.code, error.message, **error.extra)
    fields = error.errors if isinstance(error, InvalidParams) else {error.field or "": error.message}
    return problem_json(422, "invalid", error.message, fields=fields)


def answers_problems(view: View) -> View:
    """For views that modules call: everything a caller can cause is answered as problem+json."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except (Refused, InvalidInput) as error:
            return problem_of(error)
        except Http404:
            return problem_json(404, "not_found", "There is no such interview among yours.")
        except OperationalError:
            return problem_json(503, "busy", "The database is busy. Nothing was changed; try again in a moment.")

    return wrapped


def json_body(request: HttpRequest) -> dict[str, Any]:
    """The object in the request's body, {} for an empty one. Raises InvalidInput for anything else."""
    if len(request.body) > MAX_BODY:
        raise InvalidInput(f"{len(request.body):,} bytes were sent; at most {MAX_BODY:,} are taken.")
    try:
        found = json.loads(request.body or b"{}")
    except ValueError as error:
        raise InvalidInput("The request's body is not JSON.") from error
    if not isinstance(found, dict):
        raise InvalidInput("The request's body is not a JSON object.")
    return found


def whole_number(body: dict[str, Any], field: str) -> int:
    value = body.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{str(value)[:40]!r} was given; expected a whole number.", field=field)
    return value
