"""The design task of the lab `regime_shift`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

OVERNIGHT = Challenge(
    slug="ready_for_monday",
    title="Ready for a Monday nobody announced",
    brief=(
        "A click model serves **3,000 impressions a day**. Some night of the month **12 of 40 weights change their sign**, and nobody says "
        "when. Choose how the model is kept fresh.\n\n"
        "* Normalised entropy over the judged days at most **0.745**.\n"
        "* Before the shift at most **0.010** above what the truth itself reaches: no price for quiet days.\n"
        "* Predicted over actual clicks from the day after the shift on between **0.9** and **1.1**.\n"
        "* At most **150,000** rows read by trainings.\n\n"
        "Labels arrive overnight. Choose one schedule and its settings."
    ),
    world={"shift": "concept", "flipped": 12, "return_day": 0, "label_lag": 0, "rows": 3_000},
    design=("schedules", "window", "lr", "threshold"),
    assertions=(
        Assertion("mean_ne", "<=", 0.745, "NE", "target", label="Normalised entropy, mean"),
        Assertion("before_excess", "<=", 0.01, "NE", "target", label="Above the truth before the shift"),
        Assertion("ratio_after", ">=", 0.9, "ratio", "target", label="Predicted over actual clicks after the shift"),
        Assertion("ratio_after", "<=", 1.1, "ratio", "target", label="Predicted over actual clicks after the shift"),
        Assertion("rows_trained", "<=", 150_000.0, "rows", "ceiling", label="Rows read by trainings"),
    ),
    reference={"schedules": ("online",), "lr": 0.6},
    alternative={"schedules": ("triggered",), "threshold": 0.1},
    naive={"schedules": ("static",)},
    maxed={"schedules": ("daily",)},
    debrief=(
        "Online steps read every row once and are back within a day; a larger step is back sooner and pays for it on every quiet day. The "
        "alarm reads a few days in all and stays as sharp as the old model until it rings. All history keeps half a month of another "
        "world, and reads 1.3 million rows to do so. A window of three days recovers too, at half again the rows that are allowed; "
        "yesterday alone is within them and noisy all month."
    ),
)
