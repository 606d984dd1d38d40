"""Who gets which arm: hashing, targeting and traffic layers.

hashing     ids to numbers in [0, 1), numbers to arms; one id at a time or a whole array
conditions  who is targeted
evaluate    the arm of one unit and the reason, step by step as the public GrowthBook SDK specification 0.7 has them
many        the arms of an array of units, and plans of layers, domains and a holdout
"""

from simulators.engines.experiment.assignment.conditions import evaluate_condition
from simulators.engines.experiment.assignment.evaluate import Assignment, assign
from simulators.engines.experiment.assignment.hashing import (
    bucket_ranges,
    choose_many,
    choose_variation,
    hash_many,
    hash_unit,
    in_namespace,
    splitmix_many,
)
from simulators.engines.experiment.assignment.many import LayerPlan, assign_many

__all__ = [
    "Assignment",
    "LayerPlan",
    "assign",
    "assign_many",
    "bucket_ranges",
    "choose_many",
    "choose_variation",
    "evaluate_condition",
    "hash_many",
    "hash_unit",
    "in_namespace",
    "splitmix_many",
]
