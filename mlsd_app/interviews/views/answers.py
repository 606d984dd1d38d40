"""What a candidate's page writes while it is open: fields, their history, and the lease of the tab that may write.

PUT takes JSON; POST the same as form fields, for `navigator.sendBeacon`, which can send nothing else when a page goes away.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import BaseModel, Field, ValidationError

from mlsd_app.interviews import answers
from mlsd_app.interviews.fields import URL_PATTERN, field_of
from mlsd_app.interviews.leases import Lease, Sender, lease_renew, lease_take
from mlsd_app.interviews.lifecycle import clock_block
from mlsd_app.interviews.models import Answer, AnswerOp, Attempt
from mlsd_app.interviews.problems_json import CONTENT_TYPE, answers_problems, json_body
from mlsd_app.interviews.selectors import attempts_of, state_of
from mlsd_app.interviews.texts import history, ops_of, version_text
from mlsd_app.interviews.views.common import own_attempt
from mlsd_app.interviews.writes import Reply
from simulators.params import InvalidParams

HISTORY_PAGE = 100
NAME = r"^[A-Za-z0-9_-]{1,40}$"
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("CriOS", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Mac OS", "macOS"), ("Windows", "Windows"), ("Linux", "Linux"))


class FieldConverter:
    """`text/<phase>` or `row/<list>/<key>` in an address, and nothing else, so that what follows it is told apart from a key."""

    regex = URL_PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class Tab(BaseModel):
    client_id: str = Field(pattern=NAME)
    lease_epoch: int | None = Field(None, ge=0, lt=2**31)


class Op(Tab):
    op_id: str = Field(pattern=NAME)


class Save(Op):
    content: str | None
    base_rev: int = Field(ge=0, lt=2**31)
    after: str = Field("", max_length=40)


class Restore(Op):
    version: int = Field(ge=1, lt=2**63)


class Take(Tab):
    take_over: bool = False


Body = TypeVar("Body", bound=BaseModel)


# --- what all of them share --------------------------------------------------------------------------------------------


def _sent(request: HttpRequest, model: type[Body]) -> Body:
    try:
        return model.model_validate(_values(request))
    except ValidationError as error:
        found = {str(item["loc"][0]) if item["loc"] else "": item["msg"] for item in error.errors(include_url=False)}
        raise InvalidParams({name: f"{name}: {message}." for name, message in found.items()}) from error


def _values(request: HttpRequest) -> dict[str, Any]:
    if request.content_type == "application/json":
        return json_body(request)
    values: dict[str, Any] = request.POST.dict()
    return {**values, "content": None} if "deleted" in values else values


def _response(reply: Reply) -> JsonResponse:
    return JsonResponse(reply.body, status=reply.status, content_type="application/json" if reply.status == 200 else CONTENT_TYPE)


def _sender(request: HttpRequest, sent: Tab) -> Sender:
    return Sender(sent.client_id, device_label(request.headers.get("User-Agent", "")))


def device_label(user_agent: str) -> str:
    """ "Firefox on Windows": what a person knows a device by."""
    browser = next((name for word, name in BROWSERS if word in user_agent), "A browser")
    system = next((name for word, name in SYSTEMS if word in user_agent), "")
    return f"{browser} on {system}" if system else browser


# --- fields ------------------------------------------------------------------------------------------------------------


@require_GET
@never_cache
@answers_problems
def all_fields(request: HttpRequest, attempt_id: UUID) -> JsonResponse:
    """{"fields": {field: as in GET of one}, "clock"}: for a page that takes over, or comes back."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    return JsonResponse({"fields": fields_json(attempt), "clock": clock_block(attempt, state_of(attempt, now))})


def fields_json(attempt: Attempt) -> dict[str, dict[str, Any]]:
    """Every field ever written with its revision, the write that made it and the device that write came from."""
    made = AnswerOp.objects.filter(attempt=attempt, rev__isnull=False).order_by("rev")
    last = {name: (op_id, label) for name, op_id, label in made.values_list("field", "op_id", "client_label")}
    return {name: _field_json(answer, *last.get(name, ("", ""))) for name, answer in answers.answers_of(attempt).items()}


def _field_json(answer: Answer, op_id: str, client_label: str) -> dict[str, Any]:
    saved_at = answer.updated_at if answer.rev else None
    return {"rev": answer.rev, "content": answer.content, "saved_at": saved_at, "op_id": op_id, "client_label": client_label}


@require_http_methods(["GET", "PUT", "POST"])
@never_cache
@answers_problems
def answer(request: HttpRequest, attempt_id: UUID, field: str) -> HttpResponse:
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    if request.method == "GET":
        return JsonResponse({**_one_field(attempt, field), "clock": clock_block(attempt, state_of(attempt, now))})
    sent = _sent(request, Save)
    return _response(_save(request, attempt, field, sent, now))


def _one_field(attempt: Attempt, field: str) -> dict[str, Any]:
    field_of(attempt, field)
    found = Answer.objects.filter(attempt=attempt, field=field).first()
    if found is None:
        return {"rev": 0, "content": None, "saved_at": None, "op_id": "", "client_label": ""}
    last = ops_of(attempt, field).filter(rev=found.rev).values_list("op_id", "client_label").first()
    return _field_json(found, *(last or ("", "")))


def _save(request: HttpRequest, attempt: Attempt, field: str, sent: Save, now: datetime) -> Reply:
    sender = _sender(request, sent)
    return answers.answer_save(
        attempt=attempt,
        field=field,
        content=sent.content,
        base_rev=sent.base_rev,
        op_id=sent.op_id,
        client_id=sender.client_id,
        client_label=sender.label,
        lease_epoch=sent.lease_epoch,
        now=now,
        after=sent.after,
    )


@require_POST
@answers_problems
def dropped(request: HttpRequest, attempt_id: UUID, field: str) -> HttpResponse:
    """Keeps text that was found on the device and decided against."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    sent = _sent(request, Save)
    sender = _sender(request, sent)
    reply = answers.answer_drop(
        attempt=attempt,
        field=field,
        content=sent.content,
        base_rev=sent.base_rev,
        op_id=sent.op_id,
        client_id=sender.client_id,
        client_label=sender.label,
        now=now,
    )
    return _response(reply)


# --- history -------------------------------------------------------------------------------------------------------------


@require_GET
@never_cache
@answers_problems
def versions(request: HttpRequest, attempt_id: UUID, field: str) -> HttpResponse:
    """{"versions": newest first, "more": whether there are older ones}; `?before=<id>` goes on from there."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    field_of(attempt, field)
    before = request.GET.get("before", "")
    upto = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    found = [version for version in history(attempt, field) if upto is None or version.id < upto]
    return JsonResponse({"versions": [asdict(version) for version in found[:HISTORY_PAGE]], "more": len(found) > HISTORY_PAGE})


@require_GET
@never_cache
@answers_problems
def version(request: HttpRequest, attempt_id: UUID, field: str, version_id: int) -> JsonResponse:
    op = _version(own_attempt(request, attempt_id, timezone.now()), field, version_id)
    return JsonResponse({"id": op.pk, "rev": op.rev, "kind": op.kind, "at": op.at, "content": version_text(op)})


def _version(attempt: Attempt, field: str, version_id: int) -> AnswerOp:
    return get_object_or_404(ops_of(attempt, field).select_related("attempt"), pk=version_id)


@require_POST
@answers_problems
def restore(request: HttpRequest, attempt_id: UUID, field: str) -> HttpResponse:
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    sent = _sent(request, Restore)
    sender = _sender(request, sent)
    reply = answers.answer_restore(
        version=_version(attempt, field, sent.version),
        client_id=sender.client_id,
        client_label=sender.label,
        lease_epoch=sent.lease_epoch,
        op_id=sent.op_id,
        now=now,
    )
    return _response(reply)


# --- the lease -----------------------------------------------------------------------------------------------------------


@require_POST
@answers_problems
def lease(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """For a page that was just opened, or takes over: {held, lease_epoch, label, until, clock}."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    sent = _sent(request, Take)
    found = lease_take(attempt=attempt, sender=_sender(request, sent), take_over=sent.take_over, now=now)
    return _lease_json(attempt, found, now)


@require_POST
@answers_problems
def heartbeat(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    now = timezone.now()
    attempt = get_object_or_404(attempts_of(user=request.user), pk=attempt_id)
    sent = _sent(request, Tab)
    found = lease_renew(attempt=attempt, sender=_sender(request, sent), epoch=sent.lease_epoch or 0, now=now)
    return _lease_json(attempt, found, now)


def _lease_json(attempt: Attempt, found: Lease, now: datetime) -> JsonResponse:
    return JsonResponse({**found.as_json(), "clock": clock_block(attempt, state_of(attempt, now))})
