"""The joins on the user's own labels and feature rows."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from simulators.engines.features.pit import NONE, PointInTimeIndex
from simulators.engines.features.times import NEVER
from simulators.errors import InvalidInput
from simulators.feature_store import _pit_views as views
from simulators.feature_store._pit_data import OwnRows, iso, read_steps
from simulators.feature_store._pit_joins import CLOSE_US, Asked, Floats, Joined, Rules, Store, join
from simulators.feature_store._pit_params import LABELS, Join, PointInTimeParams
from simulators.feature_store._pit_timeline import Moment, telling, timeline
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Result, Steps, Table, Working

SHOWN_LABELS = 200
DAY_S = 86_400


class Own(NamedTuple):
    """The file's rows split, indexed and joined; `value` (r,) of its feature rows, `label` (m,) of its labels."""

    rows: OwnRows
    store: Store
    value: Floats
    asked: Asked
    label: Floats
    joins: dict[Join, Joined]
    join_ms: float

    @property
    def right(self) -> Join:
        """The strictest join the file allows."""
        return "as_known_at" if "as_known_at" in self.joins else "event_time"


def run_own(params: PointInTimeParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    file, digest = ctx.data.files["rows"], ctx.data.digest
    if params.join == "served_log":
        raise InvalidInput(f"{file.name} holds no log of served values; choose another join.", field="join")
    rows = yield from ctx.asset_steps(f"pit/own/{digest}", lambda: read_steps(file), disk=False)
    if params.join == "as_known_at" and rows.created_us is None:
        raise InvalidInput(f"{file.name} has no created column; the join as known at the request needs it.", field="join")
    yield Progress(0, 1, "indexing feature rows")
    store = ctx.asset(f"pit/own/{digest}/store", lambda: _store(rows), disk=False)
    own = yield from _joined(params, rows, store)
    figures = [views.leak_figure(own.joins, params.join), _timeline(own)]
    yield Frame(figures=figures)
    return Result(_metrics(own, params.join), figures, [_table(own, params.join)], _insights(own, params), _notes(own))


def _store(rows: OwnRows) -> Store:
    feature = ~rows.label
    event, created = rows.event_us[feature], None if rows.created_us is None else rows.created_us[feature]
    return Store(PointInTimeIndex(rows.entity[feature], event, rows.value[feature], created), event, created)


def _asked(rows: OwnRows) -> Asked:
    """A label is final when it was created, or half an hour after its request where the file does not say."""
    at = rows.event_us[rows.label]
    created = np.full(len(at), NEVER) if rows.created_us is None else rows.created_us[rows.label]
    return Asked(rows.entity[rows.label], at, np.where(created == NEVER, at + CLOSE_US, np.maximum(created, at)))


def _joined(params: PointInTimeParams, rows: OwnRows, store: Store) -> Working[Own]:
    asked, rules = _asked(rows), Rules(params.upper, params.ttl * DAY_S)
    joins, join_ms = dict[Join, Joined](), 0.0
    modes: list[Join] = ["latest", "event_in_window", "event_time"]
    if store.created_us is not None:
        modes.append("as_known_at")
    for mode in modes:
        started = time.thread_time()
        joins[mode] = join(mode, store, asked, rules)
        if mode == params.join:
            join_ms = 1e3 * (time.thread_time() - started)
        yield Progress(len(joins), len(modes), "joining")
    return Own(rows, store, rows.value[~rows.label], asked, rows.value[rows.label], joins, join_ms)


def _differing(own: Own, mode: Join) -> int:
    mine, right = own.joins[mode].value, own.joins[own.right].value
    return int((~((mine == right) | (np.isnan(mine) & np.isnan(right)))).sum())


def _metrics(own: Own, mode: Join) -> list[Metric]:
    differing = Metric("differing", f"Labels with another value than {LABELS[own.right]}", _differing(own, mode), "rows", "down")
    same = Metric("same_time", "Labels that got a row of their own timestamp", int(own.joins[mode].same_time.sum()), "rows")
    return [*views.join_metrics(own.joins[mode], len(own.label), own.join_ms), differing, same]


def _timeline(own: Own) -> Figure:
    label = telling(own.joins, np.arange(len(own.label)))
    key, at = int(own.asked.key[label]), int(own.asked.at_us[label])
    mine = np.flatnonzero(own.rows.entity[~own.rows.label] == key)
    zero = int(own.store.event_us[mine].min()) if len(mine) else at
    return timeline(Moment(label, _name(own, key), at, min(zero, at)), own.store, mine, own.value, own.joins)


def _name(own: Own, key: int) -> str:
    return str(own.rows.names[key].as_py())[:60]


# --- the join table -----------------------------------------------------------------------------------------------------------


def _table(own: Own, mode: Join) -> Table:
    """The first labels with the value each join gives them, and the row the chosen one picked."""
    joined = own.joins[mode]
    columns = (
        "Entity",
        "Request (UTC)",
        "Label (value)",
        "Leak",
        "Row picked, event time (UTC)",
        *(f"{LABELS[name].capitalize()} (value)" for name in own.joins),
    )
    rows = tuple(_table_row(own, joined, i) for i in range(min(SHOWN_LABELS, len(own.label))))
    more = f", the first {SHOWN_LABELS} of {len(own.label):,} labels" if len(own.label) > SHOWN_LABELS else ""
    return Table("joined", f"The joined rows{more}; picked: {LABELS[mode]}", columns, rows)


def _table_row(own: Own, joined: Joined, i: int) -> tuple[str | float | int | None, ...]:
    row = int(joined.row[i])
    leak = "newer" if joined.newer[i] else "written later" if joined.written_later[i] else ""
    return (
        _name(own, int(own.asked.key[i])),
        iso(int(own.asked.at_us[i])),
        _number(own.label[i]),
        leak,
        "" if row == NONE else iso(int(own.store.event_us[row])),
        *(_number(item.value[i]) for item in own.joins.values()),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


# --- words --------------------------------------------------------------------------------------------------------------------


def _insights(own: Own, params: PointInTimeParams) -> list[Insight]:
    mode, joined, labels = params.join, own.joins[params.join], len(own.label)
    newer, later = int(joined.newer.sum()), int(joined.written_later.sum())
    said = [
        Insight(
            f"{LABELS[mode].capitalize()}: of {labels:,} labels {newer:,} got a row newer than their request and {later:,} a row written "
            f"after it; {_differing(own, mode):,} got another value than {LABELS[own.right]}.",
            "deep_dive",
            "own_leaks",
        )
    ]
    if joined.nulls:
        said.append(Insight(f"{joined.nulls:,} labels ({joined.null_share:.1%}) find no value.", "deep_dive", "own_nulls"))
    same = int(joined.same_time.sum())
    if same:
        said.append(
            Insight(
                f"{same:,} labels got a row of their very own timestamp; if their own event wrote it, an exclusive bound keeps it out.",
                "deep_dive",
                "own_same_time",
            )
        )
    return said


def _notes(own: Own) -> list[str]:
    notes = ["Values are taken from the file as they are; the click window, late clicks and the model belong to the synthetic world."]
    if (own.asked.closed_us == own.asked.at_us + CLOSE_US).all():
        notes.append("No label says when it was final (its created time), so half an hour after the request was taken.")
    if own.store.created_us is None:
        notes.append("Without created times a row written after the request cannot be found: the leaks counted are at least so many.")
    return notes
