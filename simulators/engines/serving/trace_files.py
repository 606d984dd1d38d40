"""Traces from files: the public Azure, Mooncake and Vidur formats and a plain one; every refusal names file, line, column.

Columns are read by pyarrow, in blocks; only where that stumbles is the file read again, line by line, to say where and what.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from simulators.engines.serving import trace_faults
from simulators.engines.serving.trace import BLOCK_TOKENS, Floats, Ints, Trace, coarse_grid_note, short_of_hashes
from simulators.errors import InvalidInput

MAX_ROWS = 1_000_000
_BLOCK_BYTES = 4 * 2**20
MS = 1e-3


@dataclass(frozen=True)
class Format:
    """What the columns of a file are called; `seconds` turns its times into seconds (a text column: time stamps)."""

    name: str
    time: str
    prompt: str
    output: str
    seconds: float = 1.0
    stamps: bool = False
    block_tokens: int = BLOCK_TOKENS

    @property
    def required(self) -> tuple[str, ...]:
        return (self.time, self.prompt, self.output)


AZURE = Format("azure", "TIMESTAMP", "ContextTokens", "GeneratedTokens", stamps=True)
MOONCAKE = Format("mooncake", "timestamp", "input_length", "output_length", seconds=MS)
VIDUR = Format("vidur", "arrived_at", "num_prefill_tokens", "num_decode_tokens")
PLAIN = Format("csv", "arrival_s", "prompt_tokens", "output_tokens")
FORMATS = {made.name: made for made in (AZURE, MOONCAKE, VIDUR, PLAIN)}
NUMBERS = ("priority", "ttft_slo_s")  # optional columns of any format
TEXTS = ("tenant", "session")
HASHES = "hash_ids"
BLOCK = "block_tokens"


@dataclass
class Source:
    """A file, opened anew as often as it has to be read."""

    name: str
    open: Callable[[], BinaryIO]
    jsonl: bool = False


def load_trace(
    source: str | Path | bytes | BinaryIO,
    fmt: str = "auto",
    *,
    limit: int | None = None,
    time_scale: float = 1.0,
    max_total_tokens: int | None = None,
) -> Trace:
    """A trace from a path, bytes or an open binary file.

    fmt: `azure` (CSV TIMESTAMP, ContextTokens, GeneratedTokens; the clock starts at the first request), `mooncake` (JSON lines timestamp
    [ms], input_length, output_length, hash_ids of 512-token blocks), `vidur` (CSV arrived_at [s], num_prefill_tokens,
    num_decode_tokens), `csv` (CSV or JSON lines arrival_s, prompt_tokens, output_tokens); `auto` goes by the columns. All may have
    tenant, priority, ttft_slo_s, session, hash_ids (JSON list, or numbers separated by blanks in CSV) and block_tokens.

    limit: the first rows of the file. time_scale: arrivals times this. max_total_tokens: what prompt and output exceed it by is cut from
    the prompt. Raises InvalidInput for what cannot be used; `Trace.notes` says what was mended.
    """
    _check_options(fmt, limit, time_scale, max_total_tokens)
    opened = _source(source)
    kind, present = _format(opened, fmt)
    table = _read(opened, kind, present, limit)
    trace = _trace(opened, kind, table)
    trace = trace if time_scale == 1.0 else trace.stretched(time_scale)
    trace = trace if max_total_tokens is None else _cut(trace, max_total_tokens)
    coarse = coarse_grid_note(trace.arrival_s)
    return trace if coarse is None else replace(trace, notes=(*trace.notes, coarse))


def _check_options(fmt: str, limit: int | None, time_scale: float, max_total_tokens: int | None) -> None:
    if fmt not in ("auto", *FORMATS):
        raise InvalidInput(f"fmt is {fmt!r}; expected one of auto, {', '.join(FORMATS)}.", field="fmt")
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit is {limit}; expected at least 1 row.", field="limit")
    if not (np.isfinite(time_scale) and time_scale > 0):
        raise InvalidInput(f"time_scale is {time_scale:g}; expected a number above 0.", field="time_scale")
    if max_total_tokens is not None and max_total_tokens < 2:
        raise InvalidInput(f"max_total_tokens is {max_total_tokens}; expected at least 2.", field="max_total_tokens")


def _source(given: str | Path | bytes | BinaryIO) -> Source:
    if isinstance(given, str | Path):
        path = Path(given)
        if not path.is_file():
            raise InvalidInput(f"{path.name} does not exist or is no file; expected a trace.")
        source = Source(path.name, lambda: path.open("rb"))
    else:
        data = given if isinstance(given, bytes) else given.read()
        source = Source("the trace", lambda: io.BytesIO(data))
    with source.open() as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise InvalidInput(f"{source.name} is empty; expected a header line and rows, or JSON lines.")
    source.jsonl = start.startswith(b"{")
    return source


def _format(source: Source, fmt: str) -> tuple[Format, tuple[str, ...]]:
    """The format, and the columns that are there."""
    found = trace_faults.column_names(source)
    candidates = list(FORMATS.values()) if fmt == "auto" else [FORMATS[fmt]]
    for kind in candidates:
        if set(kind.required) <= set(found):
            return kind, found
    # The nearest format is the one meant.
    kind = max(candidates, key=lambda kind: len(set(kind.required) & set(found)))
    missing = [column for column in kind.required if column not in found]
    expected = " or ".join(f"{', '.join(kind.required)} ({kind.name})" for kind in candidates)
    message = f"{source.name}, line 1: no column {', '.join(missing)}; found {', '.join(found)}; expected {expected}."
    raise InvalidInput(message, field=missing[0])


def _read(source: Source, kind: Format, present: tuple[str, ...], limit: int | None) -> Any:
    """A pyarrow table of the columns that are used."""
    types = {column: pa.float64() for column in (*kind.required, *NUMBERS, BLOCK) if column in present}
    types |= {column: pa.string() for column in (*TEXTS, *([HASHES] if not source.jsonl else [])) if column in present}
    if kind.stamps:
        types[kind.time] = pa.string()
    try:
        with source.open() as file:
            batches = list(_up_to(source, _batches(source, file, types, present), limit))
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError) as error:
        raise trace_faults.first_fault(source, kind, str(error)) from error
    table = pa.Table.from_batches(batches) if batches else None
    if table is None or not len(table):
        raise InvalidInput(f"{source.name} has a header and no rows; expected at least one request.")
    return table if limit is None else table.slice(0, limit)


def _batches(source: Source, file: BinaryIO, types: dict[str, Any], present: tuple[str, ...]) -> Iterator[Any]:
    if not source.jsonl:
        return iter(
            pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""]),
            )
        )
    if HASHES in present:
        types = types | {HASHES: pa.list_(pa.int64() if trace_faults.hashes_are_numbers(source) else pa.string())}
    texts = {column: trace_faults.json_text_type(source, column) for column in TEXTS if column in types}
    return iter(
        pa_json.open_json(
            file,
            read_options=pa_json.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=pa_json.ParseOptions(explicit_schema=pa.schema(types | texts), unexpected_field_behavior="ignore"),
        )
    )


def _up_to(source: Source, batches: Iterator[Any], limit: int | None) -> Iterator[Any]:
    """Stops at the limit, and refuses a file that is longer than anyone will wait for."""
    rows = 0
    for batch in batches:
        yield batch
        rows += len(batch)
        if limit is not None and rows >= limit:
            return
        if rows > MAX_ROWS:
            message = f"{source.name} has more than {MAX_ROWS:,} rows; expected at most that many, or a limit on the rows to read."
            raise InvalidInput(message, field="limit")


def _trace(source: Source, kind: Format, table: Any) -> Trace:
    columns = {name: table.column(name) for name in table.column_names}
    check = _Checks(source, kind)
    arrival = _stamps(check, columns[kind.time]) if kind.stamps else check.numbers(columns[kind.time], kind.time) * kind.seconds
    check.refuse(arrival < 0, kind.time, "a time of 0 or later")
    prompt, output = (check.numbers(columns[name], name, whole=True) for name in (kind.prompt, kind.output))
    check.refuse(prompt < 1, kind.prompt, "at least 1 token")
    check.refuse(output < 0, kind.output, "at least 1 token")
    made: dict[str, Any] = {}
    for name in NUMBERS:
        if name in columns:
            made[name] = check.numbers(columns[name], name, empty=0.0 if name == "priority" else np.inf)
    if "ttft_slo_s" in made:
        check.refuse(made["ttft_slo_s"] <= 0, "ttft_slo_s", "seconds above 0")
    for name in TEXTS:
        if name in columns:
            made[name] = pc.fill_null(pc.cast(columns[name], pa.string()), "").to_numpy().astype(str)
    block_tokens = _one_block_size(check, columns[BLOCK]) if BLOCK in columns else kind.block_tokens
    if HASHES in columns:
        made["hash_ids"], made["hash_ptr"] = _hashes(check, columns[HASHES], prompt.astype(np.int64), block_tokens)
    return Trace(arrival, prompt, output, block_tokens=block_tokens, **made)


@dataclass
class _Checks:
    """Says where in the file a bad value stands."""

    source: Source
    kind: Format

    def refuse(self, bad: Any, column: str, expected: str) -> None:
        rows = np.flatnonzero(bad)
        if len(rows):
            raise trace_faults.at_row(self.source, int(rows[0]), column, expected)

    def numbers(self, column: Any, name: str, *, whole: bool = False, empty: float | None = None) -> Floats:
        values = pc.fill_null(column, np.nan if empty is None else empty).to_numpy().astype(np.float64)
        kind = "a whole number" if whole else "a number"
        self.refuse(np.isnan(values) | (np.isinf(values) & (empty is None)), name, kind)
        if whole:
            self.refuse((values != np.floor(values)) | (np.abs(values) > 2**53), name, kind)
        return np.asarray(values)


def _stamps(check: _Checks, column: Any) -> Floats:
    """Seconds since the earliest stamp."""
    text = pc.utf8_trim_whitespace(column)
    zoned = pc.any(pc.match_substring_regex(text, r"(Z|[+-]\d\d:?\d\d)$")).as_py()
    try:
        stamps = pc.cast(text, pa.timestamp("ns", "UTC" if zoned else None))
        nanoseconds = pc.cast(stamps, pa.int64())
    except pa.ArrowInvalid as error:
        raise trace_faults.bad_stamp(check.source, check.kind.time) from error
    missing = pc.is_null(nanoseconds).to_numpy()
    check.refuse(missing, check.kind.time, "a time stamp such as 2023-11-16 18:15:46.6805900")
    values = nanoseconds.to_numpy()
    return np.asarray((values - values.min()) * 1e-9)


def _one_block_size(check: _Checks, column: Any) -> int:
    sizes = check.numbers(column, BLOCK, whole=True)
    check.refuse(sizes < 1, BLOCK, "at least 1 token")
    check.refuse(sizes != sizes[0], BLOCK, f"the {sizes[0]:g} tokens of the first line, one size for the whole file")
    return int(sizes[0])


def _hashes(check: _Checks, column: Any, prompt: Ints, block_tokens: int) -> tuple[Ints, Ints]:
    """hash_ids as whole numbers (texts are numbered) and hash_ptr."""
    lists = column.combine_chunks()
    if pa.types.is_string(lists.type):
        lists = pc.split_pattern_regex(pc.utf8_trim_whitespace(pc.fill_null(lists, "")), r"[\s;]+")
    blocks = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = lists.flatten()
    if values.null_count or pa.types.is_string(values.type):
        check.refuse(_rows_with(values, blocks, pc.is_null(values)), HASHES, "whole numbers or texts")
        check.refuse(_rows_with(values, blocks, pc.equal(values, "")), HASHES, "at least one block id")
        values = values.dictionary_encode().indices
    short = short_of_hashes(prompt, blocks, block_tokens)
    if short is not None:
        raise trace_faults.at_row(check.source, short[0], HASHES, "", said=short[1])
    return values.to_numpy(zero_copy_only=False).astype(np.int64), np.concatenate([[0], np.cumsum(blocks)])


def _rows_with(values: Any, blocks: Ints, bad: Any) -> Any:
    """Which requests have a bad id."""
    row = np.repeat(np.arange(len(blocks)), blocks)
    found = np.zeros(len(blocks), dtype=bool)
    found[row[pc.fill_null(bad, True).to_numpy(zero_copy_only=False).astype(bool)]] = True
    return found


def _cut(trace: Trace, most: int) -> Trace:
    """Prompt + output <= most: cut from the prompt, and from the output only if that alone is too long."""
    output = np.minimum(trace.output_tokens, most - 1)
    prompt = np.minimum(trace.prompt_tokens, most - output)
    changed = int((prompt + output < trace.prompt_tokens + trace.output_tokens).sum())
    if not changed:
        return trace
    notes = (*trace.notes, f"{changed:,} requests were longer than {most:,} tokens in all; their prompts were cut.")
    return replace(trace, prompt_tokens=prompt, output_tokens=output, notes=notes, **_cut_hashes(trace, prompt))


def _cut_hashes(trace: Trace, prompt: Ints) -> dict[str, Any]:
    """Only the blocks that the shorter prompts still have."""
    if trace.hash_ids is None:
        return {}
    sizes = np.diff(trace.hash_ptr)
    kept = np.where(prompt < trace.prompt_tokens, np.minimum(sizes, -(-prompt // trace.block_tokens)), sizes)
    place = np.arange(len(trace.hash_ids)) - np.repeat(trace.hash_ptr[:-1], sizes)
    return {"hash_ids": trace.hash_ids[place < np.repeat(kept, sizes)], "hash_ptr": np.concatenate([[0], np.cumsum(kept)])}
