"""Adding, deleting and compacting: what each library can take back, and what stays behind until a rebuild.

flat, sq8       `remove_ids` closes the gap: later rows move up, and the ids of the caller move with them
ivf_*           `remove_ids` empties the place in the list; new vectors go into the old cells, whose centroids nobody moves (drift)
hnsw (faiss)    a tombstone: the node stays as a stepping stone and a selector keeps it out of the answer, so it uses up ef_search
hnsw (hnswlib)  `mark_deleted`: stepped over as well, but the walk goes on until ef_search live ones are found. With `replace_deleted` a
                new vector takes over the place of a deleted one
*_refine        faiss removes nothing from an index with vectors kept beside: `delete` refuses and names an alternative

Compaction is a rebuild of the live vectors. (FreshDiskANN, Singh et al. 2021, arXiv 2105.09613, repairs the neighbours of deleted nodes
in the background instead.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann import build
from simulators.engines.ann.build import BuildParams
from simulators.engines.ann.data import FloatArray, unit_length
from simulators.engines.ann.files import check_directions
from simulators.engines.ann.library import faiss_library
from simulators.engines.steps import Steps, blocks, finish, timed
from simulators.errors import InvalidInput

IdArray = npt.NDArray[np.int64]
LISTED = 5  # unknown ids named in a refusal
_BLOCK_VALUES = 1 << 19  # coordinates added to a flat or inverted index between two yields
ALTERNATIVES = {
    "ivf_pq_refine": "ivf_pq deletes in place, hnsw hides what is deleted",
    "ivf_rabitq_refine": "ivf_rabitq deletes in place, hnsw hides what is deleted",
}


class DeleteReport(NamedTuple):
    removed: int  # by this call
    tombstones: int  # deleted vectors the index holds now
    in_place: bool  # True: their bytes are free; False: they stay until `compact` (or until a new vector takes their place)


class Updatable:
    """What an `AnnIndex` does after it is built. A row whose id is -1 is free or a tombstone."""

    kind: str
    metric: str
    dim: int
    n: int  # live vectors
    params: BuildParams
    _engine: Any
    _ids: IdArray | None  # by row; None: the row numbers themselves

    @property
    def held(self) -> int:
        """Vectors the index holds, tombstones among them."""
        return int(self._engine.element_count if self.params.library == "hnswlib" else self._engine.ntotal)

    @property
    def tombstones(self) -> int:
        return self.held - self.n

    @property
    def row_ids(self) -> IdArray:
        """The id of every row, -1 where it is free or a tombstone: what a `mask` of `search` runs along."""
        return np.arange(self.n) if self._ids is None else self._ids.copy()

    def deleted_bytes(self) -> int:
        """Bytes of deleted vectors, with their links, that the index still holds."""
        return int(self.memory_bytes() * self.tombstones / max(self.held, 1))

    def memory_bytes(self) -> int:
        raise NotImplementedError

    def list_imbalance(self) -> float:
        """Imbalance factor of an inverted file, 1 for lists of equal length: expected work of a visit against that of even lists, for
        queries distributed as the vectors are. Raises InvalidInput for other kinds."""
        if not self.kind.startswith("ivf"):
            raise InvalidInput(f"{self.kind} has no lists; expected an ivf kind", field="kind")
        inner = faiss_library().downcast_index(self._engine.base_index) if self.kind.endswith("_refine") else self._engine
        return float(inner.invlists.imbalance_factor())

    # --- changes -----------------------------------------------------------------------------------------------------

    def add(self, vectors: FloatArray, ids: npt.ArrayLike) -> None:
        """Adds vectors [m, d] under ids int [m], none of them live yet. Nothing is trained again: codes and cells stay as built.

        Raises InvalidInput for another dimension, for ids that are negative, repeated or in use.
        """
        finish(self.add_steps(vectors, ids))

    def add_steps(self, vectors: FloatArray, ids: npt.ArrayLike) -> Steps[None]:
        """`add` in steps of about 20 ms; closed half-way, it has added the vectors of the steps that were made."""
        vectors, own = self._checked_addition(vectors, ids)
        self._grow(len(own))
        size = max(1, _BLOCK_VALUES // self.dim)
        if self.kind.startswith("hnsw"):
            size = build.hnsw_block(self.dim, self.params.M, self.params.ef_construction)
        for block in blocks(len(own), size):
            self._add_block(vectors[block], own[block])
            yield block.stop / len(own)

    def delete(self, ids: npt.ArrayLike) -> DeleteReport:
        """Deletes the vectors with these ids, in any order.

        Raises InvalidInput for ids that are not in the index (the first five are named; nothing is deleted then) and for kinds that
        cannot delete.
        """
        if self.kind in ALTERNATIVES:
            raise InvalidInput(f"{self.kind} cannot delete: faiss removes nothing behind a refine step; {ALTERNATIVES[self.kind]}")
        wanted = np.unique(np.asarray(ids, dtype=np.int64))
        rows = self._rows_of(wanted)
        in_place = not self.kind.startswith("hnsw")
        if in_place:
            self._remove(rows)
        else:
            self._bury(rows)
        self.n -= len(rows)
        self._changed()
        return DeleteReport(len(rows), self.tombstones, in_place)

    def compact(self, *, seed: int = 0) -> None:
        """Rebuilds the index from its live vectors: no tombstones, and cells trained on what is there now.

        Indexes of scalar codes are rebuilt from decoded vectors. Raises InvalidInput where nothing is left, or where the index holds
        only PQ or RaBitQ codes, which do not give the vectors back.
        """
        finish(self.compact_steps(seed=seed))

    def compact_steps(self, *, seed: int = 0) -> Steps[float]:
        """`compact` in steps; its value is the seconds of work. The index answers as before until the last step."""
        vectors, ids = self.live_vectors()
        if not len(ids):
            raise InvalidInput("nothing to compact: no live vector is left in the index")
        build.check_build(len(ids), self.dim, self.kind, self.params)
        engine, seconds = yield from timed(build.build_steps(vectors, self.kind, self.metric, seed, self.params))
        self._engine, self._ids, self.n = engine, ids, len(ids)
        self._changed()
        return seconds

    def live_vectors(self) -> tuple[FloatArray, IdArray]:
        """What `compact` rebuilds from: vectors [n, d] as they are compared, and their ids [n], by row."""
        if "_pq" in self.kind or "rabitq" in self.kind:
            raise InvalidInput(f"{self.kind} holds codes that do not give the vectors back; build a new index from the source vectors")
        rows = np.flatnonzero(self.row_ids >= 0)
        if not len(rows):
            return np.empty((0, self.dim), np.float32), rows
        return self._vectors_at(rows), self.row_ids[rows]

    # --- rows --------------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Called after every change: what was derived from the index is stale."""

    def _checked_addition(self, vectors: FloatArray, ids: npt.ArrayLike) -> tuple[FloatArray, IdArray]:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        own = np.asarray(ids, dtype=np.int64)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise InvalidInput(f"vectors have the shape {vectors.shape}, expected rows of {self.dim} dimensions as in the index")
        if own.shape != (len(vectors),):
            raise InvalidInput(f"ids have the shape {own.shape}, expected ({len(vectors)},): one a vector", field="ids")
        if len(np.unique(own)) < len(own) or own.min(initial=0) < 0:
            raise InvalidInput("ids must be distinct and not negative: -1 stands for nothing found", field="ids")
        taken = own[np.isin(own, self.row_ids)]
        if len(taken):
            raise InvalidInput(f"{_listed(taken, len(own))} in the index already; delete before adding again", field="ids")
        check_directions(vectors, self.metric, "vectors")
        return (unit_length(vectors) if self.metric == "cosine" else vectors), own

    def _rows_of(self, ids: IdArray) -> IdArray:
        """Rows of sorted ids, or InvalidInput that lists the unknown ones."""
        present = self.row_ids
        order = np.argsort(present, kind="stable")
        place = np.searchsorted(present, ids, sorter=order).clip(max=max(len(present) - 1, 0))
        rows = order[place] if len(present) else np.empty(0, np.int64)
        known = (present[rows] == ids) & (ids >= 0) if len(present) else np.zeros(len(ids), np.bool_)
        if not known.all():
            raise InvalidInput(f"{_listed(ids[~known], len(ids))} not in the index; nothing was deleted", field="ids")
        return rows

    def _add_block(self, vectors: FloatArray, own: IdArray) -> None:
        present = self.row_ids
        rows = self._free_rows(present, len(own))
        if self.params.library == "hnswlib":
            replace = self.params.replace_deleted and self.tombstones > 0
            self._engine.add_items(vectors, rows, num_threads=1, replace_deleted=replace)
        elif self.kind.startswith("ivf") and self.kind not in ALTERNATIVES:
            self._engine.add_with_ids(vectors, rows)
        else:
            self._engine.add(vectors)
        self._ids = np.concatenate([present, np.full(max(0, rows.max(initial=-1) + 1 - len(present)), -1, np.int64)])
        self._ids[rows] = own
        self.n += len(own)
        self._changed()

    def _free_rows(self, present: IdArray, wanted: int) -> IdArray:
        """Row numbers for new vectors: those that a removal has left free, then new ones."""
        free = np.empty(0, np.int64)
        if self.kind.startswith("ivf"):
            free = np.flatnonzero(present < 0)[:wanted]
        elif self.params.replace_deleted and self.params.library == "hnswlib":
            gone = np.ones(len(present), np.bool_)
            gone[self._engine.get_ids_list()] = False
            free = np.flatnonzero(gone)[:wanted]
        return np.concatenate([free, np.arange(len(present), len(present) + wanted - len(free))])

    def _grow(self, more: int) -> None:
        if self.params.library == "hnswlib":
            needed = self.held + more - (min(more, self.tombstones) if self.params.replace_deleted else 0)
            if needed > self._engine.max_elements:
                self._engine.resize_index(needed)

    def _remove(self, rows: IdArray) -> None:
        present = self.row_ids
        if self.kind.startswith("ivf"):
            self._engine.set_direct_map_type(faiss_library().DirectMap.NoMap)  # a map of rows would refuse removals
            present[rows] = -1
            self._ids = present
        else:
            self._ids = np.delete(present, rows)
        self._engine.remove_ids(rows)

    def _bury(self, rows: IdArray) -> None:
        if self.params.library == "hnswlib":
            for row in rows.tolist():
                self._engine.mark_deleted(row)
        self._ids = self.row_ids
        self._ids[rows] = -1

    def _vectors_at(self, rows: IdArray) -> FloatArray:
        if self.params.library == "hnswlib":
            return np.ascontiguousarray(self._engine.get_items(rows), dtype=np.float32)
        if not self.kind.startswith("ivf"):
            return np.ascontiguousarray(self._engine.reconstruct_batch(rows))
        types = faiss_library().DirectMap
        self._engine.set_direct_map_type(types.Hashtable)
        found = self._engine.reconstruct_batch(rows)
        self._engine.set_direct_map_type(types.NoMap)
        return np.ascontiguousarray(found)


def _listed(ids: IdArray, of: int) -> str:
    """ "2 of 9 ids (4, 7) are", or "20 of 30 ids (the first five: 1, 2, 3, 4, 5) are"."""
    first = ", ".join(map(str, ids[:LISTED].tolist()))
    words = f"the first five: {first}" if len(ids) > LISTED else first
    return f"{len(ids):,} of {of:,} ids ({words}) {'is' if len(ids) == 1 else 'are'}"
