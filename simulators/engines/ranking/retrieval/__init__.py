"""The first stage of the funnel: from millions of items to the few hundred a ranker can afford to score.

two_tower    a vector a user, a vector and a bias an item, and what they are worth together
training     sampled softmax: where the negatives come from, and what that does to popular items
co_watch     items watched by the same users
merging      several sources into one list
health       signs of collapsed towers
"""

from simulators.engines.ranking.retrieval.co_watch import co_watch, iter_co_watch, watched_matrix
from simulators.engines.ranking.retrieval.health import Health, tower_health
from simulators.engines.ranking.retrieval.merging import Merged, merge_sources
from simulators.engines.ranking.retrieval.two_tower import TwoTower, fit_two_tower, iter_two_tower

__all__ = [
    "Health",
    "Merged",
    "TwoTower",
    "co_watch",
    "fit_two_tower",
    "iter_co_watch",
    "iter_two_tower",
    "merge_sources",
    "tower_health",
    "watched_matrix",
]
