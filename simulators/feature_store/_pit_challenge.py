"""The design task of the lab `point_in_time`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

HONEST = Challenge(
    slug="train_on_what_was_served",
    title="Train on what was served",
    brief=(
        "An ad platform trains its click model on 100,000 impressions of 5,000 users. **80 % of the clicks reach the store late, by 24 "
        "hours on average**, and a backfill corrects the history every night. The feature is the number of clicks in the last 7 days.\n\n"
        "Deliver a training set whose offline AUC is what production will see: a gap of at most 0.003, at most 5 % of the labels without a "
        "value, exactly one row for each label. Training starts within 7 days, and logs may take 5 GB a day (20 million requests a day, "
        "200 bytes a row). You choose the join, its bound, the time to live, and what is logged for how long."
    ),
    world={"late_share": 80.0, "late_hours": 24.0, "impressions": 100_000, "drift": 0.25, "window": 7, "model": "boosting"},
    design=("join", "upper", "ttl", "wait_days", "log_scope"),
    assertions=(
        Assertion("gap", "<=", 0.003, "AUC", "target", label="Offline minus online AUC"),
        Assertion("nulls", "<=", 5.0, "%", "target", label="Labels without a value"),
        Assertion("row_difference", "<=", 0.0, "rows", "safety", over="all", label="Rows added or lost"),
        Assertion("days_until_training", "<=", 7.0, "d", "ceiling", label="Days until training can start"),
        Assertion("log_gb_per_day", "<=", 5.0, "GB", "ceiling", label="Logs a day"),
    ),
    reference={"join": "as_known_at"},
    alternative={"join": "served_log", "wait_days": 7, "log_scope": "shown"},
    naive={"join": "latest"},
    maxed={"join": "served_log", "wait_days": 21, "log_scope": "candidates", "ttl": 90.0},
    debrief=(
        "The created-time filter reads the history as it stood at each request, whatever was backfilled since; it needs created times that "
        "can be trusted. Logging needs no such trust and pays with a week and 4 GB a day; logging all 50 candidates takes 200 GB. Joining "
        "by event time alone trains on corrections that no request had seen, and leaves nearly twice the gap allowed."
    ),
)
