"""Tests of markets in which one unit's treatment reaches another: a ride market under four designs, and rankings compared by duel."""

from simulators.engines.experiment.marketplace.estimators import (
    Effect,
    cluster_ols,
    design_effect,
    fixed_effects,
    order_effect,
    unit_effect,
)
from simulators.engines.experiment.marketplace.kernel import warm_up
from simulators.engines.experiment.marketplace.market import DESIGNS, Market, MarketParams, MarketRun, World, check_windows
from simulators.engines.experiment.marketplace.ranking import Draft, counterfactual_interleave, team_draft, team_drafts

__all__ = [
    "DESIGNS",
    "Draft",
    "Effect",
    "Market",
    "MarketParams",
    "MarketRun",
    "World",
    "check_windows",
    "cluster_ols",
    "counterfactual_interleave",
    "design_effect",
    "fixed_effects",
    "order_effect",
    "team_draft",
    "team_drafts",
    "unit_effect",
    "warm_up",
]
