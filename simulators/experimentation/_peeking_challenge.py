"""The design task of the lab `peeking`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

DAILY_READ = Challenge(
    slug="read_it_daily",
    title="Read it daily, believe it once",
    brief=(
        "A team reads its test every day for **14 days, 500 users a day in each arm**, and stops as soon as its rule says so. The effect "
        "is the one a single look at the end would find with 80 % power.\n\n"
        "* At most **5.5 %** of tests without an effect may stop.\n"
        "* Power at least **77 %**, after at most **11 looks** on average.\n"
        "* Effects of stopped tests overstated at most **1.36 times**.\n"
        "* At most **14,000 users**. History correlates 0.7 with the metric: covariates leave 51 % of the variance at best.\n\n"
        "Choose one rule, its constants, whether to go on after the plan, and how much of the variance to remove."
    ),
    world={"looks": 14, "n_per_look": 500, "alpha": 5.0, "effect": 100.0},
    design=("rules", "rho", "tuning", "tau", "overrun", "variance_ratio"),
    assertions=(
        Assertion("fpr", "<=", 5.5, "%", "target", label="Tests without an effect that stop"),
        Assertion("power", ">=", 77.0, "%", "target", label="Power"),
        Assertion("mean_looks", "<=", 11.0, "looks", "target", label="Mean looks under the effect"),
        Assertion("exaggeration", "<=", 1.36, "x truth", "target", label="Exaggeration of stopped tests"),
        Assertion("users", "<=", 14_000.0, "users", "ceiling", label="Users of a test that never stops"),
        Assertion("variance_left", ">=", 0.51, "share", "ceiling", label="Variance left by the history there is"),
    ),
    reference={"rules": ("obrien_fleming",)},
    alternative={"rules": ("always_valid",), "tuning": 14_000, "variance_ratio": 0.51},
    naive={"rules": ("naive",)},
    maxed={"rules": ("always_valid",), "overrun": 3.0, "variance_ratio": 0.2},
    debrief=(
        "Looks in daily batches are known beforehand, and O'Brien-Fleming spends almost nothing on the early ones: nearly the power of one "
        "look, some days earlier. Pocock buys its early stops with power and inflated estimates. The always-valid interval guards against "
        "looks nobody makes and misses the power by 30 points; a covariate that removes half of the variance more than pays for it."
    ),
)
