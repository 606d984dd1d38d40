"""The design task of the lab `calibration_auction`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

BIDS_THAT_MEAN_IT = Challenge(
    slug="bids_that_mean_it",
    title="Bids that mean what they say",
    brief=(
        "A click model with a good AUC feeds a second-price auction of 8 ads among 20 advertisers. It is too sure of itself, too high for "
        "everybody and higher still in one segment. Budgets are half of what would be spent, and most are gone in the afternoon.\n\n"
        "* Lose at most **3.3 %** of the welfare that the true probabilities would give, before budgets.\n"
        "* Winners' predicted over true clicks within **0.06** of 1.\n"
        "* Spend within **5 %** of the pace of traffic, and at most **1.5 %** above the budgets.\n\n"
        "The calibration log may hold **25,000 rows**: a longer one reaches back to before the last model. You choose calibrator, "
        "grouping, rows, pacing and its gain."
    ),
    world={
        "slope": 1.5,
        "intercept": 1.2,
        "segment_shift": 0.6,
        "noise": 0.3,
        "scale": 1.0,
        "keep_negatives": 1.0,
        "tightness": 0.5,
        "reserve": 0.0,
        "auctions": 60_000,
    },
    design=("calibrator", "by", "cal_rows", "pacing", "gain"),
    assertions=(
        Assertion("welfare_lost", "<=", 3.3, "%", "target", label="Welfare lost"),
        Assertion("winner_error", "<=", 0.06, "ratio", "target", label="Winners' ratio off 1"),
        Assertion("deviation", "<=", 5.0, "%", "target", label="Spend off the ideal curve"),
        Assertion("overspend", "<=", 1.5, "%", "target", label="Spent above budget"),
        Assertion("cal_rows", "<=", 25_000.0, "rows", "ceiling", label="Calibration rows"),
    ),
    reference={"calibrator": "platt", "by": "segment", "cal_rows": 25_000, "pacing": "multiplier"},
    alternative={"calibrator": "isotonic", "by": "segment", "cal_rows": 25_000, "pacing": "throttle"},
    naive={"calibrator": "platt", "by": "global", "cal_rows": 20_000},
    maxed={"calibrator": "platt", "by": "segment", "cal_rows": 150_000, "pacing": "multiplier"},
    debrief=(
        "One map for everybody repairs the slope and the level and leaves the segment where it was; one map a segment repairs both. Half "
        "of the loss stays: it is noise the model never knew. A map for each of 200 slices learns their luck instead. The multiplier "
        "spends the same money on more clicks than throttling does, because it skips the dear auctions and not just any."
    ),
)
