"""The design task of the lab `feedback_loop`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

FIND_THE_NEW = Challenge(
    slug="find_what_is_new",
    title="Find what is new",
    brief=(
        "A video site shows **500 items to 10 segments in slates of 10**; **1 % of the items are replaced in every round**, and a content "
        "model is not available. After 60 rounds of 6,000 impressions the last 20 are judged.\n\n"
        "Serve at least 77 % of the clicks there are, with a model that could serve 80 %; show 40 % of the catalogue in a round, and give "
        "items that arrive at least a fifth of their fair share at once. **At most 10 % of the slots may be filled without the model.** "
        "You choose the policy, its share of random slots, the boost of new items and when a poor item is demoted."
    ),
    world={"rounds": 60, "items": 500, "churn": 0.01, "biased_share": 0.0, "prior": "catalogue", "content": 0.0},
    design=("policy", "epsilon", "boost_rounds", "demote_below"),
    assertions=(
        Assertion("served", ">=", 77.0, "% of oracle", "target", label="Served clicks"),
        Assertion("model", ">=", 80.0, "% of oracle", "target", label="What the model could serve"),
        Assertion("new_share", ">=", 0.2, "x fair share", "target", label="New items, on arrival"),
        Assertion("coverage", ">=", 40.0, "%", "target", label="Catalogue shown a round"),
        Assertion("random_slots", "<=", 10.0, "%", "ceiling", label="Slots filled without the model"),
    ),
    reference={"policy": "new_item", "epsilon": 0.05},
    alternative={"policy": "thompson"},
    naive={"policy": "greedy"},
    maxed={"policy": "epsilon", "epsilon": 0.5},
    debrief=(
        "Random slots spread over all items alike give a newcomer only their own share of its due. Drawn by how rarely an item was shown, "
        "the same slots find it at once. Thompson sampling needs no slots set aside: an item is tried while its posterior still reaches "
        "into the best, and let go when it does not. Half of the slots at random teach the model nearly everything, and cost a quarter of "
        "the clicks."
    ),
)
