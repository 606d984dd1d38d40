"""Migration plans: recall while documents move, and what each plan costs in memory, query embeddings and hours."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.fleet_placement import tenant_sizes
from simulators.engines.ann.index import SearchResult
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.engines.ann.versions import mixed_steps, procrustes
from simulators.errors import InvalidInput
from simulators.lab import Context, Progress, Working
from simulators.vector_search._migration_world import Pair
from simulators.vector_search._vectors import K, told

PROGRESS = tuple(step / 10 for step in range(11))
GPU_RATE = 1_000  # vectors/s that one GPU embeds, as in the calculator of the re-embedding window
DAY_S = 86_400.0
TENANT_SKEW = 1.0

LABELS = {
    "in_place": "In place, rolling",
    "blue_green": "Blue-green",
    "per_tenant": "Tenant by tenant",
    "dual_read": "Dual read",
    "dual_read_calibrated": "Dual read, z-scores",
    "align": "Aligned by Procrustes",
}
MODES = {"in_place": "naive", "align": "dual_read", "dual_read": "dual_read", "dual_read_calibrated": "dual_read_calibrated"}


class Point(NamedTuple):
    progress: float  # share of the documents that are migrated
    recall: npt.NDArray[np.float64]  # [q], against the new model's own results
    new_share: float  # of the result slots, those filled by new vectors

    @property
    def mean(self) -> float:
        return float(self.recall.mean())


Curve = list[Point]


class Cost(NamedTuple):
    peak_memory: float  # times the old index
    query_embeddings: float  # a query
    rollback: str


def costs_of(plan: str, growth: float, tenants: int) -> Cost:
    """growth: bytes of a new vector over those of an old one."""
    whole = max(1.0, growth)
    if plan == "blue_green":
        return Cost(1 + growth, 1, "at once: the old index still serves")
    if plan == "per_tenant":
        largest = float(tenant_sizes(tenants, TENANT_SKEW)[0])
        return Cost(max(1 + largest * growth, whole), 1, "a tenant at a time")
    if plan.startswith("dual_read"):
        return Cost(whole, 2, "re-embed what was moved")
    return Cost(whole, 1, "none: old vectors are overwritten")


def window_hours(corpus: int, rate: float, doc_change: float) -> float:
    """Hours until every document has a vector of the new model.

    `rate` embeds a second in all. Of c documents changed a second, those already migrated need a second embedding, so the migrated share
    m grows by (rate - c m) / corpus; m reaches 1 after (corpus / c) ln(rate / (rate - c)).
    """
    changed = doc_change / 100 * corpus / DAY_S
    if changed >= rate:
        raise InvalidInput(
            f"Re-embedding rate: {rate:,.0f} vectors/s was given, but {changed:,.1f} documents change every second and the migration never "
            f"ends; expected more than {changed:,.1f}.",
            field="rate",
        )
    seconds = corpus / changed * math.log(rate / (rate - changed)) if changed else corpus / rate
    return seconds / 3600


# --- recall over progress ----------------------------------------------------------------------------------------------


def curve_steps(ctx: Context, pair: Pair, plan: str, *, pairs: int, tenants: int) -> Working[Curve]:
    """The curve of a plan, kept for the next run that asks."""
    own = {"align": f"/pairs={pairs}", "per_tenant": f"/tenants={tenants}"}.get(plan, "")
    key = f"{pair.key}/curve/1/{plan}{own}/seed={ctx.seed}"
    return (yield from ctx.asset_steps(key, lambda: _curve(ctx, pair, plan, pairs, tenants), disk=False))


def _curve(ctx: Context, pair: Pair, plan: str, pairs: int, tenants: int) -> Working[Curve]:
    if plan == "blue_green":
        return (yield from _blue_green(pair))
    if plan == "per_tenant":
        return (yield from _per_tenant(ctx, pair, tenants))
    q_old = pair.q_old
    if plan == "align":
        yield Progress(0, 1, "aligning the models")
        q_old = _turned_back(ctx, pair, pairs)
    rank = np.argsort(ctx.rng("migration/order").permutation(pair.n))
    curve = []
    for progress in PROGRESS:
        migrated = rank < round(progress * pair.n)
        steps = mixed_steps(pair.old, pair.new, migrated, q_old, pair.q_new, K, mode=MODES[plan])
        found = yield from told(steps, f"searching at {progress:.0%} migrated")
        curve.append(_point(pair, migrated, progress, found))
    return curve


def _turned_back(ctx: Context, pair: Pair, pairs: int) -> FloatArray:
    """New queries in the space of the old vectors: turning a query back gives the scores that turning every vector forth would."""
    sample = ctx.rng("migration/pairs").permutation(pair.n)[:pairs]
    turned: FloatArray = pair.q_new @ procrustes(pair.old[sample], pair.new[sample]).T
    return turned


def _point(pair: Pair, migrated: npt.NDArray[np.bool_], progress: float, found: SearchResult) -> Point:
    return Point(progress, recall_at_k(found.ids, pair.true_ids, K), float(migrated[found.ids].mean()))


def _blue_green(pair: Pair) -> Working[Curve]:
    """The old index answers with the old query model until the new one is whole."""
    steps = mixed_steps(pair.old, pair.new, np.zeros(pair.n, dtype=bool), pair.q_old, pair.q_new, K, mode="dual_read")
    found = yield from told(steps, "searching the old index")
    before, after = recall_at_k(found.ids, pair.true_ids, K), np.ones(len(pair.q_new))
    return [Point(progress, after if progress == 1 else before, float(progress == 1)) for progress in PROGRESS]


def _per_tenant(ctx: Context, pair: Pair, tenants: int) -> Working[Curve]:
    """Tenants of Zipf sizes, the largest first: each is searched apart, and changes documents and query model in one moment."""
    sizes = tenant_sizes(tenants, TENANT_SKEW)
    owner = ctx.rng("migration/tenants").choice(tenants, size=pair.n, p=sizes)
    asker = ctx.rng("migration/askers").choice(tenants, size=len(pair.q_old), p=sizes)
    before = np.ones(len(pair.q_old))
    for tenant in np.unique(asker):
        yield Progress(float(tenant), tenants, "searching tenant by tenant")
        asked, docs = asker == tenant, np.flatnonzero(owner == tenant)
        if len(docs):
            before[asked] = _agreement(pair, docs, asked)
    done = np.cumsum(np.bincount(owner, minlength=tenants)) / pair.n
    moved = [(progress, done[asker] <= progress + 1e-9) for progress in PROGRESS]
    return [Point(progress, np.where(new, 1.0, before), float(new.mean())) for progress, new in moved]


def _agreement(pair: Pair, docs: npt.NDArray[np.int64], asked: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Recall of the old model's results among one tenant's documents, against the new model's."""
    found, true = (_search(base[docs], queries[asked]) for base, queries in ((pair.old, pair.q_old), (pair.new, pair.q_new)))
    return recall_at_k(found, true, K)


def _search(base: FloatArray, queries: FloatArray) -> npt.NDArray[np.int64]:
    return exact_knn(base, queries, K).ids
