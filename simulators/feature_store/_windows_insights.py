"""What a run of the windows lab has to say, one sentence an effect."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.feature_store._windows_params import duration
from simulators.feature_store._windows_stream import Served
from simulators.feature_store._windows_views import Found
from simulators.lab import Insight

WORTH_SAYING = 0.002
WRONG_ALARM = 10.0


def insights(found: Found) -> Iterator[Insight]:
    for find in (_shape, _wrong_alarm, _reads, _bytes, _attack, _late, _repeated, _sketch, _averaged):
        yield from find(found)


def _shape(found: Found) -> Iterator[Insight]:
    mode, item = found.params.mode, max(found.served, key=lambda one: one.error(shape_only=True) or 0.0)
    error, bias = item.error(shape_only=True), item.bias(shape_only=True)
    if error is None or bias is None:
        return
    name, hop = duration(item.window.window_s), duration(item.window.hop_s)
    if mode == "sliding":
        yield Insight("Sliding windows are exact in shape; what they cost is in reads and state.", "deep_dive", "sliding")
    elif mode == "sawtooth" and found.params.op in ("count", "sum"):
        theory = item.window.hop_s / (2 * item.window.window_s)
        yield Insight(
            f"A sawtooth never misses an event and keeps old ones up to a hop too long: {name} with a hop of {hop} reads {bias:+.1%}, "
            f"half a hop over the window is {theory:+.1%}.",
            "deep_dive",
            "sawtooth",
        )
    elif mode == "hopping":
        yield Insight(
            f"Hopping windows are right on average ({name}: {bias:+.1%}) and wrong each time (error {error:.1%}): what the open hop "
            f"of {hop} holds is missing, and as much from the past stands in its place.",
            "deep_dive",
            "hopping",
        )
    elif mode == "snapshot":
        yield Insight(
            f"A snapshot ends at midnight: the {name} window errs by {error:.0%}, because it is about yesterday.", "deep_dive", "snapshot"
        )
    else:
        yield Insight(f"By its shape the {name} window with a hop of {hop} errs by {error:.2%} of the mean.", "deep_dive", "shape")


def _wrong_alarm(found: Found) -> Iterator[Insight]:
    def ratio(item: Served) -> float:
        return item.differ(shape_only=True) / max(item.error(shape_only=True) or 1.0, 1e-9)

    item = max(found.served, key=ratio)
    differ, error = item.differ(shape_only=True), item.error(shape_only=True)
    if ratio(item) > WRONG_ALARM and differ > 0.1:
        yield Insight(
            f"By its shape alone the {duration(item.window.window_s)} window gives {differ:.1%} of the requests another value than the "
            f"exact one, yet the error is {error:.2%}: the share of rows that differ is the wrong alarm.",
            "evaluation",
            "rows_differ",
        )


def _reads(found: Found) -> Iterator[Insight]:
    state, params = found.state, found.params
    layout = "snapshot" if params.mode == "snapshot" else params.layout
    if layout == "precombined":
        extra = state.writes - len(params.shapes)
        yield Insight(
            f"Bodies cut a request to {state.reads_max:.0f} reads, and cost {extra:,.1f} rewrites an event: every key with anything in its "
            "window is written at every hop.",
            "capacity",
            "precombined",
        )
    elif layout == "raw_events":
        yield Insight(
            f"Without tiles a request reads {state.reads_mean:,.0f} events on average and {state.reads_max:,.0f} for the busiest key.",
            "capacity",
            "raw_events",
        )
    elif layout != "snapshot":
        read = "tiles and cut events" if params.mode == "sliding" else "tiles"
        yield Insight(
            f"A request reads up to {state.reads_max:,.0f} {read}, an event writes {state.writes:.0f}.",
            "capacity",
            "tiles",
        )


def _bytes(found: Found) -> Iterator[Insight]:
    state = found.state
    ratio = state.max_bytes / max(state.p50_bytes, 1.0)
    if found.params.layout == "raw_events" and found.params.mode != "snapshot" and ratio > 5:
        yield Insight(
            f"The busiest entity holds {state.max_bytes / 1000:,.0f} kB, {ratio:.0f} times the median: state that grows with events is "
            "bounded by nobody; tiles are bounded by the window over the hop.",
            "capacity",
            "hot_key",
        )


def _attack(found: Found) -> Iterator[Insight]:
    attack = found.attack
    if attack is None:
        return
    name, seen = duration(attack.window.window_s), attack.seen_after_s(attack.online)
    exact = attack.seen_after_s(attack.exact)
    if seen is None:
        yield Insight(f"The attack passes unseen: the {name} window served never holds half of it.", "evaluation", "attack_unseen")
    elif exact is not None and seen > exact + 5:
        yield Insight(
            f"The attack is half visible {seen:.0f} s after it began, {seen - exact:.0f} s later than in an exact window: the hop had to "
            "close first.",
            "evaluation",
            "attack_late",
        )
    else:
        yield Insight(
            f"The attack counts at once: half of it is in the {name} window after {seen:.0f} s. Freshness lives at the head of a window, "
            "rounding its tail costs none.",
            "evaluation",
            "attack_seen",
        )


def _late(found: Found) -> Iterator[Insight]:
    share = found.stream.dropped / found.events.n
    if share > WORTH_SAYING:
        longest = found.served[-1]
        tail = (
            f"; the {duration(longest.window.window_s)} value moves by {_moved(longest):+.1%}"
            if found.params.op in ("count", "sum") and _moved(longest) is not None
            else ""
        )
        yield Insight(
            f"{share:.1%} of the events came behind the watermark and were dropped{tail}. More allowed lateness repairs long windows; a "
            "short one has been asked before the event arrives.",
            "deep_dive",
            "late",
        )


def _moved(item: Served) -> float | None:
    bias, shape = item.bias(), item.bias(shape_only=True)
    return None if bias is None or shape is None else bias - shape


def _repeated(found: Found) -> Iterator[Insight]:
    if found.stream.repeated and found.params.op in ("count", "sum"):
        moved = _moved(found.served[-1])
        tail = f" by {moved:+.1%} here" if moved is not None else ""
        yield Insight(
            f"{found.stream.repeated / found.events.n:.1%} of the events were counted twice. Redelivery only ever adds, so it biases a "
            f"{found.params.op} one way{tail}; no average over requests cancels it.",
            "deep_dive",
            "repeated",
        )


def _sketch(found: Found) -> Iterator[Insight]:
    sketches = found.sketches
    if sketches is not None and sketches.error is not None:
        size = 2**found.params.hll_p / 1000
        yield Insight(
            f"Distinct counts do not add up over tiles; sketches of {size:.3g} kB do, with an error of {sketches.error:.1%} here and "
            f"{sketches.bound:.1%} for large sets.",
            "deep_dive",
            "sketch",
        )


def _averaged(found: Found) -> Iterator[Insight]:
    wrong = [(error, item) for error, item in zip(found.averaged, found.served, strict=True) if error is not None]
    if wrong:
        error, item = max(wrong, key=lambda pair: pair[0])
        yield Insight(
            f"Tiles that keep (sum, count) merge without loss; an average of the tiles' averages is off by {error:.1%} for the "
            f"{duration(item.window.window_s)} window, because [2, 4, 6] and [12] average to 6, not 8.",
            "deep_dive",
            "average_of_averages",
        )
