"""The user's own experiment for `hidden_effects`: columns, the check before anything is stored, and reading batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulators.engines.experiment.faults import is_number
from simulators.engines.experiment.mix import Arms
from simulators.engines.experiment.stats import Moments, MomentTable
from simulators.engines.experiment.tabular import Batch, TableFile, open_table, read_batches, require_numbers
from simulators.engines.experiment.uplift.segments import MIN_UNITS
from simulators.errors import InvalidInput
from simulators.experimentation._results_file import RESULTS, column_names, known_column
from simulators.lab import Context, Data, DataFile, DataInfo, DataOption, DataSpec, Progress, Working

MAX_SEGMENTS, MAX_DAYS, MAX_ARMS = 200, 400, 10
NO_VALUE = "no value"
CROSS = " × "


@dataclass(frozen=True)
class Columns:
    """Which column plays which part; `attributes` are the segment columns and, if asked for, their pairs."""

    arm: str
    metric: str
    segments: tuple[str, ...]
    day: str
    cross: bool

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        names = self.segments if self.cross else ()
        return tuple((a, b) for i, a in enumerate(names) for b in names[i + 1 :])

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.arm, *self.segments, *((self.day,) if self.day else ()))


@dataclass
class Sums:
    """What the rows read so far add up to: moments of arm and value, by attribute; a pair is named "a × b"."""

    rows: int = 0
    left_out: int = 0  # rows without an arm or a metric
    labels: dict[str, dict[str, int]] = field(default_factory=dict)  # of every text column: its values, numbered
    tables: dict[str, MomentTable] = field(default_factory=dict)

    def code(self, column: str, batch: Batch) -> NDArray[np.int64]:
        """(n,) number of each row's value; a missing arm is -1, another missing value one of its own."""
        encoded = batch.texts[column].dictionary_encode()
        known = self.labels.setdefault(column, {})
        numbers = [known.setdefault(value, len(known)) for value in encoded.dictionary.to_pylist()]
        found: NDArray[np.int64] = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        lost = known.setdefault(NO_VALUE, len(known)) if (found < 0).any() else -1
        return np.where(found < 0, lost, np.array([*numbers, 0])[found])


@dataclass(frozen=True)
class OwnData:
    columns: Columns
    control: str
    treatment: str
    whole: Arms
    attributes: dict[str, dict[str, Arms]]  # segment columns and pairs, each value with its arms
    days: dict[str, Arms]  # in order
    rows: int
    left_out: int
    other_arms: tuple[str, ...]

    @property
    def proportion(self) -> bool:
        return self.whole[0].kinds[0] == "proportion"


# --- the columns ------------------------------------------------------------------------------------------------------------------------


def _columns(table: TableFile, options: Mapping[str, str]) -> Columns:
    def named(key: str) -> str:
        column = options.get(key, "").strip()
        return known_column(table, column, key) if column else ""

    for key in ("arm", "metric"):
        if not named(key):
            raise InvalidInput(f"Choose the column that holds the {key}; {table.name} has {', '.join(table.columns)}.", field=key)
    segments = tuple(known_column(table, name.strip(), "segments") for name in options.get("segments", "").split(",") if name.strip())
    found = Columns(named("arm"), named("metric"), segments, named("day"), options.get("cross", "no") == "yes")
    if not segments and not found.day:
        raise InvalidInput("Choose segment columns, a day column, or both: without them there is only the average.", field="segments")
    taken = [*found.texts, found.metric]
    for column in taken:
        if taken.count(column) > 1:
            raise InvalidInput(f"Column {column} was given two roles; each role needs a column of its own.", field="segments")
    require_numbers(table, [found.metric])
    return found


# --- reading ----------------------------------------------------------------------------------------------------------------------------


def _add(sums: Sums, batch: Batch, columns: Columns, flag: bool) -> None:
    codes = {name: sums.code(name, batch) for name in columns.texts}
    y = batch.numbers[columns.metric]
    lost = sums.labels[columns.arm].get(NO_VALUE, -1)
    kept = ~np.isnan(y) & (codes[columns.arm] != lost)
    sums.rows, sums.left_out = sums.rows + batch.rows, sums.left_out + int((~kept).sum())
    _refuse_many(sums, columns)
    base = {"arm": codes[columns.arm][kept], "y": y[kept] > 0 if flag else y[kept]}
    for name in columns.texts:
        sums.tables.setdefault(name, MomentTable(("arm", "value"))).update({**base, "value": codes[name][kept]})
    for a, b in columns.pairs:
        both = codes[a][kept] * (MAX_SEGMENTS + 1) + codes[b][kept]
        sums.tables.setdefault(a + CROSS + b, MomentTable(("arm", "value"))).update({**base, "value": both})


def _refuse_many(sums: Sums, columns: Columns) -> None:
    limits = {columns.arm: (10 * MAX_ARMS, MAX_ARMS, "an arm", "arm"), columns.day: (MAX_DAYS, MAX_DAYS, "a day column", "day")}
    for name in columns.texts:
        most, allowed, what, key = limits.get(name, (MAX_SEGMENTS, MAX_SEGMENTS, "a segment column", "segments"))
        if len(sums.labels[name]) > most:
            raise InvalidInput(f"Column {name} has more than {most} values; {what} has 2 to {allowed}.", field=key)


def _read(table: TableFile, columns: Columns) -> Iterator[Sums]:
    """The same Sums after every batch."""
    sums = Sums()
    for batch in read_batches(table, [columns.metric], columns.texts):
        _add(sums, batch, columns, columns.metric in table.flags)
        yield sums


def _own_data(sums: Sums, columns: Columns, options: Mapping[str, str]) -> OwnData:
    """Raises InvalidInput where arms or segments do not allow a comparison."""
    arms = {name: code for name, code in sums.labels[columns.arm].items() if name != NO_VALUE}
    control, treatment = _pair_of_arms(sorted(arms), columns, options)
    codes = (arms[control], arms[treatment])
    whole = _arms(sums.tables[columns.arm], codes)
    for name, arm in zip((control, treatment), whole, strict=True):
        if arm.n < MIN_UNITS:
            raise InvalidInput(f"Arm {name} has {arm.n} row{'s' * (arm.n != 1)} with a metric; {MIN_UNITS} needed.", field="arm")
    attributes = {name: _cells(sums, name, codes) for name in columns.segments}
    attributes |= {a + CROSS + b: _crossed(sums, a, b, codes) for a, b in columns.pairs}
    _check_segments(attributes)
    days = _cells(sums, columns.day, codes) if columns.day else {}
    others = tuple(name for name in sorted(arms) if name not in (control, treatment))
    ordered = {day: days[day] for day in sorted(days, key=_day_order)}
    return OwnData(columns, control, treatment, whole, attributes, ordered, sums.rows, sums.left_out, others)


def _pair_of_arms(arms: list[str], columns: Columns, options: Mapping[str, str]) -> tuple[str, str]:
    if not 2 <= len(arms) <= MAX_ARMS:
        raise InvalidInput(f"Column {columns.arm} has {len(arms)} value{'s' * (len(arms) != 1)}; an arm has 2 to {MAX_ARMS}.", field="arm")
    chosen = {key: options.get(key, "").strip() for key in ("control", "treatment")}
    for key, name in chosen.items():
        if name and name not in arms:
            raise InvalidInput(f"There is no arm {name!r}; the arms are {', '.join(arms)}.", field=key)
    control = chosen["control"] or next((arm for arm in arms if "control" in arm.lower() and arm != chosen["treatment"]), "")
    control = control or next(arm for arm in arms if arm != chosen["treatment"])
    treatment = chosen["treatment"] or next(arm for arm in arms if arm != control)
    if control == treatment:
        raise InvalidInput(f"{control!r} was chosen as control and as treatment; expected two arms.", field="treatment")
    return control, treatment


def _arms(table: MomentTable, codes: tuple[int, int], value: int | None = None) -> Arms:
    where = {} if value is None else {"value": value}
    return table.total(arm=codes[0], **where), table.total(arm=codes[1], **where)


def _cells(sums: Sums, column: str, codes: tuple[int, int]) -> dict[str, Arms]:
    cells = {label: _arms(sums.tables[column], codes, code) for label, code in sums.labels[column].items()}
    return {label: arms for label, arms in cells.items() if any(arm.n for arm in arms)}


def _crossed(sums: Sums, a: str, b: str, codes: tuple[int, int]) -> dict[str, Arms]:
    found = {
        first + CROSS + second: _arms(sums.tables[a + CROSS + b], codes, i * (MAX_SEGMENTS + 1) + j)
        for first, i in sums.labels[a].items()
        for second, j in sums.labels[b].items()
    }
    return {name: arms for name, arms in found.items() if any(arm.n for arm in arms)}


def _check_segments(attributes: Mapping[str, Mapping[str, Arms]]) -> None:
    if (count := sum(len(cells) for cells in attributes.values())) > MAX_SEGMENTS:
        raise InvalidInput(f"The segment columns hold {count} segments; at most {MAX_SEGMENTS} are tested.", field="segments")
    for column, cells in attributes.items():
        if len(cells) < 2:
            raise InvalidInput(f"Column {column} has 1 value; segments need 2 or more.", field="segments")
        for name, arms in cells.items():
            for arm, word in zip(arms, ("control", "treated"), strict=True):
                if arm.n < MIN_UNITS:
                    units = f"{arm.n} {word} unit{'s' * (arm.n != 1)}"
                    raise InvalidInput(
                        f"Segment {name} has {units}; {MIN_UNITS} needed. Merge or leave out small segments.", field="segments"
                    )


def _day_order(day: str) -> tuple[int, float, str]:
    """Numbers by size, everything else (dates as year-month-day) by spelling, rows without a day last."""
    if day == NO_VALUE:
        return 2, 0.0, day
    return (0, float(day), day) if is_number(day) else (1, 0.0, day)


def read_own(data: Data, ctx: Context) -> Working[OwnData]:
    """The file as moments; kept in the worker, so another correction reads nothing."""
    return (yield from ctx.asset_steps(f"hidden/own/{data.digest}", lambda: _read_steps(data), disk=False))


def _read_steps(data: Data) -> Working[OwnData]:
    file = data.files["results"]
    table = open_table(file.path, file.name)
    columns, sums, size = _columns(table, data.options), Sums(), max(1, file.path.stat().st_size)
    for done, sums in enumerate(_read(table, columns), 1):  # noqa: B007
        yield Progress(min(size, done * 2 * 2**20), size, "reading rows")
    return _own_data(sums, columns, data.options)


# --- the check, before anything is stored -----------------------------------------------------------------------------------------------


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    file = files["results"]
    table = open_table(file.path, file.name)
    columns, sums = _columns(table, options), Sums()
    for sums in _read(table, columns):  # noqa: B007
        pass
    own = _own_data(sums, columns, options)
    facts = [
        ("Rows", f"{own.rows:,}"),
        ("Arms", f"{own.control} (control) {own.whole[0].n:,}, {own.treatment} {own.whole[1].n:,}"),
        ("Metric", f"{columns.metric}: mean {_mean(own.whole):.4g}"),
    ]
    facts += [(f"Segments of {name}", f"{len(cells)}") for name, cells in own.attributes.items()]
    if own.days:
        facts.append(("Days", f"{len(own.days)}, from {next(iter(own.days))} to {list(own.days)[-1]}"))
    return DataInfo(tuple(facts), tuple(notes(own)))


def _mean(arms: Arms) -> float:
    both: Moments = arms[0] + arms[1]
    return float(both.mean[0])


def notes(own: OwnData) -> Iterator[str]:
    if own.left_out:
        yield f"{own.left_out:,} rows have no arm or no metric and are left out."
    if own.other_arms:
        yield f"Arms {', '.join(own.other_arms)} are left out: one treatment is compared with the control."
    alone = [day for day, arms in own.days.items() if min(arm.n for arm in arms) < 2]
    if alone:
        yield f"{len(alone)} of {len(own.days)} days have fewer than two units in an arm and count only in the pooled comparison."


SPEC = DataSpec(
    title="Your experiment",
    help="One row a unit with its arm, its metric, and what it belongs to: segments such as country or device, the day of exposure.",
    slots=(RESULTS,),
    options=(
        DataOption("arm", "Arm", "The column that says which variant a unit saw (2 to 10 values)", columns_of="results"),
        DataOption("control", "Control", "The arm to compare with; empty: the one called control, or the first"),
        DataOption("treatment", "Treatment", "The arm to look at; empty: the first other one"),
        DataOption("metric", "Metric", "Numbers with a decimal point, 0/1 or True/False; empty fields are left out", columns_of="results"),
        DataOption("segments", "Segments", "Columns such as country or device, 200 segments in all", columns_of="results", many=True),
        DataOption("cross", "Cross the segments", "Also test every pair, such as EU × tablet", choices=("no", "yes"), default="no"),
        DataOption("day", "Day", "Day of exposure: numbers, or dates as 2026-03-31", columns_of="results"),
    ),
    check=check,
    columns=column_names,
    example="user,variant,bought,country,device,day\n101,control,0,EU,phone,1\n102,treatment,1,US,tablet,1\n103,control,0,EU,phone,2\n",
)
