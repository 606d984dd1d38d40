"""What an index weighs, by part, from its parameters alone: the arithmetic of the capacity phase.

The formulas count the arrays faiss (and hnswlib) really hold, so they agree with the serialised index and extrapolate to any n.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from simulators.engines.ann.build import PQ_CENTROIDS, BuildParams, check_build

ID_BYTES = 8
FLOAT_BYTES = 4
SCAN_BLOCK = 32  # fast scan pads each list to blocks of 32 codes


class MemoryModel(NamedTuple):
    parts: dict[str, float]  # bytes by part: vectors, codes, links, ids, centroids, refine
    total: float  # bytes


def index_bytes(n: int, d: int, kind: str, **params: Any) -> MemoryModel:
    """Bytes of an index of n vectors in d dimensions; `params` as for `build_index`."""
    chosen = BuildParams(**params)
    check_build(n, d, kind, chosen)
    parts = {name: size for name, size in _parts(n, d, kind, chosen).items() if size}
    return MemoryModel(parts, sum(parts.values()))


def _parts(n: int, d: int, kind: str, p: BuildParams) -> dict[str, float]:
    parts: dict[str, float] = _stored(n, d, kind, p)
    if kind.startswith("hnsw"):
        parts |= _hnswlib_graph(n, p.M) if p.library == "hnswlib" else _faiss_graph(n, p.M)
    if kind.startswith("ivf"):
        parts |= {"ids": ID_BYTES * n, "centroids": p.nlist * (FLOAT_BYTES * d + 8)}
    if kind.endswith("_refine"):
        parts["refine"] = n * d * (FLOAT_BYTES if p.refine == "float32" else 1)
    return parts


def _stored(n: int, d: int, kind: str, p: BuildParams) -> dict[str, float]:
    """The vectors or their codes, with the codec's own tables."""
    if kind in ("flat", "ivf_flat", "hnsw"):
        return {"vectors": FLOAT_BYTES * d * n}
    if kind in ("sq8", "ivf_sq8", "hnsw_sq8"):
        return {"codes": d * n + 2 * FLOAT_BYTES * d}
    if kind.startswith("ivf_pq"):
        return {"codes": _padded(n, p.nlist) * math.ceil(p.sub_quantisers(d) / 2), "codebooks": PQ_CENTROIDS * FLOAT_BYTES * d}
    return {"codes": n * _rabitq_code(d, p.nbits)}


def _rabitq_code(d: int, nbits: int) -> int:
    """A bit a coordinate and two floats that turn it into a distance; further bits are stored apart, with factors of their own."""
    plain = math.ceil(d / 8) + 2 * FLOAT_BYTES
    return plain if nbits == 1 else plain + math.ceil(d * (nbits - 1) / 8) + 3 * FLOAT_BYTES


def _padded(n: int, nlist: int) -> float:
    """Codes with padding: a list ends in the middle of a block on average (15.5 empty places), and has one block at least."""
    return nlist * max(SCAN_BLOCK, n / nlist + (SCAN_BLOCK - 1) / 2)


def _faiss_graph(n: int, m: int) -> dict[str, float]:
    """2M links of 4 bytes on the ground layer, M on each higher one, which 1 / (M - 1) of the nodes reach on average; then an offset of
    8 bytes and a level of 4 a node."""
    return {"links": n * (4 * 2 * m + 4 * m / (m - 1)), "offsets": 12 * n}


def _hnswlib_graph(n: int, m: int) -> dict[str, float]:
    """As above, with a count of 4 bytes before each list of links and a label of 8 a node."""
    return {"links": n * (4 + 4 * 2 * m + (4 + 4 * m) / (m - 1)), "offsets": 4 * n, "ids": ID_BYTES * n}
