"""Click models on one fused embedding table."""

from simulators.engines.ranking.models.fit import CtrModel, Kind, fit_ctr, iter_ctr, warm_up
from simulators.engines.ranking.models.nets import KINDS
from simulators.engines.ranking.models.table import FusedTable

__all__ = ["KINDS", "CtrModel", "FusedTable", "Kind", "fit_ctr", "iter_ctr", "warm_up"]
