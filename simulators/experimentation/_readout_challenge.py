"""The design task of the lab `readout`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

ENOUGH_TRAFFIC = Challenge(
    slug="one_percent_in_two_weeks",
    title="One percent in two weeks",
    brief=(
        "A change is expected to lift the spending of regulars by **2.5 % among the 40 % who reach it**, 1 % over all. You have "
        "**14 days and 30 % of the traffic: 600,000 users**. Twenty metrics are on the scorecard, two guardrails beside it.\n\n"
        "* Declare the North Star in at least **80 %** of such tests.\n"
        "* At most **5 %** of tests may hold any false win.\n"
        "* Both guardrails proven to stay within 0.5 %.\n\n"
        "Every user has a history that correlates 0.78 with the metric. Choose population, covariates, cap, correction and users."
    ),
    world={
        "metric": "spend",
        "lift": 2.5,
        "lift_kind": "conversion",
        "trigger_rate": 40.0,
        "rho": 0.78,
        "new_users": 0.0,
        "metrics": 20,
        "moved": 4,
        "ni_margin": 0.5,
        "alpha": 5.0,
    },
    design=("users", "population", "covariates", "winsorise", "correction"),
    assertions=(
        Assertion("family_power", ">=", 0.80, "share", "target", label="Chance to declare the North Star"),
        Assertion("family_error", "<=", 0.05, "share", "target", label="Chance of any false win"),
        Assertion("guardrails_held", ">=", 0.9, "share", "target", label="Guardrails held"),
        Assertion("users", "<=", 600_000.0, "users", "ceiling", label="Users in the test"),
    ),
    reference={"users": 600_000, "covariates": "one", "winsorise": "0.99", "correction": "hierarchical"},
    alternative={"users": 600_000, "population": "triggered", "covariates": "none", "winsorise": "0.99", "correction": "hierarchical"},
    naive={"users": 600_000, "covariates": "none", "winsorise": "none", "correction": "none"},
    maxed={"users": 2_000_000, "population": "triggered", "covariates": "one", "winsorise": "0.99", "correction": "bonferroni"},
    debrief=(
        "Over all users the effect is 1 %, and only a cap and the history together leave little enough variance; dividing alpha by twenty "
        "takes that gain away again, so the North Star goes first and the proxies wait behind it. Leaving out the users who never reached "
        "the change costs 60 % of them and multiplies the effect by 2.5, which needs no history at all, but needs the trigger to be logged "
        "in the control arm as well."
    ),
)
