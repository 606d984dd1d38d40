"""The user's own labels and feature rows in one file: reading, and the check before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from simulators.engines.experiment.tabular import Batch, TableFile, open_table, place_of, read_batches, require_numbers
from simulators.engines.features.times import NEVER, US_PER_S, microseconds
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataInfo, DataSlot, DataSpec, Progress, Working

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

KIND, ENTITY, EVENT, VALUE, CREATED = "row", "entity", "event_timestamp", "value", "created"
MAX_ROWS, MAX_BYTES = 2_000_000, 100 * 2**20
_MS = (10**11, 10**14)  # milliseconds since 1970 of the years 1973 to 5138; seconds and microseconds fall outside
_SLASHED = re.compile(r"\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2,4}\b.*")
_EXPECTED = "use ISO 8601 with an offset, as in 2026-03-04T05:06:07+00:00, or milliseconds since 1970."


@dataclass(frozen=True)
class OwnRows:
    """Every row (n,) of a file. `names` are the entities, `entity` their places; `created_us` None where there is no such column."""

    name: str
    names: Any
    label: Flags
    entity: Ints
    event_us: Ints
    value: Floats
    created_us: Ints | None
    local_times: bool  # Parquet times without a zone, taken as UTC

    def memory_bytes(self) -> int:
        return int(self.names.nbytes) + len(self.entity) * 33


# --- reading ------------------------------------------------------------------------------------------------------------------


def read_steps(file: DataFile) -> Working[OwnRows]:
    """The whole file. Raises InvalidInput with line or row and column."""
    table = open_table(file.path, file.name)
    columns = _columns(table)
    naive = frozenset(column for column in (EVENT, CREATED) if column in columns and _is_naive(table, column))
    parts, read = list[_Part](), 0
    for batch in read_batches(table, [VALUE], columns):
        parts.append(_part(table, batch, naive, CREATED in columns))
        read += batch.rows
        if read > MAX_ROWS:
            raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows; take a sample of the entities.")
        yield Progress(read, max(read, MAX_ROWS), "reading rows")
    coded = pa.chunked_array([part.entity for part in parts]).combine_chunks().dictionary_encode()
    return OwnRows(
        table.name,
        coded.dictionary,
        np.concatenate([part.label for part in parts]),
        coded.indices.to_numpy().astype(np.int64),
        np.concatenate([part.event_us for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.created_us for part in parts]) if CREATED in columns else None,
        bool(naive),
    )


class _Part(NamedTuple):
    label: Flags
    entity: Any
    event_us: Ints
    value: Floats
    created_us: Ints  # `NEVER` throughout where there is no such column


def _part(table: TableFile, batch: Batch, naive: frozenset[str], has_created: bool) -> _Part:
    event = _times(table, batch, EVENT, naive, required=True)
    created = _times(table, batch, CREATED, naive, required=False) if has_created else np.full(batch.rows, NEVER)
    return _Part(_labels(table, batch), _entities(table, batch), event, batch.numbers[VALUE], created)


def _columns(table: TableFile) -> list[str]:
    missing = [column for column in (KIND, ENTITY, EVENT, VALUE) if column not in table.columns]
    if missing:
        raise InvalidInput(
            f"{table.name} has no column {missing[0]!r}; expected {KIND}, {ENTITY}, {EVENT}, {VALUE} and, where it is known, {CREATED}. "
            f"It has {', '.join(table.columns)[:200]}."
        )
    require_numbers(table, [VALUE])
    return [column for column in (KIND, ENTITY, EVENT, CREATED) if column in table.columns]


def _is_naive(table: TableFile, column: str) -> bool:
    if table.format == "csv":
        return False
    kind = pq.ParquetFile(table.path).schema_arrow.field(column).type
    return bool(pa.types.is_timestamp(kind) and kind.tz is None)


def _labels(table: TableFile, batch: Batch) -> Flags:
    kind = pc.utf8_lower(pc.utf8_trim_whitespace(batch.texts[KIND]))
    label, feature = (pc.fill_null(pc.equal(kind, word), False).to_numpy(zero_copy_only=False) for word in ("label", "feature"))
    wrong = np.flatnonzero(~(label | feature))
    if len(wrong):
        given = batch.texts[KIND][int(wrong[0])].as_py()
        raise InvalidInput(
            f"{place_of(table, batch.first_row + int(wrong[0]))}: {KIND} {_shown(given)}; expected label or feature.", field=KIND
        )
    return np.asarray(label, dtype=bool)


def _entities(table: TableFile, batch: Batch) -> Any:
    entity = pc.utf8_trim_whitespace(batch.texts[ENTITY])
    empty = np.flatnonzero(pc.equal(pc.fill_null(entity, ""), "").to_numpy(zero_copy_only=False))
    if len(empty):
        raise InvalidInput(f"{place_of(table, batch.first_row + int(empty[0]))}: {ENTITY} is empty; expected a key.", field=ENTITY)
    return entity


def _shown(given: str | None) -> str:
    return "is empty" if not given or not given.strip() else f"'{given.strip()[:60]}' was given"


# --- times --------------------------------------------------------------------------------------------------------------------


def _times(table: TableFile, batch: Batch, column: str, naive: frozenset[str], *, required: bool) -> Ints:
    """Microseconds (n,), `NEVER` where empty; all at once where every field has the same form, else one by one."""
    text = pc.utf8_trim_whitespace(batch.texts[column])
    text = pc.if_else(pc.equal(text, ""), None, text)
    if required and text.null_count:
        row = batch.first_row + int(np.flatnonzero(text.is_null().to_numpy(zero_copy_only=False))[0])
        raise InvalidInput(f"{place_of(table, row)}: {column} is empty; {_EXPECTED}", field=column)
    found = _stamps(text, pa.timestamp("us", None if column in naive else "UTC"))
    found = _epochs(text) if found is None else found
    return _one_by_one(table, batch.first_row, column, text, column in naive) if found is None else found


def _stamps(text: Any, kind: Any) -> Ints | None:
    try:
        return np.asarray(pc.fill_null(pc.cast(pc.cast(text, kind), pa.int64()), NEVER).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return None


def _epochs(text: Any) -> Ints | None:
    try:
        ms = pc.cast(text, pa.int64())
    except pa.ArrowInvalid:
        return None
    usual = pc.all(pc.and_(pc.greater_equal(ms, _MS[0]), pc.less_equal(ms, _MS[1])), min_count=0).as_py()
    return np.asarray(pc.fill_null(pc.multiply(ms, 1000), NEVER).to_numpy(zero_copy_only=False)) if usual else None


def _one_by_one(table: TableFile, first_row: int, column: str, text: Any, naive: bool) -> Ints:
    out = np.full(len(text), NEVER, dtype=np.int64)
    for row, given in enumerate(text.to_pylist()):
        if given is None:
            continue
        moment = _moment(given, naive)
        if isinstance(moment, str):
            raise InvalidInput(f"{place_of(table, first_row + row)}: {column} '{given[:60]}' {moment}", field=column)
        out[row] = moment
    return out


def _moment(text: str, naive: bool) -> int | str:
    """Microseconds, or what is wrong."""
    if text.lstrip("+-").isdigit():
        ms = int(text)
        return ms * 1000 if _MS[0] <= ms <= _MS[1] else "is no time in milliseconds since 1970; expected 12 or 13 digits."
    if _SLASHED.fullmatch(text):
        return "is ambiguous; use ISO 8601."
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return f"is not a time; {_EXPECTED}"
    return microseconds(moment) if moment.tzinfo or naive else f"has no offset from UTC; {_EXPECTED}"


# --- the check, before anything is stored ---------------------------------------------------------------------------------------


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    file = files["rows"]
    own = finish(read_steps(file))
    labels = int(own.label.sum())
    if not labels:
        raise InvalidInput(f"No label rows. {own.name} has {len(own.label):,} rows and {KIND} is label on none.")
    if labels == len(own.label):
        raise InvalidInput(f"No feature rows. {own.name} has {labels:,} rows and {KIND} is feature on none.")
    return DataInfo(_facts(own), tuple(_warnings(own, lambda row: place_of(open_table(file.path, file.name), row))))


def _facts(own: OwnRows) -> tuple[tuple[str, str], ...]:
    label, first, last = own.label, int(own.event_us.min()), int(own.event_us.max())
    return (
        ("Label rows", f"{int(label.sum()):,}"),
        ("Feature rows", f"{int((~label).sum()):,}"),
        ("Entities", f"{len(own.names):,}"),
        ("Times", f"{iso(first)} to {iso(last)}"),
        ("Created times", "none" if own.created_us is None else f"on {int((own.created_us[~label] != NEVER).sum()):,} feature rows"),
    )


def _warnings(own: OwnRows, place: Callable[[int], str]) -> list[str]:
    found = []
    if own.local_times:
        found.append("Times without a zone were taken as UTC.")
    if own.created_us is None:
        found.append("There is no created column, so rows written after the request cannot be told apart, nor left out.")
    else:
        found += _created_warnings(own, own.created_us, place)
    alone = ~np.isin(own.entity[own.label], own.entity[~own.label])
    if alone.any():
        found.append(f"{int(alone.sum()):,} labels are of entities without any feature row.")
    return found


def _created_warnings(own: OwnRows, created: Ints, place: Callable[[int], str]) -> list[str]:
    found = []
    early = np.flatnonzero((created != NEVER) & (created < own.event_us))
    if len(early):
        share = 100 * len(early) / len(created)
        found.append(f"created precedes event_timestamp on {share:.2g} % of rows (first: {place(int(early[0])).lower()}).")
    unknown = int(((created == NEVER) & ~own.label).sum())
    if unknown:
        found.append(f"created is empty on {unknown:,} feature rows; the join as known at the request never sees them.")
    return found


def iso(time_us: int) -> str:
    """ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(time_us // US_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


SPEC = DataSpec(
    title="Your labels and feature rows",
    help=(
        "One file with both: a label row asks for a value at its event_timestamp, a feature row offers one from then on. Times are ISO "
        "8601 with an offset, or milliseconds since 1970. created says when a feature row was written, or when a label was final."
    ),
    slots=(
        DataSlot(
            "rows",
            "Rows",
            "CSV (UTF-8, commas) or Parquet, up to 2 million rows: row (label or feature), entity, event_timestamp, value, created",
            (".csv", ".parquet"),
            max_bytes=MAX_BYTES,
        ),
    ),
    check=check,
    example=(
        "row,entity,event_timestamp,value,created\n"
        "feature,u17,2026-03-01T09:00:00+00:00,2,2026-03-01T09:00:05+00:00\n"
        "label,u17,2026-03-02T10:00:00+00:00,1,2026-03-02T10:30:00+00:00\n"
        "feature,u17,2026-03-02T10:00:20+00:00,3,2026-03-02T10:00:25+00:00\n"
    ),
)
