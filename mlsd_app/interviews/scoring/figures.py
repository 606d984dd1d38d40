"""Numbers with units in prose: where they stand, what they say, and which sentences rest on them. Pure.

Not read as numbers: years, versions, names with digits (DCN-v2, FP8, H100), numbers of list items, sections and runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from simulators.unit_terms import RATIO, UnitError
from simulators.units import Quantity, parse_quantity

Op = Literal["<=", ">=", "=", "about"]
MAX_UNIT_WORDS = 3
MAX_TEXT = 20_000

_NUMBER = re.compile(
    r"(?<![\w.,#/$])(?<![A-Za-z]-)(?P<money>\$\s?)?(?P<number>\d{1,3}(?:,\d{3}){1,5}(?:\.\d{1,15})?|\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?)(?![\d,]*\d)"
)
_UNIT = re.compile(r"\s?(?:%|\$|[A-Za-z\u00b5\u03bc\u00d7][A-Za-z\u00b5\u03bc-]*)(?:/[A-Za-z]+|\s/\s[A-Za-z0-9]+)?")
_NAME = re.compile(  # what stands before a number that is part of a name
    r"(?:\b(?:section|sections|steps?|phase|chapter|figure|fig\.?|table|run|part|version|v|release|rfc|option|layer|stage|question|appendix"
    r"|equation|slide|page|line|llama|gpt|bert|top|rank|level|tier|no\.?|number)\s+|\[run\s)$",
    re.IGNORECASE,
)
_MONTH = re.compile(r"\s?(?:January|February|March|April|May|June|July|August|September|October|November|December)\b")
_LIST_NUMBER = re.compile(r"^\s*$|^\s*[-*>#]+\s*$")
_SENTENCE = re.compile(r"[^\n.!?]+(?:[.!?](?!\s|$)[^\n.!?]*)*[.!?]?")
_BELOW = "<=?|\u2264|at most|no more than|not more than|up to|under|below|less than|fewer than|within|beneath|maximum of"
_ABOVE = ">=?|\u2265|at least|no less than|not less than|over|above|more than|beyond|exceeds|minimum of"
_OPS: tuple[tuple[Op, re.Pattern[str]], ...] = (
    ("<=", re.compile(rf"(?:{_BELOW})\s*$", re.IGNORECASE)),
    (">=", re.compile(rf"(?:{_ABOVE})\s*$", re.IGNORECASE)),
    ("=", re.compile(r"(?:==?|exactly|precisely)\s*$", re.IGNORECASE)),
    ("about", re.compile(r"(?:~|\u2248|about|around|roughly|approximately|some|nearly|almost|near)\s*$", re.IGNORECASE)),
)
_AFTER: tuple[tuple[Op, re.Pattern[str]], ...] = (
    ("<=", re.compile(r"\s*(?:or (?:less|fewer|below|under)|at (?:the )?most)\b", re.IGNORECASE)),
    (">=", re.compile(r"\s*(?:or (?:more|above|better|over)|at (?:the )?least)\b", re.IGNORECASE)),
)


@dataclass(frozen=True)
class Figure:
    """A number in a text. `quantity` None: there is no unit behind it. `digits_end` is after the number, `end` after the unit."""

    start: int
    digits_end: int
    end: int
    value: float
    quantity: Quantity | None
    op: Op
    stated: bool  # whether words or signs before or after it say the operator


@dataclass(frozen=True)
class Statement:
    """A sentence with a number and a unit, at its place in the text."""

    start: int
    end: int
    text: str


def figures(text: str) -> list[Figure]:
    """All numbers of a text that say how much, in order."""
    return [_figure(text, match) for match in _NUMBER.finditer(text[:MAX_TEXT]) if _says_how_much(text, match)]


def _says_how_much(text: str, match: re.Match[str]) -> bool:
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    in_a_list = _LIST_NUMBER.match(line) and re.match(r"[.)]\s", text[match.end() : match.end() + 2])
    if in_a_list or _MONTH.match(text, match.end()) or _NAME.search(text[max(0, match.start() - 24) : match.start()]):
        return False
    return _unit(text, match) is not None or not _is_year(match["number"])


def _is_year(number: str) -> bool:
    return len(number) == 4 and number.isdecimal() and 1900 <= int(number) <= 2100


def _figure(text: str, match: re.Match[str]) -> Figure:
    found = _unit(text, match)
    value = float(match["number"].replace(",", ""))
    end = found[1] if found else match.end()
    op = next((op for op, pattern in _OPS if pattern.search(text[max(0, match.start() - 24) : match.start()])), None)
    op = op or next((op for op, pattern in _AFTER if pattern.match(text, end)), None)
    return Figure(match.start(), match.end(), end, value, found[0] if found else None, op or "about", op is not None)


def _unit(text: str, match: re.Match[str]) -> tuple[Quantity, int] | None:
    """The longest unit of up to three words behind the number, and where it ends."""
    if match["money"]:
        ends = [*_ends(text, match.end()), match.end()]
        return next((found for end in sorted(ends, reverse=True) if (found := _read(text, match.start(), end))), None)
    return next((found for end in reversed(_ends(text, match.end())) if (found := _read(text, match.start(), end))), None)


def _ends(text: str, start: int) -> list[int]:
    ends: list[int] = []
    while len(ends) < MAX_UNIT_WORDS and (word := _UNIT.match(text, ends[-1] if ends else start)):
        ends.append(word.end())
    return ends


def _read(text: str, start: int, end: int) -> tuple[Quantity, int] | None:
    typed = re.sub(r"\s+", " ", text[start:end])
    try:
        return parse_quantity(typed), end
    except UnitError:
        return None


# --- sentences that rest on a number ---------------------------------------------------------------------------------


def statements(text: str) -> Iterator[Statement]:
    """Sentences that say a number with a unit. Questions, headings and code are left out."""
    masked = _masked(text[:MAX_TEXT])
    for match in _SENTENCE.finditer(masked):
        sentence = match.group()
        lead = len(sentence) - len(sentence.lstrip())
        if sentence.strip() and not sentence.rstrip().endswith("?") and not sentence.lstrip().startswith("#") and _states(sentence):
            yield Statement(match.start() + lead, match.start() + len(sentence.rstrip()), text[match.start() + lead : match.end()].rstrip())


def _states(sentence: str) -> bool:
    return any(figure.quantity is not None for figure in figures(sentence))


_UNREAD = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)\s]*\)|\[run \d+\]|https?://\S+", re.DOTALL)


def _masked(text: str) -> str:
    """The text with code, links' targets and run references blanked, every other character in its place."""
    return _UNREAD.sub(lambda found: " " * len(found.group()), text)


def unlinked(text: str, spans: Sequence[tuple[int, int]]) -> list[Statement]:
    """Statements that no claim marks: they are listed as untested, which lowers nothing."""
    return [found for found in statements(text) if not any(start < found.end and found.start < end for start, end in spans)]


# --- what a unit measures --------------------------------------------------------------------------------------------

MEASURES = frozenset({"information", "time", "money", "compute", "length", "energy"})


def same_measure(given: str, wanted: str) -> bool:
    """Of two dimensions, whatever is counted: 12 machines may stand for 12 replicas and B/vector for B; 12 GB may not stand for nodes."""
    return (given == RATIO) == (wanted == RATIO) and physical(given) == physical(wanted)


def physical(dimension: str) -> tuple[tuple[str, bool], ...]:
    """The parts of a dimension that are measured and not counted, each with whether it stands below the line."""
    above, _, below = dimension.partition("/")
    parts = [(part, under) for side, under in ((above, False), (below, True)) for part in side.split("*")]
    return tuple(sorted(part for part in parts if part[0] in MEASURES))
