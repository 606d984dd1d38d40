"""The design task of the lab `ctr_models`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

CALIBRATED_AND_SMALL = Challenge(
    slug="calibrated_and_small",
    title="A click model that fits the server",
    brief=(
        "200,000 impressions of 1,500 ads, 8 to 11 % of them clicked, and the last eight categories of every user. An auction will bid "
        "with the predictions.\n\n"
        "* Close at least **65 %** of the gap in log loss between the constant and the truth, on later rows.\n"
        "* Predicted clicks within **3 %** of the true ones.\n\n"
        "The table may hold **80,000 numbers**, a prediction may take **60,000 multiply-adds**, and the training budget is **400,000 "
        "rows**, "
        "repetitions counted."
    ),
    world={"rows": 200_000, "base_logit": -3.6, "truth": "inner_product", "models": (), "bf16": "off"},
    design=(
        "model",
        "dim",
        "history",
        "cross_rank",
        "buckets",
        "table_lr",
        "dense_lr",
        "epochs",
        "batch",
        "keep_negatives",
        "correct_sampling",
        "recalibrate",
        "ad_content",
        "share_id_below",
    ),
    assertions=(
        Assertion("closed", ">=", 65.0, "%", "target", label="Gap to the truth closed"),
        Assertion("miscalibrated", "<=", 3.0, "%", "target", label="Predicted clicks off, either way"),
        Assertion("table_params", "<=", 80_000.0, "numbers", "ceiling", label="Numbers in the table"),
        Assertion("macs", "<=", 60_000.0, "multiply-adds", "ceiling", label="Multiply-adds a prediction"),
        Assertion("rows_seen", "<=", 400_000.0, "rows", "ceiling", label="Rows learned from"),
    ),
    reference={"model": "dlrm_history", "history": "din", "dim": 8, "recalibrate": True},
    alternative={"model": "dcnv2_history", "history": "din", "dim": 16, "epochs": 2, "recalibrate": True},
    naive={"model": "lightgbm"},
    maxed={"model": "dlrm_history", "history": "din", "dim": 32, "epochs": 4, "recalibrate": True},
    debrief=(
        "Which ad suits whom is a meeting of two vectors, and what the user last looked at is worth ten points on top. Trees over rates of "
        "ids see neither. Wider vectors and more passes buy memory: after the first pass the ids are learned by heart. What one pass "
        "leaves off in the level, a sigmoid on held-out rows repairs."
    ),
)
