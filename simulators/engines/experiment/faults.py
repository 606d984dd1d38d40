"""Finds the line of a CSV file at which it stops being what it should be.

The fast reader knows that something is wrong, at best in which block. Here the file is read record by record with the standard
library, which counts lines also through quoted line breaks. Only files that will be refused pay for it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TextIO

from simulators.errors import InvalidInput

TRUE_WORDS = ("True", "TRUE", "true", "1")
FALSE_WORDS = ("False", "FALSE", "false", "0")
MAX_RECORD_CHARS = 1_000_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def is_flag(value: str) -> bool:
    return value in TRUE_WORDS or value in FALSE_WORDS


def is_number(value: str) -> bool:
    """A finite decimal number with a point; no thousands marks, no words for infinity."""
    return _NUMBER.fullmatch(value) is not None and abs(float(value)) < float("inf")


def records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line on which the record starts, its fields), header first; blank lines left out.

    Raises InvalidInput for a record of more than MAX_RECORD_CHARS, before it is held in memory: an open quote swallows the whole file.
    """
    line, held = 1, 0

    def lines(handle: TextIO) -> Iterator[str]:
        nonlocal held
        while text := handle.readline(MAX_RECORD_CHARS):
            held += len(text)
            if held >= MAX_RECORD_CHARS:
                raise InvalidInput(f"Line {line}: a row of more than {MAX_RECORD_CHARS:,} characters begins here; is a quote left open?")
            yield text

    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle if _short_plain_lines(path) else lines(handle))
        for record in reader:
            if record:
                yield line, record
            line, held = reader.line_num + 1, 0


def _short_plain_lines(path: Path) -> bool:
    """No quotes, and a line break every now and then: then each line is a row, and needs no watching."""
    with path.open("rb") as handle:
        return all(b'"' not in chunk and b"\n" in chunk for chunk in iter(lambda: handle.read(MAX_RECORD_CHARS // 2), b""))


def first_fault(path: Path, expected: Mapping[str, str], sound_rows: int = 0) -> InvalidInput | None:
    """What is wrong first; `expected` says "number" or "flag" for the columns that matter. None where all is well.

    `sound_rows` rows below the header are known to be right and only counted.
    """
    try:
        return _first_fault(path, expected, sound_rows)
    except (UnicodeDecodeError, csv.Error) as error:
        return unreadable(path, path.name, error)


def first_repeat(path: Path, column: str, suspects: Callable[[str], bool]) -> InvalidInput | None:
    """The first value of `column` that was there before, among those that `suspects` lets through."""
    seen: dict[str, int] = {}
    rows = records(path)
    place = next(rows)[1].index(column)
    for line, record in rows:
        value = record[place]
        if not suspects(value):
            continue
        if value in seen:
            return InvalidInput(
                f"Line {line}, column {column}: unit {value!r} was on line {seen[value]} already; "
                "expected one row a unit, or a day column mapped.",
                field=column,
            )
        seen[value] = line
    return None


def unreadable(path: Path, name: str, error: UnicodeDecodeError | csv.Error) -> InvalidInput:
    if isinstance(error, csv.Error):
        return InvalidInput(f"{name} cannot be read as CSV: {error}.")
    with path.open("rb") as handle:
        for line, content in enumerate(handle, start=1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as bad:
                return InvalidInput(f"Line {line}: byte 0x{content[bad.start]:02x} is not UTF-8; save the file as UTF-8 text.")
    return InvalidInput(f"{name} is not UTF-8 text.")


def _first_fault(path: Path, expected: Mapping[str, str], sound_rows: int) -> InvalidInput | None:
    rows = records(path)
    _, header = next(rows)
    places = [(header.index(column), column, kind) for column, kind in expected.items()]
    for line, record in islice(rows, sound_rows, None):
        if len(record) != len(header):
            return InvalidInput(f"Line {line} has {len(record)} field{'s' * (len(record) != 1)}; the header has {len(header)}.")
        for place, column, kind in places:
            value = record[place].strip()
            if value and not (is_flag(value) if kind == "flag" else is_number(value)):
                words = "True or False" if kind == "flag" else "a number"
                return InvalidInput(f"Line {line}, column {column}: {record[place][:60]!r} is not {words}.", field=column)
    return None
