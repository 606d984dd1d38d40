"""The documents a migration run moves: a synthetic corpus by two models, or the user's own pair of embedding files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann import data as ann_data
from simulators.engines.ann import truth as ann_truth
from simulators.engines.ann.data import FloatArray, unit_length
from simulators.engines.ann.files import MAX_BYTES, MAX_DIM, MAX_ROWS, VECTOR_SUFFIXES, check_directions, check_same_dim, read_vectors
from simulators.engines.ann.versions import quietest_direction, raise_cosines, rotate_model
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, DataInfo, DataOption, DataSlot, DataSpec, Progress, Working
from simulators.vector_search._vectors import FEWEST_ROWS, SYNTHETIC_QUERIES, K, told

N, D, CLUSTERS = 20_000, 64, 200
HELD_OUT = 200
SCANNED = 20_000 * 64 * 200 * 8  # coordinates compared at a point of the curve; more queries would only lengthen the run
FEWEST_QUERIES, MOST_QUERIES = 50, 500


@dataclass(frozen=True)
class Pair:
    """The same documents and queries by both models; `key` names them for the asset cache."""

    key: str
    old: FloatArray  # [n, d_old]
    new: FloatArray  # [n, d_new]
    q_old: FloatArray  # [q, d_old]
    q_new: FloatArray  # [q, d_new]
    true_ids: npt.NDArray[np.int64]  # [q, K]: what the new model's own exact search returns
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.old)

    @property
    def comparable(self) -> bool:
        return bool(self.old.shape[1] == self.new.shape[1])

    @property
    def growth(self) -> float:
        """Bytes of a new vector over those of an old one."""
        return float(self.new.shape[1] / self.old.shape[1])


class OwnPair(NamedTuple):
    old: FloatArray
    new: FloatArray
    q_old: FloatArray
    q_new: FloatArray
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def synthetic_pair(ctx: Context, *, degrees: float, mean_cosine: float) -> Working[Pair]:
    """The world of `data`; the new model is the old one rotated, with all cosines raised when `mean_cosine` is above 0."""
    base_key = f"ann/world/1/n={N}/d={D}/clusters={CLUSTERS}/seed={ctx.seed}"
    steps = ann_data.clustered_steps(N, D, SYNTHETIC_QUERIES, seed=ctx.seed, clusters=CLUSTERS)
    vectors = yield from ctx.asset_steps(base_key, lambda: told(steps, "drawing vectors"))
    yield Progress(0, 1, "rotating the model")
    new, q_new = (rotate_model(x, degrees, seed=ctx.seed) for x in (vectors.base, vectors.queries))
    if mean_cosine:
        direction = quietest_direction(new)
        new, q_new = (raise_cosines(x, mean_cosine, direction=direction) for x in (new, q_new))
    key = f"{base_key}/migration/1/degrees={degrees!r}/cosine={mean_cosine!r}"
    return (yield from _with_truth(ctx, Pair(key, vectors.base, new, vectors.queries, q_new, np.empty((0, K), np.int64))))


def own_pair(ctx: Context, data: Data) -> Working[Pair]:
    names = ",".join(sorted(f"{slot}:{file.name}" for slot, file in data.files.items()))
    key = f"ann/migration/own/1/{data.digest}/{names}/seed={ctx.seed}"
    yield Progress(0, 1, "reading your embeddings")
    own = ctx.asset(key, lambda: read_pair(data.files, data.options, seed=ctx.seed), disk=False)
    asked = int(np.clip(SCANNED // max(own.old.size, own.new.size), FEWEST_QUERIES, MOST_QUERIES))
    notes = own.warnings
    if asked < len(own.q_old):
        notes = (*notes, f"The first {asked} of {len(own.q_old):,} queries are asked, each by exact search.")
    pair = Pair(key, own.old, own.new, own.q_old[:asked], own.q_new[:asked], np.empty((0, K), np.int64), notes)
    return (yield from _with_truth(ctx, pair))


def _with_truth(ctx: Context, pair: Pair) -> Working[Pair]:
    steps = ann_truth.exact_steps(pair.new, pair.q_new, K)
    found = yield from ctx.asset_steps(f"{pair.key}/truth", lambda: told(steps, "finding the exact neighbours"), disk=False)
    return Pair(pair.key, pair.old, pair.new, pair.q_old, pair.q_new, found.ids, pair.notes)


# --- the user's own files ----------------------------------------------------------------------------------------------


def read_pair(files: Mapping[str, DataFile], options: Mapping[str, str], *, seed: int = 0) -> OwnPair:
    """Both embeddings of the documents, and of queries; InvalidInput with a sentence for what cannot be used."""
    metric = options.get("metric", "cosine")
    old, new = (_read(files[slot], metric) for slot in ("old", "new"))
    _check_rows(old, new, files["old"].name, files["new"].name)
    if len(old) < FEWEST_ROWS:
        raise InvalidInput(f"{files['old'].name}: has {len(old)} rows, expected at least {FEWEST_ROWS}", field="old")
    warnings = tuple(_dimension_warning(old, new))
    given = {slot for slot in ("old_queries", "new_queries") if slot in files}
    if len(given) == 1:
        name = files[given.pop()].name
        raise InvalidInput(f"{name}: queries of one model were given; expected those of both, or of neither", field="old_queries")
    if not given:
        return _held_out(old, new, warnings, seed)
    q_old, q_new = (_read(files[slot], metric) for slot in ("old_queries", "new_queries"))
    _check_rows(q_old, q_new, files["old_queries"].name, files["new_queries"].name)
    check_same_dim(old, q_old, files["old"].name, files["old_queries"].name)
    check_same_dim(new, q_new, files["new"].name, files["new_queries"].name)
    return OwnPair(old, new, q_old, q_new, _facts(old, new, len(q_old)), warnings)


def _read(file: DataFile, metric: str) -> FloatArray:
    vectors = read_vectors(file.path, name=file.name)
    check_directions(vectors, metric, file.name)
    return unit_length(vectors) if metric == "cosine" else vectors


def _check_rows(old: FloatArray, new: FloatArray, old_name: str, name: str) -> None:
    if len(old) != len(new):
        raise InvalidInput(
            f"{name}: has {len(new):,} rows, {old_name} {len(old):,}; expected the same texts in the same order by both models", field="new"
        )


def _dimension_warning(old: FloatArray, new: FloatArray) -> list[str]:
    if old.shape[1] == new.shape[1]:
        return []
    return [
        f"The models have {old.shape[1]:,} and {new.shape[1]:,} dimensions and cannot share an index: choose dual read, blue-green or "
        "tenant by tenant."
    ]


def _held_out(old: FloatArray, new: FloatArray, warnings: tuple[str, ...], seed: int) -> OwnPair:
    """Rows drawn at random become the queries and leave the documents, or each would find itself."""
    order = np.random.default_rng(seed).permutation(len(old))
    count = min(HELD_OUT, len(old) // 5)
    held, kept = order[:count], np.sort(order[count:])
    facts = _facts(old[kept], new[kept], count)
    return OwnPair(old[kept], new[kept], old[held], new[held], facts, (*warnings, f"{count} documents are held out and asked as queries."))


def _facts(old: FloatArray, new: FloatArray, queries: int) -> tuple[tuple[str, str], ...]:
    return (
        ("Documents", f"{len(old):,}"),
        ("Dimensions, old and new", f"{old.shape[1]:,} and {new.shape[1]:,}"),
        ("Queries", f"{queries:,}"),
    )


def _check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    own = read_pair(files, options)
    return DataInfo(own.facts, own.warnings)


OWN_PAIR = DataSpec(
    title="Your own two models",
    help=f"The same documents embedded by both models, row by row: up to {MAX_ROWS:,} vectors of {MAX_DIM:,} dimensions, "
    f"{MAX_BYTES >> 20} MB a file. Without queries, {HELD_OUT} documents are held out and asked.",
    slots=(
        DataSlot("old", "Documents, old model", "One row a document.", VECTOR_SUFFIXES, max_bytes=MAX_BYTES),
        DataSlot("new", "Documents, new model", "The same documents in the same order.", VECTOR_SUFFIXES, max_bytes=MAX_BYTES),
        DataSlot("old_queries", "Queries, old model", "One row a query.", VECTOR_SUFFIXES, required=False, max_bytes=MAX_BYTES),
        DataSlot(
            "new_queries", "Queries, new model", "The same queries in the same order.", VECTOR_SUFFIXES, required=False, max_bytes=MAX_BYTES
        ),
    ),
    check=_check,
    options=(
        DataOption(
            "metric", "Metric", "cosine: vectors are brought to unit length; ip: used as they are.", ("cosine", "ip"), default="cosine"
        ),
    ),
    example="old.npy: float32 array of 20,000 x 384; new.npy: float32 array of 20,000 x 384",
)
