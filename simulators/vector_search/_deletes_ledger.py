"""When a policy rebuilds, and what is held until then: counted from the stream alone, before any index is touched.

Because a rebuild depends only on counts, the lab need not make those whose index nobody measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulators.vector_search._deletes_stream import HOURS, Stream

IntArray = npt.NDArray[np.int64]
Index = Literal["hnsw_faiss", "hnsw_hnswlib", "hnsw_replace", "ivf_flat"]
LABELS = {
    "hnsw_faiss": "HNSW, tombstones use up ef (faiss)",
    "hnsw_hnswlib": "HNSW, walk goes on (hnswlib)",
    "hnsw_replace": "HNSW, places reused (hnswlib)",
    "ivf_flat": "IVF-Flat, removed in place",
}
SHORT = {"hnsw_faiss": "HNSW (faiss)", "hnsw_hnswlib": "HNSW (hnswlib)", "hnsw_replace": "HNSW (hnswlib, reuse)", "ivf_flat": "IVF-Flat"}


@dataclass(frozen=True)
class Policy:
    index: str
    compact_at: float  # tombstone share that triggers a rebuild
    rebuild_every_h: int  # 0: never by the clock

    @property
    def kind(self) -> str:
        return "ivf_flat" if self.index == "ivf_flat" else "hnsw"

    def build(self, n: int) -> dict[str, Any]:
        """Parameters of `index_steps` for about n live vectors."""
        if self.kind == "ivf_flat":
            return {"nlist": cells_for(n)}
        if self.index == "hnsw_faiss":
            return {}
        return {"library": "hnswlib", "replace_deleted": self.index == "hnsw_replace"}


def cells_for(n: int) -> int:
    """The power of two nearest to sqrt(n)."""
    return int(2 ** round(np.log2(n) / 2))


@dataclass(frozen=True)
class Ledger:
    """Counts by hour, 0 to the last; what a rebuild in an hour clears is still counted in that hour."""

    live: IntArray
    tombstones: IntArray
    rebuilds: IntArray  # hours
    waits_h: IntArray  # of every deleted vector, how long its bytes stay; for those still held, until the end
    still_held: int

    @property
    def share(self) -> npt.NDArray[np.float64]:
        share: npt.NDArray[np.float64] = self.tombstones / np.maximum(self.live + self.tombstones, 1)
        return share

    @property
    def days(self) -> int:
        return (len(self.live) - 1) // HOURS

    @property
    def rebuilds_per_day(self) -> float:
        return len(self.rebuilds) / self.days

    def base(self, hour: int) -> int:
        """Hour of the last rebuild before this hour; 0: as built."""
        before = self.rebuilds[self.rebuilds < hour]
        return int(before[-1]) if len(before) else 0

    def worst_hours(self) -> list[int]:
        """Of every day the hour with the largest tombstone share, the latest of several: just before a rebuild, or midnight."""
        share = self.share[1:].reshape(self.days, HOURS)[:, ::-1]
        return [HOURS * (day + 1) - int(late) for day, late in enumerate(share.argmax(axis=1))]


def kept(stream: Stream, policy: Policy) -> Ledger:
    """The books of the policy over the whole stream. A rebuild takes place at the end of its hour."""
    inserts = np.array([len(stream.inserted(hour)) for hour in range(stream.hours + 1)])
    deletes = np.array([len(stream.deleted(hour)) for hour in range(stream.hours + 1)])
    live = np.cumsum(inserts - deletes)
    tombstones, rebuilds, left, last = np.zeros_like(live), [], 0, 0
    for hour in range(1, stream.hours + 1):
        left = _left(policy.index, left, int(deletes[hour]), int(inserts[hour]))
        tombstones[hour] = left
        full = left and left / (live[hour] + left) >= policy.compact_at
        due = policy.rebuild_every_h and hour - last >= policy.rebuild_every_h
        if (full or due) and live[hour]:
            rebuilds.append(hour)
            left, last = 0, hour
    waits, still = _waits(stream, policy.index, tombstones, np.array(rebuilds, dtype=np.int64))
    return Ledger(live, tombstones, np.array(rebuilds, dtype=np.int64), waits, still)


def _left(index: str, before: int, deletes: int, inserts: int) -> int:
    """Tombstones after an hour in which first the deletes arrive, then the inserts."""
    if index == "ivf_flat":
        return 0
    return max(0, before + deletes - (inserts if index == "hnsw_replace" else 0))


def _waits(stream: Stream, index: str, tombstones: IntArray, rebuilds: IntArray) -> tuple[IntArray, int]:
    """Hours each deleted vector is still held. Where places are reused, a vector is surely gone when no tombstone is left."""
    died = stream.died[stream.died <= stream.hours].astype(np.int64)
    if index == "ivf_flat":
        return np.zeros_like(died), 0
    cleared = rebuilds if index != "hnsw_replace" else np.union1d(rebuilds, np.flatnonzero(tombstones == 0))
    place = np.searchsorted(cleared, died)
    gone = np.append(cleared, stream.hours)[place]
    return gone - died, int((place == len(cleared)).sum())
