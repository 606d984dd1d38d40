"""Tests that may be read more than once: what stays true when somebody looks every day.

anytime    an interval and a p-value that hold at every look, planned or not: asymptotic confidence sequence and mixture SPRT
group      boundaries for looks planned in batches: error spending, Haybittle-Peto, Bonferroni; conditional power
stopping   what each rule costs: false positives, power, looks and exaggeration over simulated tests
"""

from simulators.engines.experiment.sequential.anytime import always_valid, always_valid_bound, msprt, msprt_bound
from simulators.engines.experiment.sequential.group import (
    conditional_power,
    crossing_probability,
    group_sequential_bounds,
    haybittle_peto_bounds,
    information_shares,
    spent_alpha,
)
from simulators.engines.experiment.sequential.stopping import (
    RULES,
    Design,
    Rule,
    StoppingRow,
    powered_effect,
    simulate_stopping,
)

__all__ = [
    "RULES",
    "Design",
    "Rule",
    "StoppingRow",
    "always_valid",
    "always_valid_bound",
    "conditional_power",
    "crossing_probability",
    "group_sequential_bounds",
    "haybittle_peto_bounds",
    "information_shares",
    "msprt",
    "msprt_bound",
    "powered_effect",
    "simulate_stopping",
    "spent_alpha",
]
