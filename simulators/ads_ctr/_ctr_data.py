"""The user's own click log: the check before anything is stored, and its columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulators.engines.ranking.data import CtrFile, CtrRead, ctr_columns, iter_read_ctr
from simulators.engines.steps import finish, relay
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataInfo, DataOption, DataSlot, DataSpec, Progress, Working

MAX_BYTES = 200 * 2**20
ENOUGH, LEAST = 100, 20  # positives: below the first a warning, below the second a refusal
BUCKETS = 100_000


def file_of(files: Mapping[str, DataFile]) -> CtrFile:
    return ctr_columns(files["log"].path, files["log"].name)


def columns(file: DataFile) -> tuple[str, ...]:
    return ctr_columns(file.path, file.name).columns


def label_of(file: CtrFile, options: Mapping[str, str]) -> str:
    """The column named, else the first that usually holds it."""
    named = options.get("label", "").strip()
    usual = [name for name in ("label", "click", "clicked", "rating", "y") if name in file.columns]
    if not named and not usual:
        raise InvalidInput(f"{file.name}: no column is called label, click, clicked, rating or y; expected the label's column to be named.")
    return named or usual[0]


def read_steps(files: Mapping[str, DataFile], options: Mapping[str, str], buckets: int = 0) -> Working[CtrRead]:
    """The whole log. Raises InvalidInput with line and column."""
    file = file_of(files)

    def named(key: str) -> list[str] | None:
        return [name.strip() for name in options.get(key, "").split(",") if name.strip()] or None

    steps = iter_read_ctr(
        file,
        label_of(file, options),
        named("sparse"),
        named("dense"),
        buckets or BUCKETS,
        time=options.get("time", "").strip() or None,
    )
    return (yield from relay(steps, lambda step: Progress(step.done, step.total, step.label)))


def positives(read: CtrRead, name: str) -> int:
    labelled = read.data.y[~np.isnan(read.data.y)]
    found = int(labelled.sum())
    if found < LEAST or found > len(labelled) - LEAST:
        raise InvalidInput(f"{name}: {found} of {len(labelled):,} labelled rows are positive; at least {LEAST} of either label are needed.")
    return found


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    read = finish(read_steps(files, options))
    data, found = read.data, positives(read, files["log"].name)
    widest = max(range(len(data.cards)), key=lambda field: data.cards[field]) if data.cards else None
    facts = [
        ("Rows", f"{len(data):,}"),
        ("Positives", f"{found:,} ({found / len(data):.2%})"),
        (
            "Fields of ids",
            f"{len(data.cards)}" + (f", up to {data.cards[widest]:,} ids ({data.names[widest]})" if widest is not None else ""),
        ),
        ("Columns of numbers", f"{data.dense.shape[1]}"),
        ("Order", "time column" if data.time is not None else "order of the file"),
    ]
    few = (f"Only {found} positives: fewer than {ENOUGH} make every figure noisy.",) if found < ENOUGH else ()
    return DataInfo(tuple(facts), (*few, *read.notes))


SPEC = DataSpec(
    title="Your click log",
    help=(
        "One row an impression. Criteo's layout with or without its header and MovieLens ratings (positive from 4 on) are known by sight; "
        "any other table needs a header and one label of 0 and 1. The last fifth of the rows is the test."
    ),
    slots=(
        DataSlot(
            "log",
            "Click log",
            "Comma, tab, semicolon or :: between columns, UTF-8, gzip allowed; up to 2,000,000 rows and 60 columns",
            (".csv", ".tsv", ".txt", ".data", ".dat", ".inter", ".gz"),
            max_bytes=MAX_BYTES,
        ),
    ),
    check=check,
    columns=columns,
    options=(
        DataOption("label", "Label", "0 or 1, or ratings in a column called rating. Empty: label, click, rating or y.", columns_of="log"),
        DataOption("time", "Time", "Orders the rows. Empty: the order of the file.", columns_of="log"),
        DataOption("sparse", "Ids", "Columns to be taken as ids. Empty: told by sight.", columns_of="log", many=True),
        DataOption("dense", "Numbers", "Columns to be taken as numbers. Empty: told by sight.", columns_of="log", many=True),
        DataOption("split", "Test rows", "By time, or at random to see how that flatters.", ("time", "random"), default="time"),
    ),
    example="label,I1,I2,C1,C2\n0,3,260,05db9164,08d6d899\n1,,19,68fd1e64,04e09220\n",
)
