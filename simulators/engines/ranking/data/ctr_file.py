"""A click log in a text file: what its columns are, and the file as arrays.

Known by sight: Criteo with a header (label, I1..I13, C1..C26) or without, MovieLens (user, item, rating, timestamp; tab, `::` or comma),
RecBole's `name:type` headers. Anything else is a table with a header and one 0/1 label. gzip is undone.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.data.columns import encode, log_scaled
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.step import Step
from simulators.engines.steps import finish
from simulators.errors import InvalidInput

MAX_ROWS, MAX_COLUMNS, MAX_BYTES, MAX_TEXT_BYTES = 2_000_000, 60, 200 * 2**20, 2 * 2**30
CRITEO = ("label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27)))
RATINGS = ("user_id", "item_id", "rating", "timestamp")
POSITIVE_RATING = 4.0
NULLS = ("", "NA", "NaN", "nan", "null", "NULL", "\\N")
_BLOCK_BYTES = 2**20  # 5 to 10 ms of parsing
_SNIFFED = 200
_ID_NAME = re.compile(r"(^|[_\W\d])id$|[a-z]Id$|ID$")


class CtrRead(NamedTuple):
    """The log, and what its reader should be told."""

    data: CtrData
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CtrFile:
    """A file that was looked at: how its columns are called and parted."""

    path: Path
    name: str
    columns: tuple[str, ...]
    delimiter: str
    header: bool
    zipped: bool
    sample: tuple[tuple[str, ...], ...]  # the first rows

    def stream(self) -> Any:
        return pa.input_stream(str(self.path), compression="gzip" if self.zipped else None)

    def text(self) -> io.TextIOBase:
        return gzip.open(self.path, "rt", encoding="utf-8", newline="") if self.zipped else self.path.open(encoding="utf-8", newline="")

    def line(self, record: int) -> int:
        """Where in the file the record below the header stands; empty lines and quoted line breaks count as lines."""
        with self.text() as lines:
            reader = csv.reader(lines)
            seen = (reader.line_num for row in reader if row)
            return next(islice(seen, record + self.header, None))

    def of(self, name: str) -> list[str]:
        place = self.columns.index(name)
        return [row[place] for row in self.sample if len(row) == len(self.columns) and row[place] not in NULLS]


def ctr_columns(path: Path | str, name: str | None = None) -> CtrFile:
    """Looks at the head of a file. Raises InvalidInput for what is empty, too large, no text, or without a header where one is needed."""
    path = Path(path)
    name = name or path.name
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise InvalidInput(f"{name} has {size / 2**20:.0f} MB; expected a file with rows and at most {MAX_BYTES // 2**20} MB.")
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    head = _head(CtrFile(path, name, (), ",", False, zipped, ()))
    mark = next((mark for mark in ("\t", "::", ",", ";", "|") if mark in head[0]), ",")
    rows = [tuple(row[:: len(mark)]) for row in csv.reader(head, delimiter=mark[0]) if row]
    names = _headerless(rows[0], name)
    found = CtrFile(path, name, names or _named(rows[0], name), mark[0], names is None, zipped, tuple(rows[names is None :]))
    if not found.sample:
        raise InvalidInput(f"{name} has a header and no rows.")
    return found


def _head(file: CtrFile) -> list[str]:
    try:
        with file.text() as lines:
            head = [line.lstrip("\ufeff") for line in islice(lines, _SNIFFED) if line.strip()]
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise InvalidInput(f"{file.name} is not text in UTF-8 (or gzip of it): {error}.") from error
    if not head or "\0" in head[0]:
        raise InvalidInput(f"{file.name} is empty or not text; expected a table with a header.")
    return head


def _headerless(row: tuple[str, ...], name: str) -> tuple[str, ...] | None:
    """The names of a layout known without a header; None where the first line is a header."""
    numeric = [_number(cell) is not None for cell in row]
    if row[0] in ("0", "1") and len(row) == len(CRITEO) and all(n or not cell for n, cell in zip(numeric[:14], row, strict=False)):
        return CRITEO
    if all(numeric) and len(row) == len(RATINGS):
        return RATINGS
    if row[0] in ("0", "1") and len(row) > 14 and any(numeric[1:]):
        raise InvalidInput(f"{name} starts without a header and has {len(row)} columns; Criteo's layout has {len(CRITEO)}.")
    if all(numeric):
        raise InvalidInput(f"{name}: the first line holds only numbers; expected a header with the names of the columns.")
    return None


def _named(row: tuple[str, ...], name: str) -> tuple[str, ...]:
    columns = tuple(re.sub(r":(token|float|token_seq|float_seq)$", "", cell.strip()) for cell in row)
    if len(columns) > MAX_COLUMNS:
        raise InvalidInput(f"{name} has {len(columns)} columns; at most {MAX_COLUMNS} are read.")
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{name}: column name {twice!r} stands twice in the header; every column needs a name of its own.")
    return columns


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


# --- roles of the columns --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Roles:
    label: str
    sparse: tuple[str, ...]
    dense: tuple[str, ...]
    time: str | None

    @property
    def all(self) -> tuple[str, ...]:
        return (self.label, *self.sparse, *self.dense, *([self.time] if self.time else []))


def roles(file: CtrFile, label: str, sparse: Sequence[str] | None, dense: Sequence[str] | None, time: str | None) -> Roles:
    """Columns not named are told by sight: text and names that end in "id" are ids, other numbers are numbers."""
    for column in (label, *(sparse or ()), *(dense or ()), *([time] if time else [])):
        if column not in file.columns:
            raise InvalidInput(f"{file.name} has no column {column!r}; its columns are {', '.join(file.columns[:20])}.", field=column)
    if time is None and label == "rating" and "timestamp" in file.columns:
        time = "timestamp"
    free = [column for column in file.columns if column not in (label, time, *(sparse or ()), *(dense or ()))]
    texts = {column for column in free if _is_id(file, column)}
    found = Roles(
        label,
        tuple(sparse) if sparse is not None else tuple(column for column in free if column in texts),
        tuple(dense) if dense is not None else tuple(column for column in free if column not in texts),
        time,
    )
    if not found.sparse and not found.dense:
        raise InvalidInput(f"{file.name} has no column beside the label and the time; expected at least one feature.")
    return found


def _is_id(file: CtrFile, column: str) -> bool:
    if file.columns == CRITEO:
        return column.startswith("C")
    return bool(_ID_NAME.search(column)) or any(_number(cell) is None for cell in file.of(column))


# --- the file as arrays ----------------------------------------------------------------------------------------------


def read_ctr(
    path: Path | str,
    label: str,
    sparse: Sequence[str] | None = None,
    dense: Sequence[str] | None = None,
    buckets: int = 100_000,
    min_count: int = 2,
    *,
    time: str | None = None,
    positive_at: float | None = None,
) -> CtrData:
    """The log in a file; warns (UserWarning) of what looks like a mistake.

    label        column of 0 and 1 (empty = unlabelled), or a number that is positive from `positive_at` on (4 for a column "rating")
    sparse       columns of ids; dense: of numbers, which become log1p (signed), -1 where missing; None: told by sight
    buckets      a field with more values is hashed into so many; 0: never. Id 0 is "missing", 1 "rarer than min_count"
    time         column that orders the rows; the file's order when None (a ratings file's timestamp is taken)
    Raises InvalidInput naming line and column.
    """
    read = finish(iter_read_ctr(path, label, sparse, dense, buckets, min_count, time=time, positive_at=positive_at))
    for note in read.notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    return read.data


def iter_read_ctr(
    path: Path | str | CtrFile,
    label: str,
    sparse: Sequence[str] | None = None,
    dense: Sequence[str] | None = None,
    buckets: int = 100_000,
    min_count: int = 2,
    *,
    time: str | None = None,
    positive_at: float | None = None,
) -> Generator[Step, None, CtrRead]:
    """`read_ctr` in short steps; the warnings come as notes."""
    file = path if isinstance(path, CtrFile) else ctr_columns(path)
    found = roles(file, label, sparse, dense, time)
    if buckets < 0 or min_count < 1:
        raise ValueError(f"buckets is {buckets} and min_count {min_count}; expected 0 or more, and 1 or more.")
    positive_at = POSITIVE_RATING if positive_at is None and label == "rating" else positive_at
    numbers, texts = yield from _collected(file, found)
    y = _labels(file, label, np.concatenate(numbers[label]), positive_at)
    fields, counts = np.empty((len(y), len(found.sparse)), np.int64), np.empty((len(y), len(found.dense)), np.float32)
    total, cards, notes = fields.shape[1] + counts.shape[1], [], []
    for at, name in enumerate(found.sparse):
        yield Step(at, total, f"ids of {name}")
        fields[:, at], card, note = encode(name, pa.chunked_array(texts.pop(name)), buckets, min_count)
        cards.append(card)
        notes += note
    for at, name in enumerate(found.dense):
        yield Step(fields.shape[1] + at, total, f"numbers of {name}")
        counts[:, at] = log_scaled(np.concatenate(numbers[name]))
    times = np.concatenate(numbers[found.time]) if found.time else None
    return CtrRead(CtrData(fields, tuple(cards), counts, None, y, time=times, names=(*found.sparse, *found.dense)), tuple(notes))


def _collected(file: CtrFile, found: Roles) -> Generator[Step, None, tuple[dict[str, list[Floats]], dict[str, list[Any]]]]:
    numbers: dict[str, list[Floats]] = {name: [] for name in found.all if name not in found.sparse}
    texts: dict[str, list[Any]] = {name: [] for name in found.sparse}
    rows = held = 0
    for batch in _batches(file, found):
        for name, parts in numbers.items():
            parts.append(_floats(file, name, batch.column(name), rows))
        for name, chunks in texts.items():
            chunks.append(batch.column(name))
        rows, held = rows + len(batch), held + batch.nbytes
        if rows > MAX_ROWS or held > MAX_TEXT_BYTES:
            raise InvalidInput(f"{file.name} has more than {min(rows, MAX_ROWS):,} rows; at most {MAX_ROWS:,} are read, take a sample.")
        yield Step(rows, max(rows, MAX_ROWS), f"{rows:,} rows read")
    if found.time and any(np.isnan(part).any() for part in numbers[found.time]):
        missing = int(np.argmax(np.isnan(np.concatenate(numbers[found.time]))))
        raise InvalidInput(f"{file.name}, line {file.line(missing)}: {found.time} is empty; expected a number.", field=found.time)
    return numbers, texts


def _batches(file: CtrFile, found: Roles) -> Iterator[Any]:
    """Record batches: ids as dictionaries, the rest as text, so that we may say which cell is no number."""
    texts = dict.fromkeys(found.all, pa.string()) | dict.fromkeys(found.sparse, pa.dictionary(pa.int32(), pa.string()))
    names = list(file.columns) if file.delimiter != ":" else [name for column in file.columns for name in (column, f"{column}::")][:-1]
    faults: list[InvalidInput] = []

    def wrong_width(row: Any) -> str:
        faults.append(_wrong_width(file, row))  # pyarrow swallows what a handler raises
        return "error"

    try:
        yield from pa_csv.open_csv(
            file.stream(),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=file.line(-1) if file.header else 0
            ),
            parse_options=pa_csv.ParseOptions(delimiter=file.delimiter, invalid_row_handler=wrong_width),
            convert_options=pa_csv.ConvertOptions(
                column_types=texts, include_columns=list(found.all), null_values=list(NULLS), strings_can_be_null=True
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        unreadable = InvalidInput(f"{file.name} cannot be read as a table: {str(error).splitlines()[0]}.")
        raise (faults or [unreadable])[0] from error


def _wrong_width(file: CtrFile, row: Any) -> InvalidInput:
    names = "the header names" if file.header else "the layout has"
    line = file.line(row.number - 1 - file.header)
    return InvalidInput(f"{file.name}, line {line}: {row.actual_columns} columns found where {names} {row.expected_columns}.")


def _floats(file: CtrFile, name: str, column: Any, row: int) -> Floats:
    """Numbers with NaN where empty."""
    try:
        values: Floats = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(np.isinf(values))
    except pa.ArrowInvalid:
        wrong = np.array([i for i, cell in enumerate(column.to_pylist()) if cell is not None and _number(cell) is None])
    if len(wrong):
        at = int(wrong[0])
        raise InvalidInput(f"{file.name}, line {file.line(row + at)}: {name} is {column[at].as_py()!r}; a number expected.", field=name)
    return values


def _labels(file: CtrFile, label: str, values: Floats, positive_at: float | None) -> Floats:
    if positive_at is not None:
        return np.where(np.isnan(values), np.nan, (values >= positive_at).astype(np.float64))
    wrong = np.flatnonzero(~((values == 0) | (values == 1) | np.isnan(values)))
    if len(wrong):
        at = int(wrong[0])
        raise InvalidInput(f"{file.name}, line {file.line(at)}: {label} is '{values[at]:g}'; 0 or 1 expected.", field=label)
    return values
