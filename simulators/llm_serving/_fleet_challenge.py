"""The design task of the lab `fleet_day`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

ORDINARY_DAY = Challenge(
    slug="an_ordinary_day_for_a_third",
    title="An ordinary day, for less than a third",
    brief=(
        "One region, 200 requests/s at the peak, a keynote that lifts the load 1.8 times within minutes at nine, as announced. New "
        "replicas serve 300 s after they are ordered. Answers have 350 tokens.\n\n"
        "* At most **1.5 points** behind all reasoning in right answers.\n"
        "* At most **0.3 %** of the requests may wait over 2 s.\n"
        "* The safety path adds at most **0.65 s** at the 95th percentile.\n"
        "* At most **64 tokens** of an unsafe answer are shown before a check can stop it.\n"
        "* At most **30 %** of the cost of all reasoning on a fleet of peak size.\n\n"
        "The router's noise is 0.5. Choose models, autoscaler and safety path."
    ),
    world={
        "router_noise": 0.5,
        "retry": 0.2,
        "lag_from": "given",
        "lag_s": 300.0,
        "interval_s": 60.0,
        "spike": 1.0,
        "regions": 1,
        "spill": False,
        "admission": "none",
        "answer_tokens": 350,
    },
    design=("routing", "quality_price", "policy", "target", "headroom", "cooldown_s", "warm", "safety", "window"),
    assertions=(
        Assertion("quality_gap", "<=", 1.5, "points", "target", label="Behind all reasoning"),
        Assertion("violation_share", "<=", 0.3, "%", "target", label="Requests that wait over 2 s"),
        Assertion("added_p95_s", "<=", 0.65, "s", "target", label="Added by the safety path, 95th percentile"),
        Assertion("unsafe_tokens", "<=", 64.0, "tokens", "target", label="Unsafe tokens shown"),
        Assertion("cost_share", "<=", 30.0, "% of all reasoning at peak size", "ceiling", label="GPU cost"),
    ),
    reference={"routing": "router", "quality_price": 0.05, "policy": "hybrid", "safety": "streaming", "window": 24},
    alternative={"routing": "router", "quality_price": 0.05, "policy": "reactive", "warm": 3, "safety": "optimistic", "window": 24},
    naive={"routing": "full", "policy": "reactive", "safety": "serial"},
    maxed={"routing": "reasoning", "policy": "static", "warm": 20, "safety": "streaming", "window": 24},
    debrief=(
        "Most queries are easy, so a router gives nearly the quality of reasoning for a third of its GPU time. The keynote is announced: a "
        "forecast orders for it in time, and standbys do the same without one, for a bill that never sleeps. Reactive scaling alone loses "
        "the minutes that a replica takes to come. Holding back a window costs tenths of a second, checking the whole answer costs "
        "all of it."
    ),
)
