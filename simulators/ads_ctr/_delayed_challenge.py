"""The design task of the lab `delayed_feedback`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

LEARN_TODAY = Challenge(
    slug="learn_conversions_today",
    title="Learn conversions today",
    brief=(
        "Conversions arrive over 30 days, **6 days after the click on average**. A campaign that converts far better than the rest was "
        "launched **2 or 5 days ago** and has 70 % of the traffic since.\n\n"
        "Predict its conversion rate so that spend is off by at most 20 % on average, with an excess log loss of at most 6 thousandths of "
        "a nat. The model must learn from **clicks of today** (the youngest at most 1 day old) and may read **at most 60,000 clicks**, a "
        "share of a second of one core. You choose the method, its wait and how many clicks it reads."
    ),
    world={"mean_delay": 6.0, "shape": 1.0, "lift": 1.0, "window": 30.0},
    design=("method", "wait_days", "clicks"),
    assertions=(
        Assertion("label_age", "<=", 1.0, "d", "ceiling", label="Youngest click learned from"),
        Assertion("spend_off", "<=", 20.0, "%", "target", label="Spend off, either way"),
        Assertion("bid_xll", "<=", 6.0, "10⁻³ nats", "target", label="Excess log loss, new campaign"),
        Assertion("clicks_used", "<=", 60_000.0, "clicks", "ceiling", label="Clicks learned from"),
    ),
    variations=({"new_days": 2.0}, {"new_days": 5.0}),
    reference={"method": "dfm", "clicks": 50_000},
    alternative={"method": "ipw", "clicks": 50_000},
    naive={"method": "naive"},
    maxed={"method": "wait", "wait_days": 14.0, "clicks": 300_000},
    debrief=(
        "A click that has not converted yet is neither a negative nor nothing: fitted together, chance and delay say how much of a "
        "negative it is by its age. Weighting conversions by a fitted delay law gets as far with two simple fits. A longer wait makes the "
        "labels final and drops the campaign. Both delay models lean on the exponential law; try a shape of 0.5 before you trust them."
    ),
)
