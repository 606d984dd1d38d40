"""The user's own predictions and clicks: reading, and the check before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulators.engines.experiment.tabular import Batch, TableFile, open_table, place_of, read_batches, require_numbers
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataInfo, DataSlot, DataSpec, Progress, Working

P, Y, SEGMENT, VALUE = "p", "y", "segment", "value"
MAX_ROWS, MAX_BYTES, MAX_SEGMENTS, LEAST_CLICKS = 2_000_000, 100 * 2**20, 1_000, 20
NO_SEGMENT = "(none)"


@dataclass(frozen=True)
class OwnPredictions:
    """Rows in the order of the file, each array (n,): the first half is what calibrators learn from. `names` of the segments' codes."""

    name: str
    p: Floats
    y: Floats
    segment: Ints | None
    names: tuple[str, ...]
    value: Floats | None

    @property
    def half(self) -> int:
        return len(self.y) // 2

    def one_class(self) -> list[tuple[str, int, int]]:
        """(segment, clicks, rows) of the first half for the segments that cannot have a map of their own."""
        if self.segment is None:
            return []
        codes, y = self.segment[: self.half], self.y[: self.half]
        rows = np.bincount(codes, minlength=len(self.names))
        clicks = np.bincount(codes, y, len(self.names)).astype(np.int64)
        return [(self.names[i], int(clicks[i]), int(rows[i])) for i in np.flatnonzero((clicks == 0) | (clicks == rows))]


def read_steps(file: DataFile) -> Working[OwnPredictions]:
    """The whole file. Raises InvalidInput with line or row and column."""
    table = open_table(file.path, file.name)
    numbers, texts = _columns(table)
    parts, read = list[Batch](), 0
    for batch in read_batches(table, numbers, texts):
        _checked(table, batch)
        parts.append(batch)
        read += batch.rows
        if read > MAX_ROWS:
            raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows; take a sample, or the latest ones.")
        yield Progress(read, max(read, MAX_ROWS), "reading rows")
    codes, names = _segments(parts) if texts else (None, ())
    yield Progress(1, 1, "reading rows")
    columns = {name: np.concatenate([part.numbers[name] for part in parts]) for name in numbers}
    return OwnPredictions(table.name, columns[P], columns[Y], codes, names, columns.get(VALUE))


def _columns(table: TableFile) -> tuple[list[str], list[str]]:
    missing = [column for column in (P, Y) if column not in table.columns]
    if missing:
        raise InvalidInput(
            f"{table.name} has no column {missing[0]!r}; expected {P} (predicted probability), {Y} (0 or 1) and, if known, {SEGMENT} "
            f"and {VALUE}. It has {', '.join(table.columns)[:200]}."
        )
    numbers = [column for column in (P, Y, VALUE) if column in table.columns]
    require_numbers(table, numbers)
    return numbers, [SEGMENT] if SEGMENT in table.columns else []


def _checked(table: TableFile, batch: Batch) -> None:
    p, y = batch.numbers[P], batch.numbers[Y]
    wrong = {
        P: (~((p >= 0) & (p <= 1)), "a probability from 0 to 1"),
        Y: (~((y == 0) | (y == 1)), "0 or 1"),
        VALUE: (~(batch.numbers.get(VALUE, y) >= 0), "a value of 0 or more"),
    }
    for column, (rows, expected) in wrong.items():
        if rows.any():
            at = int(rows.argmax())
            given = batch.numbers[column][at]
            shown = f"{column} is empty" if np.isnan(given) else f"{column} = {given:g}"
            raise InvalidInput(f"{place_of(table, batch.first_row + at)}: {shown}; expected {expected}.", field=column)


def _segments(parts: list[Batch]) -> tuple[Ints, tuple[str, ...]]:
    texts = pa.chunked_array([pc.fill_null(part.texts[SEGMENT], NO_SEGMENT) for part in parts])
    coded = texts.combine_chunks().dictionary_encode()
    names = tuple(coded.dictionary.to_pylist())
    if len(names) > MAX_SEGMENTS:
        raise InvalidInput(f"Column {SEGMENT} has {len(names):,} values; at most {MAX_SEGMENTS:,} are read.", field=SEGMENT)
    return coded.indices.to_numpy().astype(np.int64), names


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    own = finish(read_steps(files["rows"]))
    for half, y in (("first", own.y[: own.half]), ("second", own.y[own.half :])):
        least = int(min(y.sum(), len(y) - y.sum()))
        if least < LEAST_CLICKS:
            raise InvalidInput(
                f"{own.name}: the {half} half of the rows holds {int(y.sum()):,} clicks in {len(y):,} rows; at least {LEAST_CLICKS} rows "
                "with a click and without are needed in each half, to learn from and to judge."
            )
    return DataInfo(_facts(own), tuple(_warnings(own)))


def _facts(own: OwnPredictions) -> tuple[tuple[str, str], ...]:
    facts = [
        ("Rows", f"{len(own.y):,}"),
        ("Clicks", f"{int(own.y.sum()):,} ({own.y.mean():.2%})"),
        ("Predicted, mean", f"{own.p.mean():.2%}"),
        ("Segments", f"{len(own.names):,}" if own.segment is not None else "none"),
        ("Values", "given" if own.value is not None else "none"),
    ]
    return tuple(facts)


def _warnings(own: OwnPredictions) -> list[str]:
    alone = own.one_class()
    found = [f"segment {name}: {clicks:,} clicks in {rows:,} rows, pooled" for name, clicks, rows in alone[:5]]
    if len(alone) > len(found):
        found.append(f"{len(alone) - len(found)} more segments hold only one class in the first half and are pooled")
    return [f"{text}." for text in found]


SPEC = DataSpec(
    title="Your predictions and clicks",
    help=(
        "One row an impression, in order of time: calibrators learn from the first half and are judged on the second. segment may hold any "
        "labels; value weighs the money in a row."
    ),
    slots=(
        DataSlot(
            "rows",
            "Rows",
            "CSV (UTF-8, commas) or Parquet, up to 2 million rows: p (0 to 1), y (0 or 1), and if you have them segment and value",
            (".csv", ".parquet"),
            max_bytes=MAX_BYTES,
        ),
    ),
    check=check,
    example="p,y,segment,value\n0.031,0,phone,1.2\n0.120,1,desktop,0.8\n0.007,0,phone,2.5\n",
)
