"""The presets and challenges of the lab `filters`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge, Preset

PRESETS = (
    Preset(
        "tenant",
        "Tenant of 1 %",
        "A hundredth passes: a walk of constant cost meets half of the ten it should return.",
        {"s": 0.01},
    ),
    Preset(
        "last_hour",
        "Last hour only",
        "Twenty vectors pass: fetch thousands to keep twenty, or read the twenty?",
        {"s": 0.001},
    ),
    Preset(
        "other_language",
        "The other language",
        "Half of the corpus passes, but none of it lies where the query does: k / s is the wrong rule.",
        {"s": 0.5, "correlation": "negative"},
    ),
    Preset(
        "popular_category",
        "Popular category",
        "The filter agrees with the query, as a category page does: every strategy looks fine.",
        {"s": 0.1, "correlation": "positive"},
    ),
    Preset(
        "ef_cannot_save",
        "ef cannot save you",
        "One in a thousand and efSearch at its maximum: thousands of distances, a few of the matches, most of the answer missing.",
        {"s": 0.001, "ef_search": 1_024, "strategy": ("pre", "inline")},
    ),
    Preset(
        "accepted",
        "Until enough pass",
        "The walk goes on until 64 nodes pass. Recall is back, and so is the cost: most of the graph.",
        {"s": 0.01, "stop": "accepted", "strategy": ("pre", "inline")},
    ),
    Preset(
        "product_mix",
        "A day of filters",
        "Tenants, time ranges and categories together: one strategy for all fails some of them, a planner need not.",
        {"workload": "product"},
    ),
)

CHALLENGES = (
    Challenge(
        slug="four_filters",
        title="One service, four filters",
        brief=(
            "Queries come in equal parts with filters that 50 %, 10 %, 1 % and 0.1 % of 20,000 vectors pass. Deliver recall@10 of at "
            "least 0.95 in **every** class, at no more than 45 % of the distance evaluations that listing all matches for every query "
            "would take, and leave no more than 1 % of the answers short. You choose strategy, index and widths; run one strategy."
        ),
        world={"workload": "classes", "correlation": "random", "n": 20_000},
        design=("strategy", "index", "stop", "ef_search", "nprobe", "oversample", "post_cap", "plan_pre", "plan_post"),
        assertions=(
            Assertion("worst_recall", ">=", 0.95, "share", "target", label="Recall@10 in the worst class"),
            Assertion("short", "<=", 0.01, "share", "target", label="Short answers"),
            Assertion("cost_share", "<=", 0.45, "share", "ceiling", label="Distances against pre-filtering everything"),
        ),
        reference={"strategy": ("auto",), "index": "hnsw", "ef_search": 160, "plan_pre": 0.02, "plan_post": 0.4},
        alternative={"strategy": ("auto",), "index": "ivf_flat", "nprobe": 32, "plan_pre": 0.02, "plan_post": 1.0},
        naive={"strategy": ("inline",), "index": "hnsw", "ef_search": 64},
        maxed={"strategy": ("inline",), "index": "hnsw", "stop": "accepted", "ef_search": 1_024},
        debrief=(
            "Narrow filters are cheapest to list: 20 or 200 comparisons. Wide ones are served by any index. What is left is the class "
            "of 10 %, where a graph needs a width that holds k x 3 / s candidates, and an inverted file loses nothing at all."
        ),
    ),
)
