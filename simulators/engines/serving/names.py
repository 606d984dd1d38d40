"""Looking a thing up by a name people write in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from simulators.errors import InvalidInput

T = TypeVar("T")


def find_by_name(kind: str, name: str, known: Mapping[str, T]) -> T:
    """The value whose key is `name` but for case and punctuation, or the only one whose key contains it. Raises InvalidInput."""
    wanted = _plain(name)
    exact = [key for key in known if _plain(key) == wanted]
    matches = exact or [key for key in known if wanted and wanted in _plain(key)]
    if len(matches) != 1:
        candidates = ", ".join(matches or known)
        raise InvalidInput(f"{kind} {name!r} is {'ambiguous' if matches else 'unknown'}; expected one of {candidates}.", field=kind)
    return known[matches[0]]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
