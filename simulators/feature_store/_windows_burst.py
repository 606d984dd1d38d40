"""An attack of two minutes as each kind of window sees it; what the chosen one serves goes through the online store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from simulators.engines.features.in_process import InProcessClient
from simulators.engines.features.layouts import Window
from simulators.engines.features.online import OnlineStore
from simulators.engines.features.times import US_PER_S, Times
from simulators.engines.features.windows import Mode, bounds
from simulators.feature_store._windows_params import WindowsParams
from simulators.feature_store._windows_stream import Stream, exact, served
from simulators.feature_store._windows_world import ATTACKED, BURST_AT_S, BURST_S, Floats
from simulators.lab import Context, KeySpace, Progress, Working

TICKS, BEFORE_S = 150, 60
VIEW, ENTITY = "velocity", "card"
SEEN_SHARE = 0.5


@dataclass(frozen=True)
class Attack:
    """The attacked key's shortest window around the attack.

    seconds (t,) since it began; curves {mode: (t,)} as computed; online (t,) and age_s (t,) as read back from the store, tick by tick
    """

    window: Window
    seconds: Floats
    exact: Floats
    curves: dict[str, Floats]
    online: Floats
    age_s: Floats
    real_store: bool

    def seen_after_s(self, values: Floats) -> float | None:
        """Seconds from the first event until half of the highest exact count is served; None when that never happens here."""
        wanted = SEEN_SHARE * self.exact.max()
        seen = np.flatnonzero((values >= wanted) & (self.seconds > 0))
        return float(self.seconds[seen[0]]) if len(seen) else None


class _Clock:
    """The world's time, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def attack(params: WindowsParams, stream: Stream, ctx: Context) -> Working[Attack]:
    """Replays the minutes around the attack against the run's key space, or in this process where there is none."""
    window = params.shapes[0]
    lasts = min(window.window_s, 7_200) + min(window.hop_s, 3_600) + 2 * BURST_S
    seconds = np.linspace(-BEFORE_S, lasts, TICKS).round(1)
    at = np.round((BURST_AT_S + seconds) * US_PER_S).astype(np.int64)
    key = np.full(TICKS, ATTACKED)
    yield Progress(0, TICKS, "replaying the attack")
    truth = exact(stream.truth, window, "count", key, at)
    found = {mode: served(stream, window, mode, "count", key, at, truth) for mode in get_args(Mode)}
    with ctx.key_space() as space:
        online, age = yield from _replayed(space, params.mode, window, at, found[params.mode].served)
        real = space is not None
    curves = {mode: item.served for mode, item in found.items()}
    return Attack(window, seconds, truth, curves, online, age, real)


def _replayed(space: KeySpace | None, mode: Mode, window: Window, at: Times, values: Floats) -> Working[tuple[Floats, Floats]]:
    """Each tick: the stream writes the window if its end has moved, stamped with that end; the request reads what is there."""
    clock = _Clock()
    client: Any = space.client if space else InProcessClient()
    prefix, expire_s = (space.prefix, space.keep_s) if space else ("", None)
    store = OnlineStore(client, {VIEW: ("events",)}, "view_hash", prefix, expire_s=expire_s, clock=clock)
    _, ends = bounds(at, window.window_s, mode, window.hop_s)
    online, age = np.empty(len(at)), np.empty(len(at))
    written = None
    for tick, (now, end) in enumerate(zip(at, ends, strict=True)):
        clock.now_s = int(now) / US_PER_S
        if written != end:
            store.write(VIEW, [ENTITY], [[values[tick]]], [end])
            written = end
        read = store.read([ENTITY], ["events"])
        online[tick], age[tick] = read.values[0, 0], read.age_s[0, 0]
        if tick % 30 == 29:
            yield Progress(tick, len(at), "replaying the attack")
    return online, age
