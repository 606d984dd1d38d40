"""The design task of the lab `retrieval`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

HUNDRED_SLOTS = Challenge(
    slug="a_hundred_slots",
    title="A hundred slots for a billion viewers",
    brief=(
        "The ranker takes 100 candidates. Of what is watched next **12 % is younger than a day and 10 % is one of twenty trending "
        "items**; the log of 200,000 choices has seen little of the first and nothing of the second.\n\n"
        "Deliver lists that catch at least 90 % of what the best possible lists would, at least 50 % of the fresh choices and 70 % of the "
        "trending ones, with at least 30 % of the catalogue in some list. Training may score at most 250 million pairs, and an item's "
        "vector may take 32 B in bf16. You choose the negatives and their correction, the training, and how the slots are shared."
    ),
    world={
        "zipf": 1.0,
        "fresh_share": 0.12,
        "trend_share": 0.10,
        "rows": 200_000,
        "viewers": 1_500,
        "k": 100,
        "user_tower": "id",
        "index": "exact",
    },
    design=(
        "negatives",
        "logq",
        "batch",
        "n_uniform",
        "n_hard",
        "epochs",
        "dim",
        "item_content",
        "quota_two_tower",
        "quota_co_watch",
        "quota_fresh",
        "quota_trending",
    ),
    assertions=(
        Assertion("of_oracle", ">=", 90.0, "%", "target", label="Choices caught, of the best lists"),
        Assertion("fresh_mass", ">=", 50.0, "%", "target", label="Fresh choices caught"),
        Assertion("trend_mass", ">=", 70.0, "%", "target", label="Trending choices caught"),
        Assertion("coverage", ">=", 30.0, "%", "target", label="Catalogue in some list"),
        Assertion("scored_pairs", "<=", 2.5e8, "pairs", "ceiling", label="Pairs scored in training"),
        Assertion("vector_bytes", "<=", 32.0, "B", "ceiling", label="An item's vector"),
    ),
    reference={"quota_two_tower": 70, "quota_fresh": 15, "quota_trending": 15},
    alternative={"negatives": "mixed", "batch": 256, "n_uniform": 256, "quota_two_tower": 70, "quota_fresh": 15, "quota_trending": 15},
    naive={"logq": 0},
    maxed={"dim": 64, "epochs": 4, "quota_two_tower": 70, "quota_fresh": 15, "quota_trending": 15},
    debrief=(
        "More training buys almost nothing: the towers alone stay below 80 % whatever their width, because they learn from a log that "
        "does not hold what is new. Thirty slots for two cheap sources are worth more. An even split is not the answer either: co-watch "
        "repeats what the towers know, and a quarter of the slots for everybody's trends makes all lists alike."
    ),
)
