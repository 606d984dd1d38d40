"""Everything a comparison of two arms needs, computed from a handful of sums an arm.

An arm is kept as its count, its means and its centred cross products (`Moments`). Those merge exactly, so the rows are read once
and every later question (another alpha, covariate, segment or day) is answered from the sums.
"""

from simulators.engines.experiment.stats.compare import Comparison, compare
from simulators.engines.experiment.stats.cube import MomentTable
from simulators.engines.experiment.stats.moments import Kind, Moments, summary

__all__ = ["Comparison", "Kind", "MomentTable", "Moments", "compare", "summary"]
