"""The user's own events: entity, time and value, checked before anything is stored and sorted once a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulators.engines.experiment import faults
from simulators.engines.experiment.tabular import Batch, TableFile, open_table, read_batches
from simulators.engines.features.times import US_PER_S, microseconds
from simulators.errors import InvalidInput
from simulators.feature_store._windows_world import DAY_S, REQUESTS, Events
from simulators.lab import Context, DataFile, DataInfo, DataSlot, DataSpec, Progress, Working

MAX_BYTES = 100 * 2**20
COLUMNS = ("entity", "ts", "value")
MILLISECONDS = 10**11  # epoch numbers above are milliseconds: in seconds they would lie beyond the year 5000
AHEAD_US = DAY_S * US_PER_S
FEWEST = 100


@dataclass(frozen=True)
class Part:
    """Some rows of the file: entities (n,) as text, times (n,) in microseconds, values (n,) with NaN where there is none."""

    entity: pa.Array
    ts: NDArray[np.int64]
    value: NDArray[np.float64]


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    file = files["events"]
    if file.path.stat().st_size > MAX_BYTES:
        raise InvalidInput(f"{file.name} has {file.path.stat().st_size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are read.")
    table = _opened(file)
    parts = [_part(batch, table) for batch in read_batches(table, ["value"], ["entity", "ts"])]
    ts = np.concatenate([part.ts for part in parts])
    if len(ts) < FEWEST:
        raise InvalidInput(f"{file.name} has {len(ts)} rows; at least {FEWEST} are needed to compare windows.")
    _refuse_future(table, ts)
    entities = len(pc.unique(pa.chunked_array([part.entity for part in parts])))
    days = float(ts.max() - ts.min()) / US_PER_S / DAY_S
    missing = int(sum(np.isnan(part.value).sum() for part in parts))
    facts = (("Events", f"{len(ts):,}"), ("Entities", f"{entities:,}"), ("Days", f"{days:.1f}"), ("Without a value", f"{missing:,}"))
    return DataInfo(facts, (f"{missing:,} rows have no value and are left out.",) if missing else ())


def own_events(ctx: Context) -> Working[Events]:
    """The file as events, sorted; nothing is late or repeated, and the times of 50,000 events are the requests."""
    assert ctx.data is not None
    return (yield from ctx.asset_steps(f"windows/own/{ctx.data.digest}/{ctx.seed}", lambda: _read(ctx), disk=False))


def _read(ctx: Context) -> Working[Events]:
    assert ctx.data is not None
    table, parts = _opened(ctx.data.files["events"]), []
    for i, batch in enumerate(read_batches(table, ["value"], ["entity", "ts"])):
        parts.append(_part(batch, table))
        yield Progress(i, i + 1, "reading rows")
    key = pa.chunked_array([part.entity for part in parts]).dictionary_encode().combine_chunks()
    codes = np.asarray(key.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    ts, value = (np.concatenate([getattr(part, name) for part in parts]) for name in ("ts", "value"))
    kept = ~np.isnan(value)
    codes, ts, value = codes[kept], ts[kept], value[kept]
    yield Progress(1, 2, "sorting rows")
    order = np.lexsort((ts, codes))
    codes, ts, value = codes[order], ts[order], value[order]
    asked = np.sort(ctx.rng("windows/requests").choice(len(ts), min(REQUESTS, len(ts)), replace=False))
    never = np.ones(len(ts))
    return Events(codes, ts, value, value, never, np.zeros(len(ts)), never, asked)


def _opened(file: DataFile) -> TableFile:
    table = open_table(file.path, file.name)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise InvalidInput(f"{file.name} has no column {missing[0]}; expected the columns entity, ts and value.")
    return table


# --- times --------------------------------------------------------------------------------------------------------------------


def _part(batch: Batch, table: TableFile) -> Part:
    for column in ("entity", "ts"):
        empty = np.flatnonzero(pc.is_null(batch.texts[column]).to_numpy(zero_copy_only=False))
        if len(empty):
            raise _at(table, batch.first_row + int(empty[0]), f"{column} is empty; expected a value in every row", column)
    return Part(batch.texts["entity"], _times(batch, table), batch.numbers["value"])


def _times(batch: Batch, table: TableFile) -> NDArray[np.int64]:
    """Whole seconds or milliseconds since 1970, or ISO 8601: by numbers where all are, else one by one as Python reads them."""
    texts = batch.texts["ts"]
    if pc.all(pc.match_substring_regex(texts, r"^-?\d{1,15}(\.\d{1,6})?$")).as_py():
        numbers = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False)
        return np.asarray(np.round(np.where(np.abs(numbers) > MILLISECONDS, numbers / 1_000, numbers) * US_PER_S), dtype=np.int64)
    out = np.empty(len(texts), dtype=np.int64)
    for i, text in enumerate(texts.to_pylist()):
        try:
            out[i] = _moment(text.strip())
        except ValueError:
            expected = "expected ISO 8601 with an offset, as in 2026-03-04T05:06:07+00:00, or seconds or milliseconds since 1970"
            raise _at(table, batch.first_row + i, f"ts {text[:60]!r} is not a time; {expected}", "ts") from None
    return out


def _moment(text: str) -> int:
    if faults.is_number(text):
        number = float(text)
        return round((number / 1_000 if abs(number) > MILLISECONDS else number) * US_PER_S)
    return microseconds(datetime.fromisoformat(text))


def _refuse_future(table: TableFile, ts: NDArray[np.int64]) -> None:
    """The file's clock is the time by which 99.9 % of its events have happened; a day later than that is a broken clock."""
    clock = np.quantile(ts, 0.999, method="lower")
    wrong = np.flatnonzero(ts > clock + AHEAD_US)
    if len(wrong):
        raise _at(table, int(wrong[0]), "ts is later than the file's clock + 1 day", "ts")


def _at(table: TableFile, row: int, what: str, column: str) -> InvalidInput:
    if table.format == "parquet":
        return InvalidInput(f"Row {row + 1}: {what}.", field=column)
    line = next(line for line, _ in islice(faults.records(table.path), row + 1, None))
    return InvalidInput(f"Line {line}: {what}.", field=column)


SPEC = DataSpec(
    title="Your events",
    help="One row an event with its entity, time and value. Late and repeated events, the attack and the busiest key are the world's own.",
    slots=(
        DataSlot(
            "events",
            "Events",
            "CSV or Parquet with the columns entity, ts, value; up to 5 million rows",
            (".csv", ".parquet"),
            True,
            MAX_BYTES,
        ),
    ),
    check=check,
    example="entity,ts,value\ncard_17,2026-01-05T09:30:00+00:00,12.50\ncard_17,2026-01-05T09:30:41+00:00,3.99\ncard_4,2026-01-05T09:31:02+00:00,75\n",
)
