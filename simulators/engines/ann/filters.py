"""Nearest neighbours among the rows that pass a filter: before, after or during the search, or as a planner decides.

pre      the matching rows are listed and every one is compared: exact, cost s x n, where s is the share of rows that pass
post     the index fetches k x oversample / s neighbours without the filter, and those that fail are dropped
inline   the index searches among passing rows, see `masks`
auto     a planner picks one of the three by the estimated share, and compares all matches where fewer than k came back

The attribute index that knows which rows pass is taken as given: neither its bitmap nor its list is timed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from simulators.engines.ann import masks
from simulators.engines.ann.data import FloatArray, unit_length
from simulators.engines.ann.evaluations import Counter, walked
from simulators.engines.ann.index import DEFAULT_EF_SEARCH, AnnIndex
from simulators.errors import InvalidInput

Strategy = Literal["pre", "post", "inline", "auto"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
DEFAULT_OVERSAMPLE = 3.0
DEFAULT_POST_CAP = 2000
SAMPLED_ROWS = 2000  # of the mask, from which the planner estimates the share that passes
EVALUATIONS_PER_CANDIDATE = 7  # distances a graph walk computes for each candidate it keeps, measured at M = 16 and ef 64


class FilteredResult(NamedTuple):
    ids: npt.NDArray[np.int64]  # [q, k], best first, -1 where nothing more was found
    returned: npt.NDArray[np.int32]  # [q], how many of k came back
    seconds: npt.NDArray[np.float64]  # [q], wall-clock of each query alone
    plan: str  # what was carried out: pre, post or inline
    evaluations: float | None  # distances computed, mean over queries; None where neither the library nor `count` tells


class Plan(NamedTuple):
    strategy: str
    share: float  # estimated share of rows that pass


def search_filtered(
    index: AnnIndex,
    queries: FloatArray,
    k: int,
    mask: npt.ArrayLike,
    *,
    strategy: str,
    oversample: float = DEFAULT_OVERSAMPLE,
    post_cap: int = DEFAULT_POST_CAP,
    plan_pre: float | None = None,
    plan_post: float | None = None,
    vectors: FloatArray | None = None,
    count: bool = False,
    **search: Any,
) -> FilteredResult:
    """The k nearest of queries [q, d] among the rows where mask, bool [rows] along `AnnIndex.row_ids`, is True.

    oversample           post: fetches k x this / share
    post_cap             post: fetches at most this many
    plan_pre, plan_post  auto: thresholds of `plan_filter`
    vectors              float32 [rows, d], what pre compares; needed where the index holds codes
    count                also work out the distances that the library does not report: of inverted files and of "accepted" walks
    search               of `AnnIndex.search`: ef_search, nprobe, k_factor, stop
    Raises InvalidInput for an unknown strategy, a mask of another length, and what `AnnIndex.search` refuses.
    """
    if strategy not in STRATEGIES:
        raise InvalidInput(f"strategy {strategy!r} was given; expected one of {', '.join(STRATEGIES)}", field="strategy")
    if oversample < 1 or post_cap < 1:
        raise InvalidInput(f"oversample {oversample:g} and post_cap {post_cap} were given; expected at least 1", field="oversample")
    passing = index.passing_rows(mask)

    def carry_out(name: str, asked: FloatArray) -> FilteredResult:
        if name == "pre":
            return _pre(index, asked, k, passing, vectors)
        if name == "post":
            fetch = fetched(k, float(passing.mean()), oversample, min(post_cap, len(passing)))
            return _post(index, asked, k, passing, fetch, search, count)
        return _inline(index, asked, k, passing, search, count)

    if strategy != "auto":
        return carry_out(strategy, queries)
    width = int(search.get("ef_search") or DEFAULT_EF_SEARCH)
    plan = plan_filter(passing, k, ef_search=width, oversample=oversample, plan_pre=plan_pre, plan_post=plan_post)
    return _completed(carry_out(plan.strategy, queries), queries, min(k, int(passing.sum())), carry_out)


def fetched(k: int, share: float, oversample: float, cap: int) -> int:
    """How many neighbours post-filtering fetches so that, were matches spread evenly, k x oversample of them would pass."""
    return cap if share == 0 else max(min(k, cap), min(cap, math.ceil(k * oversample / share)))


def plan_filter(
    mask: masks.BoolArray,
    k: int,
    *,
    ef_search: int = DEFAULT_EF_SEARCH,
    oversample: float = DEFAULT_OVERSAMPLE,
    plan_pre: float | None = None,
    plan_post: float | None = None,
) -> Plan:
    """A strategy from the share of rows that pass, estimated on a sample as from an attribute's histogram.

    plan_pre, plan_post   pre below the one, post above the other, inline between; None: by cost. Pre compares share x n rows. A walk
    that is to meet k x oversample matches keeps max(ef_search, k x oversample / share) candidates: inline while ef_search holds them,
    post where it has to be wider.
    """
    share = estimated_share(mask)
    needed = k * oversample / max(share, 1 / len(mask))
    below = EVALUATIONS_PER_CANDIDATE * max(ef_search, needed) / len(mask) if plan_pre is None else plan_pre
    if share < below:
        return Plan("pre", share)
    after = needed > ef_search if plan_post is None else share > plan_post
    return Plan("post" if after else "inline", share)


def estimated_share(mask: masks.BoolArray, *, rows: int = SAMPLED_ROWS) -> float:
    """Share of True in a sample of the mask, without reading all of it. The sample is the same for every mask of a length."""
    if len(mask) <= rows:
        return float(mask.mean())
    return float(mask[np.random.default_rng(0).integers(len(mask), size=rows)].mean())


# --- the strategies --------------------------------------------------------------------------------------------------


def _pre(index: AnnIndex, queries: FloatArray, k: int, mask: masks.BoolArray, vectors: FloatArray | None) -> FilteredResult:
    base = index.vectors() if vectors is None else np.ascontiguousarray(vectors, dtype=np.float32)
    if base.shape != (len(mask), index.dim):
        raise InvalidInput(f"vectors have the shape {base.shape}, expected {(len(mask), index.dim)}: one a row", field="vectors")
    if index.metric == "cosine":
        base, queries = unit_length(base), unit_length(queries)
    queries, rows = np.ascontiguousarray(queries, dtype=np.float32), np.flatnonzero(mask)
    ids, scores = np.full((len(queries), k), -1, dtype=np.int64), np.zeros((len(queries), k), dtype=np.float32)
    seconds = np.empty(len(queries))
    for i, ask in enumerate(masks.exact_calls(base, index.metric, rows, queries, scores, ids)):
        started = time.perf_counter()
        ask()
        seconds[i] = time.perf_counter() - started
    return _result(index.named(ids), seconds, "pre", float(len(rows)))


def _post(
    index: AnnIndex, queries: FloatArray, k: int, mask: masks.BoolArray, fetch: int, search: dict[str, Any], count: bool
) -> FilteredResult:
    unfiltered = {name: value for name, value in search.items() if name != "stop"}
    unfiltered["ef_search"] = max(fetch, search.get("ef_search") or DEFAULT_EF_SEARCH)  # a graph finds no more than it keeps
    counted = Counter(index, all_kinds=count)
    found = index.search(queries, fetch, **unfiltered)
    evaluations = counted.of(queries, None, **unfiltered)
    started = time.perf_counter()
    rows = index.rows(found.ids)
    passed = (rows >= 0) & mask[rows]
    order = np.argsort(~passed, axis=1, kind="stable")[:, :k]  # passing ones first, in their order
    ids = np.where(np.take_along_axis(passed, order, 1), np.take_along_axis(found.ids, order, 1), -1)
    dropping = (time.perf_counter() - started) / max(len(queries), 1)
    ids = np.pad(ids, ((0, 0), (0, k - ids.shape[1])), constant_values=-1)
    return _result(ids, found.seconds + dropping, "post", evaluations)


def _inline(index: AnnIndex, queries: FloatArray, k: int, mask: masks.BoolArray, search: dict[str, Any], count: bool) -> FilteredResult:
    """To be counted, an "accepted" walk returns all ef_search it kept: how far the last one lies tells what the walk has compared."""
    accepted = search.get("stop") == "accepted" and index.kind == "hnsw"
    wanted = max(k, search.get("ef_search") or DEFAULT_EF_SEARCH) if accepted and count else k
    counted = Counter(index, all_kinds=count)
    found = index.search(queries, wanted, mask=mask, **search)
    evaluations = (walked(index, queries, found) if count else None) if accepted else counted.of(queries, mask, **search)
    return _result(found.ids[:, :k], found.seconds, "inline", evaluations)


def _completed(
    result: FilteredResult, queries: FloatArray, possible: int, carry_out: Callable[[str, FloatArray], FilteredResult]
) -> FilteredResult:
    """The result with its short answers replaced by pre-filtering; what was tried before stays in the bill."""
    short = np.flatnonzero(result.returned < possible)
    if not len(short) or result.plan == "pre":
        return result
    again = carry_out("pre", queries[short])
    ids, seconds = result.ids.copy(), result.seconds.copy()
    ids[short] = again.ids
    seconds[short] += again.seconds
    spent = None if result.evaluations is None else result.evaluations + (again.evaluations or 0) * len(short) / len(queries)
    return _result(ids, seconds, result.plan, spent)


def _result(ids: npt.NDArray[np.int64], seconds: npt.NDArray[np.float64], plan: str, evaluations: float | None) -> FilteredResult:
    return FilteredResult(ids, (ids >= 0).sum(axis=1).astype(np.int32), seconds, plan, evaluations)
