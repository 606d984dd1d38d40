"""One shape for everything that goes wrong: {"detail": sentence, "errors": {field: sentence}}; a refusal adds its `code`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from mlsd_app.interviews.refusals import Refused
from mlsd_app.runs.services import RunRefused
from problems.errors import InvalidInput as InvalidContentInput
from simulators.errors import InvalidInput
from simulators.params import InvalidParams
from simulators.units import UnitError


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class Conflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class Unprocessable(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "invalid"


class Unavailable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to anything a client can cause; None (logged, 500) for a fault of ours."""
    answer = exception_handler(_as_api_exception(error), context)
    if answer is None:
        return None
    errors = _errors_of(error)
    detail = _first_of(errors, error) if errors else _first_sentence(answer.data)
    answer.data = {"detail": detail, "errors": errors, **_members_of(error)}
    answer.content_type = "application/json"  # also where the client asked for an event stream
    return answer


def _as_api_exception(error: Exception) -> Exception:
    match error:
        case InvalidInput() | InvalidContentInput():
            return Unprocessable(error.message)
        case exceptions.ValidationError():
            return Unprocessable(error.detail)
        case RunRefused() | Refused():
            refused = exceptions.APIException(error.message)
            refused.status_code = error.status
            return refused
        case RequestDataTooBig():
            return TooLarge("The form is larger than 2 MB without its files.")
        case SuspiciousOperation():
            return exceptions.ParseError("The request is not well formed.")
        case OperationalError():
            return Unavailable("The database is busy. Nothing was changed; try again in a moment.")
    return error


def _members_of(error: Exception) -> dict[str, Any]:
    """What a program needs beyond the sentence: which refusal it is, and what it names."""
    match error:
        case Refused():
            return {"code": error.code, **error.extra}
        case UnitError():
            return {"code": error.code, "position": error.position}
    return {}


def _errors_of(error: Exception) -> dict[str, str]:
    match error:
        case InvalidParams():
            return error.errors
        case InvalidInput() | InvalidContentInput() if error.field:
            return {error.field: error.message}
        case exceptions.ValidationError():
            return dict(_flat(error.detail))
    return {}


def _first_of(errors: Mapping[str, str], error: Exception) -> str:
    """The first of several; DRF's own sentences do not say which field they are about."""
    name, sentence = next(iter(errors.items()))
    return f"{name}: {sentence}" if name and isinstance(error, exceptions.ValidationError) else sentence


def _flat(detail: Any, name: str = "") -> list[tuple[str, str]]:
    """DRF's nested lists and dicts as (dotted field, sentence)."""
    if isinstance(detail, Mapping):
        items = [(key if key != "non_field_errors" else "", value) for key, value in detail.items()]
        return [found for key, value in items for found in _flat(value, ".".join(filter(None, (name, str(key)))))]
    if isinstance(detail, list):
        return [found for value in detail[:1] for found in _flat(value, name)]
    return [(name, str(detail))]


def _first_sentence(data: Any) -> str:
    return _flat(data.get("detail", data) if isinstance(data, Mapping) else data)[0][1]
