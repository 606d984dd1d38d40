"""The design task of the lab `parity`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

EVERY_FAULT = Challenge(
    slug="every_fault_in_half_an_hour",
    title="Every fault in half an hour",
    brief=(
        "A feature store answers 1,000 requests a second. Any of seven faults may hit **10 % of the requests**: time zone, unit, missing "
        "values as 0 or as null, a wrong window, a stalled stream, a wrong key.\n\n"
        "* Each is to raise an alarm within **30 minutes**, on average.\n"
        "* At most **1 false alarm a day**.\n"
        "* At most **0.5 %** of the requests may be recomputed or replayed.\n\n"
        "Choose monitors, sample, period, tolerance and the freshness you promise."
    ),
    world={"affected": 10.0, "fault": "timezone"},
    design=("monitor", "recompute", "sample", "rtol", "interval", "golden_n", "sla"),
    assertions=(
        Assertion("slowest_min", "<=", 30.0, "min", "target", label="Slowest fault seen after"),
        Assertion("false_alarms", "<=", 1.0, "a day", "target", label="False alarms"),
        Assertion("recomputed", "<=", 0.5, "%", "ceiling", label="Requests recomputed or replayed"),
    ),
    reference={"monitor": ("parity", "freshness"), "sample": 0.2, "interval": 5, "sla": 60.0},
    alternative={"monitor": ("golden", "freshness"), "golden_n": 500, "interval": 5, "sla": 60.0},
    naive={"monitor": ("psi",), "sample": 0.2},
    maxed={"monitor": ("psi", "parity", "golden", "freshness"), "sample": 100.0, "golden_n": 10_000, "interval": 5},
    debrief=(
        "Distributions miss what permutes or rotates values. Comparing rows sees every fault that changes a value and needs few of them: a "
        "thousandth part that differs shows in 2,995 rows. It cannot see a stream that stopped, because nobody knew better at the time; "
        "age can. Golden entities find the same faults for a fixed number of look-ups, and nothing that touches only real entities."
    ),
)
