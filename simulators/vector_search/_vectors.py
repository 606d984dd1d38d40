"""The vectors a run searches: the synthetic world, or files of the user's own; with their exact neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from simulators.engines.ann import data as ann_data
from simulators.engines.ann import truth as ann_truth
from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.files import (
    ID_SUFFIXES,
    MAX_BYTES,
    MAX_DIM,
    MAX_ROWS,
    VECTOR_SUFFIXES,
    check_directions,
    check_ground_truth,
    check_same_dim,
    read_ivecs,
    read_vectors,
)
from simulators.engines.ann.library import METRICS
from simulators.engines.steps import Steps, relay
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, DataInfo, DataOption, DataSlot, DataSpec, Progress, Working

T = TypeVar("T")
K = 10  # neighbours asked for, everywhere in these labs
SYNTHETIC_QUERIES = 200
MOST_QUERIES = 500  # of the user's own; more would only lengthen the run
HELD_OUT = 500
FEWEST_ROWS = 100
CHECKED_QUERIES = 50
TOLERATED_DISAGREEMENT = 0.01


@dataclass(frozen=True)
class World:
    """What is searched. `base_key` and `key` name base and queries for the asset cache."""

    base_key: str
    key: str
    base: FloatArray  # [n, d]
    queries: FloatArray  # [q, d]
    metric: str
    true_ids: npt.NDArray[np.int64]  # [q, K], exact
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.base)

    @property
    def d(self) -> int:
        return int(self.base.shape[1])


class OwnVectors(NamedTuple):
    base: FloatArray
    queries: FloatArray
    metric: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def told(steps: Steps[T], label: str) -> Working[T]:
    """An engine's steps as a lab's progress."""
    return (yield from relay(steps, lambda share: Progress(share, 1, label)))


# --- worlds ----------------------------------------------------------------------------------------------------------


def synthetic_world(ctx: Context, *, n: int, d: int, clusters: int, query_shift: float) -> Working[World]:
    base_key = f"ann/world/1/n={n}/d={d}/clusters={clusters}/seed={ctx.seed}"
    vectors = yield from ctx.asset_steps(
        base_key,
        lambda: told(ann_data.clustered_steps(n, d, SYNTHETIC_QUERIES, seed=ctx.seed, clusters=clusters), "drawing vectors"),
    )
    queries = ann_data.shifted(vectors.queries, query_shift, seed=ctx.seed)
    key = f"{base_key}/shift={query_shift!r}"
    return (yield from _with_truth(ctx, World(base_key, key, vectors.base, queries, "ip", np.empty((0, K), np.int64))))


def own_world(ctx: Context, data: Data) -> Working[World]:
    names = ",".join(sorted(f"{slot}:{file.name}" for slot, file in data.files.items()))
    key = f"ann/own/1/{data.digest}/{names}/seed={ctx.seed}"
    yield Progress(0, 1, "reading your vectors")
    own = ctx.asset(key, lambda: read_own(data.files, data.options, seed=ctx.seed), disk=False)
    world = World(key, key, own.base, own.queries[:MOST_QUERIES], own.metric, np.empty((0, K), np.int64), own.warnings)
    return (yield from _with_truth(ctx, world))


def _with_truth(ctx: Context, world: World) -> Working[World]:
    steps = ann_truth.exact_steps(world.base, world.queries, K, metric=world.metric)
    found = yield from ctx.asset_steps(f"{world.key}/truth/k={K}", lambda: told(steps, "finding the exact neighbours"))
    return World(world.base_key, world.key, world.base, world.queries, world.metric, found.ids, world.notes)


# --- the user's own files ----------------------------------------------------------------------------------------------


def read_own(files: Mapping[str, DataFile], options: Mapping[str, str], *, seed: int = 0) -> OwnVectors:
    """Base, queries and metric of a data set; InvalidInput with a sentence for what cannot be used."""
    metric = options.get("metric", "ip")
    if metric not in METRICS:
        raise InvalidInput(f"metric {metric!r} was given; expected one of {', '.join(METRICS)}", field="metric")
    name = files["base"].name
    base = read_vectors(files["base"].path, name=name)
    if len(base) < FEWEST_ROWS:
        raise InvalidInput(f"{name}: has {len(base)} rows, expected at least {FEWEST_ROWS}", field="base")
    check_directions(base, metric, name)
    if "queries" not in files:
        return _held_out(base, metric, files, seed)
    queries = read_vectors(files["queries"].path, name=files["queries"].name)
    check_same_dim(base, queries, name, files["queries"].name)
    check_directions(queries, metric, files["queries"].name)
    facts = (_size("Base", base), _size("Queries", queries), ("Metric", metric))
    return OwnVectors(base, queries, metric, facts, _truth_warnings(files, base, queries, metric))


def _held_out(base: FloatArray, metric: str, files: Mapping[str, DataFile], seed: int) -> OwnVectors:
    """Rows drawn at random become the queries and leave the base, or each would find itself."""
    if "ground_truth" in files:
        raise InvalidInput(f"{files['ground_truth'].name}: neighbours were given without queries; add the queries", field="ground_truth")
    kept_rows, held_rows = held_out_rows(len(base), seed)
    kept, held = base[kept_rows], base[held_rows]
    facts = (_size("Base", kept), (f"Queries, held out of {len(base):,} rows", f"{len(held):,}"), ("Metric", metric))
    return OwnVectors(kept, held, metric, facts, ())


def held_out_rows(n: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows that stay in a base of n rows, in their order, and rows that become queries."""
    order = np.random.default_rng(seed).permutation(n)
    count = min(HELD_OUT, n // 5)
    return np.sort(order[count:]), order[:count]


def _truth_warnings(files: Mapping[str, DataFile], base: FloatArray, queries: FloatArray, metric: str) -> tuple[str, ...]:
    if "ground_truth" not in files:
        return ()
    name = files["ground_truth"].name
    given = read_ivecs(files["ground_truth"].path, name=name)
    check_ground_truth(given, len(base), len(queries), K, name)
    share = disagreement(base, queries[:CHECKED_QUERIES], given[:CHECKED_QUERIES], metric)
    if share <= TOLERATED_DISAGREEMENT:
        return ()
    checked = min(CHECKED_QUERIES, len(queries))
    return (
        f"{name}: {share:.0%} of the neighbours of {checked} queries are not among the exact top {K} by {metric}. "
        "The usual cause is another metric. Recall is measured against our own exact search.",
    )


def disagreement(base: FloatArray, queries: FloatArray, given: npt.NDArray[np.int32], metric: str) -> float:
    """Share of the given top K that lies farther than the exact K-th neighbour; a tie counts as right."""
    exact = ann_truth.exact_knn(base, queries, K, metric=metric)
    sign = -1 if metric == "l2" else 1
    worse = []
    for query, ids, scores in zip(queries, given[:, :K], exact.scores, strict=True):
        own = ann_truth.exact_knn(base[ids], query[None], K, metric=metric).scores[0]
        slack = 1e-5 * max(1.0, float(np.abs(scores).max()))
        worse.append(np.mean(sign * own < sign * scores[-1] - slack))
    return float(np.mean(worse))


def _size(title: str, vectors: FloatArray) -> tuple[str, str]:
    return title, f"{len(vectors):,} vectors x {vectors.shape[1]:,} dimensions"


def _check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    own = read_own(files, options)
    notes = [f"Only the first {MOST_QUERIES} of {len(own.queries):,} queries are used."] if len(own.queries) > MOST_QUERIES else []
    return DataInfo(own.facts, (*own.warnings, *notes))


OWN_VECTORS = DataSpec(
    title="Your own vectors",
    help=f"Up to {MAX_ROWS:,} vectors of {MAX_DIM:,} dimensions, {MAX_BYTES >> 20} MB a file. A .npy file holds a 2-D array of float32, "
    f"float16 or uint8. Without queries, {HELD_OUT} rows (a fifth of a small file) are held out and asked.",
    slots=(
        DataSlot("base", "Base vectors", "What is indexed and searched.", VECTOR_SUFFIXES, max_bytes=MAX_BYTES),
        DataSlot(
            "queries", "Queries", "Vectors to search for, of the same dimension.", VECTOR_SUFFIXES, required=False, max_bytes=MAX_BYTES
        ),
        DataSlot(
            "ground_truth",
            "True neighbours",
            f"One row a query with the row numbers of its nearest base vectors, at least {K}. They are compared with exact search on "
            f"{CHECKED_QUERIES} queries, which tells you whether the metric is the one you think.",
            ID_SUFFIXES,
            required=False,
            max_bytes=MAX_BYTES,
        ),
    ),
    check=_check,
    options=(DataOption("metric", "Metric", "ip: inner product; l2: Euclidean distance; cosine: angle.", choices=METRICS, default="ip"),),
    example="base.fvecs: records of an int32 dimension (128) and 128 float32 values",
)
