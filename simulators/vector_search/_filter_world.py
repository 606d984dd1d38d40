"""The filters a run asks about: a bitmap a query, drawn at a share and a correlation, or read from the user's file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann import data as ann_data
from simulators.engines.ann.files import read_column, read_vectors
from simulators.engines.ann.kmeans import kmeans_steps
from simulators.engines.ann.masks import checked_mask
from simulators.engines.ann.truth import exact_knn
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, DataInfo, DataOption, DataSlot, Progress, Working
from simulators.vector_search._vectors import (
    OWN_VECTORS,
    SYNTHETIC_QUERIES,
    World,
    held_out_rows,
    own_world,
    synthetic_world,
    told,
)

D, CLUSTERS = 64, 200
OWN_CELLS = 64  # k-means cells that stand for clusters where the user's vectors have none
CLASS_SHARES = (0.5, 0.1, 0.01, 0.001)
TENANTS, TENANT_ZIPF = 1000, 1.0
TIME_RANGES = {"last month": 0.3, "last week": 0.07, "last day": 0.01, "last hour": 0.001}
CATEGORY_SHARES = (0.02, 0.3)
FEWEST_SHARE = 0.0005
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clustered:
    """A world with the cluster of each vector and query."""

    world: World
    base_cluster: IntArray  # [n]
    query_cluster: IntArray  # [q]


class Ask(NamedTuple):
    """A filter as a query carries it, before it is drawn."""

    group: str  # what recall is reported by: "s = 1 %", "tenant"
    share: float
    correlation: str


@dataclass(frozen=True)
class Bitmaps:
    """The bitmaps of a list of queries, and the exact neighbours among what passes."""

    key: str
    groups: tuple[str, ...]  # [q]
    bits: npt.NDArray[np.uint8]  # [q, n / 8], packed
    true_ids: IntArray  # [q, k], exact, -1 where fewer match
    n: int

    def mask(self, i: int) -> BoolArray:
        return np.unpackbits(self.bits[i], count=self.n, bitorder="little").view(np.bool_)

    def shares(self) -> npt.NDArray[np.float64]:
        counts = [np.bitwise_count(row).sum() for row in self.bits]
        return np.array(counts, dtype=np.float64) / self.n

    def __len__(self) -> int:
        return len(self.bits)


# --- worlds ----------------------------------------------------------------------------------------------------------


def clustered_world(ctx: Context, n: int) -> Working[Clustered]:
    if ctx.data:
        return (yield from _own_clusters(ctx, ctx.data))
    world = yield from synthetic_world(ctx, n=n, d=D, clusters=CLUSTERS, query_shift=0.0)
    drawn = yield from ctx.asset_steps(
        world.base_key,
        lambda: told(ann_data.clustered_steps(n, D, SYNTHETIC_QUERIES, seed=ctx.seed, clusters=CLUSTERS), "drawing vectors"),
    )
    return Clustered(world, drawn.base_cluster.astype(np.int64), drawn.query_cluster.astype(np.int64))


def _own_clusters(ctx: Context, data: Data) -> Working[Clustered]:
    """The user's vectors have no clusters: k-means cells take their place in correlated filters."""
    world = yield from own_world(ctx, data)
    cells = min(OWN_CELLS, world.n // 4)
    steps = kmeans_steps(world.base, cells, spherical=world.metric != "l2", seed=ctx.seed)
    centroids = yield from ctx.asset_steps(f"{world.base_key}/cells/{cells}", lambda: told(steps, "finding clusters"), disk=False)
    nearest = [exact_knn(centroids, vectors, 1, metric=world.metric).ids[:, 0] for vectors in (world.base, world.queries)]
    return Clustered(world, nearest[0], nearest[1])


# --- drawing filters ---------------------------------------------------------------------------------------------------


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def asked(workload: str, share: float, correlation: str, q: int, rng: np.random.Generator) -> list[Ask]:
    """The filters of q queries."""
    if workload == "single":
        return [Ask(f"s = {percent(share)}", share, correlation)] * q
    if workload == "classes":
        return [Ask(f"s = {percent(CLASS_SHARES[i % 4])}", CLASS_SHARES[i % 4], correlation) for i in range(q)]
    return [_product_filter(kind, correlation, rng) for kind in rng.choice(["tenant", "time range", "category"], size=q, p=[0.5, 0.3, 0.2])]


def _product_filter(kind: str, correlation: str, rng: np.random.Generator) -> Ask:
    """Tenants are asked about as often as they are large; a category is a set of clusters, related to the query as the run says."""
    if kind == "tenant":
        sizes = np.arange(1, TENANTS + 1) ** -TENANT_ZIPF
        sizes /= sizes.sum()
        return Ask(kind, max(FEWEST_SHARE, float(rng.choice(sizes, p=sizes))), "random")
    if kind == "time range":
        return Ask(kind, float(rng.choice(list(TIME_RANGES.values()))), "random")
    low, high = np.log(CATEGORY_SHARES)
    return Ask(kind, float(np.exp(rng.uniform(low, high))), correlation)


def drawn_filters(ctx: Context, found: Clustered, asks: Sequence[Ask], name: str, k: int) -> Working[Bitmaps]:
    """A bitmap a query and its exact neighbours, for the first len(asks) queries."""
    digest = zlib.crc32(repr(list(asks)).encode())
    key = f"{found.world.key}/filters/1/{name}/{digest:08x}/seed={ctx.seed}"
    return (yield from ctx.asset_steps(key, lambda: _drawn(ctx, found, asks, key, k), disk=False))


def _drawn(ctx: Context, found: Clustered, asks: Sequence[Ask], key: str, k: int) -> Working[Bitmaps]:
    n = found.world.n
    bits = np.empty((len(asks), -(-n // 8)), dtype=np.uint8)
    truth = np.empty((len(asks), k), dtype=np.int64)
    for i, ask in enumerate(asks):
        mask = _mask(found, i, ask, np.random.default_rng([ctx.seed, i]))
        bits[i] = np.packbits(mask, bitorder="little")
        truth[i] = _truth(found.world, i, mask, k)
        if i % 16 == 15:
            yield Progress(i, len(asks), "drawing filters and their exact neighbours")
    return Bitmaps(key, tuple(ask.group for ask in asks), bits, truth, n)


def _mask(found: Clustered, i: int, ask: Ask, rng: np.random.Generator) -> BoolArray:
    """The share's count of rows: those with the lowest keys. A correlated filter takes whole clusters, one after the other."""
    n = found.world.n
    keys = rng.random(n)
    if ask.correlation != "random":
        own, names = found.query_cluster[i], np.arange(found.base_cluster.max() + 1)
        rank = rng.permutation(len(names)) + 1.0
        rank[own] = 0 if ask.correlation == "positive" else len(names) + 1
        keys += rank[found.base_cluster]
    count = min(n, max(1, round(ask.share * n)))
    mask = np.zeros(n, dtype=np.bool_)
    mask[np.argpartition(keys, count - 1)[:count]] = True
    return mask


def _truth(world: World, i: int, mask: BoolArray, k: int) -> IntArray:
    found: IntArray = exact_knn(world.base, world.queries[i : i + 1], k, metric=world.metric, mask=mask).ids[0]
    return found


# --- the user's own filter -----------------------------------------------------------------------------------------------


def own_filters(ctx: Context, found: Clustered, data: Data, k: int) -> Working[Bitmaps]:
    """The filter of the user's file for every query."""
    mask = own_mask(data.files, data.options, seed=ctx.seed)
    world, key = found.world, f"{found.world.key}/filters/own"
    truth = []
    for i in range(len(world.queries)):
        truth.append(_truth(world, i, mask, k))
        yield Progress(i, len(world.queries), "finding the exact neighbours among what passes")
    bits = np.tile(np.packbits(mask, bitorder="little"), (len(truth), 1))
    return Bitmaps(key, ("your filter",) * len(truth), bits, np.array(truth), world.n)


def own_mask(files: Mapping[str, DataFile], options: Mapping[str, str], *, seed: int) -> BoolArray:
    """bool [n] over the base as the run searches it: rows that became queries are left out."""
    base, file = files["base"], files["filter"]
    column = read_column(file.path, name=file.name)
    mask = checked_mask(column != 0 if not (value := options.get("filter_value", "").strip()) else column == _number(value), len(column))
    checked_mask(mask, n := len(read_vectors(base.path, name=base.name)))
    return mask if "queries" in files else mask[held_out_rows(n, seed)[0]]


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InvalidInput(
            f"filter value {value[:40]!r} was given; expected a whole number that stands in the column", field="filter_value"
        ) from None


def _check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    info = OWN_VECTORS.check(files, options)
    if "filter" not in files:
        return info
    mask = own_mask(files, options, seed=0)
    warnings = () if mask.any() else (f"{files['filter'].name}: no vector passes, so there is nothing to find.",)
    passing = (f"{files['filter'].name}: passes", f"{mask.sum():,} of {len(mask):,} vectors")
    return DataInfo((*info.facts, passing), (*info.warnings, *warnings))


_FILTER = DataSlot(
    "filter",
    "Filter column",
    "One value a row of the base, bool or whole numbers: which rows pass. All queries carry this filter.",
    (".npy",),
    required=False,
    max_bytes=8 * 2**20,
)
_FILTER_VALUE = DataOption(
    "filter_value", "Value that passes", "For a column of whole numbers: rows with this value pass. Empty: every row that is not 0 passes."
)
OWN_FILTERED = replace(OWN_VECTORS, slots=(*OWN_VECTORS.slots, _FILTER), options=(*OWN_VECTORS.options, _FILTER_VALUE), check=_check)
