"""Whom does a treatment help? Estimators of the effect given covariates, and how to judge them on data they have not seen.

learners  S, T and X on gradient-boosted trees
forest    honest causal forest with residualised splits
judge     Qini, sorted groups (GATES), value of a targeting policy
segments  effects of many segments against the rest, with correction

Effects are estimates for groups of people alike in their covariates. Nothing here gives an interval for one person: those that forests
offer held the truth in little more than half of the cases where we knew it.
"""

from simulators.engines.experiment.uplift.forest import CausalForest
from simulators.engines.experiment.uplift.judge import Group, gates, pehe, policy_value, qini, qini_curve
from simulators.engines.experiment.uplift.learners import SLearner, TLearner, XLearner
from simulators.engines.experiment.uplift.segments import SegmentEffect, segment_effects

__all__ = [
    "CausalForest",
    "Group",
    "SLearner",
    "SegmentEffect",
    "TLearner",
    "XLearner",
    "gates",
    "pehe",
    "policy_value",
    "qini",
    "qini_curve",
    "segment_effects",
]
