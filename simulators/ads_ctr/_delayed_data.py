"""The user's own clicks and conversions: reading, and the check before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulators.engines.experiment.tabular import Batch, TableFile, open_table, place_of, read_batches, require_numbers
from simulators.engines.features.times import US_PER_S, microseconds
from simulators.engines.ranking.arguments import Floats
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataInfo, DataSlot, DataSpec, Progress, Working

CLICK, CONVERSION = "click_time", "conversion_time"
MAX_ROWS, MAX_BYTES, MAX_FEATURES, LEAST_CONVERSIONS = 500_000, 100 * 2**20, 20, 50
DAY_US = 86_400 * US_PER_S
WINDOW_DAYS = 30.0  # the lab's default attribution window
MILLISECONDS = 10**11  # numbers above are milliseconds: as seconds they would lie beyond the year 5000
NUMBER = r"^-?\d{1,15}(\.\d{1,6})?$"
EXPECTED = "ISO 8601, as in 2026-03-04T05:06:07+00:00, or seconds or milliseconds since 1970"


@dataclass(frozen=True)
class OwnClicks:
    """Clicks in order of time: `click_day` (n,) days since the first one, `delay` (n,) days to the conversion, infinite where none came."""

    name: str
    features: tuple[str, ...]
    X: Floats  # (n, features)
    click_day: Floats
    delay: Floats

    @property
    def days(self) -> float:
        """Of the file, conversions included."""
        ends = self.click_day + np.where(np.isfinite(self.delay), self.delay, 0)
        return float(ends.max())


def read_steps(file: DataFile) -> Working[OwnClicks]:
    """The whole file. Raises InvalidInput with line or row and column."""
    table = open_table(file.path, file.name)
    features = _features(table)
    clicks, conversions, rows, read = list[Floats](), list[Floats](), list[Floats](), 0
    for batch in read_batches(table, features, [CLICK, CONVERSION]):
        click, conversion = _times(table, batch, CLICK), _times(table, batch, CONVERSION)
        _in_order(table, batch, click, conversion)
        clicks.append(click)
        conversions.append(conversion)
        rows.append(_numbers(table, batch, features))
        read += batch.rows
        if read > MAX_ROWS:
            raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows; take a sample of the users, with all of their clicks.")
        yield Progress(read, max(read, MAX_ROWS), "reading rows")
    click, conversion = np.concatenate(clicks), np.concatenate(conversions)
    order = np.argsort(click, kind="stable")
    delay = np.where(np.isnan(conversion), np.inf, conversion - click)
    return OwnClicks(table.name, tuple(features), np.concatenate(rows)[order], (click - click.min())[order], delay[order])


def _features(table: TableFile) -> list[str]:
    missing = [column for column in (CLICK, CONVERSION) if column not in table.columns]
    if missing:
        raise InvalidInput(
            f"{table.name} has no column {missing[0]!r}; expected {CLICK}, {CONVERSION} (empty where none) and columns of features. "
            f"It has {', '.join(table.columns)[:200]}."
        )
    features = [column for column in table.columns if column not in (CLICK, CONVERSION)]
    if not 1 <= len(features) <= MAX_FEATURES:
        raise InvalidInput(f"{table.name} has {len(features)} columns of features beside the two times; expected 1 to {MAX_FEATURES}.")
    require_numbers(table, features)
    return features


def _numbers(table: TableFile, batch: Batch, features: list[str]) -> Floats:
    for column in features:
        empty = np.flatnonzero(np.isnan(batch.numbers[column]))
        if len(empty):
            raise InvalidInput(f"{place_of(table, batch.first_row + int(empty[0]))}: {column} is empty; expected a number.", field=column)
    return np.column_stack([batch.numbers[column] for column in features])


def _in_order(table: TableFile, batch: Batch, click: Floats, conversion: Floats) -> None:
    early = np.flatnonzero(conversion < click)
    if len(early):
        row = int(early[0])
        given = [batch.texts[column][row].as_py() for column in (CONVERSION, CLICK)]
        raise InvalidInput(
            f"{place_of(table, batch.first_row + row)}: conversion at {given[0]} before the click at {given[1]}; expected it after.",
            field=CONVERSION,
        )


def _times(table: TableFile, batch: Batch, column: str) -> Floats:
    """Days since 1970, NaN where empty; all at once where every field has the same form, else one by one."""
    text = pc.utf8_trim_whitespace(batch.texts[column])
    text = pc.if_else(pc.equal(text, ""), None, text)
    if column == CLICK and text.null_count:
        row = batch.first_row + int(np.flatnonzero(text.is_null().to_numpy(zero_copy_only=False))[0])
        raise InvalidInput(f"{place_of(table, row)}: {column} is empty; expected {EXPECTED}.", field=column)
    if pc.all(pc.match_substring_regex(text, NUMBER), min_count=0).as_py():
        seconds = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
        return np.asarray(np.where(np.abs(seconds) > MILLISECONDS, seconds / 1000, seconds) / 86_400)
    try:
        stamps = pc.cast(pc.cast(text, pa.timestamp("us", "UTC")), pa.int64())
        return np.asarray(pc.cast(stamps, pa.float64()).to_numpy(zero_copy_only=False) / DAY_US)
    except pa.ArrowInvalid:
        return np.array([_day(table, batch.first_row + row, column, given) for row, given in enumerate(text.to_pylist())])


def _day(table: TableFile, row: int, column: str, given: str | None) -> float:
    if given is None:
        return float("nan")
    try:
        return microseconds(given) / DAY_US
    except InvalidInput:
        raise InvalidInput(f"{place_of(table, row)}: {column} {given[:60]!r} is not a time; expected {EXPECTED}.", field=column) from None


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    own = finish(read_steps(files["clicks"]))
    converted = np.isfinite(own.delay)
    if converted.sum() < LEAST_CONVERSIONS:
        raise InvalidInput(
            f"{own.name}: {int(converted.sum())} of {len(converted):,} rows have a {CONVERSION}; at least {LEAST_CONVERSIONS} are needed."
        )
    facts = (
        ("Clicks", f"{len(converted):,}"),
        ("Conversions", f"{int(converted.sum()):,} ({converted.mean():.2%})"),
        ("Days", f"{own.days:.1f}"),
        ("Median delay", f"{np.median(own.delay[converted]):.2f} d"),
        ("Features", ", ".join(own.features)[:200]),
    )
    short = own.days <= WINDOW_DAYS
    warning = (
        f"All clicks are younger than {WINDOW_DAYS:g} days at the end of the file; choose an attribution window well below "
        f"{own.days:.1f} d."
    )
    return DataInfo(facts, (warning,) if short else ())


SPEC = DataSpec(
    title="Your clicks and conversions",
    help=(
        f"One row a click: {CLICK}, {CONVERSION} (empty where none came) and numeric features. The log is cut at dates before its end, and "
        "the conversions within the attribution window after each click are the truth."
    ),
    slots=(
        DataSlot(
            "clicks",
            "Clicks",
            f"CSV (UTF-8, commas) or Parquet, up to {MAX_ROWS:,} rows and {MAX_FEATURES} features; times as {EXPECTED}",
            (".csv", ".parquet"),
            max_bytes=MAX_BYTES,
        ),
    ),
    check=check,
    example=(
        f"{CLICK},{CONVERSION},new_campaign,price\n2026-03-01T08:00:00Z,2026-03-04T10:30:00Z,0,1.5\n2026-03-01T08:00:09Z,,0,0.7\n"
        "2026-03-30T21:15:00Z,,1,2.2\n"
    ),
)
