"""Rows as bytes, one at a time: CSV as RFC 4180 has it, JSON Lines. No cell of a CSV can become a formula."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

BOM = "\ufeff"
RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")

Row = Mapping[str, Any]


def csv_pieces(columns: Sequence[str], rows: Iterable[Row], *, bom: bool = False) -> Iterator[bytes]:
    """The header, then a line a row, in UTF-8 with CR LF. A row may lack columns; more than these are refused with KeyError."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    known = frozenset(columns)
    writer.writerow([cell(name) for name in columns])
    yield ((BOM if bom else "") + _taken(buffer)).encode()
    for row in rows:
        if unknown := row.keys() - known:
            raise KeyError(f"the row has the columns {sorted(unknown)}, which the header does not have")
        writer.writerow([cell(row.get(name)) for name in columns])
        yield _taken(buffer).encode()


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def cell(value: Any) -> str:
    """A value as a spreadsheet may read it: "" for None, and text that would begin a formula behind an apostrophe."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return value if not value.startswith(RISKY) or _NUMBER.match(value) else f"'{value}"
        case _:
            return cell(plain(value)) if isinstance(value, datetime) else json.dumps(plain(value), ensure_ascii=False, sort_keys=True)


def jsonl_pieces(rows: Iterable[Row]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(plain(row), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def plain(value: Any) -> Any:
    """As JSON has it: times in ISO 8601, UTC."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
