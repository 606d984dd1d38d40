"""Rows sorted by key and time, and binary searches among one key's rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.compiled import compiled
from simulators.engines.features.keys import ABSENT, KeyCodes
from simulators.engines.features.times import NEVER, Times

Places = NDArray[np.int64]
_SHORT = 48  # rows up to which an insertion sort beats a merge sort


class KeyedOrder:
    """Rows in order of (key, time, created time, as given); rows without a key or a time are left out.

    row    (n,) the row at each place
    ts     (n,) its time
    start  (k + 1,) key c owns the places from start[c] to start[c + 1]; start[ABSENT] is the end of all
    """

    def __init__(self, keys: KeyCodes, ts: Times, created: Times | None = None, *, usable: NDArray[np.bool_] | None = None) -> None:
        keep = (keys.codes != ABSENT) & (ts != NEVER) & (True if usable is None else usable)
        rows = np.flatnonzero(keep)
        self.start = np.zeros(len(keys) + 1, dtype=np.int64)
        self.row, self.ts = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
        compiled(_deal)(rows, keys.codes, ts, self.start, self.row, self.ts)
        compiled(_sort_each)(self.start, self.row, self.ts, ts if created is None else created, created is not None)

    def __len__(self) -> int:
        return len(self.row)

    def up_to(self, code: Places, at: Times, *, inclusive: bool) -> Places:
        """One past each query's last place: rows of its key before its time (m,), or at it too. `start[code]` where there is none."""
        out = np.empty(len(code), dtype=np.int64)
        compiled(_search)(code, at, self.start, self.ts, inclusive, out)
        return out


def _deal(rows: Any, code: Any, times: Any, start: Any, row: Any, ts: Any) -> None:
    """A counting sort by key."""
    for i in rows:
        start[code[i] + 1] += 1
    for key in range(len(start) - 1):
        start[key + 1] += start[key]
    following = start.copy()
    for i in rows:
        place = following[code[i]]
        row[place], ts[place] = i, times[i]
        following[code[i]] += 1


def _sort_each(start: Any, row: Any, ts: Any, created: Any, by_created: bool) -> None:
    """Sorts each key's places by time and, where asked, by created time; rows that tie stay as given."""
    for key in range(len(start) - 1):
        low, high = start[key], start[key + 1]
        if high - low > _SHORT:
            if by_created:
                first = np.argsort(created[row[low:high]], kind="mergesort")
                row[low:high], ts[low:high] = row[low:high][first], ts[low:high][first]
            second = np.argsort(ts[low:high], kind="mergesort")
            row[low:high], ts[low:high] = row[low:high][second], ts[low:high][second]
            continue
        for place in range(low + 1, high):
            i, moment, here = row[place], ts[place], place
            while here > low and (ts[here - 1] > moment or (by_created and ts[here - 1] == moment and created[row[here - 1]] > created[i])):
                row[here], ts[here] = row[here - 1], ts[here - 1]
                here -= 1
            row[here], ts[here] = i, moment


def _search(code: Any, at: Any, start: Any, ts: Any, inclusive: bool, out: Any) -> None:
    for query in range(len(code)):
        key = code[query]
        low = start[key]
        high = start[key + 1] if key >= 0 else low
        while low < high:
            middle = (low + high) // 2
            if ts[middle] < at[query] or (inclusive and ts[middle] == at[query]):
                low = middle + 1
            else:
                high = middle
        out[query] = low
