"""Splits a phase file into its parts and reads the link forms that content uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from problems.errors import InvalidInput

HEADINGS = {
    "Prompt": "prompt",
    "What a strong candidate does": "strong",
    "Worked answer": "answer",
    "Trade-offs": "tradeoffs",
    "Probes": "probes",
    "Checklist": "checklist",
}
_FENCE = re.compile(r"^(```|~~~)")
_ITEM = re.compile(r"^- \[(?P<id>[^\]]+)\] +(?P<text>\S.*)$")
_LINK = re.compile(r"\]\((?P<href>(?:lab|phase|calc|problem):[^)\s]*)\)")
_TARGET = re.compile(r"^(?P<kind>lab|phase|calc|problem):(?P<target>[a-z][a-z0-9_]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>[a-z0-9-]+))?$")


def phase_parts(text: str, where: str) -> dict[str, Any]:
    """The fields of a Phase from its Markdown: every heading of HEADINGS once, in that order, nothing else at level two."""
    sections = _split(text, "## ", where)
    expected = list(HEADINGS)
    for number, (heading, line, _) in enumerate(sections):
        if number >= len(expected) or heading != expected[number]:
            wanted = f"'## {expected[number]}'" if number < len(expected) else "the end of the file"
            raise InvalidInput(f"{where}, line {line}: the heading is '## {heading}'; expected {wanted}.")
    if len(sections) < len(expected):
        raise InvalidInput(f"{where}: the heading '## {expected[len(sections)]}' is missing.")
    parts: dict[str, Any] = {HEADINGS[heading]: body for heading, _, body in sections}
    empty = next((heading for heading, _, body in sections if not body), None)
    if empty:
        raise InvalidInput(f"{where}: nothing stands under '## {empty}'.")
    probes = _split(parts["probes"], "### ", f"{where}, Probes")
    parts["probes"] = tuple({"question": question, "answer": answer} for question, _, answer in probes)
    parts["checklist"] = tuple(_check_item(line, where) for line in parts["checklist"].splitlines() if line.strip())
    return parts


def _split(text: str, mark: str, where: str) -> list[tuple[str, int, str]]:
    """(heading, line number, body) for each heading that starts with `mark` outside code fences."""
    sections: list[tuple[str, int, list[str]]] = []
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        fenced ^= bool(_FENCE.match(line))
        if line.startswith(mark) and not fenced:
            sections.append((line.removeprefix(mark).strip(), number, []))
        elif sections:
            sections[-1][2].append(line)
        elif line.strip():
            raise InvalidInput(f"{where}, line {number}: {line[:40]!r} stands before the first '{mark.strip()}' heading.")
    return [(heading, number, "\n".join(body).strip()) for heading, number, body in sections]


def _check_item(line: str, where: str) -> dict[str, str]:
    match = _ITEM.match(line)
    if not match:
        raise InvalidInput(f"{where}, Checklist: {line[:60]!r} was found; expected '- [phase.point] text' on one line.")
    return match.groupdict()


@dataclass(frozen=True)
class Link:
    """`lab:index_tradeoffs?preset=pq_plateau`, `phase:deep_dive#probes`, `calc:shard_count`, `problem:experimentation`."""

    kind: str
    target: str
    query: dict[str, str]
    fragment: str


def parse_link(href: str) -> Link | None:
    """The link if `href` is of one of the four forms, else None (an ordinary address)."""
    match = _TARGET.match(href)
    if not match:
        return None
    query = dict(parse_qsl(match["query"] or "", keep_blank_values=True))
    return Link(match["kind"], match["target"], query, match["fragment"] or "")


def links_in(text: str) -> list[str]:
    """Every `lab:`, `phase:`, `calc:` and `problem:` address of Markdown links in `text`, as written."""
    return [match["href"] for match in _LINK.finditer(text)]
