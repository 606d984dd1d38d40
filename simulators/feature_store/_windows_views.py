"""What the windows lab shows: metrics, figures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from simulators.engines.features.windows import Mode
from simulators.feature_store._windows_burst import Attack
from simulators.feature_store._windows_params import WindowsParams, duration
from simulators.feature_store._windows_sketch import SIZES, Sketches
from simulators.feature_store._windows_state import State, newest_visible_s
from simulators.feature_store._windows_stream import Served, Stream
from simulators.feature_store._windows_world import Events
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

NAMES: dict[Mode, str] = {"sliding": "Sliding (exact)", "sawtooth": "Sawtooth", "hopping": "Hopping", "snapshot": "Snapshot"}
COLOURS: dict[Mode, int] = {"sawtooth": 0, "hopping": 1, "snapshot": 2, "sliding": 3}
KB = 1_000
NOTHING = "No window held anything to compare."


@dataclass(frozen=True)
class Found:
    """All that a run has found. `averaged` is the error of an average of tile averages, a window each."""

    params: WindowsParams
    events: Events
    stream: Stream
    served: tuple[Served, ...]
    state: State
    attack: Attack | None
    sketches: Sketches | None
    averaged: tuple[float | None, ...]

    @property
    def labels(self) -> list[str]:
        return [duration(item.window.window_s) for item in self.served]

    @property
    def worst(self) -> Served:
        return max(self.served, key=lambda item: item.error() or 0.0)


def percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


# --- metrics -------------------------------------------------------------------------------------------------------------


def error_metrics(served: tuple[Served, ...]) -> list[Metric]:
    made = []
    for item in served:
        name = duration(item.window.window_s)
        at = f"@{item.window.window_s}s"
        note = "" if item.error() is not None else NOTHING
        shape = percent(item.error(shape_only=True))
        made += [
            Metric(
                f"error{at}", "Mean absolute error", percent(item.error()), "%", "down", series=name, limit=shape, note=note,
                limit_label="window shape alone",
            ),
            Metric(f"bias{at}", "Bias", percent(item.bias()), "%", series=name, note=note, limit=0.0, limit_label="exact"),
            Metric(
                f"differ{at}", "Requests served another value", 100 * item.differ(), "%", "down", series=name,
                limit=100 * item.differ(shape_only=True), limit_label="window shape alone",
            ),
        ]  # fmt: skip
    return made


def known_at_once(params: WindowsParams) -> list[Metric]:
    """What needs no events."""
    return [Metric("newest_visible_s", "Longest wait until a new event counts", newest_visible_s(params), "s", "down")]


def metrics(found: Found) -> list[Metric]:
    worst, state = percent(found.worst.error()), found.state
    made = [
        Metric("worst_error", "Error of the worst window", worst, "%", "down", note="" if worst is not None else NOTHING),
        *error_metrics(found.served),
        Metric("reads", "Tiles or events read a request, at most", state.reads_max, "reads", "down"),
        Metric("reads_mean", "Tiles or events read a request, on average", state.reads_mean, "reads", "down"),
        Metric("writes", "Writes an event", state.writes, "writes", "down"),
        Metric("bytes_p50", "State of the median entity", state.p50_bytes / KB, "kB", "down"),
        Metric("bytes_p999", "State of the 99.9th percentile entity", state.p999_bytes / KB, "kB", "down"),
        Metric("bytes_max", "State of the largest entity", state.max_bytes / KB, "kB", "down"),
        *known_at_once(found.params),
        Metric("dropped", "Late events dropped", 100 * found.stream.dropped / found.events.n, "% of events", "down"),
        Metric("repeated", "Redelivered events counted twice", 100 * found.stream.repeated / found.events.n, "% of events", "down"),
    ]
    return [*made, *_attack_metrics(found.attack, found.params.mode), *_sketch_metrics(found.sketches)]


def _attack_metrics(attack: Attack | None, mode: Mode) -> list[Metric]:
    if attack is None:
        return []
    seen = attack.seen_after_s(attack.online)
    note = "" if seen is not None else f"Not within {duration(float(attack.seconds[-1]))}."
    exact = attack.seen_after_s(attack.exact)
    label = f"Half of the attack visible in the {duration(attack.window.window_s)} window"
    return [
        Metric("attack_seen_s", label, seen, "s", "down", limit=exact, limit_label="exact window", note=note),
        Metric("served_age_s", "Oldest window end served meanwhile", float(np.nanmax(attack.age_s)), "s", "down"),
    ]


def _sketch_metrics(sketches: Sketches | None) -> list[Metric]:
    if sketches is None:
        return []
    error, note = percent(sketches.error), "" if sketches.error is not None else NOTHING
    label = "Sketch error, root mean square"
    return [Metric("hll_error", label, error, "%", "down", limit=100 * sketches.bound, limit_label="1.04 / sqrt(2^p)", note=note)]


# --- figures -------------------------------------------------------------------------------------------------------------


def error_figure(found: Found) -> Figure:
    """Shape alone beside what was served."""
    labels = [f"{name} / {duration(item.window.hop_s)}" for name, item in zip(found.labels, found.served, strict=True)]
    if found.params.mode in ("sliding", "snapshot"):
        labels = found.labels
    served = [percent(item.error()) for item in found.served]
    shape = [percent(item.error(shape_only=True)) for item in found.served]
    differ = [100 * item.differ() for item in found.served]
    series = [
        Series("Error as served", labels, served, colour=0, text=_percents(served)),
        Series("Error of the window's shape alone", labels, shape, colour=5, text=_percents(shape)),
        Series("Requests served another value", labels, differ, colour=4, text=_percents(differ)),
    ]
    wrongest = found.worst
    title = f"{NAMES[found.params.mode]}: the {duration(wrongest.window.window_s)} window errs by {_said(wrongest.error())}"
    text = "; ".join(
        f"{label}: error {_said(item.error())}, bias {_said(item.bias())}, {item.differ():.1%} of requests differ"
        for label, item in zip(labels, found.served, strict=True)
    )
    heading = "Window" if labels == found.labels else "Window / hop"
    return bar_figure("errors", title, text, series, Axis(heading), Axis("Share of the mean, or of requests", "%"))


def _percents(values: Sequence[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.3g} %" for value in values]


def _said(share: float | None) -> str:
    return "nothing to compare" if share is None else f"{100 * share:.2g} %"


def attack_figure(attack: Attack, mode: Mode) -> Figure:
    """Every kind of window computed, the chosen one as the store answered."""
    seconds = attack.seconds.tolist()
    series = [
        Series(NAMES[other], seconds, attack.curves[other].tolist(), mode="lines", colour=COLOURS[other])
        for other in ("sawtooth", "hopping", "snapshot")
        if other != mode
    ]
    series.append(Series(f"{NAMES[mode]}, read back from the store", seconds, attack.online.tolist(), mode="lines", colour=COLOURS[mode]))
    series.append(Series("Exact", seconds, attack.exact.tolist(), mode="lines", truth=True))
    seen = attack.seen_after_s(attack.online)
    words = f"sees half of the attack after {seen:.0f} s" if seen is not None else "does not see the attack here"
    title = f"{NAMES[mode]} of {duration(attack.window.window_s)} {words}"
    peaks = "; ".join(f"{NAMES[other]} reaches {attack.curves[other].max():.0f}" for other in NAMES)
    text = f"The exact count rises to {attack.exact.max():.0f} events; {peaks}"
    return line_figure("attack", title, text, series, Axis("Since the attack began", "s"), Axis("Events in the window", "events"))


def age_figure(attack: Attack, mode: Mode) -> Figure:
    series = [Series("Age of the served window's end", attack.seconds.tolist(), attack.age_s.tolist(), mode="lines", colour=COLOURS[mode])]
    oldest = float(np.nanmax(attack.age_s))
    title = f"What was served ended up to {duration(oldest)} before the request"
    text = f"Age from {np.nanmin(attack.age_s):.0f} to {oldest:.0f} s while the attack ran"
    return line_figure("age", title, text, series, Axis("Since the attack began", "s"), Axis("Age", "s"))


def state_figure(found: Found) -> Figure:
    """Entities from the smallest to the largest."""
    sizes = np.sort(found.state.entity_bytes)
    shares = np.unique(np.append(np.linspace(0, 1, 101), [0.995, 0.998, 0.999, 1.0]))
    values = np.maximum(np.quantile(sizes, shares) / KB, 1e-3)
    series = [Series("State of one entity", (100 * shares).tolist(), values.tolist(), mode="lines", colour=0)]
    ratio = found.state.max_bytes / max(found.state.p50_bytes, 1)
    title = f"The largest entity holds {found.state.max_bytes / KB:,.3g} kB, {ratio:,.1f} times the median"
    p50, p999 = found.state.p50_bytes / KB, found.state.p999_bytes / KB
    text = f"Median {p50:.3g} kB, 99.9th percentile {p999:.3g} kB, largest {sizes[-1] / KB:.3g} kB"
    return line_figure("state", title, text, series, Axis("Entities with less", "%"), Axis("State", "kB", "log"))


def sketch_figure(sketches: Sketches) -> Figure:
    errors = (100 * sketches.size_errors).tolist()
    bound = 100 * sketches.bound
    series = [Series("Measured, root mean square of 12", list(SIZES), errors, colour=0)]
    title = f"The sketch errs by {errors[-1]:.2g} % at {SIZES[-1]:,} values, its bound is {bound:.2g} %"
    text = "; ".join(f"{size:,} values: {error:.2g} %" for size, error in zip(SIZES, errors, strict=True))
    top = 1.2 * max(*errors, bound)
    figure = line_figure("sketch", title, text, series, Axis("Distinct values", "values", "log"), Axis("Error", "%", range=(0, top)))
    return with_line(figure, label="1.04 / sqrt(2^p)", y=bound)


def figures(found: Found) -> Iterator[Figure]:
    yield error_figure(found)
    if found.attack:
        yield attack_figure(found.attack, found.params.mode)
        if found.attack.age_s.max() > 0:
            yield age_figure(found.attack, found.params.mode)
    yield state_figure(found)
    if found.sketches:
        yield sketch_figure(found.sketches)


# --- tables --------------------------------------------------------------------------------------------------------------


def window_table(found: Found) -> Table:
    columns = (
        "Window", "Hop", "Error (%)", "Of it by shape (%)", "Bias (%)", "Requests that differ (%)", "Theory of a sawtooth (%)"
    )  # fmt: skip
    rows = []
    for item in found.served:
        tooth = 100 * item.window.hop_s / (2 * item.window.window_s) if found.params.mode == "sawtooth" else None
        shape = percent(item.error(shape_only=True))
        hop = duration(item.window.hop_s) if found.params.mode not in ("sliding", "snapshot") else "-"
        cells = [percent(item.error()), shape, percent(item.bias()), 100 * item.differ(), tooth]
        rows.append((duration(item.window.window_s), hop, *(None if cell is None else round(cell, 3) for cell in cells)))
    return Table("windows", "Windows against the exact ones", columns, tuple(rows))


def layout_table(rows: list[tuple[str, State]]) -> Table:
    columns = (
        "State",
        "Reads a request, at most",
        "Reads a request, mean (reads)",
        "Writes an event (writes)",
        "Median entity (kB)",
        "99.9th percentile (kB)",
        "Largest (kB)",
    )
    cells = tuple(
        (
            name,
            round(s.reads_max),
            round(s.reads_mean, 1),
            round(s.writes, 2),
            round(s.p50_bytes / KB, 3),
            round(s.p999_bytes / KB, 3),
            round(s.max_bytes / KB, 3),
        )
        for name, s in rows
    )
    return Table("layouts", "The same windows in other layouts", columns, cells)
