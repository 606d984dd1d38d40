"""The user's own experiment for the readout: mapping, the check before anything is stored, and reading batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment import faults
from simulators.engines.experiment.results_file import (
    MAX_ARMS,
    METRIC,
    Part,
    Roles,
    batches_of_units,
    is_totals,
    metric_values,
    part_of,
    read_parts,
    read_totals,
)
from simulators.engines.experiment.srm import SRM, srm_test
from simulators.engines.experiment.stats import Moments
from simulators.engines.experiment.tabular import Batch, TableFile, open_table, require_numbers
from simulators.errors import InvalidInput
from simulators.experimentation._results_file import RESULTS, column_names, known_column
from simulators.lab import Context, DataFile, DataInfo, DataOption, DataSpec, Progress

T = TypeVar("T")
OUTLIER_SHARE = 0.05  # of the metric's variance, carried by one unit
_BATCH_BYTES = 2 * 2**20


@dataclass(frozen=True)
class OwnData:
    """A read file: arms in order, control first. `assigned` counts rows of each arm, also those without a metric."""

    arms: dict[str, Moments]
    missing: dict[str, int]
    roles: Roles
    part: Part
    shares: dict[str, float]
    proportion: bool

    @property
    def control(self) -> str:
        return next(iter(self.arms))

    @property
    def assigned(self) -> dict[str, int]:
        return {arm: moments.n + self.missing.get(arm, 0) for arm, moments in self.arms.items()}

    @property
    def srm(self) -> SRM:
        return srm_test(list(self.assigned.values()), [self.shares[arm] for arm in self.arms])

    @property
    def total(self) -> Moments:
        first, *rest = self.arms.values()
        for moments in rest:
            first = first + moments
        return first

    def outlier(self) -> tuple[float, str] | None:
        """(share of the metric's variance, sentence) of the largest value when it carries 5 % or more."""
        top, total = self.part.largest, self.total
        spread = float(total.centred[total.index(METRIC), total.index(METRIC)])
        if top is None or self.proportion or spread <= 0:
            return None
        share = (top.value - float(total.mean[total.index(METRIC)])) ** 2 / spread
        who = f"unit {top.unit}" if top.unit else f"data row {top.row + 1:,}"
        return (
            (share, f"One row ({who}) reads {top.value:,.6g} and alone carries {100 * share:.3g}% of the variance.")
            if share >= OUTLIER_SHARE
            else None
        )


# --- mapping -----------------------------------------------------------------------------------------------------------------


def _roles(table: TableFile, options: Mapping[str, str]) -> Roles:
    def named(key: str) -> str:
        column = options.get(key, "").strip()
        return known_column(table, column, key) if column else ""

    if is_totals(table.columns):
        return Roles(arm="arm", metric="sum")
    for key in ("arm", "metric"):
        if not named(key):
            raise InvalidInput(f"Choose the column that holds the {key}; {table.name} has {', '.join(table.columns)}.", field=key)
    given = [name.strip() for name in options.get("covariates", "").split(",") if name.strip()]
    covariates = tuple(known_column(table, name, "covariates") for name in given)
    roles = Roles(
        named("arm"), named("metric"), named("unit"), named("denominator"), covariates, named("day"), named("segment"), named("trigger")
    )
    taken = [*roles.texts, *roles.numbers]
    for column in taken:
        if taken.count(column) > 1:
            raise InvalidInput(
                f"Column {column} was given two roles; each role needs a column of its own.",
                field="covariates" if column in given else "metric",
            )
    require_numbers(table, roles.numbers)
    return roles


def _control(arms: list[str], wanted: str) -> str:
    """The named arm; else one that says it is the control; else the first in alphabetical order."""
    if wanted and wanted not in arms:
        raise InvalidInput(f"There is no arm {wanted!r}; the arms are {', '.join(arms)}.", field="control")
    return wanted or next((arm for arm in arms if "control" in arm.lower()), arms[0])


def _shares(arms: list[str], text: str) -> dict[str, float]:
    """Planned shares from "a=90, b=10"; equal ones when nothing is given."""
    if not text.strip():
        return dict.fromkeys(arms, 1.0)
    pairs = [pair.rpartition("=") for pair in text.split(",")]
    found = {arm.strip(): share.strip() for arm, _, share in pairs}
    if set(found) != set(arms) or not all(faults.is_number(share) and float(share) > 0 for share in found.values()):
        raise InvalidInput(
            f"Planned shares {text!r} were given; expected a number above 0 for each arm, such as {arms[0]}=50, {arms[1]}=50.",
            field="shares",
        )
    return {arm: float(share) for arm, share in found.items()}


def _own_data(table: TableFile, roles: Roles, part: Part, options: Mapping[str, str]) -> OwnData:
    arms = sorted(part.arms)
    if not 2 <= len(arms) <= MAX_ARMS:
        raise InvalidInput(f"Column {roles.arm} has {len(arms)} value{'s' * (len(arms) != 1)}; an arm has 2 to {MAX_ARMS}.", field="arm")
    control = _control(arms, options.get("control", "").strip())
    ordered = [control, *(arm for arm in arms if arm != control)]
    moments = {arm: part.arms[arm] for arm in ordered}
    proportion = next(iter(moments.values())).kinds[0] == "proportion"
    return OwnData(
        moments, {arm: part.missing.get(arm, 0) for arm in ordered}, roles, part, _shares(arms, options.get("shares", "")), proportion
    )


# --- the check, before anything is stored ----------------------------------------------------------------------------------------


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    file = files["results"]
    table = open_table(file.path, file.name)
    roles = _roles(table, options)
    own = _own_data(table, roles, read_totals(table) if is_totals(table.columns) else _checked_rows(table, roles), options)
    for arm, moments in own.arms.items():
        if moments.n < 2:
            raise InvalidInput(f"Arm {arm} has {moments.n} row{'s' * (moments.n != 1)} with a metric; at least 2 are needed.", field="arm")
    _refuse_constant_covariates(own)
    return DataInfo(facts=_facts(own), warnings=_warnings(own))


def _checked_rows(table: TableFile, roles: Roles) -> Part:
    part, hashes = Part(), []
    for batch in batches_of_units(table, roles):
        part += part_of(batch, table, roles)
        _refuse_other_triggers(batch, roles.trigger)
        if len(part.arms) > 10 * MAX_ARMS:
            raise InvalidInput(f"Column {roles.arm} has more than {10 * MAX_ARMS} values; an arm has 2 to {MAX_ARMS}.", field="arm")
        if roles.unit and not roles.day:
            hashes.append(np.fromiter((hash(unit) for unit in batch.texts[roles.unit].drop_null().to_pylist()), dtype=np.int64))
    _refuse_repeats(table, roles.unit, hashes)
    return part


def _refuse_other_triggers(batch: Batch, trigger: str) -> None:
    if not trigger:
        return
    values = batch.numbers[trigger]
    wrong = np.flatnonzero(~np.isin(values, (0.0, 1.0)) & ~np.isnan(values))
    if len(wrong):
        row = batch.first_row + int(wrong[0]) + 1
        raise InvalidInput(f"Data row {row:,}, column {trigger}: {values[wrong[0]]:g} is neither 0 nor 1.", field="trigger")


def _refuse_repeats(table: TableFile, unit: str, hashes: list[NDArray[np.int64]]) -> None:
    """Equal hashes first, 8 bytes a unit; the file is read again for the line only where two are equal."""
    together = np.sort(np.concatenate(hashes)) if hashes else np.zeros(0, dtype=np.int64)
    repeated = set(together[1:][together[1:] == together[:-1]].tolist())
    if not repeated:
        return
    if table.format == "parquet":
        raise InvalidInput(
            f"Column {unit}: {len(repeated):,} units have more than one row; expected one row a unit, or a day column mapped.", field="unit"
        )
    fault = faults.first_repeat(table.path, unit, lambda value: bool(value) and hash(value) in repeated)
    if fault:
        raise fault


def _refuse_constant_covariates(own: OwnData) -> None:
    total = own.total
    for i, name in enumerate(own.roles.covariates):
        at = total.index(f"x{i}")
        if total.centred[at, at] <= 0:
            raise InvalidInput(f"Column {name}, a covariate, has no variance; every row reads {total.mean[at]:g}.", field="covariates")


def _facts(own: OwnData) -> tuple[tuple[str, str], ...]:
    arms = ", ".join(f"{arm}{' (control)' if arm == own.control else ''} {count:,}" for arm, count in own.assigned.items())
    total = own.total
    spread = float(total.covariance()[0, 0]) ** 0.5
    facts = [("Rows", f"{own.part.rows:,}"), ("Arms", arms), ("Metric", f"{own.roles.metric}: mean {total.mean[0]:.4g}, s.d. {spread:.4g}")]
    if any(own.missing.values()):
        facts.append(("Rows without a metric", ", ".join(f"{arm} {count:,}" for arm, count in own.missing.items())))
    facts.append(("Sample ratio", f"p = {own.srm.p_value:.2g} against the planned shares: {own.srm.status}"))
    if own.roles.covariates:
        facts.append(("Covariates", ", ".join(own.roles.covariates)))
    for name, cells in (("Segments", own.part.by_segment), ("Days", own.part.by_day)):
        if cells:
            facts.append((name, f"{len({value for value, _ in cells})}"))
    return tuple(facts)


def _warnings(own: OwnData) -> tuple[str, ...]:
    found = []
    if own.srm.status != "green":
        found.append(
            f"Sample ratio mismatch ({own.srm.status}): p = {own.srm.p_value:.2g} under the planned shares. Look for lost units first."
        )
    if own.part.no_arm:
        found.append(f"{own.part.no_arm:,} rows have no arm and are left out.")
    outlier = own.outlier()
    if outlier:
        found.append(f"{outlier[1]} Winsorise, or find out whether it is real.")
    if not own.roles.covariates:
        found.append("No pre-period column is mapped, so CUPED has nothing to work with.")
    return tuple(found)


# --- reading inside a run ----------------------------------------------------------------------------------------------------------


def read_own(ctx: Context, quantile: float | None, *, triggered: bool = False) -> Generator[Progress, None, OwnData]:
    """The file as moments an arm; each batch is kept in the worker, so another analysis of the same file reads nothing.

    Raises InvalidInput where only triggered units are wanted and fewer than two arms have any.
    """
    assert ctx.data is not None
    file, prefix = ctx.data.files["results"], f"readout/own/{ctx.data.digest}"
    table = ctx.asset(f"{prefix}/table", lambda: open_table(file.path, file.name), disk=False)
    table = TableFile(file.path, file.name, table.format, table.columns, table.flags, table.typical)
    roles = _roles(table, ctx.data.options)
    if is_totals(table.columns):
        return _own_data(table, roles, read_totals(table), ctx.data.options)
    cap = None
    if quantile is not None:
        values = yield from _cached(ctx, f"{prefix}/values", table, lambda: metric_values(table, roles), "finding the cap")
        cap = ctx.asset(f"{prefix}/cap={quantile}", lambda: _upper_quantile(values, quantile), disk=False)
    key = f"{prefix}/cap={cap}/triggered={triggered}"
    parts = yield from _cached(ctx, key, table, lambda: read_parts(table, roles, cap, triggered=triggered), "reading rows")
    return _own_data(table, roles, sum(parts, Part()), ctx.data.options)


def _upper_quantile(parts: list[NDArray[np.float64]], quantile: float) -> float:
    """The value at that rank, by selection: a full sort of five million would hold up the run."""
    values = np.concatenate(parts)
    rank = int(np.ceil(quantile * (len(values) - 1)))
    return float(np.partition(values, rank)[rank])


def _cached(
    ctx: Context, prefix: str, table: TableFile, start: Callable[[], Iterator[T]], label: str
) -> Generator[Progress, None, list[T]]:
    """Every item of `start()`, one asset each; the iterator is made, and run up to its place, only for what is not kept."""
    items: list[T] = []
    running: list[Iterator[T]] = []

    def read() -> T | None:
        if not running:
            running.append(start())
            for _ in range(len(items)):
                next(running[0])
        return next(running[0], None)

    total = max(1, table.path.stat().st_size)
    while (item := ctx.asset(f"{prefix}/{len(items)}", read, disk=False)) is not None:
        items.append(item)
        if running:
            yield Progress(min(total, len(items) * _BATCH_BYTES), total, label)
    return items


SPEC = DataSpec(
    title="Your experiment",
    help="One row a unit with its arm and metric, or totals by arm and day with the columns arm, day, n, sum, sum_squares.",
    slots=(RESULTS,),
    options=(
        DataOption("arm", "Arm", "The column that says which variant a unit saw (2 to 10 values)", columns_of="results"),
        DataOption("control", "Control", "The arm the others are compared with; empty: the one called control, or the first"),
        DataOption(
            "metric",
            "Metric",
            "Numbers with a decimal point, 0/1 or True/False; empty fields are left out and counted",
            columns_of="results",
        ),
        DataOption("unit", "Unit", "User id: no two rows may share one, unless a day is mapped", columns_of="results"),
        DataOption("denominator", "Denominator", "For a ratio metric such as clicks per view: the views", columns_of="results"),
        DataOption("covariates", "Covariates", "Columns known before the test began, best first (CUPED)", columns_of="results", many=True),
        DataOption("day", "Day", "Rows of one unit are added up; draws the control's baseline by day", columns_of="results"),
        DataOption("segment", "Segment", "Country, device: the effect within each, corrected for their number", columns_of="results"),
        DataOption("trigger", "Trigger", "1 where the unit reached the changed surface, logged in both arms; else 0", columns_of="results"),
        DataOption("shares", "Planned shares", "Such as a=90, b=10; empty: equal shares"),
    ),
    check=check,
    columns=column_names,
    example="user,variant,revenue,revenue_before\n101,control,0,12.5\n102,treatment,9.99,0\n103,control,4.5,\n",
)
