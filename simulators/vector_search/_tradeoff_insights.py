"""What the numbers of a run of `index_tradeoffs` say: per design the constraint that binds it, then the effects this run shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from simulators.lab import Insight
from simulators.vector_search._designs import Bench
from simulators.vector_search._tradeoff_views import count, fastest_at
from simulators.vector_search._vectors import World

GOOD_RECALL = 0.95
CODE_LIMITED = 0.97  # a ceiling below this is the codes' fault, not the search width's
SMALL_GAIN = 0.02
HEAVY = 1.1  # times the raw vectors
MODEST_SPEEDUP = 10.0


def binding_constraint(bench: Bench, world: World, target_n: int) -> Insight:
    """Which of code precision, search width, memory or compute stops this design from being better."""
    design, recall = bench.design, bench.mean_recall
    share = bench.bytes_per_vector / (4 * world.d)
    if recall < CODE_LIMITED and bench.ceiling < CODE_LIMITED and bench.ceiling - recall < SMALL_GAIN:
        why = f"code precision binds: recall {recall:.2f}, and the widest search of the sweep reaches only {bench.ceiling:.2f}"
        return Insight(f"{design.label}: {why}. Store better codes or re-score, do not search wider.", "deep_dive", "plateau")
    if bench.ceiling - recall >= SMALL_GAIN:
        wider = next(p for p in bench.sweep if p.recall >= bench.ceiling - SMALL_GAIN / 2)
        here = f"{design.setting} gives {recall:.2f}"
        there = f"{wider.width} would give {wider.recall:.2f} at {wider.qps / bench.qps:.2g} times the throughput"
        return Insight(f"{design.label}: search width binds: {here}, {there}.", "deep_dive", "search_width")
    if share > HEAVY:
        total = design.memory(target_n, world.d).total
        weight = f"recall {recall:.2f} costs {bench.bytes_per_vector:.0f} bytes a vector, {share:.0%} of the raw vectors"
        return Insight(f"{design.label}: memory binds: {weight}, or {in_bytes(total)} at {count(target_n)}.", "capacity", "memory")
    cost = f"{bench.latency_ms(50) * 1e3:.0f} µs a query at recall {recall:.2f} and {share:.0%} of the raw vectors' memory"
    return Insight(f"{design.label}: compute binds: {cost}.", "deep_dive", "compute")


def effects(benches: Sequence[Bench], exact: Bench, world: World, unshifted: Mapping[str, float]) -> Iterator[Insight]:
    """Comparisons this run can show. `unshifted`: recall of each kind on in-distribution queries, when the queries are shifted."""
    by_kind = {bench.design.kind: bench for bench in benches}
    yield from _brute_force(benches, exact, world)
    yield from _winner(benches, exact)
    yield from _refine(by_kind)
    yield from _strange_queries(benches, unshifted)
    yield from _build_time(benches)
    yield from _many_dimensions(by_kind, world)


def _brute_force(benches: Sequence[Bench], exact: Bench, world: World) -> Iterator[Insight]:
    best = fastest_at([bench for bench in benches if bench.design.width_name], GOOD_RECALL)
    if best and best[2] / exact.qps < MODEST_SPEEDUP:
        yield Insight(
            f"Exact search over {world.n:,} vectors takes {exact.latency_ms(50) * 1e3:.0f} µs, and no swept setting with recall "
            f"{GOOD_RECALL} is more than {best[2] / exact.qps:.1f} times faster. At this size brute force may be the better design.",
            "capacity",
            "brute_force",
        )


def _winner(benches: Sequence[Bench], exact: Bench) -> Iterator[Insight]:
    swept = [bench for bench in benches if len(bench.sweep) > 1]
    best = fastest_at(swept, GOOD_RECALL)
    if len(swept) < 2 or best is None:
        return
    bench, width, qps = best
    others = [(other, found[2]) for other in swept if other is not bench and (found := fastest_at([other], GOOD_RECALL))]
    against = ", ".join(f"{qps / rate:.1f} times {other.design.label}" for other, rate in others) or "the others do not get there"
    name = "nprobe" if bench.design.width_name == "nprobe" else "ef"
    text = f"At recall {GOOD_RECALL} {bench.design.label} is fastest ({name} {width}): {qps / exact.qps:.1f} times exact search, {against}."
    yield Insight(text, "architecture", "fastest")


def _refine(by_kind: Mapping[str, Bench]) -> Iterator[Insight]:
    for kind in ("ivf_pq", "ivf_rabitq"):
        plain, refined = by_kind.get(kind), by_kind.get(f"{kind}_refine")
        if plain and refined and refined.mean_recall - plain.mean_recall > SMALL_GAIN:
            more = refined.bytes_per_vector - plain.bytes_per_vector
            yield Insight(
                f"Re-scoring {refined.design.search['k_factor']:g} x k candidates lifts {plain.design.label} from recall "
                f"{plain.mean_recall:.2f} to {refined.mean_recall:.2f}, for {more:.0f} bytes a vector kept beside the codes and "
                f"{plain.qps / refined.qps:.1f} times the time.",
                "deep_dive",
                "refine",
            )


def _strange_queries(benches: Sequence[Bench], unshifted: Mapping[str, float]) -> Iterator[Insight]:
    for bench in benches:
        usual = unshifted.get(bench.design.kind)
        if usual is not None and usual - bench.mean_recall > SMALL_GAIN:
            yield Insight(
                f"{bench.design.label} finds {usual:.2f} of the neighbours of queries like the base and {bench.mean_recall:.2f} of these: "
                "out-of-distribution queries need a wider search, so measure recall on the queries you really get.",
                "evaluation",
                "query_shift",
            )


def _build_time(benches: Sequence[Bench]) -> Iterator[Insight]:
    graphs = [bench for bench in benches if bench.design.kind.startswith("hnsw")]
    cells = [bench for bench in benches if bench.design.kind.startswith("ivf")]
    if graphs and cells:
        slow, quick = (min(group, key=lambda bench: bench.index.build_seconds) for group in (graphs, cells))
        ratio = slow.index.build_seconds / quick.index.build_seconds
        if ratio > 2:
            yield Insight(
                f"{slow.design.label} took {slow.index.build_seconds:.2g} s to build, {ratio:.0f} times as long as {quick.design.label}: "
                "it decides how long a re-index takes.",
                "capacity",
                "build_time",
            )


def _many_dimensions(by_kind: Mapping[str, Bench], world: World) -> Iterator[Insight]:
    bits = by_kind.get("ivf_rabitq")
    if bits and world.d >= 256:
        yield Insight(
            f"One bit a coordinate reaches recall {bits.mean_recall:.2f} at {world.d} dimensions: RaBitQ's error falls as 1/sqrt(d), "
            "so the same bit says more in long vectors.",
            "deep_dive",
            "rabitq_dimensions",
        )


def in_bytes(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.3g} kB"
