"""Marks for what was measured: runs that were pinned, and curveballs that were thrown."""

from __future__ import annotations

from mlsd_app.interviews.scoring.marks import Evidence, Mark, mark, not_shown, ungraded
from mlsd_app.interviews.scoring.sheet import RunRecord, Sheet, Thrown, run_evidence
from problems.conditions import holds
from problems.interview_schema import RubricItem

AT_THE_END = 0.5  # of the points, for a recovery at the last moment


def grade_run(item: RubricItem, sheet: Sheet) -> Mark:
    """Full points when a pinned run meets one of the conditions over its metrics and parameters."""
    met = [run for run in sheet.runs if run.pinned and any(holds(need, run.values) for need in item.needs)]
    if met:
        return mark(item.points, "A pinned run meets it.", [run_evidence(run) for run in met])
    unpinned = [run for run in sheet.runs if any(holds(need, run.values) for need in item.needs)]
    if unpinned:
        return not_shown(f"Run {unpinned[0].number} meets it but was not pinned: only pinned runs are evidence.")
    return not_shown("No pinned run meets it.")


def grade_curveball(item: RubricItem, sheet: Sheet) -> Mark:
    """The best of the listed curveballs that were thrown. None thrown, or none that runs on a lab: a rule cannot say."""
    thrown = [ball for ball in sheet.curveballs if ball.key in item.needs]
    if not thrown:
        return ungraded("None of its events came up in this interview.")
    played = [ball for ball in thrown if ball.lab]
    if not played:
        return ungraded("The event was argued, not run: judged by a person.")
    best = max(played, key=lambda ball: share_of(ball, sheet.end_ms))
    if best.state != "recovered":
        return not_shown("The design had not recovered by the end.")
    return mark(item.points * share_of(best, sheet.end_ms), _words(best), _evidence(best, sheet))


def share_of(ball: Thrown, end_ms: int) -> float:
    """1 for a recovery within the time given, falling in a line to a half at the end; 0 when it never came."""
    if ball.state != "recovered" or ball.recovered_ms is None:
        return 0.0
    full_until = ball.active_ms + ball.within_ms
    late = (ball.recovered_ms - full_until) / max(end_ms - full_until, 1.0)
    return 1.0 - (1.0 - AT_THE_END) * min(max(late, 0.0), 1.0)


def in_time(ball: Thrown) -> bool:
    return ball.state == "recovered" and ball.recovered_ms is not None and ball.recovered_ms <= ball.active_ms + ball.within_ms


def _words(ball: Thrown) -> str:
    runs = "1 run" if ball.runs_used == 1 else f"{ball.runs_used} runs"
    return f"Recovered {'in time' if in_time(ball) else 'late'}, with {runs}."


def _evidence(ball: Thrown, sheet: Sheet) -> list[Evidence]:
    run: RunRecord | None = next((run for run in sheet.runs if run.number == ball.recovery_run), None)
    if run:
        return [run_evidence(run, f"{ball.text} Run {run.number} recovered.")]
    return [{"kind": "event", "ref": f"curveball/{ball.key}", "text": ball.text[:300], "active_ms": ball.recovered_ms or ball.active_ms}]
