"""faiss, imported when first needed and held to one thread.

A process that forks after faiss has started threads hangs, and importing it costs more than all labs together; so no module of this
package imports it on top. Every wall-clock number of a lab assumes one thread.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

from simulators.errors import InvalidInput

Metric = Literal["ip", "l2", "cosine"]
METRICS: tuple[str, ...] = get_args(Metric)


@cache
def faiss_library() -> Any:
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss


def faiss_metric(metric: str) -> int:
    """faiss's number for the metric; cosine is the inner product of unit vectors."""
    if metric not in METRICS:
        raise InvalidInput(f"metric {metric!r} was given; expected one of {', '.join(METRICS)}", field="metric")
    faiss = faiss_library()
    return int(faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT)
