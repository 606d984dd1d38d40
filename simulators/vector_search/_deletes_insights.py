"""What the numbers of a run of `deletes` say: the effects this run shows, each with the phase that treats it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulators.lab import Insight
from simulators.vector_search._deletes_ledger import Ledger, Policy
from simulators.vector_search._deletes_measure import WRITE_BATCH, Latency, Reading, SweepPoint
from simulators.vector_search._deletes_stream import HOURS, Churn
from simulators.vector_search._deletes_views import fullest
from simulators.vector_search._tradeoff_insights import in_bytes

LOSS = 0.02  # of recall, worth a sentence
SLOW = 0.8  # times the throughput
DUTY_DAYS = 7  # a common erasure deadline
HELD = 1.2  # times the live memory


def effects(
    churn: Churn,
    policy: Policy,
    ledger: Ledger,
    readings: Sequence[Reading],
    points: Sequence[SweepPoint],
    latency: Latency,
) -> Iterator[Insight]:
    yield from _tenant(churn, readings, points)
    yield from _recall(policy, points)
    yield from _speed(policy, points)
    yield from _drift(readings)
    yield from _no_collapse(churn, ledger, readings)
    yield from _rate(churn, policy, ledger)
    yield from _memory(policy, readings)
    yield from _erasure(ledger, readings)
    yield from _lock(policy, latency)


def _tenant(churn: Churn, readings: Sequence[Reading], points: Sequence[SweepPoint]) -> Iterator[Insight]:
    if churn.pattern != "tenant":
        return
    pairs = [(r.day, r.mean_recall, r.near_recall) for r in readings if r.near_recall is not None]
    day, recall, near = max(pairs, key=lambda pair: pair[2] - pair[1], default=(0.0, 1.0, 1.0))
    if near - recall > LOSS:
        yield Insight(
            f"On day {day:.1f} recall is {recall:.2f} over all queries and {near:.2f} where the nearest vector is alive: whole regions of "
            "the graph are tombstones, and a benchmark whose queries come from the data that stayed does not see it.",
            "evaluation",
            "tenant",
        )


def _recall(policy: Policy, points: Sequence[SweepPoint]) -> Iterator[Insight]:
    first, last = points[0], points[-1]
    if policy.kind != "hnsw":
        return
    if first.recall - last.recall > LOSS:
        holds = max((p for p in points if first.recall - p.recall <= LOSS), key=lambda p: p.share)
        until = f"recall holds up to {holds.share:.0%} deleted ({holds.recall:.2f})" if holds.share else "recall falls from the first on"
        yield Insight(
            f"Tombstones use up ef: {until} and is {last.recall:.2f} at {last.share:.0%}, at {last.speed:.2g} times the throughput. "
            "The failure is silent: the search takes as long as ever.",
            "deep_dive",
            "tombstones_recall",
        )


def _speed(policy: Policy, points: Sequence[SweepPoint]) -> Iterator[Insight]:
    slow = next((p for p in points if p.share >= 0.9), points[-1])
    if policy.index in ("hnsw_hnswlib", "hnsw_replace") and slow.speed < SLOW:
        yield Insight(
            f"The walk goes on until enough live vectors are found: at {slow.share:.0%} deleted recall is {slow.recall:.3f} and a search "
            f"takes {1 / slow.speed:.1f} times as long. Here tombstones show on the latency chart, not in recall.",
            "deep_dive",
            "tombstones_latency",
        )


def _drift(readings: Sequence[Reading]) -> Iterator[Insight]:
    gaps = [(r.rebuilt_recall - r.mean_recall, r) for r in readings if r.rebuilt_recall is not None and r.imbalance is not None]
    gap, reading = max(gaps, key=lambda pair: pair[0], default=(0.0, None))
    if reading is not None and gap > LOSS:
        now, fresh = reading.imbalance or 0.0, reading.rebuilt_imbalance or 0.0
        uneven = f"; list imbalance {now:.2f} against {fresh:.2f}" if now > 1.1 * fresh else ""
        yield Insight(
            f"Yesterday's centroids: on day {reading.day:.1f} recall is {reading.mean_recall:.2f} and would be "
            f"{reading.rebuilt_recall:.2f} with centroids trained on what is there now{uneven}. More cells visited would cover it up at a "
            "price; retraining repairs it.",
            "deep_dive",
            "centroid_drift",
        )


def _no_collapse(churn: Churn, ledger: Ledger, readings: Sequence[Reading]) -> Iterator[Insight]:
    replaced = churn.percent / 100 * churn.days
    last = readings[-1]
    if replaced >= 1 and churn.pattern == "random" and last.rebuilt_recall is not None and last.rebuilt_recall - last.mean_recall <= LOSS:
        yield Insight(
            f"After {replaced:.1f} times replacing everything recall is {last.mean_recall:.3f}, and {last.rebuilt_recall:.3f} in an index "
            f"built afresh, with {len(ledger.rebuilds)} rebuilds on the way: churn spread evenly does not wear the index out.",
            "deep_dive",
            "no_collapse",
        )


def _rate(churn: Churn, policy: Policy, ledger: Ledger) -> Iterator[Insight]:
    c, t = churn.percent / 100, policy.compact_at
    if (
        policy.index not in ("hnsw_faiss", "hnsw_hnswlib")
        or policy.rebuild_every_h
        or not len(ledger.rebuilds)
        or churn.pattern != "random"
    ):
        return
    yield Insight(
        f"Compacting at {t:.0%} costs {ledger.rebuilds_per_day:.2g} rebuilds a day; the rule churn x (1 - t) / t says "
        f"{c * (1 - t) / t:.2g}. Memory peaks at 1 / (1 - t) = {1 / (1 - t):.2f} times the live vectors, so the trigger trades rebuilds "
        "against memory.",
        "capacity",
        "compaction_rate",
    )


def _memory(policy: Policy, readings: Sequence[Reading]) -> Iterator[Insight]:
    full = fullest(readings)
    if policy.kind == "hnsw" and full.bytes_share > HELD:
        yield Insight(
            f"On day {full.day:.1f} {full.tombstone_share:.0%} of the index are tombstones: {full.bytes_share:.2f} times the memory of "
            f"its live vectors, {in_bytes(full.deleted_bytes)} of it deleted vectors and their links.",
            "capacity",
            "memory",
        )


def _erasure(ledger: Ledger, readings: Sequence[Reading]) -> Iterator[Insight]:
    if not len(ledger.waits_h):
        yield Insight("Nothing was deleted in this run: there is nothing to compact.", "clarify", "erasure")
        return
    longest, mean = ledger.waits_h.max() / HOURS, ledger.waits_h.mean()
    held = max(reading.deleted_bytes for reading in readings)
    stayed = f"A deleted vector stayed {mean:.0f} h on average and {longest:.1f} days at most, up to {in_bytes(held)} at a time"
    if not longest:
        stayed = "Deleted vectors leave the index at once"
    verdict = f"that {'breaks' if longest > DUTY_DAYS else 'keeps'} an erasure duty of {DUTY_DAYS} days, snapshots not counted"
    if longest <= DUTY_DAYS and ledger.still_held and not len(ledger.rebuilds):
        verdict = f"none has left the index yet, and an erasure duty of {DUTY_DAYS} days runs out if nobody compacts"
    yield Insight(
        f"{stayed}: {verdict}.",
        "evaluation",
        "erasure",
    )


def _lock(policy: Policy, latency: Latency) -> Iterator[Insight]:
    why = ": a graph insert is itself several searches. " if policy.kind == "hnsw" else ". "
    if latency.inserting_ms > 1.5 * latency.still_ms:
        yield Insight(
            f"Search p99 is {latency.still_ms:.2g} ms alone and {latency.inserting_ms:.2g} ms behind a writer that holds the lock for "
            f"{WRITE_BATCH} inserts{why}A small segment for writes takes that wait away.",
            "architecture",
            "inserting",
        )
