"""The design task of the lab `hidden_effects`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

TARGET_THE_OFFER = Challenge(
    slug="whom_to_treat",
    title="An offer for three in ten",
    brief=(
        "A test with 20,000 users shows that an offer gains 4.5 cents a user on average. A quarter of the users gain a lot, the others "
        "lose a little, and you do not know which. The budget reaches **30 % of the users**.\n\n"
        "Choose who gets the offer, so that the policy gains at least **$8.1 per 100 users** among 10,000 others: 90 % of what somebody "
        "who knew every user's effect would gain. The marketing team also wants to hear which of 20 segments differ from the rest; of "
        "those you name, at most 5 % may be false on average."
    ),
    world={"look": "segments", "truth": "subgroup", "n": 20_000, "n_segments": 20},
    design=("learner", "trees", "correction", "treat_cap"),
    assertions=(
        Assertion("policy_value", ">=", 8.1, "$ per 100 users", "target", label="Gain of the policy"),
        Assertion("segment_fdr", "<=", 0.05, "share", "target", label="False among the segments named"),
        Assertion("treated_share", "<=", 0.3, "share", "ceiling", label="Users who get the offer"),
    ),
    reference={"learner": "X", "correction": "bonferroni", "treat_cap": 30.0},
    alternative={"learner": "forest", "correction": "bh", "treat_cap": 30.0},
    naive={"learner": "T", "correction": "none", "treat_cap": 30.0},
    maxed={"learner": "X", "trees": 300, "correction": "bh", "treat_cap": 100.0},
    debrief=(
        "The X-learner and the causal forest smooth the effect itself, so their ranking is right where it matters. The T-learner subtracts "
        "two noisy models: its best fifth looks half as good again as it is, and a fifth of the gain goes to the wrong users. The best "
        "single segment wins only half of the gain, because it takes two covariates to name those whom the offer helps. Of the segments "
        "that uncorrected tests name, one in eight is false."
    ),
)
