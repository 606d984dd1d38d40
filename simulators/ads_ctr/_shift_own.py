"""The schedules on the user's own click log, cut into days; no truth is known there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulators.ads_ctr import _shift_views as views
from simulators.ads_ctr._ctr_data import MAX_BYTES, columns, read_steps
from simulators.ads_ctr._shift_params import LABELS, ShiftParams
from simulators.ads_ctr._shift_study import Settled, Study, play_steps
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.data import CtrData
from simulators.engines.ranking.drift import FIRST_DAYS
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import (
    Context,
    DataFile,
    DataInfo,
    DataOption,
    DataSlot,
    DataSpec,
    Frame,
    Insight,
    Progress,
    Result,
    Steps,
    Working,
)

LEAST_DAYS, MOST_DAYS, MOST_CELLS = 10, 120, 30_000_000
ONE_HOT = 32  # ids of a field above which they share so many columns
SECONDS_A_DAY = {"days": 1.0, "hours": 24.0, "seconds": 86_400.0, "milliseconds": 86_400_000.0}


class OwnDays(NamedTuple):
    """Rows of each day in order of time; `label` names a day as the file counts it."""

    days: tuple[tuple[Floats, Floats], ...]
    label: Ints
    notes: tuple[str, ...]


def days_steps(files: Mapping[str, DataFile], options: Mapping[str, str]) -> Working[OwnDays]:
    """The whole log, cut into days. Raises InvalidInput with line and column, or with the day."""
    name = files["log"].name
    if not options.get("time", "").strip():
        known = ", ".join(columns(files["log"]))[:200]
        raise InvalidInput(f"Choose the column of {name} that holds the time; expected one of {known}.", field="time")
    read = yield from read_steps(files, options)
    data = read.data
    assert data.time is not None
    known_label = ~np.isnan(data.y)
    day = np.floor(data.time / SECONDS_A_DAY[_unit(data.time, options)]).astype(np.int64)
    order = np.flatnonzero(known_label)[np.argsort(data.time[known_label], kind="stable")]
    label, starts = np.unique(day[order], return_index=True)
    _refuse_days(name, label, options)
    yield Progress(1, 2, "features of each day")
    x, y = _features(data, name)[order], data.y[order].astype(np.float64)
    parts = tuple(zip(np.split(x, starts[1:]), np.split(y, starts[1:]), strict=True))
    for number, (_, labels) in enumerate(parts):
        if labels.min() == labels.max():
            what = "no positive" if labels[0] == 0 else "nothing but positives"
            raise InvalidInput(
                f"{name}: day {number + 1} of {len(label)} has {what} in {len(labels):,} rows; expected both labels every day."
            )
    yield Progress(2, 2, "features of each day")
    return OwnDays(_standardised(parts), label, read.notes)


def _unit(time: Floats, options: Mapping[str, str]) -> str:
    """As told, or by size: milliseconds and seconds since 1970 are larger than any count of days."""
    told = options.get("unit", "") or "by size"
    if told != "by size":
        return told
    largest = float(np.abs(time).max())
    return "milliseconds" if largest >= 1e11 else "seconds" if largest >= 1e8 else "days"


def _refuse_days(name: str, label: Ints, options: Mapping[str, str]) -> None:
    if not LEAST_DAYS <= len(label) <= MOST_DAYS:
        raise InvalidInput(
            f"{name} holds {len(label):,} days by its column {options['time'].strip()}; expected {LEAST_DAYS} to {MOST_DAYS}. "
            "Is the unit of the time right?",
            field="time",
        )


def _features(data: CtrData, name: str) -> Floats:
    """(N, D): numbers, and a column an id; many ids of one field share columns."""
    width = data.dense.shape[1] + sum(min(card, ONE_HOT) for card in data.cards)
    if len(data) * width > MOST_CELLS:
        most = MOST_CELLS // width
        raise InvalidInput(f"{name} has {len(data):,} rows of {width} columns once ids are spread; expected at most {most:,} rows.")
    made = np.zeros((len(data), width))
    made[:, : data.dense.shape[1]] = np.nan_to_num(data.dense)
    at = data.dense.shape[1]
    for field, card in enumerate(data.cards):
        made[np.arange(len(data)), at + data.fields[:, field] % ONE_HOT] = 1.0
        at += min(card, ONE_HOT)
    return made


def _standardised(parts: tuple[tuple[Floats, Floats], ...]) -> tuple[tuple[Floats, Floats], ...]:
    """By the first days alone: later ones are the future."""
    first = np.concatenate([x for x, _ in parts[:FIRST_DAYS]])
    spread = first.std(axis=0)
    mean, spread = first.mean(axis=0), np.where(spread > 0, spread, 1.0)
    return tuple(((x - mean) / spread, y) for x, y in parts)


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    own = finish(days_steps(files, options))
    rows = [len(y) for _, y in own.days]
    gaps = int(own.label[-1] - own.label[0]) + 1 - len(own.label)
    warnings = [*own.notes]
    if gaps:
        warnings.append(f"{gaps} days between the first and the last have no row; they are left out.")
    facts = (
        ("Days", f"{len(rows)}"),
        ("Rows", f"{sum(rows):,}, {min(rows):,} to {max(rows):,} a day"),
        ("Click rate", f"{sum(float(y.sum()) for _, y in own.days) / sum(rows):.2%}"),
        ("Columns learned from", f"{own.days[0][0].shape[1]}"),
    )
    return DataInfo(facts, tuple(warnings))


def run_own(params: ShiftParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    files, options = ctx.data.files, ctx.data.options
    own = yield from ctx.asset_steps(f"shift/own/{ctx.data.digest}", lambda: days_steps(files, options), disk=False)
    study = Study(params, own.days, Settled(slice(FIRST_DAYS, None), None, ()), None)
    for way in params.schedules:
        yield from play_steps(study, way)
        yield Frame(figures=[views.ne_figure(study)])
    return Result(
        metrics=list(views.way_metrics(study)),
        figures=[views.ne_figure(study), views.ratio_figure(study), views.cost_figure(study), views.parts_figure(study)],
        tables=[views.table(study)],
        insights=_insights(study),
        notes=[
            "The world's sliders do nothing here: days, clicks and features come from the file.",
            f"Days count from 0; the first {FIRST_DAYS} teach the first model.",
        ],
    )


def _insights(study: Study) -> list[Insight]:
    best, said = study.best, list[Insight]()
    said.append(
        Insight(
            f"On this log {LABELS[best]} is best with a normalised entropy of {study.mean(best):.3f} for "
            f"{study.played[best].rows_trained:,} rows of training.",
            "architecture",
            "own_best",
        )
    )
    if "static" in study.played and best != "static":
        lost = study.late("static") - study.late(best)
        said.append(
            Insight(
                f"In the last days the first model reads {study.late('static'):.3f}, {lost:+.3f} against {LABELS[best]}: that is what "
                "staleness costs here.",
                "evaluation",
                "own_staleness",
            )
        )
    if "triggered" in study.played:
        rung = study.played["triggered"].retrained_on
        said.append(
            Insight(
                f"The alarm at {study.params.threshold:.1%} rang {'on days ' + ', '.join(map(str, rung)) if rung else 'never'}.",
                "evaluation",
                "own_alarm",
            )
        )
    return said


SPEC = DataSpec(
    title="Your click log with its times",
    help=(
        "One row an impression: a label of 0 and 1, a time, and features. It is cut into days; the first five teach the first model. "
        "Numbers are learned as they are, ids by a column each."
    ),
    slots=(
        DataSlot(
            "log",
            "Click log",
            "Comma, tab, semicolon or :: between columns, UTF-8, gzip allowed; 10 to 120 days with both labels on each",
            (".csv", ".tsv", ".txt", ".data", ".dat", ".inter", ".gz"),
            max_bytes=MAX_BYTES,
        ),
    ),
    check=check,
    columns=columns,
    options=(
        DataOption("time", "Time", "A number: days, or seconds or milliseconds since 1970.", required=True, columns_of="log"),
        DataOption("unit", "Unit of the time", "By size: seconds or milliseconds since 1970, or else days.",
                   ("by size", *SECONDS_A_DAY), default="by size"),
        DataOption("label", "Label", "0 or 1, or ratings in a column called rating. Empty: label, click, rating or y.", columns_of="log"),
        DataOption("sparse", "Ids", "Columns to be taken as ids. Empty: told by sight.", columns_of="log", many=True),
        DataOption("dense", "Numbers", "Columns to be taken as numbers. Empty: told by sight.", columns_of="log", many=True),
    ),
    example="day,click,position,hour,device\n0,1,1,9,phone\n0,0,4,13,desktop\n1,0,2,22,phone\n",
)  # fmt: skip
