"""The ways to give a label its feature row, and what each of them lets through from after the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.pit import NONE, PointInTimeIndex, Upper
from simulators.engines.features.times import NEVER, US_PER_S
from simulators.feature_store._pit_params import Join

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
CLOSE_US = 30 * 60 * US_PER_S  # a label is final half an hour after its request
_END_OF_TIME = np.iinfo(np.int64).max - 1


@dataclass(frozen=True)
class Store:
    """Feature rows (r,) ready to be joined, with their times; `created_us` None where nobody wrote it down."""

    index: PointInTimeIndex
    event_us: Ints
    created_us: Ints | None

    def memory_bytes(self) -> int:
        """With the index, which holds the values, the order and the times once more."""
        return 6 * self.event_us.nbytes


class Asked(NamedTuple):
    """Labels (m,): entity, request time, and when the label itself was final."""

    key: Ints
    at_us: Ints
    closed_us: Ints


class Rules(NamedTuple):
    upper: Upper
    ttl_s: float


class Joined(NamedTuple):
    """One row out for each label in (m,). `row` -1: none. A leaked row is either newer than the request or was written after it."""

    value: Floats
    row: Ints
    newer: Flags
    written_later: Flags
    same_time: Flags

    def only(self, labels: Flags) -> Joined:
        """For some of the labels (m,)."""
        return Joined(self.value[labels], self.row[labels], self.newer[labels], self.written_later[labels], self.same_time[labels])

    @property
    def leaked(self) -> int:
        return int((self.newer | self.written_later).sum())

    @property
    def nulls(self) -> int:
        return int(np.isnan(self.value).sum())

    @property
    def null_share(self) -> float:
        return self.nulls / max(1, len(self.value))


def join(mode: Join, store: Store, asked: Asked, rules: Rules) -> Joined:
    """`mode` over every label. "served_log" finds the row behind what was served, which is the one known at the request."""
    at = {"latest": np.full(len(asked.at_us), _END_OF_TIME), "event_in_window": asked.closed_us}.get(mode, asked.at_us)
    found = store.index.join(
        asked.key,
        at,
        ttl_s=None if mode == "latest" else rules.ttl_s,
        upper=rules.upper,
        known_at=mode in ("as_known_at", "served_log"),
    )
    return _judged(found.values[:, 0], found.row, store, asked.at_us)


def _judged(value: Floats, row: Ints, store: Store, at_us: Ints) -> Joined:
    has = row != NONE
    event = np.where(has, store.event_us[row], NEVER)
    newer = event > at_us
    created = event if store.created_us is None else np.where(has, store.created_us[row], NEVER)
    return Joined(value, row, newer, ~newer & (created > at_us), has & (event == at_us))
