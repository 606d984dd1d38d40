"""What the lab `deletes` shows: metrics, figures and tables of its readings."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.vector_search._deletes_ledger import SHORT, Ledger, Policy
from simulators.vector_search._deletes_measure import WRITE_BATCH, Latency, Reading, SweepPoint
from simulators.vector_search._deletes_stream import HOURS
from simulators.vector_search._vectors import K

DAY = Axis("Time", "days")
SHARE = Axis("Share", percent=True, range=(0, 1.03))
FAR_OFF = 0.9  # a trigger above is never met here, and its line would lie on the recall
RECALL, NEAR, TOMBSTONES, COMPACTIONS = 0, 2, 1, 4  # colours


def worst(readings: Sequence[Reading]) -> Reading:
    return min(readings, key=lambda reading: reading.mean_recall)


def fullest(readings: Sequence[Reading]) -> Reading:
    return max(readings, key=lambda reading: (reading.tombstone_share, reading.hour))


# --- metrics ---------------------------------------------------------------------------------------------------------


def metrics(readings: Sequence[Reading], ledger: Ledger) -> list[Metric]:
    return [*_recall_metrics(readings), *_cost_metrics(readings), *_erasure_metrics(readings, ledger), *_cell_metrics(readings)]


def _recall_metrics(readings: Sequence[Reading]) -> list[Metric]:
    low = worst(readings)
    afresh = [reading.rebuilt_recall for reading in readings if reading.rebuilt_recall is not None]
    near = [reading.near_recall for reading in readings if reading.near_recall is not None]
    return [
        Metric(
            "recall_min",
            f"Recall@{K}, worst moment",
            low.mean_recall,
            "share",
            "up",
            ci=low.interval,
            limit=min(afresh),
            limit_label="rebuilt index, at its worst",
            note=f"On day {low.day:.1f}, just before a rebuild or at midnight.",
        ),
        Metric(
            "recall_near_live",
            f"Recall@{K} where the nearest vector is alive, worst",
            min(near) if near else None,
            "share",
            "up",
            note="What a benchmark sees whose queries come from the data that stayed."
            if near
            else "No query has its nearest vector alive.",
        ),
    ]


def _cost_metrics(readings: Sequence[Reading]) -> list[Metric]:
    full = fullest(readings)
    overhead = max(reading.bytes_share for reading in readings)
    return [
        Metric("tombstone_share_max", "Tombstone share, largest", full.tombstone_share, "share", "down"),
        Metric(
            "qps_ratio",
            "Throughput against a rebuilt index",
            full.qps_ratio,
            "x",
            "up",
            measured=True,
            limit=1.0,
            limit_label="rebuilt index",
            note=f"On day {full.day:.1f}" + (", when tombstones were most." if full.tombstone_share else "."),
        ),
        Metric(
            "memory_overhead",
            "Memory against live vectors only, largest",
            overhead,
            "x",
            "down",
            limit=1.0,
            limit_label="rebuilt index",
            note="The copy that a rebuild makes beside it is not counted: it adds 1 x while it lasts.",
        ),
    ]


def _erasure_metrics(readings: Sequence[Reading], ledger: Ledger) -> list[Metric]:
    nothing = "" if len(ledger.waits_h) else "Nothing was deleted."
    mean = float(ledger.waits_h.mean()) if len(ledger.waits_h) else None
    longest = float(ledger.waits_h.max()) / HOURS if len(ledger.waits_h) else None
    held = f"{ledger.still_held:,} deleted vectors were still held at the end and count as long as they had waited."
    return [
        Metric("rebuilds_per_day", "Rebuilds", ledger.rebuilds_per_day, "rebuilds/day", "down"),
        Metric("compaction_lag_h", "Compaction lag, mean", mean, "h", "down", note=nothing or (held if ledger.still_held else "")),
        Metric("longest_held_days", "Longest a deleted vector stayed", longest, "days", "down", note=nothing),
        Metric(
            "deleted_bytes",
            "Deleted vectors still stored, most",
            float(max(reading.deleted_bytes for reading in readings)),
            "bytes",
            "down",
            note="Vectors and links in the index; snapshots and backups hold them longer.",
        ),
    ]


def _cell_metrics(readings: Sequence[Reading]) -> list[Metric]:
    drift = max(readings, key=lambda reading: reading.imbalance or 0)
    if drift.imbalance is None:
        return []
    return [
        Metric(
            "list_imbalance",
            "List imbalance, largest",
            drift.imbalance,
            "x",
            "down",
            limit=drift.rebuilt_imbalance,
            limit_label="retrained centroids",
        )
    ]


def latency_metrics(latency: Latency) -> list[Metric]:
    behind = f"One lock for readers and a writer that inserts {WRITE_BATCH} vectors at a time without a pause."
    return [
        Metric("p99_inserting_ms", "Search p99 while inserting", latency.inserting_ms, "ms", "down", measured=True, note=behind),
        Metric("p99_still_ms", "Search p99 without inserts", latency.still_ms, "ms", "down", measured=True),
    ]


# --- figures ---------------------------------------------------------------------------------------------------------


def timeline_figure(readings: Sequence[Reading], ledger: Ledger, policy: Policy, pattern: str) -> Figure:
    """Recall by day over the hourly tombstone share, as far as the readings go."""
    end, in_place = readings[-1].hour, policy.kind == "ivf_flat"
    rebuilds = [int(hour) for hour in ledger.rebuilds if hour <= end]
    days = [reading.day for reading in readings]
    oracle = [(reading.day, reading.rebuilt_recall) for reading in readings if reading.rebuilt_recall is not None]
    marked = [
        Series(
            f"Recall@{K}",
            days,
            [reading.mean_recall for reading in readings],
            colour=RECALL,
            text=[f"day {r.day:.1f}: recall {r.mean_recall:.3f}, tombstones {r.tombstone_share:.0%}" for r in readings],
        ),
        Series("Rebuilt index", [day for day, _ in oracle], [recall for _, recall in oracle], truth=True),
        Series(
            "Retraining" if in_place else "Compaction",
            [hour / HOURS for hour in rebuilds],
            [float(ledger.share[hour]) for hour in rebuilds],
            mode="markers",
            colour=COMPACTIONS,
        ),
    ]
    if pattern == "tenant" and not in_place:
        near = [(r.day, r.near_recall) for r in readings if r.near_recall is not None]
        marked.insert(1, Series("Recall near live data", [day for day, _ in near], [recall for _, recall in near], colour=NEAR))
    if not in_place:
        hours = range(end + 1)
        marked.append(
            Series("Tombstone share", [hour / HOURS for hour in hours], ledger.share[: end + 1].tolist(), mode="lines", colour=TOMBSTONES)
        )
    title, summary = _timeline_words(readings, rebuilds, in_place)
    figure = line_figure("timeline", title, summary, [series for series in marked if len(series.x)], DAY, SHARE)
    if not in_place and policy.compact_at < FAR_OFF:
        with_line(figure, label="compact at", y=policy.compact_at)
    return figure


def _timeline_words(readings: Sequence[Reading], rebuilds: Sequence[int], in_place: bool) -> tuple[str, str]:
    low, full = worst(readings), fullest(readings)
    what = "retraining" if in_place else "compaction"
    count = f"{len(rebuilds)} {what}{'' if len(rebuilds) == 1 else 's'}" if rebuilds else f"no {what}"
    title = f"Recall is never below {low.mean_recall:.3f}, with {count}"
    if not in_place:
        title = f"Tombstones reach {full.tombstone_share:.0%}, lowest recall {low.mean_recall:.3f}, with {count}"
    summary = "; ".join(f"day {r.day:.1f}: recall {r.mean_recall:.3f}, tombstone share {r.tombstone_share:.2f}" for r in readings)
    return title, f"{summary}; {count}"


def imbalance_figure(readings: Sequence[Reading]) -> Figure:
    """Of an inverted file: how uneven its lists become while the centroids stay."""
    days = [reading.day for reading in readings]
    now, fresh = [reading.imbalance for reading in readings], [reading.rebuilt_imbalance for reading in readings]
    series = [
        Series("Centroids in use", days, now, colour=RECALL),
        Series("Retrained", days, fresh, truth=True),
    ]
    title = f"Lists cost {max(v for v in now if v):.2f} times what even lists would; retrained, {fresh[-1] or 0:.2f}"
    summary = "; ".join(f"day {r.day:.1f}: {r.imbalance:.2f}, retrained {r.rebuilt_imbalance:.2f}" for r in readings)
    return line_figure("imbalance", title, summary, series, DAY, Axis("List imbalance", "x even lists"))


def sweep_figures(points: Sequence[SweepPoint], policy: Policy, pattern: str) -> list[Figure]:
    """Recall and speed against the share deleted from one index, with nothing inserted."""
    shares = [point.share for point in points]
    deleted = Axis("Deleted share", percent=True, range=(-0.02, 1.0))
    name, last = SHORT[policy.index], points[-1]
    low = min(point.recall for point in points)
    recalls = [Series("All queries", shares, [point.recall for point in points], colour=RECALL)]
    if pattern == "tenant":
        near = [(point.share, point.near_recall) for point in points if point.near_recall is not None]
        recalls.append(Series("Nearest vector alive", [share for share, _ in near], [value for _, value in near], colour=NEAR))
    speeds = [Series(name, shares, [point.speed for point in points], colour=COMPACTIONS)]
    fastest = max(1.2, 1.1 * max(point.speed for point in points))
    if policy.kind == "hnsw":
        recalls.append(_trigger(policy, low, 1.0))
        speeds.append(_trigger(policy, 0.0, fastest))
    return [
        line_figure(
            "recall_sweep",
            f"{name}: recall {last.recall:.2f} when {last.share:.0%} are deleted and nothing is rebuilt",
            "; ".join(f"{p.share:.0%} deleted: recall {p.recall:.3f}" for p in points),
            recalls,
            deleted,
            Axis(f"Recall@{K}", "share"),
        ),
        line_figure(
            "speed_sweep",
            f"{name}: throughput x {last.speed:.2f} when {last.share:.0%} are deleted",
            "; ".join(f"{p.share:.0%} deleted: {p.speed:.2g} x" for p in points),
            speeds,
            deleted,
            Axis("Throughput against no deletes", "x", range=(0, fastest)),  # from 0, so that noise looks like noise
        ),
    ]


def _trigger(policy: Policy, low: float, high: float) -> Series:
    return Series(f"Compact at {policy.compact_at:.0%}", [policy.compact_at] * 2, [low, high], mode="lines", truth=True)


# --- tables ----------------------------------------------------------------------------------------------------------


def days_table(readings: Sequence[Reading], ledger: Ledger) -> Table:
    columns = (
        "Moment (day)",
        f"Recall@{K} (share)",
        "Near live data (share)",
        "Rebuilt index (share)",
        "Tombstones (share)",
        "Throughput against rebuilt (x)",
        "Memory against live (x)",
        "Rebuilds so far (count)",
    )
    rows = tuple(
        (
            round(r.day, 2),
            round(r.mean_recall, 4),
            None if r.near_recall is None else round(r.near_recall, 4),
            None if r.rebuilt_recall is None else round(r.rebuilt_recall, 4),
            round(r.tombstone_share, 4),
            round(r.qps_ratio, 3),
            round(r.bytes_share, 3),
            int((ledger.rebuilds < r.hour).sum()),
        )
        for r in readings
    )
    return Table("days", "The worst moment of every day", columns, rows)


def sweep_table(points: Sequence[SweepPoint]) -> Table:
    columns = ("Deleted (share)", f"Recall@{K} (share)", "Nearest vector alive (share)", "Throughput against no deletes (x)")
    rows = tuple(
        (p.share, round(p.recall, 4), None if p.near_recall is None else round(p.near_recall, 4), round(p.speed, 3)) for p in points
    )
    return Table("sweep", "One index, ever more of it deleted", columns, rows)
