"""The design task of the lab `position_bias`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

HIDDEN_ETA = Challenge(
    slug="rank_without_the_rank",
    title="Rank without the rank",
    brief=(
        "A page of ten videos was ordered for months by a policy that has little to do with relevance (correlation **0.2**). Users look "
        "down the page, and nobody knows how fast their attention falls. Train the next ranker from the clicks.\n\n"
        "* It loses at most **2 %** of the clicks of the best order.\n"
        "* Its examination curve is off by at most **0.06** anywhere.\n"
        "* Shuffling slates for the log costs at most **1 %** of the clicks.\n\n"
        "Choose one model, its settings, and the share of slates shown in random order; 20,000 slates are logged."
    ),
    world={"eta": 1.0, "rho": 0.2, "noise": 0.5, "user": "pbm", "slates": 20_000},
    design=("models", "eps", "serve_position", "position_lr", "position_init"),
    assertions=(
        Assertion("regret", "<=", 2.0, "% of oracle", "target", label="Clicks lost to the best order"),
        Assertion("curve_error", "<=", 0.06, "probability", "target", label="Worst error of the examination curve"),
        Assertion("logging_cost", "<=", 1.0, "%", "ceiling", label="Clicks given up by shuffling"),
    ),
    reference={"models": ("pal",), "eps": 0.05},
    alternative={"models": ("ips",), "eps": 0.11},
    naive={"models": ("naive",), "eps": 0.05},
    maxed={"models": ("ips",), "eps": 1.0},
    debrief=(
        "The position tower reads the curve off the whole log, because other company and the old policy's jitter showed like items "
        "at several positions; it needs hardly a shuffled slate, but zeros to start from and a learning rate of its own. Weighting needs "
        "propensities, and those of 400 shuffled slates are too rough: the curve improves with the square root of what shuffling costs. "
        "Clicks as they are come with no curve at all, and shuffling everything costs eight times what is allowed."
    ),
)
