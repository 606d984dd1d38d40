"""A user's CSV or Parquet file, read in batches of bounded memory by pyarrow; nothing in it is executed or unpickled.

CSV is RFC 4180 in UTF-8, with or without a byte order mark; fields may hold quoted line breaks. An empty field is a missing value.
Where pyarrow stumbles, `faults` reads the file again, slowly, and names the line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from simulators.engines.experiment import faults
from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
MAX_ROWS, MAX_COLUMNS, MAX_BYTES = 5_000_000, 100, 200 * 2**20
_BLOCK_BYTES = 2 * 2**20  # of CSV text: 10 to 20 ms of parsing, so that a run can be stopped between two
_PARQUET_ROWS = 65_536
_SNIFFED_ROWS = 200


@dataclass(frozen=True)
class TableFile:
    """An opened file: its columns, and which of them are flags (True/False); `typical` is a usual value of each numeric column."""

    path: Path
    name: str
    format: Literal["csv", "parquet"]
    columns: tuple[str, ...]
    flags: frozenset[str]
    typical: dict[str, float]


@dataclass(frozen=True)
class Batch:
    """Some rows: `numbers` (n,) float64 with NaN where a value is missing, `texts` as pyarrow string arrays with nulls."""

    first_row: int  # 0 for the first row below the header
    rows: int
    numbers: dict[str, Floats]
    texts: dict[str, Any]


def open_table(path: Path, name: str) -> TableFile:
    """Raises InvalidInput for what is no CSV or Parquet, has no rows, too many columns or two of one name."""
    if path.stat().st_size == 0:
        raise InvalidInput(f"{name} is empty; expected a header line and rows below it.")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidInput(f"{name} has {path.stat().st_size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are read.")
    table = _open_parquet(path, name) if name.lower().endswith((".parquet", ".pq")) else _open_csv(path, name)
    if len(table.columns) > MAX_COLUMNS:
        raise InvalidInput(f"{name} has {len(table.columns)} columns; at most {MAX_COLUMNS} are read.")
    twice = sorted({column for column in table.columns if table.columns.count(column) > 1})
    if twice:
        raise InvalidInput(f"{name}: column name {twice[0]!r} appears more than once in the header; every column needs a name of its own.")
    return table


def read_batches(table: TableFile, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[Batch]:
    """The named columns, batch by batch. Raises InvalidInput that names line (CSV), column and value."""
    row = 0
    raw_batches = _parquet_batches(table, [*numbers, *texts]) if table.format == "parquet" else _csv_batches(table, numbers, texts)
    for raw in raw_batches:
        yield Batch(row, len(raw), {c: _floats(raw.column(c)) for c in numbers}, {c: _text(raw.column(c)) for c in texts})
        row += len(raw)
        if row > MAX_ROWS:
            raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows; take a sample of the units or send totals by arm and day.")


def place_of(table: TableFile, row: int) -> str:
    """Where data row `row` (0: the first) stands, in words; lines of a CSV also count quoted line breaks."""
    if table.format == "parquet":
        return f"Row {row + 1:,}"
    return f"Line {next(islice(faults.records(table.path), row + 1, None))[0]}"


def _parquet_batches(table: TableFile, columns: list[str]) -> Iterator[Any]:
    for batch in pq.ParquetFile(table.path).iter_batches(batch_size=_PARQUET_ROWS, columns=columns, use_threads=False):
        for name in columns:
            if pa.types.is_floating(batch.column(name).type) and pc.any(pc.is_inf(batch.column(name)), min_count=0).as_py():
                raise InvalidInput(f"{table.name}, column {name}: an infinite value; expected finite numbers.", field=name)
        yield batch


def _csv_batches(table: TableFile, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[Any]:
    """Record batches of pyarrow; what it stumbles over is looked up in the rows after those already read."""
    read = 0
    try:
        for batch in _csv_reader(table, numbers, texts):
            for name in numbers:
                if name not in table.flags and not pc.all(pc.is_finite(batch.column(name)), min_count=0).as_py():
                    raise _csv_fault(table, numbers, read, f"column {name} holds a value that is not finite")
            yield batch
            read += len(batch)
    except pa.ArrowInvalid as error:
        raise _csv_fault(table, numbers, read, str(error)) from error


def _csv_reader(table: TableFile, numbers: Sequence[str], texts: Sequence[str]) -> Any:
    types = {column: pa.bool_() if column in table.flags else pa.float64() for column in numbers} | {
        column: pa.string() for column in texts
    }
    return pa_csv.open_csv(
        table.path,
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types,
            include_columns=[*numbers, *texts],
            null_values=[""],
            true_values=list(faults.TRUE_WORDS),
            false_values=list(faults.FALSE_WORDS),
            strings_can_be_null=True,
        ),
    )


def _floats(column: Any) -> Floats:
    values: Floats = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _text(column: Any) -> Any:
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def _csv_fault(table: TableFile, numbers: Sequence[str], sound_rows: int, otherwise: str) -> InvalidInput:
    expected = {column: "flag" if column in table.flags else "number" for column in numbers}
    fault = faults.first_fault(table.path, expected, sound_rows)
    return fault or InvalidInput(f"{table.name} cannot be read as CSV: {otherwise.splitlines()[0]}.")


# --- opening ---------------------------------------------------------------------------------------------------------------


def _open_csv(path: Path, name: str) -> TableFile:
    records = _first_records(path, name)
    if not records:
        raise InvalidInput(f"{name} has no header; expected a line with the column names.")
    columns = tuple(records[0])
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        raise InvalidInput(f"{name}: the header is one column, {columns[0][:60]!r}; columns are separated by commas.")
    if len(records) == 1:
        raise InvalidInput(f"{name} has a header and no rows.")
    samples = {
        column: [record[i].strip() for record in records[1:] if i < len(record) and record[i].strip()] for i, column in enumerate(columns)
    }
    flags = frozenset(column for column, values in samples.items() if values and faults.is_flag(values[0]) and values[0] not in ("0", "1"))
    typical = {
        column: float(np.median(found))
        for column, values in samples.items()
        if (found := [float(v) for v in values if faults.is_number(v)])
    }
    return TableFile(path, name, "csv", columns, flags, typical)


def _first_records(path: Path, name: str) -> list[list[str]]:
    try:
        return [record for _, (_, record) in zip(range(_SNIFFED_ROWS + 1), faults.records(path), strict=False)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise faults.unreadable(path, name, error) from error


def _open_parquet(path: Path, name: str) -> TableFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{name} is not a Parquet file: {str(error).splitlines()[0]}.") from error
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if not 0 < rows <= MAX_ROWS:
        raise InvalidInput(f"{name} has {rows:,} rows; expected 1 to {MAX_ROWS:,}.")
    flags = frozenset(field.name for field in schema if pa.types.is_boolean(field.type))
    return TableFile(path, name, "parquet", tuple(schema.names), flags, _parquet_typical(file))


def _parquet_typical(file: Any) -> dict[str, float]:
    numeric = [field.name for field in file.schema_arrow if _is_numeric(field.type)]
    first = next(file.iter_batches(batch_size=_SNIFFED_ROWS, columns=numeric, use_threads=False))
    values = {column: pc.cast(first.column(column), pa.float64()).to_numpy(zero_copy_only=False) for column in numeric}
    return {column: float(np.median(v[np.isfinite(v)])) for column, v in values.items() if np.isfinite(v).any()}


def _is_numeric(type_: Any) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_) or pa.types.is_boolean(type_))


def require_numbers(table: TableFile, columns: Sequence[str]) -> None:
    """Raises InvalidInput for a Parquet column whose type is not a number or a flag; CSV values are looked at one by one."""
    if table.format == "csv":
        return
    schema = pq.ParquetFile(table.path).schema_arrow
    for column in columns:
        if not _is_numeric(schema.field(column).type):
            raise InvalidInput(
                f"{table.name}, column {column} has type {schema.field(column).type}; expected numbers or True/False.", field=column
            )
