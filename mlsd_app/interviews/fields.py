"""Names of what a candidate writes: `text/<phase key>` and `row/<list>/<row key>`, and what may stand there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import Http404

from mlsd_app.interviews.lists import LISTS, MAX_FIELD_CHARACTERS, ROW_KEY, TooLarge, canonical, clean_text, row_parse, row_values
from mlsd_app.interviews.models import Attempt
from simulators.errors import InvalidInput

ROW = re.compile(rf"row/([a-z_]+)/({ROW_KEY.pattern})")
URL_PATTERN = rf"text/[A-Za-z0-9_]{{1,32}}|row/[a-z_]+/{ROW_KEY.pattern}"  # of any field, whether an attempt has it or not


class UnknownField(Http404):
    """No such field in this attempt: wherever it is asked for, it is not found."""


@dataclass(frozen=True)
class Field:
    """`phases`: keys of the phases in which it is written, more than one for a list with two topics."""

    name: str
    phases: frozenset[str]
    list_name: str = ""
    key: str = ""

    def stored(self, content: str | None) -> str | None:
        """`content` as it is kept. Raises TooLarge, InvalidRow and, for a text that is None, InvalidInput."""
        if content is not None and len(content) > MAX_FIELD_CHARACTERS:
            raise TooLarge(
                f"The text has {len(content):,} characters; a field holds {MAX_FIELD_CHARACTERS:,}. Shorten it to have it saved.",
                field=self.name,
            )
        if self.list_name:
            return None if content is None else canonical(row_parse(self.list_name, content))
        if content is None:
            raise InvalidInput("Only rows can be deleted; a text is emptied.", field=self.name)
        return clean_text(content)

    def words(self, content: str | None) -> int:
        """Words a person typed: of a row, those in its cells."""
        if not content:
            return 0
        return len((_cells(self.list_name, content) if self.list_name else content).split())


def _cells(list_name: str, content: str) -> str:
    return " ".join(value for name, value in row_values(list_name, content).items() if isinstance(value, str))


def field_of(attempt: Attempt, name: str) -> Field:
    """The field of that name in the attempt's plan. Raises UnknownField."""
    for phase in attempt.phases:
        if name == f"text/{phase['key']}":
            return Field(name, frozenset([phase["key"]]))
    found = ROW.fullmatch(name)
    if not found or found[1] not in LISTS:
        raise UnknownField(name)
    return Field(name, frozenset(phase["key"] for phase in attempt.phases if _has_list(phase, found[1])), found[1], found[2])


def _has_list(phase: Mapping[str, Any], list_name: str) -> bool:
    return bool(set(LISTS[list_name].tags) & set(phase["tags"]))
