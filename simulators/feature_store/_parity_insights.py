"""What a run of the parity lab has to say, one sentence an effect."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.feature_store._parity_live import LATE_NOTE
from simulators.feature_store._parity_monitors import BASE_SHARE, DAY_MIN, PSI_ALARM, samples_needed
from simulators.feature_store._parity_params import FAULT_NAMES, FAULTS, MONITOR_NAMES
from simulators.feature_store._parity_views import Found, recomputed_share
from simulators.lab import Insight

HARM = 0.002


def insights(found: Found) -> Iterator[Insight]:
    for find in (_harm, _orders, _rows, _detection, _missed, _late, _freshness, _cost):
        yield from find(found)


def _harm(found: Found) -> Iterator[Insight]:
    fault, damage = found.params.fault, found.damage
    if fault == "none":
        yield Insight(
            f"Nothing is wrong, and {damage.rows_differ:.2%} of the rows differ: the floor that an alarm has to stand above.",
            "evaluation",
            "healthy",
        )
        return
    quiet = damage.harm.worst_psi < PSI_ALARM
    seen = "the distributions do not show it" if quiet else "the distributions shout"
    yield Insight(
        f"{FAULT_NAMES[fault]} costs {-damage.harm.loss.value:.3f} AUC and moves the mean prediction by "
        f"{damage.harm.prediction:+.1%}; {seen} (PSI {damage.harm.worst_psi:.2g}, alarm at {PSI_ALARM:g}).",
        "evaluation",
        "quiet_harm" if quiet else "loud",
    )


def _orders(found: Found) -> Iterator[Insight]:
    worst = max(FAULTS, key=lambda fault: -found.damages[fault].harm.loss.value)
    loudest = max(FAULTS, key=lambda fault: found.damages[fault].harm.worst_psi)
    if worst != loudest:
        a, b = found.damages[worst], found.damages[loudest]
        yield Insight(
            f"Drift ranks faults in the wrong order: {FAULT_NAMES[loudest].lower()} has PSI {b.harm.worst_psi:.2g} and costs "
            f"{-b.harm.loss.value:.3f} AUC, {FAULT_NAMES[worst].lower()} has {a.harm.worst_psi:.2g} and costs {-a.harm.loss.value:.3f}.",
            "evaluation",
            "orders",
        )


def _rows(found: Found) -> Iterator[Insight]:
    share = found.damage.rows_differ
    if found.params.fault != "none" and 0 < share < 1 and share > 2 * BASE_SHARE:
        yield Insight(
            f"{share:.1%} of the rows differ; {samples_needed(share):,.0f} compared rows hold at least one of them with 95 % confidence.",
            "capacity",
            "samples",
        )


def _detection(found: Found) -> Iterator[Insight]:
    fault = found.params.fault
    if fault == "none":
        return
    minutes = {monitor: found.watches[monitor].minutes(fault, found.params.interval) for monitor in found.params.monitor}
    first = min(minutes, key=lambda monitor: minutes[monitor])
    if minutes[first] >= DAY_MIN:
        others = [name for name, watch in found.watches.items() if watch.minutes(fault, found.params.interval) < DAY_MIN]
        tail = f"; seen by: {', '.join(MONITOR_NAMES[name].lower() for name in others)}" if others else ""
        yield Insight(f"None of the monitors switched on sees this fault within a day{tail}.", "evaluation", "unseen")
    else:
        yield Insight(
            f"First alarm: {MONITOR_NAMES[first]}, {minutes[first]:.3g} min after it began on average, with checks every "
            f"{found.params.interval} min.",
            "evaluation",
            "seen",
        )


def _missed(found: Found) -> Iterator[Insight]:
    if found.missed:
        names = ", ".join(FAULT_NAMES[fault].lower() for fault in found.missed)
        yield Insight(f"Of the whole catalogue these would pass unseen: {names}.", "evaluation", "missed")


def _late(found: Found) -> Iterator[Insight]:
    if found.params.recompute == "event_time" and "parity" in found.params.monitor:
        yield Insight(
            f"Recomputed by event time, {found.damages['none'].rows_differ:.1%} of healthy rows differ: {LATE_NOTE}. That is "
            f"{found.watches['parity'].false_alarms(found.params.interval):.3g} false alarms a day; recompute with what "
            "the store could know.",
            "deep_dive",
            "late_as_skew",
        )


def _freshness(found: Found) -> Iterator[Insight]:
    if found.params.fault != "stalled":
        return
    last, sla = found.live.ages(found.params.sla)[-1], found.params.sla
    if last.p99 is not None:
        yield Insight(
            f"The last values served were up to {last.p99:,.0f} s old against a promise of {sla:,.0f} s. Recomputed as known at the "
            "request, a stalled stream is no mismatch: its age gives it away.",
            "deep_dive",
            "stalled",
        )


def _cost(found: Found) -> Iterator[Insight]:
    share = recomputed_share(found.params)
    if share > 0:
        alarms = f"{found.false_alarms:.2g}" if found.false_alarms >= 0.01 else "fewer than 0.01"
        yield Insight(
            f"Recomputing costs {share * found.params.requests:,.0f} rows a check, {share:.2%} of the requests, and the monitors ring "
            f"{alarms} times a day for nothing.",
            "capacity",
            "cost",
        )
