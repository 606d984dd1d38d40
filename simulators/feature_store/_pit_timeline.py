"""One entity's feature rows along time, and the row that each join gives to one of its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.pit import NONE
from simulators.engines.features.times import NEVER, US_PER_S
from simulators.feature_store._pit_joins import Joined, Store
from simulators.feature_store._pit_params import LABELS, Join
from simulators.feature_store._pit_views import COLOURS
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Figure

DAY_US = 86_400 * US_PER_S
SHOWN_ROWS = 200
ON_TIME, LATER = "written at once", "written later"


class Moment(NamedTuple):
    """The label to draw: its place among the labels, its entity in words, its time, and the time that day 0 stands for."""

    label: int
    entity: str
    at_us: int
    zero_us: int

    def days(self, time_us: int) -> float:
        return (time_us - self.zero_us) / DAY_US


def telling(joins: Mapping[Join, Joined], among: NDArray[np.int64]) -> int:
    """The label (one of `among`) over which the joins disagree most: most distinct values, then most distinct rows; the first such."""
    values = np.sort(np.nan_to_num(np.stack([item.value[among] for item in joins.values()]), nan=-1e300), axis=0)
    rows = np.sort(np.stack([item.row[among] for item in joins.values()]), axis=0)
    distinct = [(np.diff(part, axis=0) != 0).sum(axis=0) for part in (values, rows)]
    return int(among[np.argmax(distinct[0] * 100 + distinct[1])])


def timeline(moment: Moment, store: Store, mine: NDArray[np.int64], value: NDArray[np.float64], joins: Mapping[Join, Joined]) -> Figure:
    """`mine`: the entity's rows of the store, `value` (r,) those of the whole store; one lane for the rows and one for each join's pick."""
    mine = _nearest(mine, store, moment)
    created = store.event_us if store.created_us is None else store.created_us
    at_once = created[mine] <= store.event_us[mine]
    series = [
        _rows(name, mine[part], store, created, value, moment, colour)
        for name, part, colour in ((ON_TIME, at_once, 0), (LATER, ~at_once, 5))
        if part.any()
    ]
    picks = {mode: int(item.row[moment.label]) for mode, item in joins.items()}
    series += [_pick(mode, row, store, created, value, moment) for mode, row in picks.items()]
    words = ", ".join(f"{LABELS[mode]} {_value(value, row)}" for mode, row in picks.items())
    figure = line_figure(
        "timeline",
        f"{moment.entity}, day {moment.days(moment.at_us):.1f}: {words}",
        f"Rows of {moment.entity} by event time, and the row each join picks for a label of day {moment.days(moment.at_us):.2f}: {words}.",
        series,
        Axis("Event time", "d"),
        Axis("Rows, and the row each join picks"),
    )
    figure.plot["layout"]["yaxis"] |= {"categoryorder": "array", "categoryarray": [item.y[0] for item in reversed(series)]}
    figure.plot["layout"]["showlegend"] = False
    with_line(figure, label="request", x=moment.days(moment.at_us))
    figure.plot["layout"]["shapes"][-1]["label"]["textangle"] = 0
    return figure


def _nearest(mine: NDArray[np.int64], store: Store, moment: Moment) -> NDArray[np.int64]:
    """At most SHOWN_ROWS rows, those nearest in time to the label."""
    if len(mine) <= SHOWN_ROWS:
        return mine
    return mine[np.argsort(np.abs(store.event_us[mine] - moment.at_us), kind="stable")[:SHOWN_ROWS]]


def _rows(
    name: str,
    rows: NDArray[np.int64],
    store: Store,
    created: NDArray[np.int64],
    value: NDArray[np.float64],
    moment: Moment,
    colour: int,
) -> Series:
    words = [_words(row, store, created, value, moment) for row in rows.tolist()]
    days = [moment.days(store.event_us[row]) for row in rows]
    return Series(f"rows {name}", days, [f"rows {name}"] * len(rows), "markers", colour, text=words)


def _pick(mode: Join, row: int, store: Store, created: NDArray[np.int64], value: NDArray[np.float64], moment: Moment) -> Series:
    """A dot at the row's event time and, where it was written later, a line to the time it was written."""
    lane = f"{LABELS[mode]}: {_value(value, row)}"
    if row == NONE:
        return Series(lane, [moment.days(moment.at_us)], [lane], "markers", COLOURS[mode], text=[f"{LABELS[mode]}: no row"])
    ends: Sequence[int] = sorted({int(store.event_us[row]), int(created[row])}) if created[row] != NEVER else [int(store.event_us[row])]
    words = f"{LABELS[mode]} picks: {_words(row, store, created, value, moment)}"
    return Series(lane, [moment.days(end) for end in ends], [lane] * len(ends), "lines+markers", COLOURS[mode], text=[words] * len(ends))


def _words(row: int, store: Store, created: NDArray[np.int64], value: NDArray[np.float64], moment: Moment) -> str:
    after = (store.event_us[row] - moment.at_us) / US_PER_S
    side = f"{_span(abs(after))} {'after' if after > 0 else 'before'} the request"
    written = "never known" if created[row] == NEVER else f"written on day {moment.days(created[row]):.2f}"
    return f"value {_value(value, row)}, event on day {moment.days(store.event_us[row]):.2f} ({side}), {written}"


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _value(value: NDArray[np.float64], row: int) -> str:
    return "none" if row == NONE or np.isnan(value[row]) else f"{value[row]:.6g}"
