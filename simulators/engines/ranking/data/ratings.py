"""Files of ratings: MovieLens' `u.data` (tabs), `ratings.dat` (`::`) and `ratings.csv`, and RecBole's `.inter`.

The layout is seen from the first line, not from the name. Where a value is not what it should be, the file is read again, slowly, and the
line is named.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.step import Step
from simulators.engines.steps import finish
from simulators.errors import InvalidInput

MAX_ROWS, MAX_BYTES = 2_000_000, 100 * 2**20
ROLES = ("user", "item", "rating", "timestamp")
_OTHER_NAMES = {
    "movie": "item",
    "product": "item",
    "book": "item",
    "video": "item",
    "score": "rating",
    "time": "timestamp",
    "ts": "timestamp",
}
_EARLIEST_MS = 1e11  # as seconds the year 5138, as milliseconds 1973
_BLOCK_BYTES = 2**20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Ratings:
    """Rows (n,) in the order of the file; users and items are numbered from 0 as they first appear."""

    user: Ints
    item: Ints
    rating: Floats
    time: Floats | None  # seconds since 1970; None where the file has none
    n_users: int
    n_items: int
    user_names: NDArray[np.str_]  # (U,) as in the file
    item_names: NDArray[np.str_]  # (I,)
    positive_at: float = 4.0

    @property
    def positive(self) -> NDArray[np.bool_]:
        """(n,) rows whose rating is at least `positive_at`."""
        return np.asarray(self.rating >= self.positive_at)


def read_ratings(path: str | Path, positive_at: float = 4.0) -> Ratings:
    """All rows of a file of user, item, rating and, where there is one, timestamp (seconds, or milliseconds since 1970).

    Raises InvalidInput that names line and column, for files above 2,000,000 rows or 100 MB and for what is no such file.
    """
    return finish(iter_read_ratings(path, positive_at))


def iter_read_ratings(path: str | Path, positive_at: float = 4.0, *, name: str | None = None) -> Generator[Step, None, Ratings]:
    """`read_ratings` in steps; `name` is what messages call the file."""
    if not np.isfinite(positive_at):
        raise ValueError(f"positive_at is {positive_at}; expected a rating.")
    path = Path(path)
    layout = _layout(path, name or path.name)
    try:
        columns = yield from _columns(path, layout)
    except _Unreadable as fault:
        raise _first_fault(path, layout) or InvalidInput(f"{layout.name} cannot be read: {fault}.") from None
    user, user_names = _numbered(columns["user"])
    yield Step(1, 2, "numbering users and items")
    item, item_names = _numbered(columns["item"])
    yield Step(2, 2, "numbering users and items")
    time = columns.get("timestamp")
    return Ratings(
        user,
        item,
        columns["rating"],
        None if time is None else np.where(np.abs(time) >= _EARLIEST_MS, time / 1000, time),
        len(user_names),
        len(item_names),
        user_names,
        item_names,
        float(positive_at),
    )


# --- layout -----------------------------------------------------------------------------------------------------------


class _Layout(NamedTuple):
    name: str
    separator: str  # "::" is read as a tab
    width: int
    header: bool
    places: dict[str, int]  # role to column


def _layout(path: Path, name: str) -> _Layout:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InvalidInput(f"{name} has {size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are read.")
    first = _first_line(path, name)
    separator = next((mark for mark in ("::", "\t", ",", ";") if mark in first), None)
    if separator is None:
        raise InvalidInput(
            f"{name}, line 1: {first[:60]!r} is one column; expected user, item, rating and timestamp, with tabs, commas or :: between."
        )
    fields = next(csv.reader([first], delimiter=separator)) if len(separator) == 1 else first.split(separator)
    if len(fields) >= 3 and _NUMBER.fullmatch(fields[2].strip()):
        if len(fields) > 4:
            raise InvalidInput(f"{name}, line 1 has {len(fields)} columns and no header; expected user, item, rating and timestamp.")
        return _Layout(name, separator, len(fields), False, dict(zip(ROLES, range(len(fields)), strict=False)))
    return _Layout(name, separator, len(fields), True, _named(name, fields))


def _first_line(path: Path, name: str) -> str:
    with path.open("rb") as handle:
        raw = next((line for line in iter(lambda: handle.readline(1_000_000), b"") if line.strip()), b"")
    if not raw:
        raise InvalidInput(f"{name} is an empty file; expected lines of user, item, rating and timestamp.")
    try:
        return raw.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name}, line 1: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 text.") from error


def _named(name: str, header: Sequence[str]) -> dict[str, int]:
    """Roles by the names of a header: userId, user_id, user_id:token and the like."""
    places: dict[str, int] = {}
    for place, field in enumerate(header):
        plain = re.sub(r"[^a-z]", "", field.partition(":")[0].lower())
        plain = plain.removesuffix("id") or plain
        role = _OTHER_NAMES.get(plain, plain)
        if role in ROLES:
            places.setdefault(role, place)
    missing = [role for role in ROLES[:3] if role not in places]
    if missing:
        raise InvalidInput(
            f"{name}, line 1: no column {missing[0]} among {', '.join(header)[:120]!r}; "
            "expected columns user, item, rating and, where known, timestamp."
        )
    return places


# --- reading ----------------------------------------------------------------------------------------------------------


class _Unreadable(Exception):
    """Something in the file is not what it should be."""


def _columns(path: Path, layout: _Layout) -> Generator[Step, None, dict[str, Any]]:
    """Texts of user and item, numbers of rating and timestamp."""
    import pyarrow as pa

    parts: dict[str, list[Any]] = {role: [] for role in layout.places}
    rows, size = 0, max(1, path.stat().st_size)
    try:
        for batch in _reader(path, layout):
            rows += len(batch)
            if rows > MAX_ROWS:
                raise InvalidInput(f"{layout.name} has more than {MAX_ROWS:,} rows; take a sample of the users.")
            for role in layout.places:
                parts[role].append(_part(batch.column(role), role))
            yield Step(min(size, len(parts["user"]) * _BLOCK_BYTES), size, "reading ratings")
    except pa.ArrowInvalid as error:
        raise _Unreadable(str(error).splitlines()[0]) from error
    if not rows:
        raise InvalidInput(f"{layout.name} has a header and no rows; expected lines below it.")
    joined = {role: pa.chunked_array(parts[role]) if role in ROLES[:2] else np.concatenate(parts[role]) for role in layout.places}
    return joined


def _reader(path: Path, layout: _Layout) -> Any:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    text: Any = str(path)
    if layout.separator == "::":
        text = pa.BufferReader(path.read_bytes().replace(b"::", b"\t"))
    names = [next((role for role, place in layout.places.items() if place == i), f"_{i}") for i in range(layout.width)]
    return pa_csv.open_csv(
        text,
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=int(layout.header)),
        parse_options=pa_csv.ParseOptions(
            delimiter="\t" if layout.separator == "::" else layout.separator, quote_char='"' if layout.separator in ",;" else False
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=list(layout.places), column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _part(column: Any, role: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column)
    if role in ROLES[:2]:
        if pc.any(pc.equal(text, ""), min_count=0).as_py():
            raise _Unreadable(f"{role} is empty")
        return text
    numbers = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
    if not np.isfinite(numbers).all():
        raise _Unreadable(f"{role} is not finite")
    return numbers


def _numbered(texts: Any) -> tuple[Ints, NDArray[np.str_]]:
    coded = texts.combine_chunks().dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), np.array(coded.dictionary.to_pylist(), dtype=np.str_)


# --- faults -----------------------------------------------------------------------------------------------------------


def _first_fault(path: Path, layout: _Layout) -> InvalidInput | None:
    """The first line that is not what it should be, in words."""
    try:
        for line, fields in _lines(path, layout):
            fault = _fault(fields, layout)
            if fault:
                return InvalidInput(f"{layout.name}, line {line}{fault}")
    except UnicodeDecodeError:
        return InvalidInput(_not_utf8(path, layout.name))
    return None


def _lines(path: Path, layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    """(line, its fields) below the header, blank lines left out."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader: Any
        if layout.separator == "::":
            reader = (text.rstrip("\r\n").split("::") for text in handle)
        else:
            reader = csv.reader(
                handle, delimiter=layout.separator, quoting=csv.QUOTE_MINIMAL if layout.separator in ",;" else csv.QUOTE_NONE
            )
        header = layout.header
        for line, fields in enumerate(reader, start=1):
            if not fields or fields == [""]:
                continue
            if header:
                header = False
                continue
            yield line, fields


def _fault(fields: list[str], layout: _Layout) -> str:
    if len(fields) != layout.width:
        return f" has {len(fields)} column{'s' * (len(fields) != 1)}; line 1 has {layout.width}."
    for role, place in layout.places.items():
        value = fields[place].strip()
        if role in ROLES[:2] and not value:
            return f": {role} is empty (column {place + 1}); expected a name or number."
        if role in ROLES[2:] and not (_NUMBER.fullmatch(value) and np.isfinite(float(value))):
            return f": {role} {value[:60]!r} is not a number (column {place + 1})."
    return ""


def _not_utf8(path: Path, name: str) -> str:
    with path.open("rb") as handle:
        for line, content in enumerate(handle, start=1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as bad:
                return f"{name}, line {line}: byte 0x{content[bad.start]:02x} is not UTF-8; save the file as UTF-8 text."
    return f"{name} is not UTF-8 text."
