"""The design task of the lab `windows`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

THREE_COUNTERS = Challenge(
    slug="three_counters",
    title="Three counters, one stream",
    brief=(
        "A fraud model asks for a card's **count over 5 minutes, 1 hour and 7 days** with every payment.\n\n"
        "* Each count within **5 %** of the exact one, as mean absolute error.\n"
        "* The newest event is visible within **10 s**.\n"
        "* A request may read at most **64 tiles**, an event may write at most **4**.\n\n"
        "Choose the kind of window, the hops and the layout of the state."
    ),
    world={
        "windows": (300, 3_600, 604_800),
        "op": "count",
        "late_share": 0.0,
        "duplicates": 0.0,
        "dedup": True,
        "burst": 20,
        "hot_key": 5.0,
    },
    design=("mode", "hops", "layout"),
    assertions=(
        Assertion("worst_error", "<=", 5.0, "%", "target", label="Error of the worst window"),
        Assertion("newest_visible_s", "<=", 10.0, "s", "target", label="Newest event visible"),
        Assertion("reads", "<=", 64.0, "reads", "ceiling", label="Reads a request, at most"),
        Assertion("writes", "<=", 4.0, "writes", "ceiling", label="Writes an event"),
    ),
    reference={"mode": "sawtooth", "hops": (20, 300, 43_200), "layout": "flat"},
    alternative={"mode": "sawtooth", "hops": (20, 300, 3_600), "layout": "hierarchical"},
    naive={"mode": "snapshot"},
    maxed={"mode": "sawtooth", "hops": (1,), "layout": "flat"},
    debrief=(
        "A sawtooth errs by half a hop over its window, so each window affords a hop of its own: a tenth of 5 minutes is 30 s, a tenth of "
        "7 days is 16 hours. Rolling tiles up pays a fourth write and gets the 7-day count to a third of a percent with about as many "
        "reads. One-second tiles are as good as exact and read six hundred thousand of them; bodies read six and are rewritten at every "
        "hop for every card."
    ),
)
