"""The user's own features and labels in one file: reading, and the check before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment.tabular import Batch, TableFile, open_table, place_of, read_batches, require_numbers
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataInfo, DataOption, DataSlot, DataSpec, Progress, Working

MAX_ROWS, MAX_BYTES = 200_000, 100 * 2**20
MIN_EACH = 50  # positives, and negatives, of a task
TASKS = (2, 4)
TEST_SHARE = 0.25


@dataclass(frozen=True)
class OwnTasks:
    """Rows N in the order of the file, D features, T tasks."""

    features: tuple[str, ...]
    tasks: tuple[str, ...]
    X: NDArray[np.float64]  # (N, D)
    Y: NDArray[np.float64]  # (N, T), NaN where unlabelled

    def memory_bytes(self) -> int:
        return int(self.X.nbytes + self.Y.nbytes)


def read_steps(file: DataFile, options: Mapping[str, str]) -> Working[OwnTasks]:
    """The whole file. Raises InvalidInput with line (Parquet: row) and column."""
    table = open_table(file.path, file.name)
    tasks = _chosen(table, options, "labels")
    if not TASKS[0] <= len(tasks) <= TASKS[1]:
        raise InvalidInput(
            f"{len(tasks)} label columns were chosen; expected {TASKS[0]} to {TASKS[1]} of {', '.join(table.columns)[:200]}.",
            field="labels",
        )
    features = _features(table, options, tasks)
    require_numbers(table, [*features, *tasks])
    parts, read = [], 0
    for batch in read_batches(table, [*features, *tasks], []):
        parts.append((_inputs(table, batch, features), _labels(table, batch, tasks)))
        read += batch.rows
        if read > MAX_ROWS:
            raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows; send a sample of them.")
        yield Progress(read, max(read, MAX_ROWS), "reading rows")
    own = OwnTasks(features, tasks, *(np.concatenate(part) for part in zip(*parts, strict=True)))
    _require_both_classes(own)
    return own


def split_rows(n: int, split: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train and to test on: the last quarter of the file, or a quarter drawn from all of it."""
    order = np.random.default_rng(0).permutation(n) if split == "random" else np.arange(n)
    cut = n - round(TEST_SHARE * n)
    return np.sort(order[:cut]), np.sort(order[cut:])


def _features(table: TableFile, options: Mapping[str, str], tasks: tuple[str, ...]) -> tuple[str, ...]:
    chosen = _chosen(table, options, "features") or tuple(column for column in table.columns if column not in tasks)
    both = [column for column in chosen if column in tasks]
    if both:
        raise InvalidInput(f"Column {both[0]} was chosen as a label and as a feature; expected one of the two.", field="features")
    if not chosen:
        raise InvalidInput(f"{table.name} has no column besides the labels; expected at least one feature.", field="features")
    return chosen


def _chosen(table: TableFile, options: Mapping[str, str], key: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in options.get(key, "").split(",") if name.strip()))
    for name in names:
        if name not in table.columns:
            raise InvalidInput(f"There is no column {name!r}; {table.name} has {', '.join(table.columns)[:200]}.", field=key)
    return names


def _inputs(table: TableFile, batch: Batch, features: tuple[str, ...]) -> NDArray[np.float64]:
    X = np.column_stack([batch.numbers[name] for name in features])
    empty = np.argwhere(np.isnan(X))
    if len(empty):
        row, column = empty[0]
        raise InvalidInput(
            f"{place_of(table, batch.first_row + int(row))}, column {features[column]} is empty; expected a number in every feature.",
            field="features",
        )
    return X


def _labels(table: TableFile, batch: Batch, tasks: tuple[str, ...]) -> NDArray[np.float64]:
    Y = np.column_stack([batch.numbers[name] for name in tasks])
    wrong = np.argwhere(~np.isnan(Y) & (Y != 0) & (Y != 1))
    if len(wrong):
        row, column = wrong[0]
        raise InvalidInput(
            f"{place_of(table, batch.first_row + int(row))}, column {tasks[column]}: {Y[row, column]:g} was given; "
            "expected 0, 1, or nothing where there is no label.",
            field="labels",
        )
    return Y


def _require_both_classes(own: OwnTasks) -> None:
    for task, name in enumerate(own.tasks):
        for value, words in ((1, "positives"), (0, "negatives")):
            count = int((own.Y[:, task] == value).sum())
            if count < MIN_EACH:
                raise InvalidInput(f"Task {name} has {count} {words}: at least {MIN_EACH} needed.", field="labels")


# --- the check, before anything is stored ---------------------------------------------------------------------------------------


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    own = finish(read_steps(files["rows"], options))
    return DataInfo(_facts(own), tuple(_warnings(own, options)))


def _facts(own: OwnTasks) -> tuple[tuple[str, str], ...]:
    labels = [(name, own.Y[:, task]) for task, name in enumerate(own.tasks)]
    return (
        ("Rows", f"{len(own.X):,}"),
        ("Features", f"{len(own.features)}"),
        *((f"Task {name}", f"labelled on {np.mean(~np.isnan(y)):.1%} of the rows, {np.nanmean(y):.2%} positive") for name, y in labels),
    )


def _warnings(own: OwnTasks, options: Mapping[str, str]) -> list[str]:
    found = []
    constant = [name for name, column in zip(own.features, own.X.T, strict=True) if column.min() == column.max()]
    if constant:
        found.append(f"Constant columns say nothing: {', '.join(constant)[:200]}.")
    _, test = split_rows(len(own.X), options.get("split", ""))
    few = [name for task, name in enumerate(own.tasks) if np.nansum(own.Y[test, task]) < MIN_EACH]
    if few:
        found.append(f"The test rows hold fewer than {MIN_EACH} positives of {', '.join(few)}: differences there will be noise.")
    return found


def columns(file: DataFile) -> tuple[str, ...]:
    return open_table(file.path, file.name).columns


SPEC = DataSpec(
    title="Your features and labels",
    help=(
        "One row an impression: numeric features and 2 to 4 labels of 0 or 1, empty where there is none. The truth is not known, so nets "
        "are compared by log loss on held-out rows, each with the noise of its difference."
    ),
    slots=(
        DataSlot(
            "rows", "Rows", "CSV (UTF-8, commas) or Parquet, up to 200,000 rows and 100 columns", (".csv", ".parquet"), max_bytes=MAX_BYTES
        ),
    ),
    options=(
        DataOption("labels", "Labels", "2 to 4 columns of 0, 1 or nothing", columns_of="rows", required=True, many=True),
        DataOption("features", "Features", "Numeric columns; empty: every column that is no label", columns_of="rows", many=True),
        DataOption(
            "split",
            "Test rows",
            "last: the last quarter of the file, as time goes; random: a quarter drawn from all of it",
            ("last", "random"),
            default="last",
        ),
    ),
    check=check,
    columns=columns,
    example="age_h,length_s,author_rate,clicked,subscribed\n3.5,240,0.041,1,0\n12.0,65,0.018,0,\n0.7,900,0.077,1,1\n",
)
