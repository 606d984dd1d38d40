"""The design task of the assignment lab."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

TWELVE_TEAMS = Challenge(
    slug="twelve_teams",
    title="Twelve teams, one traffic",
    brief=(
        "Twelve experiments start on Monday, and each needs **20 % of the units** outside the holdout. Three pairs do not go together: a "
        "unit treated by both of E1 and E2, of E3 and E4, or of E5 and E6 loses 4 % of its engagement.\n\n"
        "Keep at least 5 % of the units in the holdout, give every experiment its traffic, let no unit be in both of a conflicting pair, "
        "and let no experiment predict another's arms. The platform runs **at most four layers**. CUPED saves traffic, but the "
        "history of these metrics explains a correlation of **0.7 at most**."
    ),
    world={"n_units": 100_000, "id_kind": "integer", "fault": "none"},
    design=("packing", "custom", "layers", "hash", "holdout", "cuped_rho"),
    assertions=(
        Assertion("traffic_met", ">=", 100.0, "% of need", "target", label="Traffic of the worst served experiment"),
        Assertion("conflict_units", "<=", 0.0, "units", "safety", over="all", label="Units in both of a conflicting pair"),
        Assertion("correlated", "<=", 10.0, "% of pairs", "target", label="Pairs of experiments that correlate"),
        Assertion("holdout", ">=", 5.0, "%", "target", label="Holdout"),
        Assertion("layers_used", "<=", 4.0, "layers", "ceiling", label="Layers in use"),
        Assertion("rho", "<=", 0.7, "correlation", "ceiling", label="Correlation that CUPED is counted on for"),
    ),
    reference={"packing": "conflict_aware", "layers": 3, "hash": "fnv_v2", "holdout": 5.0},
    alternative={"packing": "conflict_aware", "layers": 2, "hash": "splitmix64", "holdout": 5.0, "cuped_rho": 0.65},
    naive={"packing": "one_layer", "hash": "fnv_v1", "holdout": 5.0},
    maxed={"packing": "all_overlap", "hash": "fnv_v2", "holdout": 20.0, "cuped_rho": 0.9},
    debrief=(
        "Twelve times 20 % is 240 %, so one layer cannot hold them; a layer each gives everybody traffic and lets the pairs meet. Three "
        "layers of four use 80 % each, with every pair inside one layer. With a correlation of 0.65 CUPED leaves 58 % of the variance, and "
        "two layers of six take 69 %. FNV v1 with seeds that differ only at their end makes experiments predict one another."
    ),
)
