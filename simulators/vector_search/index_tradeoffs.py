"""Lab: ten kinds of index over the same vectors, against exact search in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import model_validator

from simulators.engines.ann.build import BuildParams, Kind, check_build
from simulators.engines.ann.truth import recall_at_k
from simulators.lab import Context, Figure, Frame, Lab, LabParams, Metric, Preset, Result, Steps, Working, param
from simulators.vector_search import _tradeoff_insights as insights
from simulators.vector_search import _tradeoff_views as views
from simulators.vector_search._designs import (
    LABELS,
    PASSES,
    Bench,
    Design,
    design_of,
    exact_bench,
    first_bench,
    further_pass,
    search_pass,
    sweep,
)
from simulators.vector_search._tradeoff_challenge import TIGHT_BUDGET
from simulators.vector_search._vectors import OWN_VECTORS, K, World, own_world, synthetic_world

IVF = ("ivf_flat", "ivf_sq8", "ivf_pq", "ivf_pq_refine", "ivf_rabitq", "ivf_rabitq_refine")
GRAPHS = ("hnsw", "hnsw_sq8")
REFINED = ("ivf_pq_refine", "ivf_rabitq_refine")


class IndexTradeoffs(Lab):
    """Which index meets your recall, latency and memory budget?

    The lab builds up to four indexes over the same vectors and asks each the same held-out queries, **one at a time on one thread**.
    Exact search is timed in the same run and in the same way, so a ratio means something even where the machine is noisy. (Trap: exact
    search in one batch becomes a matrix product and looks several times faster than it is for single queries, while a graph gains
    nothing from a batch. Never compare the two.)

    * **Flat** compares the query with every vector. Recall is 1 by definition.
    * **IVF** sorts vectors into `nlist` k-means cells and visits the `nprobe` nearest. Work falls to about nprobe / nlist.
    * **SQ8, PQ, RaBitQ** shrink vectors to a byte a coordinate, 4 bits a sub-vector, one bit a coordinate. Their error puts a ceiling
      on recall that no wider search lifts; **refine** re-scores `k_factor` x k candidates with better vectors and lifts it.
    * **HNSW** walks a graph greedily and keeps the best `ef_search` candidates. It pays with 2M links a vector and a slow build.

    Recall@10 is the share of the exact ten nearest that an index returns, with a 95 % bootstrap interval over the queries. Times are,
    query by query, the median of three passes; finding the exact neighbours is not part of any timed number. Bytes are those of the
    serialised index; the formula beside them agrees within 2 % and extrapolates to any size.
    """

    title = "Index trade-offs"
    why = (
        "HNSW buys recall with memory, IVF-PQ buys memory with recall, quantised indexes plateau, and below about 100,000 vectors brute "
        "force may win. An interviewer wants the constraint that decides, with numbers."
    )
    exclusive = True
    engines = (
        "simulators.engines.ann.build",
        "simulators.engines.ann.index",
        "simulators.engines.ann.truth",
        "simulators.engines.ann.memory",
    )
    sources = (
        "Jégou, Douze & Schmid 2011, Product quantization for nearest neighbor search, IEEE TPAMI 33(1)",
        "Malkov & Yashunin 2018, HNSW, arXiv 1603.09320",
        "Gao & Long 2024, RaBitQ, arXiv 2405.12497",
        "André, Kermarrec & Le Scouarnec 2015, Cache locality is not enough (fast scan), VLDB 9(4)",
    )
    map_axes = ("recall", "qps")
    data = OWN_VECTORS
    challenges = (TIGHT_BUDGET,)

    class Params(LabParams):
        kind: tuple[Kind, ...] = param(
            ("ivf_sq8", "hnsw"),
            title="Indexes",
            help="Up to four designs, built over the same vectors and asked the same queries.",
            group="index",
            labels=LABELS,
            max_items=4,
        )
        n: int = param(
            20_000, title="Vectors", unit="vectors", ge=1_000, le=100_000, scale="log", group="world", help="How many vectors are searched."
        )
        d: int = param(64, title="Dimensions", unit="dimensions", ge=16, le=768, scale="log", group="world", help="Length of a vector.")
        clusters: int = param(
            200,
            title="Clusters",
            unit="clusters",
            ge=10,
            le=2_000,
            scale="log",
            group="world",
            help="Gaussian clusters the vectors are drawn from. Their sizes follow a Zipf law.",
        )
        query_shift: float = param(
            0.0,
            title="Query shift",
            unit="share",
            ge=0,
            le=1,
            step=0.05,
            group="world",
            help="How far queries are blended with random directions: 0 asks what the base knows, 1 asks anything.",
        )
        M: int = param(
            16,
            title="HNSW links M",
            unit="links",
            ge=4,
            le=64,
            scale="log",
            group="index",
            shown_when={"kind": GRAPHS},
            help="Links a vector keeps on each layer, twice as many on the lowest. More: better recall, more memory, slower build.",
        )
        ef_construction: int = param(
            64,
            title="efConstruction",
            unit="candidates",
            ge=16,
            le=400,
            scale="log",
            group="index",
            shown_when={"kind": GRAPHS},
            help="Candidates kept while a vector looks for its links. More: a better graph, a slower build.",
        )
        nlist: int = param(
            128,
            title="IVF cells (nlist)",
            unit="cells",
            ge=8,
            le=4_096,
            scale="log",
            group="index",
            shown_when={"kind": IVF},
            help="k-means cells the vectors are sorted into; the square root of n is a usual start.",
        )
        pq_m: int = param(
            0,
            title="PQ sub-quantisers",
            unit="sub-quantisers",
            ge=0,
            le=768,
            soft=(0, 128),
            step=8,
            group="index",
            shown_when={"kind": ("ivf_pq", "ivf_pq_refine")},
            help="Parts a vector is cut into, 4 bits each; must divide the dimensions. 0 takes half the dimensions.",
        )
        refine: Literal["float32", "sq8"] = param(
            "float32",
            title="Re-score with",
            group="index",
            shown_when={"kind": REFINED},
            labels={"float32": "float32 vectors", "sq8": "SQ8 vectors"},
            help="What a refined index keeps beside its codes to re-score candidates.",
        )
        ef_search: int = param(
            64,
            title="efSearch",
            unit="candidates",
            ge=10,
            le=1_024,
            scale="log",
            group="search",
            shown_when={"kind": GRAPHS},
            help="Candidates HNSW keeps while it walks the graph. More: better recall, slower search.",
        )
        nprobe: int = param(
            16,
            title="Cells visited (nprobe)",
            unit="cells",
            ge=1,
            le=4_096,
            soft=(1, 128),
            scale="log",
            group="search",
            shown_when={"kind": IVF},
            help="Cells of the inverted file a query visits; at most nlist.",
        )
        k_factor: int = param(
            8,
            title="Candidates re-scored",
            unit="x k",
            ge=1,
            le=32,
            group="search",
            shown_when={"kind": REFINED},
            help="A refined index fetches this many times ten candidates by code and re-scores them.",
        )
        target_n: int = param(
            1_000_000_000,
            title="Extrapolate memory to",
            unit="vectors",
            ge=10_000,
            le=10_000_000_000,
            scale="log",
            group="scale",
            help="Memory at this size, by formula, with the other parameters as they stand.",
        )

        @model_validator(mode="after")
        def _fit_together(self) -> IndexTradeoffs.Params:
            if not self.kind:
                raise ValueError("Indexes: none was chosen; expected 1 to 4.")
            if len(set(self.kind)) < len(self.kind):
                raise ValueError(f"Indexes: {', '.join(self.kind)} names one twice; expected different ones.")
            if set(self.kind) & set(IVF) and self.nprobe > self.nlist:
                raise ValueError(f"Cells visited (nprobe): {self.nprobe} was given; expected at most the {self.nlist} cells of nlist.")
            return self

    presets = (
        Preset(
            "brute_force",
            "Brute force is fine",
            "5,000 vectors: exact search takes microseconds, and no index is worth its recall.",
            {"kind": ("flat", "ivf_flat", "hnsw"), "n": 5_000, "nlist": 64, "target_n": 1_000_000},
        ),
        Preset(
            "pq_plateau",
            "PQ plateau",
            "Half the cells are visited and recall stays near 0.55: more probes cannot repair a 4-bit code.",
            {"kind": ("ivf_flat", "ivf_pq"), "nprobe": 64},
        ),
        Preset(
            "refine_rescues",
            "Refine rescues",
            "The same codes, then 80 candidates re-scored: recall comes back, and so does the memory.",
            {"kind": ("ivf_pq", "ivf_pq_refine", "ivf_rabitq", "ivf_rabitq_refine")},
        ),
        Preset(
            "strange_queries",
            "Strange queries",
            "Queries from another distribution: the graph tuned on its own vectors loses a fifth of the neighbours.",
            {"kind": ("ivf_flat", "hnsw"), "query_shift": 0.75, "ef_search": 32},
        ),
        Preset(
            "long_vectors",
            "768 dims turn the tables",
            "Long vectors make every comparison dear: HNSW, which makes the fewest, overtakes IVF, and one-bit codes get better.",
            {"kind": ("ivf_flat", "ivf_rabitq", "hnsw"), "d": 768},
        ),
    )

    def run(self, params: Params, ctx: Context) -> Steps:
        world = yield from _world(params, ctx)
        designs = [design_of(kind, params, colour) for colour, kind in enumerate(params.kind)]
        for design in designs:
            check_build(world.n, world.d, design.kind, BuildParams(**design.build))
        modelled = [metric for design in designs for metric in views.model_metrics(design, world, params.target_n)]
        yield Frame(modelled, [views.memory_figure(designs, world)])
        exact = yield from exact_bench(ctx, world)
        yield Frame(views.exact_metrics(exact))
        benches = yield from _benches(ctx, world, designs, exact)
        unshifted = yield from _unshifted_recall(params, ctx, benches)
        for bench in benches:
            yield from sweep(ctx, world, bench, exact)
            yield Frame(figures=_figures(benches, exact))
        return Result(
            metrics=[*_metrics(benches, exact, world), *modelled],
            figures=[*_figures(benches, exact), views.memory_figure(designs, world)],
            tables=[views.numbers_table(benches, exact, world), views.sweep_table(benches)],
            insights=[
                *(insights.binding_constraint(bench, world, params.target_n) for bench in benches),
                *insights.effects(benches, exact, world, unshifted),
            ],
            notes=tuple(_notes(world, exact)),
        )


def _world(params: IndexTradeoffs.Params, ctx: Context) -> Working[World]:
    if ctx.data:
        return (yield from own_world(ctx, ctx.data))
    for kind in params.kind:  # before vectors are drawn: these sizes are known
        check_build(params.n, params.d, kind, BuildParams(**design_of(kind, params, 0).build))
    return (yield from synthetic_world(ctx, n=params.n, d=params.d, clusters=params.clusters, query_shift=params.query_shift))


def _benches(ctx: Context, world: World, designs: Sequence[Design], exact: Bench) -> Working[list[Bench]]:
    """Every design built and asked once, shown as it comes; then the further passes, taken in turns so that a disturbance hits all."""
    timed = len(exact.recall)
    benches: list[Bench] = []
    for design in designs:
        benches.append((yield from first_bench(ctx, world, design, timed)))
        yield Frame(views.bench_metrics(benches[-1], exact, world), [views.pareto_figure(benches, exact)])
    for _ in range(PASSES - 1):
        for bench in (exact, *benches):
            yield from further_pass(bench, world, timed)
    yield Frame(_metrics(benches, exact, world))
    return benches


def _unshifted_recall(params: IndexTradeoffs.Params, ctx: Context, benches: Sequence[Bench]) -> Working[dict[str, float]]:
    """Recall of each kind on queries of the base's own distribution, for comparison when they are shifted."""
    if ctx.data or not params.query_shift:
        return {}
    usual = yield from synthetic_world(ctx, n=params.n, d=params.d, clusters=params.clusters, query_shift=0.0)
    recalls = {}
    for bench in benches:
        found = yield from search_pass(bench.index, usual.queries, bench.design.search, f"searching {bench.design.label}")
        recalls[bench.design.kind] = float(recall_at_k(found.ids, usual.true_ids, K).mean())
    return recalls


def _metrics(benches: Sequence[Bench], exact: Bench, world: World) -> list[Metric]:
    return [*(metric for bench in benches for metric in views.bench_metrics(bench, exact, world)), *views.exact_metrics(exact)]


def _figures(benches: Sequence[Bench], exact: Bench) -> list[Figure]:
    width = views.width_figure(benches)
    return [views.pareto_figure(benches, exact), *([width] if width else [])]


def _notes(world: World, exact: Bench) -> Iterator[str]:
    yield from world.notes
    yield "All indexes, exact search included, were asked one query at a time on one thread; in batches the ratios would differ."
    if len(exact.recall) < len(world.queries):
        timed, of = len(exact.recall), len(world.queries)
        yield f"{timed} of {of} queries were timed, because exact search takes {exact.latency_ms(50):.1f} ms each."
