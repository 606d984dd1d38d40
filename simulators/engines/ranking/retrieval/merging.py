"""Several candidate sources into one list of k: each fills its quota, nothing stands twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.compiled import compiled

Ints = NDArray[np.int64]


class Merged(NamedTuple):
    ids: Ints  # (U, k), -1 where every source ran out
    source: Ints  # (U, k) place of the source among `ranked`, -1 where ids is


def merge_sources(ranked: Mapping[str, ArrayLike], quotas: Mapping[str, int], k: int) -> Merged:
    """`ranked`: for each source the ids (U, k_s) of its candidates, best first, -1 for none; `quotas`: slots of each.

    In the order of `ranked` each source fills its quota with its best items that no source before it has taken. Slots that stay free,
    because quotas add up to less than k or a source ran out, are filled by the sources with a quota in the same order. A list of k
    items a source is always long enough. Raises ValueError for quotas above k together, below 0, or of a source that is not there.
    """
    names = list(ranked)
    _check(names, quotas, k)
    lists = {name: _list(name, ids) for name, ids in ranked.items()}
    users = len(next(iter(lists.values())))
    if any(len(ids) != users for ids in lists.values()):
        raise ValueError(
            "ranked holds " + ", ".join(f"{len(ids)} rows of {name}" for name, ids in lists.items()) + "; expected as many of each."
        )
    merged = Merged(np.full((users, k), -1, np.int64), np.full((users, k), -1, np.int64))
    for fill in (False, True):
        for place, name in enumerate(names):
            if quotas.get(name, 0):
                compiled(_add)(lists[name], place, k if fill else int(quotas[name]), *merged)
    return merged


def _check(names: list[str], quotas: Mapping[str, int], k: int) -> None:
    if not names or k < 1:
        raise ValueError(f"{len(names)} sources and k = {k} were given; expected at least one of each.")
    unknown = [name for name in quotas if name not in names]
    if unknown:
        raise ValueError(f"quotas names {unknown[0]!r}; expected one of {', '.join(names)}.")
    if min(quotas.values(), default=0) < 0:
        raise ValueError(f"quotas holds {min(quotas.values())}; expected 0 or more.")
    total = sum(quotas.values())
    if total > k:
        raise ValueError(f"quotas sum to {total}, k is {k}; expected at most k.")
    if not total:
        raise ValueError("quotas sum to 0; expected at least one slot for one source.")


def _list(name: str, ids: ArrayLike) -> Ints:
    array = np.asarray(ids)
    if array.ndim != 2 or array.dtype.kind not in "iu" or (array.size and array.min() < -1):
        raise ValueError(f"ranked[{name!r}] has shape {array.shape} and type {array.dtype}; expected ids (U, k_s), -1 for none.")
    return np.ascontiguousarray(array, dtype=np.int64)


def _add(ranked: Any, place: int, quota: int, ids: Any, source: Any) -> None:
    """Appends up to `quota` items of `ranked` that are not yet in a user's row. Lists are short: a look along the row is cheap."""
    k = ids.shape[1]
    for user in range(ids.shape[0]):
        filled = 0
        while filled < k and ids[user, filled] >= 0:
            filled += 1
        left = min(quota, k - filled)
        for candidate in ranked[user]:
            if left == 0:
                break
            if candidate < 0:
                continue
            there = False
            for slot in range(filled):
                if ids[user, slot] == candidate:
                    there = True
                    break
            if not there:
                ids[user, filled], source[user, filled] = candidate, place
                filled += 1
                left -= 1


def warm_up() -> None:
    """Compiles the loop, or loads what an earlier process compiled."""
    merge_sources({"one": np.zeros((1, 1), np.int64)}, {"one": 1}, 1)
