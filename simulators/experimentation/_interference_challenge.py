"""The design task of the lab `interference`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

EIGHT_DAYS = Challenge(
    slug="eight_days",
    title="Eight days to price a launch",
    brief=(
        "A ride market at its limit wants to know what a promotion is worth **launched to everybody**. Rides take a driver **two hours**; "
        "20 regions, half of the traffic may see the promotion.\n\n"
        "* Off by at most **0.8 pp** on average.\n"
        "* 95 % intervals of at most **3.5 pp** either side, of which **85 %** hold the truth.\n"
        "* **8 days** in all, days of history included.\n\n"
        "Choose what is randomised, for how long, and how it is analysed."
    ),
    world={"busy": 120.0, "replicates": 60},
    design=("design", "window", "burn_in", "days", "pre_days", "group", "analysis"),
    assertions=(
        Assertion("abs_bias", "<=", 0.8, "pp", "target", label="Bias against the true effect"),
        Assertion("half_width", "<=", 3.5, "pp", "target", label="Half of the interval"),
        Assertion("coverage", ">=", 0.85, "share", "target", label="Intervals that hold the truth"),
        Assertion("test_days", "<=", 8.0, "d", "ceiling", label="Days, history included"),
    ),
    reference={"design": "switchback", "window": 240, "analysis": "fixed_effects", "days": 4},
    alternative={"design": "cluster_pre", "days": 4, "pre_days": 4},
    naive={"design": "user"},
    maxed={"design": "cluster_pre", "days": 14, "pre_days": 7},
    debrief=(
        "A split by user is precise about another question. Clusters ask the right one, and the difference between cities drowns the "
        "answer until history removes it. A switchback compares each region with itself; its windows must outlast the supply that the "
        "last one left, and comparing like hours takes out the rhythm of the day."
    ),
)
