"""JSON bodies, with a size limit and without what no column can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from mlsd_app.api.errors import TooLarge

MAX_DEPTH = 20


class StrictJSONParser(JSONParser):
    """DRF's parser reads a body of any size and passes NUL and unpaired surrogates on, which PostgreSQL refuses later."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(f"The body has more than {limit / 2**20:.0f} MB; send data sets as multipart files.")
        try:
            value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is not JSON in UTF-8: {error}.") from error
        _check_strings(value, MAX_DEPTH)
        return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_strings(value: Any, depth: int) -> None:
    if depth == 0:
        raise ParseError(f"The JSON is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, str) and ("\x00" in value or not _encodes(value)):
        raise ParseError("A text in the body has a NUL character or half a surrogate pair.")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key, depth)
            _check_strings(item, depth - 1)
    if isinstance(value, list):
        for item in value:
            _check_strings(item, depth - 1)


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
