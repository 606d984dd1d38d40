"""Lab: recall while a corpus moves from one embedding model to the next, under six plans."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

from simulators.engines.ann import truth
from simulators.engines.ann.versions import rotate_model
from simulators.lab import Assertion, Challenge, Context, Figure, Frame, Lab, LabParams, Preset, Result, Steps, Working, param
from simulators.vector_search import _migration_views as views
from simulators.vector_search._migration_plans import LABELS, Curve, curve_steps
from simulators.vector_search._migration_world import OWN_PAIR, Pair, own_pair, synthetic_pair
from simulators.vector_search._vectors import K, told

Plan = Literal["in_place", "blue_green", "per_tenant", "dual_read", "dual_read_calibrated", "align"]
DRIFT_DEGREES = (0.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0)

MOVE = Challenge(
    slug="move_in_two_days",
    title="Change the model in two days",
    brief=(
        "**20 million documents** of 20 tenants get a new embedding model. Its vectors point elsewhere, by 30 degrees, and all its cosines "
        "are high: two random texts score 0.5. 1% of the documents change a day.\n\n"
        "Recall@10 against the new model's own results must never fall below 0.95. Memory may peak at 1.3 times today's, you have 4 GPUs "
        "of 1,000 vectors a second each, and it must be over in 48 hours. You choose the plan and the rate."
    ),
    world={"world": "rotation", "degrees": 30.0, "mean_cosine": 0.5, "corpus": 20_000_000, "doc_change": 1.0, "tenants": 20},
    design=("plan", "rate", "pairs"),
    assertions=(
        Assertion("recall_worst", ">=", 0.95, "share", "target", label="Recall@10 at the worst moment"),
        Assertion("hours", "<=", 48.0, "h", "target", label="Time to finish"),
        Assertion("peak_memory", "<=", 1.3, "x", "ceiling", label="Peak memory against the old index"),
        Assertion("gpus", "<=", 4.0, "GPUs", "ceiling", label="GPUs re-embedding"),
    ),
    reference={"plan": "dual_read_calibrated", "rate": 200},
    alternative={"plan": "per_tenant", "rate": 1_000},
    naive={"plan": "in_place", "rate": 200},
    maxed={"plan": "blue_green", "rate": 100_000, "pairs": 5_000},
    debrief=(
        "Reading both versions apart keeps each query with its own kind, but the two score on different scales, so raw merging hands the "
        "results to one version and z-scores repair it, at two embeddings a query. Tenant by tenant never mixes at all and doubles only "
        "the tenant that moves. Alignment fails here: no rotation raises every cosine. Blue-green is the calmest and breaks the memory."
    ),
)


class ModelMigration(Lab):
    """What happens to recall while the corpus moves from embedding model A to B?

    **The world.** 20,000 documents of 64 dimensions and 200 queries. Model B is model A rotated by `degrees` in every plane of a random
    basis: each vector turns by that angle, inner products within one model stay, so both models agree on the neighbours and each alone
    finds them all. With `mean_cosine` above 0, B's vectors also share a direction, and all its scores are high, as those of many real
    models are. Recall@10 counts what the new model's own exact search would return. Search is exact, so every loss is the migration's.

    **The plans.** In place: one index, vectors overwritten one by one, new queries from the start. Blue-green: a second index, switched
    when whole. Tenant by tenant: 20 tenants of Zipf sizes, each searched apart and switched in one moment, the largest first. Dual read:
    each version asked with its own query, merged by score, or by z-score after a sample has told each version's mean and deviation.
    Aligned: an orthogonal map, fitted to pairs (Procrustes), turns new queries back into the space of the old vectors.

    Hours follow from the rate and the documents that change meanwhile. Memory counts vectors that stand twice; tombstones and the links
    of graphs come on top. (Trap: a pure rotation flatters alignment, because an orthogonal map undoes it exactly. Raise the cosines, or
    bring the embeddings of your own two models.)
    """

    title = "Model migration"
    why = (
        "A half-migrated index can be worse than either end, and nothing raises an error. The safe plans cost memory or double reads; an "
        "interviewer wants to hear which, and why scores of two models do not compare."
    )
    phase = "evaluation"
    engines = ("simulators.engines.ann.versions", "simulators.engines.ann.data", "simulators.engines.ann.truth")
    sources = (
        "Schönemann 1966, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31(1)",
        "Ethayarajh 2019, How contextual are contextualized word representations?, arXiv 1909.00512",
        "Shen, Xiong, Xia & Soatto 2020, Towards backward-compatible representation learning, arXiv 2003.11942",
    )
    map_axes = ("peak_memory", "recall_worst")
    data = OWN_PAIR
    challenges = (MOVE,)

    class Params(LabParams):
        world: Literal["rotation"] = param(
            "rotation",
            title="World",
            group="world",
            labels={"rotation": "rotated model"},
            help="How the new model differs from the old one.",
        )
        degrees: float = param(
            30.0, title="Angle between models", unit="degrees", ge=0, le=90, step=1, group="world", help="How far every vector turns."
        )
        mean_cosine: float = param(
            0.0,
            title="Cosine of random texts, new model",
            unit="cosine",
            ge=0,
            le=0.9,
            step=0.05,
            group="world",
            help="What the new model gives two unrelated texts; the old one gives 0. Real models lie between 0 and 0.8.",
        )
        doc_change: float = param(
            1.0, title="Documents changed", unit="%/day", ge=0, le=50, step=0.5, group="world", help="Edited while the migration runs."
        )
        corpus: int = param(
            10_000_000,
            title="Corpus",
            unit="documents",
            ge=10_000,
            le=10_000_000_000,
            scale="log",
            group="world",
            help="For the hours; recall is measured on the small world.",
        )
        plan: Plan = param("in_place", title="Plan", group="plan", labels=LABELS, help="How documents and queries change versions.")
        rate: int = param(
            200,
            title="Re-embedding rate",
            unit="vectors/s",
            ge=1,
            le=100_000,
            scale="log",
            group="plan",
            help="Documents embedded anew a second.",
        )
        pairs: int = param(
            200,
            title="Pairs for alignment",
            unit="pairs",
            ge=10,
            le=5_000,
            scale="log",
            group="plan",
            shown_when={"plan": ("align",)},
            help="Documents embedded by both models, from which the map is fitted.",
        )
        tenants: int = param(
            20,
            title="Tenants",
            unit="tenants",
            ge=1,
            le=1_000,
            scale="log",
            group="plan",
            shown_when={"plan": ("per_tenant",)},
            help="Of Zipf sizes. The largest stands twice while it moves.",
        )

    presets = (
        Preset(
            "unpinned",
            "Forgot to pin the version",
            "The query service took a new model that turned by 45 degrees. Look at the left end: no document has moved yet.",
            {"degrees": 45.0},
        ),
        Preset(
            "rolling",
            "Rolling re-embed",
            "Twenty degrees apart, one index, overwritten as the GPUs go: the middle is worse than both ends.",
            {"degrees": 20.0, "rate": 1_000},
        ),
        Preset(
            "blue_green", "Blue-green", "A second index beside the first: calm, reversible, and twice the memory.", {"plan": "blue_green"}
        ),
        Preset(
            "scores",
            "Scores do not compare",
            "Each version meets its own queries, and still the new one, whose cosines are all high, takes every slot.",
            {"plan": "dual_read", "mean_cosine": 0.5},
        ),
        Preset(
            "calibrated",
            "One scale for two models",
            "The same corpus, merged by z-score instead of raw score: nobody notices the migration.",
            {"plan": "dual_read_calibrated", "mean_cosine": 0.5},
        ),
    )

    def run(self, params: Params, ctx: Context) -> Steps:
        if ctx.data:
            pair = yield from own_pair(ctx, ctx.data)
        else:
            pair = yield from synthetic_pair(ctx, degrees=params.degrees, mean_cosine=params.mean_cosine)
        costs = views.cost_metrics(pair, params)
        yield Frame(costs)
        curve = yield from curve_steps(ctx, pair, params.plan, pairs=params.pairs, tenants=params.tenants)
        yield Frame(views.curve_metrics(curve), _curve_figures(params.plan, curve, None))
        rolling = yield from _contrast(ctx, pair, params)
        figures = [*_curve_figures(params.plan, curve, rolling), views.scores_figure(pair)]
        drift = yield from _drift(ctx, params)
        if drift:
            figures.append(views.drift_figure(drift, params.degrees))
        return Result(
            metrics=[*views.curve_metrics(curve), *costs],
            figures=figures,
            tables=[views.curve_table(params.plan, curve), views.plans_table(pair, params)],
            insights=tuple(views.insights(pair, params, curve, dict(drift).get(params.degrees))),
            notes=tuple(_notes(pair, params)),
        )


def _curve_figures(plan: str, curve: Curve, rolling: Curve | None) -> list[Figure]:
    return [views.recall_figure(plan, curve, rolling), views.slots_figure(plan, curve)]


def _contrast(ctx: Context, pair: Pair, params: ModelMigration.Params) -> Working[Curve | None]:
    """The rolling change of the same corpus; None where the versions cannot share an index."""
    if not pair.comparable:
        return None
    return (yield from curve_steps(ctx, pair, "in_place", pairs=params.pairs, tenants=params.tenants))


def _drift(ctx: Context, params: ModelMigration.Params) -> Working[list[tuple[float, float]]]:
    """Recall of rotated queries on the old documents, by angle, the run's among them; empty where more than the angle differs."""
    if ctx.data or params.mean_cosine:
        return []
    still = yield from synthetic_pair(ctx, degrees=0.0, mean_cosine=0.0)
    angles = sorted({*DRIFT_DEGREES, params.degrees})
    recalls = []
    for angle in angles:
        recalls.append((yield from ctx.asset_steps(f"{still.key}/drift/{angle!r}", partial(_drifted, still, angle, ctx.seed), disk=False)))
    return list(zip(angles, recalls, strict=True))


def _drifted(still: Pair, degrees: float, seed: int) -> Working[float]:
    steps = truth.exact_steps(still.old, rotate_model(still.q_old, degrees, seed=seed), K)
    found = yield from told(steps, f"asking with queries turned by {degrees:g} degrees")
    return float(truth.recall_at_k(found.ids, still.true_ids, K).mean())


def _notes(pair: Pair, params: ModelMigration.Params) -> Iterator[str]:
    yield from pair.notes
    if params.plan.startswith("dual_read"):
        yield "A vector stands in one of the two indexes; graphs keep tombstones of the moved ones until they are compacted."
    if params.plan == "per_tenant":
        yield "Queries over several tenants would meet both versions; they need dual read until the last tenant has moved."
