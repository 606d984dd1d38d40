"""Synthetic worlds whose probabilities are known; each `name_world(seed=0, **knobs)` returns a frozen dataclass."""

from simulators.engines.ranking.worlds.auction import AuctionWorld, auction_world
from simulators.engines.ranking.worlds.bandit import BanditPolicies, BanditWorld, bandit_world
from simulators.engines.ranking.worlds.blend import BlendWorld, blend_world
from simulators.engines.ranking.worlds.counter import CounterWorld, counter_world
from simulators.engines.ranking.worlds.ctr import CtrWorld, ctr_world, iter_ctr_world
from simulators.engines.ranking.worlds.delay import DelayWorld, delay_world
from simulators.engines.ranking.worlds.drift import DriftWorld, drift_world
from simulators.engines.ranking.worlds.feed import FeedWorld, feed_world
from simulators.engines.ranking.worlds.follow import FollowWorld, follow_world
from simulators.engines.ranking.worlds.heads import HeadsWorld, heads_world
from simulators.engines.ranking.worlds.history import HistoryWorld, cold_world, interest_world
from simulators.engines.ranking.worlds.ingest import IngestWorld, ingest_world
from simulators.engines.ranking.worlds.loop import LoopWorld, loop_world
from simulators.engines.ranking.worlds.modal import ModalWorld, modal_world
from simulators.engines.ranking.worlds.position import PositionWorld, position_world
from simulators.engines.ranking.worlds.retrieval import NewcomerWorld, RetrievalWorld, newcomer_world, retrieval_world
from simulators.engines.ranking.worlds.task import TaskWorld, task_world

__all__ = [
    "AuctionWorld",
    "auction_world",
    "BanditPolicies",
    "BanditWorld",
    "bandit_world",
    "BlendWorld",
    "blend_world",
    "CounterWorld",
    "counter_world",
    "CtrWorld",
    "ctr_world",
    "iter_ctr_world",
    "DelayWorld",
    "delay_world",
    "DriftWorld",
    "drift_world",
    "FeedWorld",
    "feed_world",
    "FollowWorld",
    "follow_world",
    "HeadsWorld",
    "heads_world",
    "HistoryWorld",
    "cold_world",
    "interest_world",
    "IngestWorld",
    "ingest_world",
    "LoopWorld",
    "loop_world",
    "ModalWorld",
    "modal_world",
    "NewcomerWorld",
    "newcomer_world",
    "PositionWorld",
    "position_world",
    "RetrievalWorld",
    "retrieval_world",
    "TaskWorld",
    "task_world",
]
