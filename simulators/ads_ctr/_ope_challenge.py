"""The design task of the lab `off_policy`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

A_LOG_WORTH_KEEPING = Challenge(
    slug="a_log_worth_keeping",
    title="A log worth keeping",
    brief=(
        "Next month's policies will be judged on the log that you design now. The old policy prefers its ads firmly (strength 2) and knows "
        "little of the reward (correlation 0.3); the new one (strength 3) wants other ads.\n\n"
        "* The estimate of the new policy's clicks is off by at most **15 %** (RMSE).\n"
        "* Its 95 % interval holds the truth in at least **85 %** of logs.\n\n"
        "The log holds 5,000 impressions, and random ones may cost at most **4 %** of the clicks. You choose the uniform share, the "
        "estimator and the clip."
    ),
    world={"n": 5_000, "logging_strength": 2.0, "target_strength": 3.0, "overlap": 0.3, "nonlinearity": 1.0, "sims": 100},
    design=("eps", "estimator", "clip"),
    assertions=(
        Assertion("rmse", "<=", 15.0, "% of the truth", "target", label="Error of the estimate"),
        Assertion("coverage", ">=", 85.0, "%", "target", label="Intervals that hold the truth"),
        Assertion("clicks_lost", "<=", 4.0, "%", "ceiling", label="Clicks given up"),
    ),
    reference={"eps": 0.1, "estimator": "dr"},
    alternative={"eps": 0.1, "estimator": "snips"},
    naive={"eps": 0.0, "estimator": "ips"},
    maxed={"eps": 1.0, "estimator": "dr"},
    debrief=(
        "Ten percent of random impressions give every ad a floor under its propensity, so that no weight exceeds 200; then either "
        "normalising the weights or a model of the reward takes out most of what noise is left. Clipping looks better than both on the "
        "spread alone, and its interval never holds the truth."
    ),
)
