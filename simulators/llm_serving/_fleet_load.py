"""The load of a day, what was forecast of it, and how it divides over regions; or the user's own curve."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.errors import InvalidInput
from simulators.lab import Context, DataFile, DataInfo, DataSlot, DataSpec
from simulators.llm_serving._fleet_params import FleetDayParams

Floats = npt.NDArray[np.float64]
DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
PEAK_RPS, TROUGH, STEP = 200.0, 0.33, 1.8
STEP_FROM_S, STEP_TO_S, STEP_WIDTH_S = 9 * HOUR_S, 11 * HOUR_S, 60
SPIKE_FROM_S, SPIKE_TO_S = 15 * HOUR_S, 15 * HOUR_S + 1_800
MEMORY, SHOCK = 0.98, 0.01  # noise by the minute, AR(1)
LEAST_S, MOST_S, COARSEST_S = 2 * HOUR_S, 7 * DAY_S, 300
SLOT = "load"


class Loads(NamedTuple):
    """rps[r, s] and forecast_rps[r, s]: requests a second in each region; a spilling world has one row. `remote`: served far away."""

    rps: Floats
    forecast_rps: Floats
    remote: float
    peak_to_mean: float

    @property
    def total_rps(self) -> Floats:
        return np.asarray(self.rps.sum(axis=0))


def clean_day() -> Floats:
    """float64[86400]: a slow wave with its peak in the afternoon and a step at nine that everybody knows of."""
    second = np.arange(DAY_S, dtype=np.float64)
    wave = TROUGH + (1 - TROUGH) * (0.5 - 0.5 * np.cos(2 * np.pi * (second / DAY_S - 1 / 6)))
    risen = 1 / (1 + np.exp(np.clip((STEP_FROM_S - second) / STEP_WIDTH_S, -50, 50)))
    day = wave * (1 + (STEP - 1) * risen * (second < STEP_TO_S))
    return np.asarray(PEAK_RPS * day / day.max())


def noise(rng: np.random.Generator, seconds: int) -> Floats:
    """Factors around 1, constant within a minute."""
    minutes = -(-seconds // MINUTE_S)
    value, walk = 0.0, np.empty(minutes)
    for i, shock in enumerate(rng.normal(0, SHOCK, minutes)):
        value = MEMORY * value + shock
        walk[i] = value
    return np.repeat(np.exp(walk), MINUTE_S)[:seconds]


def make_loads(ctx: Context, params: FleetDayParams) -> Loads:
    own = own_curve(ctx)
    clean = clean_day() if own is None else own
    rows, forecasts = [], []
    for region in range(params.regions):
        shifted = np.roll(clean, region * len(clean) // params.regions) / params.regions
        spike = np.ones(len(clean))
        spike[SPIKE_FROM_S:SPIKE_TO_S] = params.spike if own is None else 1.0
        drawn = noise(ctx.rng(f"fleet/load/{region}"), len(clean)) if own is None else 1.0
        rows.append(shifted * drawn * spike)
        forecasts.append(shifted * noise(ctx.rng(f"fleet/forecast/{region}"), len(clean)))
    rps, forecast = np.array(rows), np.array(forecasts)
    remote = 0.0
    if params.spill and params.regions > 1:
        share = rps.sum(axis=0) / params.regions
        remote = float(np.maximum(rps - share, 0).sum() / max(rps.sum(), 1e-9))
        rps, forecast = rps.sum(axis=0, keepdims=True), forecast.sum(axis=0, keepdims=True)
    return Loads(rps, forecast, remote, float((rps.max(axis=1) / np.maximum(rps.mean(axis=1), 1e-9)).max()))


# --- the user's own curve ------------------------------------------------------------------------------------------------


def read_curve(file: DataFile) -> Floats:
    """Requests a second at every second. Raises InvalidInput with file, line and column for what cannot be used."""
    try:
        with file.path.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.reader(handle))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{file.name} is no text of comma-separated values ({error}); expected lines of second,rps.") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if "second" not in header or "rps" not in header:
        raise InvalidInput(f"{file.name}, line 1: columns {', '.join(header)[:80] or 'none'} were found; expected second and rps.")
    at = [header.index("second"), header.index("rps")]
    table = np.array([[_number(file, line, row, k, header) for k in at] for line, row in enumerate(rows[1:], 2) if row]).reshape(-1, 2)
    return _filled(file, table[:, 0], table[:, 1])


def _number(file: DataFile, line: int, row: list[str], k: int, header: list[str]) -> float:
    text = row[k].strip() if k < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (np.isfinite(value) and value >= 0):
        raise InvalidInput(f"{file.name}, line {line}, column {header[k]}: {text[:40]!r} was given; expected a number of 0 or more.")
    return value


def _filled(file: DataFile, second: Floats, rps: Floats) -> Floats:
    """Each row holds until the next. Rows are evenly spaced; a hole could hide the very rise that matters."""
    if len(second) < 2:
        raise InvalidInput(f"{file.name} has {len(second)} rows; expected at least {LEAST_S:,} seconds of load.")
    step = second[1] - second[0]
    bad = np.flatnonzero(np.abs(np.diff(second) - step) > 1e-6)
    if len(bad):
        line = int(bad[0]) + 3
        raise InvalidInput(
            f"{file.name}, line {line}, column second: {second[bad[0] + 1]:g} follows {second[bad[0]]:g}, a gap in steps of {step:g} s; "
            "expected evenly spaced rows."
        )
    if step != round(step) or not 1 <= step <= COARSEST_S:
        raise InvalidInput(f"{file.name}, column second: rows are {step:g} s apart; expected whole steps of 1 to {COARSEST_S} s.")
    seconds = len(second) * int(step)
    if not LEAST_S <= seconds <= MOST_S:
        raise InvalidInput(f"{file.name} covers {seconds:,} s in its rows; expected {LEAST_S:,} s (2 h) to {MOST_S:,} s (7 days).")
    if rps.max() <= 0:
        raise InvalidInput(f"{file.name}, column rps: all rows are 0; expected some load.")
    return np.repeat(rps, int(step))


def own_curve(ctx: Context) -> Floats | None:
    if ctx.data is None:
        return None
    file = ctx.data.files[SLOT]
    return ctx.asset(f"serving/own_load/{ctx.data.digest}", lambda: read_curve(file), disk=False)


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    curve = read_curve(files[SLOT])
    facts = (
        ("Length", f"{len(curve) / HOUR_S:,.1f} h"),
        ("Load", f"mean {curve.mean():,.1f}, peak {curve.max():,.1f} requests/s"),
        ("Fastest rise over 360 s", f"{fastest_rise(curve, 360):.2f} times"),
    )
    return DataInfo(facts, ("The forecast is your curve with noise of about 5 % that lasts an hour.",))


def fastest_rise(load: Floats, seconds: int) -> float:
    """Largest load(t + seconds) / load(t) where there is load to speak of."""
    before, after = load[: -seconds or None], load[seconds:]
    busy = before > 0.05 * load.max()
    return float((after[: len(before)][busy] / before[: len(after)][busy]).max()) if busy.any() else 1.0


DATA = DataSpec(
    title="Your load curve",
    help="Requests a second over at least two hours; the day is simulated on it instead of the synthetic one.",
    slots=(
        DataSlot(
            SLOT, "Load", "CSV with columns second and rps, evenly spaced by 1 to 300 s, 2 h to 7 days.", (".csv",), max_bytes=20 * 2**20
        ),
    ),
    check=check,
    example="second,rps\n0,71.5\n60,72.1\n120,70.9\n",
)
