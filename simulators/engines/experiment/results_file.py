"""An experiment's results as a user keeps them: a row a unit, or totals by arm and day.

Each batch of rows becomes one `Part`: moments an arm, what was missing, the largest value. Parts merge, so a file of any size needs one
pass and little memory. A missing covariate is set to one fixed value and flagged by a column of its own: with both in the
adjustment this is the same as putting in the mean, and needs no second pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulators.engines.experiment.faults import is_number, records
from simulators.engines.experiment.stats import Moments, MomentTable, summary
from simulators.engines.experiment.tabular import Batch, Floats, TableFile, read_batches
from simulators.engines.experiment.unit_days import units_of_days
from simulators.errors import InvalidInput

MAX_ARMS = 10
METRIC, DENOMINATOR = "y", "d"
MAX_SEGMENTS, MAX_DAYS = 200, 400
NO_SEGMENT = "(none)"
K = TypeVar("K")
Cells = dict[tuple[str, str], Moments]


@dataclass(frozen=True)
class Roles:
    """Which column plays which part."""

    arm: str
    metric: str
    unit: str = ""
    denominator: str = ""
    covariates: tuple[str, ...] = ()
    day: str = ""
    segment: str = ""
    trigger: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(name for name in (self.metric, self.denominator, *self.covariates, self.trigger) if name)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(name for name in (self.arm, self.unit, self.day, self.segment) if name)

    def covariate_names(self, count: int | None = None) -> tuple[str, ...]:
        """Names in the moments of the first `count` covariates: each with the flag for its missing values."""
        return tuple(name for i, _ in enumerate(self.covariates[:count]) for name in (f"x{i}", f"x{i}_missing"))


@dataclass(frozen=True)
class Largest:
    value: float
    row: int  # 0 for the first row below the header
    unit: str


@dataclass(frozen=True)
class Part:
    """What some rows say. `missing` counts rows without a metric or denominator by arm, `no_arm` rows without an arm.

    `by_segment` and `by_day` hold moments of (segment or day, arm), where such a column is mapped.
    """

    arms: dict[str, Moments] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    no_arm: int = 0
    rows: int = 0
    largest: Largest | None = None
    by_segment: Cells = field(default_factory=dict)
    by_day: Cells = field(default_factory=dict)

    def __add__(self, other: Part) -> Part:
        missing = {arm: self.missing.get(arm, 0) + other.missing.get(arm, 0) for arm in self.missing | other.missing}
        tops = [top for top in (self.largest, other.largest) if top]
        largest = max(tops, key=lambda top: top.value, default=None)
        return Part(
            merged(self.arms, other.arms),
            missing,
            self.no_arm + other.no_arm,
            self.rows + other.rows,
            largest,
            merged(self.by_segment, other.by_segment),
            merged(self.by_day, other.by_day),
        )


def merged(some: dict[K, Moments], others: dict[K, Moments]) -> dict[K, Moments]:
    together = dict(some)
    for key, moments in others.items():
        together[key] = together[key] + moments if key in together else moments
    return together


def read_parts(table: TableFile, roles: Roles, cap: float | None = None, *, triggered: bool = False) -> Iterator[Part]:
    """One Part a batch; `cap` bounds the metric from above (winsorising), `triggered` leaves out the units whose trigger is not 1."""
    for batch in batches_of_units(table, roles):
        yield part_of(batch, table, roles, cap, triggered=triggered)


def part_of(batch: Batch, table: TableFile, roles: Roles, cap: float | None = None, *, triggered: bool = False) -> Part:
    labels, codes = _encoded(batch.texts[roles.arm])
    wanted = batch.numbers[roles.trigger] == 1 if triggered and roles.trigger else np.ones(batch.rows, dtype=bool)
    measured = ~np.isnan(batch.numbers[roles.metric])
    if roles.denominator:
        measured &= ~np.isnan(batch.numbers[roles.denominator])
    kept = measured & wanted & (codes >= 0)
    columns = _metric_columns(batch, table, roles, kept, cap)
    cube = MomentTable(("arm",)).update({"arm": codes[kept], **columns})
    absent = np.bincount(codes[~measured & wanted & (codes >= 0)], minlength=len(labels))
    return Part(
        arms={label: cube.total(arm=code) for code, label in enumerate(labels)},
        missing={label: int(absent[code]) for code, label in enumerate(labels)},
        no_arm=int((codes < 0).sum()),
        rows=batch.rows,
        largest=_largest(batch, roles, kept, math.inf if cap is None else cap),
        by_segment=_cells(batch, roles.segment, MAX_SEGMENTS, labels, codes, kept, columns),
        by_day=_cells(batch, roles.day, MAX_DAYS, labels, codes, kept, columns),
    )


def _encoded(texts: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Values, and the place of each row's value among them; -1 for a missing one."""
    encoded = texts.dictionary_encode()
    codes: NDArray[np.int64] = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded.dictionary.to_pylist(), codes


def _cells(
    batch: Batch,
    column: str,
    most: int,
    arms: list[str],
    codes: NDArray[np.int64],
    kept: NDArray[np.bool_],
    columns: dict[str, NDArray[np.generic]],
) -> Cells:
    """Moments of each (value of `column`, arm). Raises InvalidInput for more values than `most`."""
    if not column:
        return {}
    values, places = _encoded(pc.fill_null(batch.texts[column], NO_SEGMENT))
    if len(values) > most:
        raise InvalidInput(f"Column {column} has more than {most} values; a segment or a day has at most so many.", field=column)
    cube = MomentTable(("value", "arm")).update({"value": places[kept], "arm": codes[kept], **columns})
    return {(values[value], arms[arm]): cube.total(value=value, arm=arm) for value, arm in cube.cells}


def _metric_columns(
    batch: Batch, table: TableFile, roles: Roles, kept: NDArray[np.bool_], cap: float | None
) -> dict[str, NDArray[np.generic]]:
    y = batch.numbers[roles.metric][kept]
    flag = roles.metric in table.flags
    columns: dict[str, NDArray[np.generic]] = {METRIC: y > 0 if flag else y if cap is None else np.minimum(y, cap)}
    if roles.denominator:
        columns[DENOMINATOR] = batch.numbers[roles.denominator][kept]
    for i, name in enumerate(roles.covariates):
        x = batch.numbers[name][kept]
        absent = np.isnan(x)
        columns[f"x{i}"] = np.where(absent, table.typical.get(name, 0.0), x)
        columns[f"x{i}_missing"] = absent.astype(float)
    return columns


def _largest(batch: Batch, roles: Roles, kept: NDArray[np.bool_], cap: float) -> Largest | None:
    if not kept.any():
        return None
    y = np.where(kept, batch.numbers[roles.metric], -np.inf)
    at = int(y.argmax())
    unit = str(batch.texts[roles.unit][at].as_py()) if roles.unit else ""
    return Largest(min(float(y[at]), cap), batch.first_row + at, unit)


def metric_values(table: TableFile, roles: Roles) -> Iterator[Floats]:
    """The metric of the rows that count, for a quantile; 8 bytes a row."""
    for batch in batches_of_units(table, roles):
        y = batch.numbers[roles.metric]
        yield y[~np.isnan(y)]


def batches_of_units(table: TableFile, roles: Roles) -> Iterator[Batch]:
    """Batches with one row a unit. Where `unit` and `day` are both mapped, a unit's rows are added up first: it was randomised once."""
    batches = read_batches(table, roles.numbers, roles.texts)
    if roles.unit and roles.day:
        added = [name for name in (roles.metric, roles.denominator) if name]
        triggers = [roles.trigger] if roles.trigger else []
        yield from units_of_days(
            list(batches), unit=roles.unit, day=roles.day, arm=roles.arm, added=added, kept=roles.covariates, triggers=triggers
        )
    else:
        yield from batches


# --- totals by arm and day ---------------------------------------------------------------------------------------------------


def is_totals(columns: tuple[str, ...]) -> bool:
    """The file holds `arm,day,n,sum,sum_squares` (day and sum_squares may be absent)."""
    return {"arm", "n", "sum"} <= set(columns) <= {"arm", "day", "n", "sum", "sum_squares"}


def read_totals(table: TableFile) -> Part:
    """Totals of one metric; without any sum_squares it is a proportion. Raises InvalidInput with the line."""
    part, squared = Part(), "sum_squares" in table.columns
    for line, record in _body(table):
        row = dict(zip(table.columns, record, strict=True))
        for column in ("n", "sum", *(("sum_squares",) if squared else ())):
            if not is_number(row[column]):
                raise InvalidInput(f"Line {line}, column {column}: {row[column]!r} is not a number.", field=column)
        moments = _total(line, row["arm"], float(row["n"]), float(row["sum"]), float(row["sum_squares"]) if squared else None)
        part += Part({row["arm"]: moments}, rows=1)
    return part


def _total(line: int, arm: str, n: float, total: float, squares: float | None) -> Moments:
    if n < 0 or n != int(n):
        raise InvalidInput(f"Line {line}, column n: {n:g} is not a whole number from 0 up.", field="n")
    if squares is None and not 0 <= total <= n:
        raise InvalidInput(
            f"Line {line}, arm {arm}: sum {total:g} of {n:g} units; a proportion lies in 0 to n, a mean needs sum_squares.", field="sum"
        )
    if squares is not None and squares * n < total**2 * (1 - 1e-12):
        raise InvalidInput(f"Line {line}, arm {arm}: sum_squares is smaller than sum²/n.", field="sum_squares")
    return summary(int(n), total, squares, METRIC)


def _body(table: TableFile) -> Iterator[tuple[int, list[str]]]:
    if table.format != "csv":
        raise InvalidInput(f"{table.name}: totals by arm and day are read from CSV only.")
    rows = records(table.path)
    next(rows)
    for line, record in rows:
        if len(record) != len(table.columns):
            raise InvalidInput(f"Line {line} has {len(record)} fields; the header has {len(table.columns)}.")
        yield line, [value.strip() for value in record]
