"""Logs to learn from: click logs as arrays, files read into them, splits, hashing."""

from simulators.engines.ranking.data.bandit import BanditLog, iter_read_bandit_log, read_bandit_log
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.data.ctr_file import CtrFile, CtrRead, ctr_columns, iter_read_ctr, read_ctr
from simulators.engines.ranking.data.hashing import hash_ids
from simulators.engines.ranking.data.ratings import Ratings, iter_read_ratings, read_ratings
from simulators.engines.ranking.data.splitting import split, split_rows

__all__ = [
    "BanditLog",
    "CtrData",
    "CtrFile",
    "CtrRead",
    "Ratings",
    "ctr_columns",
    "hash_ids",
    "iter_read_bandit_log",
    "iter_read_ctr",
    "iter_read_ratings",
    "read_bandit_log",
    "read_ctr",
    "read_ratings",
    "split",
    "split_rows",
]
