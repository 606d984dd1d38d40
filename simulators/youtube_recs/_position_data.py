"""The user's own log of ranked pages: slate, position, click, features; reading, and the check before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulators.engines.experiment import faults
from simulators.engines.experiment.tabular import Batch, TableFile, open_table, read_batches
from simulators.engines.ranking.position import Rows
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataInfo, DataSlot, DataSpec, Progress, Working

SLATE, POSITION, CLICK, RANDOMISED = "slate", "position", "click", "randomised"
MAX_ROWS, MAX_BYTES, MAX_FEATURES, MAX_POSITION = 500_000, 100 * 2**20, 40, 100
MIN_SLATES = 50
FEW_SHUFFLED = 200
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OwnLog:
    """Every impression (n,) of a file; `slate` numbers its page, `rows.position` counts from 0."""

    name: str
    features: tuple[str, ...]
    slate: NDArray[np.int64]
    rows: Rows
    positions: int

    @property
    def slates(self) -> int:
        return int(self.slate.max()) + 1

    @property
    def shuffled(self) -> int:
        """Slates in random order; 0 where the file does not say."""
        return 0 if self.rows.randomised is None else len(np.unique(self.slate[self.rows.randomised]))

    def memory_bytes(self) -> int:
        return int(self.rows.x.nbytes) + 25 * len(self.slate)


def read_steps(file: DataFile) -> Working[OwnLog]:
    """The whole file. Raises InvalidInput with line and column."""
    table = open_table(file.path, file.name)
    features = _features(table)
    numbers = [POSITION, CLICK, *([RANDOMISED] if RANDOMISED in table.columns else []), *features]
    batches, read = list[Batch](), 0
    for batch in read_batches(table, numbers, [SLATE]):
        _check(table, batch, numbers)
        batches.append(batch)
        read += batch.rows
        if read > MAX_ROWS:
            raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows; take a sample of the slates.")
        yield Progress(read, MAX_ROWS, "reading rows")
    return _log(table, batches, features)


def _features(table: TableFile) -> tuple[str, ...]:
    for column in (SLATE, POSITION, CLICK):
        if column not in table.columns:
            raise InvalidInput(
                f"{table.name} has no column {column!r}; expected {SLATE}, {POSITION}, {CLICK}, any number of features and, where slates "
                f"were shuffled, {RANDOMISED}. It has {', '.join(table.columns)[:200]}."
            )
    features = tuple(column for column in table.columns if column not in (SLATE, POSITION, CLICK, RANDOMISED))
    if not 1 <= len(features) <= MAX_FEATURES:
        raise InvalidInput(f"{table.name} has {len(features)} columns of features; expected 1 to {MAX_FEATURES}.")
    return features


def _check(table: TableFile, batch: Batch, numbers: list[str]) -> None:
    """The first value of the batch that cannot be, column by column."""
    empty = np.flatnonzero(pc.equal(pc.fill_null(batch.texts[SLATE], ""), "").to_numpy(zero_copy_only=False))
    if len(empty):
        raise InvalidInput(f"{_line(table, batch, empty[0])}: {SLATE} is empty; expected a key.", field=SLATE)
    for column in numbers:
        missing = np.flatnonzero(np.isnan(batch.numbers[column]))
        if len(missing):
            raise InvalidInput(f"{_line(table, batch, missing[0])}, column {column}: the field is empty; expected a number.", field=column)
    _check_position(table, batch)
    for column in (CLICK, RANDOMISED):
        values = batch.numbers.get(column, np.zeros(0))
        wrong = np.flatnonzero((values != 0) & (values != 1))
        if len(wrong):
            given = f"{values[wrong[0]]:g}"
            raise InvalidInput(f"{_line(table, batch, wrong[0])}: {column} is {given}; expected 0 or 1.", field=column)


def _check_position(table: TableFile, batch: Batch) -> None:
    position = batch.numbers[POSITION]
    wrong = np.flatnonzero((position < 1) | (position > MAX_POSITION) | (position != np.floor(position)))
    if not len(wrong):
        return
    given, line = f"{position[wrong[0]]:g}", _line(table, batch, wrong[0]).lower()
    if position[wrong[0]] < 1:
        raise InvalidInput(f"{POSITION} {given} at {line}: positions start at 1.", field=POSITION)
    raise InvalidInput(f"{POSITION} {given} at {line}: expected a whole number up to {MAX_POSITION}.", field=POSITION)


def _line(table: TableFile, batch: Batch, row: int) -> str:
    """Where a row of the batch stands; lines also count quoted line breaks."""
    line, _ = next(islice(faults.records(table.path), batch.first_row + int(row) + 1, None))
    return f"Line {line}"


def _log(table: TableFile, batches: list[Batch], features: tuple[str, ...]) -> OwnLog:
    def column(name: str) -> Floats:
        return np.concatenate([batch.numbers[name] for batch in batches])

    keys = pa.chunked_array([batch.texts[SLATE] for batch in batches]).combine_chunks().dictionary_encode()
    slate = keys.indices.to_numpy().astype(np.int64)
    position = column(POSITION).astype(np.int64) - 1
    _refuse_repeats(table, slate, position)
    randomised = column(RANDOMISED) > 0 if RANDOMISED in batches[0].numbers else None
    if randomised is not None:
        _refuse_halves(table, slate, randomised)
    x = np.stack([column(name) for name in features], axis=1)
    found = OwnLog(table.name, features, slate, Rows(x, position, column(CLICK), randomised), int(position.max()) + 1)
    if found.slates < MIN_SLATES:
        raise InvalidInput(
            f"{table.name} has {found.slates} slates; expected at least {MIN_SLATES} rows of different {SLATE} to learn from."
        )
    if not 0 < found.rows.click.mean() < 1:
        raise InvalidInput(f"{table.name}: column {CLICK} holds only {found.rows.click[0]:g}; expected both 0 and 1.", field=CLICK)
    return found


def _refuse_repeats(table: TableFile, slate: NDArray[np.int64], position: NDArray[np.int64]) -> None:
    places = slate * MAX_POSITION + position
    _, first = np.unique(places, return_index=True)
    if len(first) == len(places):
        return
    row = int(np.setdiff1d(np.arange(len(places)), first, assume_unique=True)[0])
    line, record = next(islice(faults.records(table.path), row + 1, None))
    key = record[table.columns.index(SLATE)][:60]
    raise InvalidInput(f"Line {line}: {POSITION} {position[row] + 1} of {SLATE} {key!r} was there before; expected one item a position.",
                       field=POSITION)  # fmt: skip


def _refuse_halves(table: TableFile, slate: NDArray[np.int64], randomised: NDArray[np.bool_]) -> None:
    share = np.bincount(slate, randomised) / np.bincount(slate)
    row = np.flatnonzero((share[slate] > 0) & (share[slate] < 1))
    if len(row):
        line, record = next(islice(faults.records(table.path), int(row[0]) + 1, None))
        key = record[table.columns.index(SLATE)][:60]
        raise InvalidInput(f"Line {line}: {SLATE} {key!r} is {RANDOMISED} on some rows and not on others; expected one value a slate.",
                           field=RANDOMISED)  # fmt: skip


# --- the check, before anything is stored ---------------------------------------------------------------------------------------


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    log = finish(read_steps(files["log"]))
    return DataInfo(_facts(log), tuple(_warnings(log)))


def _facts(log: OwnLog) -> tuple[tuple[str, str], ...]:
    return (
        ("Impressions", f"{len(log.slate):,}"),
        ("Slates", f"{log.slates:,}"),
        ("Positions", f"1 to {log.positions}"),
        ("Click rate", f"{log.rows.click.mean():.1%}"),
        ("Features", ", ".join(log.features)[:200]),
        ("Shuffled slates", "not said" if log.rows.randomised is None else f"{log.shuffled:,}"),
    )


def _warnings(log: OwnLog) -> list[str]:
    found = []
    if log.rows.randomised is None:
        found.append(f"There is no column {RANDOMISED}, so the models that need shuffled slates are left out.")
    elif log.shuffled < FEW_SHUFFLED:
        found.append(f"Only {log.shuffled} slates are shuffled; an estimate of propensities wants at least {FEW_SHUFFLED}.")
    if not log.rows.click[log.rows.position == 0].any():
        found.append("No click at position 1, which every examination curve is relative to.")
    constant = [name for name, spread in zip(log.features, log.rows.x.std(axis=0), strict=True) if spread == 0]
    if constant:
        found.append(f"Features that never change say nothing: {', '.join(constant)[:200]}.")
    return found


SPEC = DataSpec(
    title="Your log of ranked pages",
    help=(
        "A row an impression: the page it was on, its position there from 1, whether it was clicked, and features of the item. Pages shown "
        "in random order say so in randomised; propensities come from them."
    ),
    slots=(
        DataSlot(
            "log",
            "Impressions",
            "CSV (UTF-8, commas), up to 500,000 rows: slate, position, click (0 or 1), features (numbers), randomised (0 or 1, optional)",
            (".csv",),
            max_bytes=MAX_BYTES,
        ),
    ),
    check=check,
    example="slate,position,click,randomised,age_days,similarity\np1,1,1,0,3,0.82\np1,2,0,0,40,0.91\np2,1,0,1,7,0.10\np2,2,1,1,2,0.44\n",
)
