"""Claims in the room: the form for a marked span, and the list. Modules send JSON; fragments come back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.problems_json import answers_problems, json_body
from mlsd_app.interviews.scoring.claim_rows import OP_WORDS, claim_add, claim_change, claim_delete, claim_draft, claims_of
from mlsd_app.interviews.views.common import own_attempt
from simulators.errors import InvalidInput

MAX_DIGITS = 40


@require_GET
@never_cache
@answers_problems
def form(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """?field, quote, start, run: filled in with what can be read in the words."""
    attempt, given = own_attempt(request, attempt_id, timezone.now()), request.GET
    draft = claim_draft(
        attempt=attempt,
        field=given.get("field", ""),
        quote=given.get("quote", ""),
        start=_whole(given.get("start"), "start") or 0,
        run=_whole(given.get("run"), "run"),
    )
    return render(request, "interviews/_claim_form.html", {**vars(draft), "ops": list(OP_WORDS.items())})


@require_POST
@answers_problems
def add(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """{"field", "quote", "start", "metric", "op", "value", "unit", "run", "conditions"?}"""
    now, body = timezone.now(), json_body(request)
    attempt = own_attempt(request, attempt_id, now)
    place: dict[str, Any] = {
        "field": str(body.get("field", "")),
        "quote": str(body.get("quote", "")),
        "start": _whole(body.get("start"), "start") or 0,
    }
    claim_add(attempt=attempt, now=now, **place, **{"run": None, **_said(body)})
    return _list(request, attempt)


@require_http_methods(["PATCH", "DELETE"])
@answers_problems
def one(request: HttpRequest, attempt_id: UUID, claim_id: int) -> HttpResponse:
    """PATCH with any of metric, op, value, unit, conditions, run; DELETE."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    claim = get_object_or_404(claims_of(attempt), pk=claim_id)
    if request.method == "DELETE":
        claim_delete(claim=claim, now=now)
    else:
        claim_change(claim=claim, now=now, **_said(json_body(request)))
    return _list(request, attempt)


def _list(request: HttpRequest, attempt: Attempt) -> HttpResponse:
    return render(request, "interviews/_claims.html", {"attempt": attempt, "claims": claims_of(attempt)})


def _said(body: dict[str, Any]) -> dict[str, Any]:
    """What the form says, numbers as numbers. Raises InvalidInput."""
    said: dict[str, Any] = {name: body[name] for name in ("metric", "op", "unit", "conditions") if name in body}
    if "value" in body:
        said["value"] = _number(body["value"])
    if "run" in body:
        said["run"] = _whole(body["run"], "run")
    return said


def _number(value: Any) -> Any:
    """A number as typed; "" is none."""
    text = str(value).strip().replace(",", "") if isinstance(value, str) else value
    if text in ("", None):
        return None
    try:
        return float(text) if isinstance(text, str) and len(text) <= MAX_DIGITS else text
    except ValueError:
        raise InvalidInput(f"{text!r} was given as the value; expected a number.", field="value") from None


def _whole(value: Any, field: str) -> int | None:
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise InvalidInput(f"{text[:20]!r} was given; expected a whole number.", field=field)
    return int(text)
