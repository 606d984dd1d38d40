"""The index in front of the towers: inner products with the bias as one more coordinate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ann.index import index_steps
from simulators.engines.ranking.retrieval import TwoTower
from simulators.engines.steps import blocks, relay
from simulators.lab import Progress, Working
from simulators.youtube_recs._retrieval_params import RetrievalParams
from simulators.youtube_recs._retrieval_world import told

Ints = NDArray[np.int64]
M, NLIST, NPROBE = 16, 64, 8
_QUERIES = 20  # between two reports


class Found(NamedTuple):
    ids: Ints  # (T, k) what the index returned, -1 where it found fewer
    exact: Ints  # (T, k)

    @property
    def recall(self) -> float:
        """Share of the exact list that the index returned."""
        if self.ids is self.exact:
            return 1.0
        hits = sum(int(np.isin(a, b).sum()) for a, b in zip(self.ids, self.exact, strict=True))
        return hits / self.exact.size


def search_steps(params: RetrievalParams, model: TwoTower, vectors: NDArray[np.float32]) -> Working[Found]:
    """The towers' k best of viewers (T, d)."""
    exact = yield from relay(model.iter_topk_of(vectors, params.k), told)
    if params.index == "exact":
        return Found(exact, exact)
    base = np.hstack([model.item_vectors(), model.item_bias[:, None]])
    asked = np.hstack([vectors, np.ones((len(vectors), 1), np.float32)])
    kind = "hnsw" if params.index == "hnsw" else "ivf_flat"
    building = index_steps(base, kind, metric="ip", M=M, nlist=NLIST)
    index = yield from relay(building, lambda share: Progress(share, 1, "building the index"))
    ids = np.empty_like(exact)
    for part in blocks(len(asked), _QUERIES):
        ids[part] = index.search(asked[part], params.k, ef_search=params.k, nprobe=NPROBE).ids
        yield Progress(part.stop, len(asked), "searching the index")
    return Found(ids, exact)
