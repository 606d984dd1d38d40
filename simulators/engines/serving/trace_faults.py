"""Where a trace file is wrong: read slowly, line by line, once it is known that it is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from simulators.errors import InvalidInput

if TYPE_CHECKING:
    from simulators.engines.serving.trace_files import Format, Source

SHOWN = 60  # characters of a bad value
LIST, BLOCK = "hash_ids", "block_tokens"


def column_names(source: Source) -> tuple[str, ...]:
    """Of a CSV's header; of JSON lines, the keys of the first. Raises InvalidInput for a first line that is neither."""
    if source.jsonl:
        _, first = next(_records(source))
        return tuple(first)
    line, fields = next(_csv_lines(source))
    if len(set(fields)) < len(fields):
        twice = next(name for name in fields if fields.count(name) > 1)
        raise InvalidInput(f"{source.name}, line {line}: column {twice!r} appears twice; every column needs a name of its own.")
    return tuple(fields)


def hashes_are_numbers(source: Source) -> bool:
    """Judged by the first line that has any."""
    for _, record in islice(_records(source), 1000):
        if record.get(LIST):
            return isinstance(record[LIST], list) and isinstance(record[LIST][0], int)
    return True


def json_text_type(source: Source, column: str) -> Any:
    """Tenants and sessions may be numbers or names."""
    for _, record in islice(_records(source), 1000):
        if record.get(column) is not None:
            return pa.int64() if isinstance(record[column], int) else pa.string()
    return pa.string()


def first_fault(source: Source, kind: Format, otherwise: str) -> InvalidInput:
    """The first line that does not hold what it should; `otherwise` is what the parser said."""
    try:
        for line, record in _records(source):
            for column, value in record.items():
                expected = _expected(column, kind, source.jsonl)
                if expected and not _fits(value, expected):
                    return _fault(source, line, column, value, expected)
    except InvalidInput as error:
        return error
    return InvalidInput(f"{source.name} cannot be read: {otherwise.splitlines()[0]}.")


def at_row(source: Source, row: int, column: str, expected: str, *, said: str = "") -> InvalidInput:
    """The error for a value in the given row of data (0 = first)."""
    line, record = next(islice(_records(source), row, None))
    if said:
        return InvalidInput(f"{source.name}, line {line}, column {column}: {said}", field=column)
    return _fault(source, line, column, record.get(column), expected)


def bad_stamp(source: Source, column: str) -> InvalidInput:
    """The error for the first time stamp that is none."""
    expected = "a time stamp such as 2023-11-16 18:15:46.6805900"
    for line, record in _records(source):
        try:
            pa.array([str(record.get(column)).strip()]).cast(pa.timestamp("ns"))
        except pa.ArrowInvalid:
            try:
                pa.array([str(record.get(column)).strip()]).cast(pa.timestamp("ns", "UTC"))
            except pa.ArrowInvalid:
                return _fault(source, line, column, record.get(column), expected)
    return InvalidInput(f"{source.name}, column {column}: some time stamps have a time zone and some have none.", field=column)


def _fault(source: Source, line: int, column: str, value: Any, expected: str) -> InvalidInput:
    given = "nothing" if value is None or value == "" else repr(value)[:SHOWN]
    return InvalidInput(f"{source.name}, line {line}, column {column}: {given}; expected {expected}.", field=column)


def _expected(column: str, kind: Format, jsonl: bool) -> str:
    if column == LIST and jsonl:
        return "a list of whole numbers, or of texts"
    if column in (kind.prompt, kind.output, BLOCK):
        return "a whole number"
    if column in ("priority", "ttft_slo_s") or (column == kind.time and not kind.stamps):
        return "a number"
    return ""


def _fits(value: Any, expected: str) -> bool:
    if expected.startswith("a list"):
        return isinstance(value, list) and (all(type(x) is int for x in value) or all(isinstance(x, str) for x in value))
    if value is None or value == "" or isinstance(value, bool | list | dict):
        return False
    try:
        number = float(value)
    except ValueError:
        return False
    return math.isfinite(number) and (expected == "a number" or number == int(number))


def _records(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (the first is 1) and columns of every row. Raises InvalidInput for a line that is none."""
    yield from _json_lines(source) if source.jsonl else _csv_rows(source)


def _csv_rows(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = _csv_lines(source)
    _, header = next(lines)
    for line, fields in lines:
        if len(fields) != len(header):
            raise InvalidInput(f"{source.name}, line {line}: {len(fields)} fields; expected {len(header)}, as in the header.")
        yield line, dict(zip(header, fields, strict=True))


def _csv_lines(source: Source) -> Iterator[tuple[int, list[str]]]:
    with io.TextIOWrapper(source.open(), encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{source.name}, line {reader.line_num + 1}: bytes that are no UTF-8; expected text.") from error
        except csv.Error as error:
            raise InvalidInput(f"{source.name}, line {reader.line_num + 1}: {error}.") from error


def _json_lines(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    with source.open() as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"{source.name}, line {number}: no JSON object; expected one a line.") from error
            if not isinstance(record, dict):
                raise InvalidInput(f"{source.name}, line {number}: {type(record).__name__}; expected a JSON object.")
            yield number, record
