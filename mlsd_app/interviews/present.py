"""What the pages of an attempt show, computed once. Reads, never writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlsd_app.core.content import problem_title
from mlsd_app.interviews import presets, selectors
from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.models import Attempt, Status, Verdict

VERDICTS = {"hire": "is-good", "lean hire": "is-good", "lean no": "is-warning", "no hire": "is-bad"}


# --- the list --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttemptRow:
    attempt: Attempt
    title: str
    state: ClockState
    verdict: Verdict | None  # None: nothing the candidate may see yet

    @property
    def state_words(self) -> str:
        if self.attempt.status == Status.OPEN:
            return "Paused" if self.state.state == "paused" else "Running"
        if self.attempt.status == Status.CLOSED and not self.attempt.grading_needed:
            return self.attempt.get_reason_display()
        return str(self.attempt.get_status_display())

    @property
    def under_way(self) -> bool:
        return self.attempt.status in (Status.READY, Status.OPEN)

    @property
    def phase_title(self) -> str:
        return "" if self.state.phase_index is None else str(self.attempt.phases[self.state.phase_index]["title"])

    @property
    def minutes(self) -> float:
        return self.state.limit_s / 60

    @property
    def verdict_class(self) -> str:
        return VERDICTS.get(self.verdict.verdict, "") if self.verdict else ""


def attempt_row(attempt: Attempt, now: datetime) -> AttemptRow:
    verdict = next(iter(attempt.verdicts.all()), None) if selectors.score_visible(attempt) else None
    return AttemptRow(attempt, problem_title(attempt.problem), selectors.state_of(attempt, now), verdict)


def preset_title(key: str) -> str:
    return presets.PRESETS[key].title if key in presets.PRESETS else "Own plan"


# --- the lobby -------------------------------------------------------------------------------------------------------


def window_cut_s(attempt: Attempt, now: datetime) -> int:
    """Seconds of the limit that the end of the window would take away if the clock began at `now`."""
    limit = selectors.clock_of(attempt).limit_s
    if attempt.closes_at is None or attempt.mode == "free":
        return 0
    return max(0, round(limit - (attempt.closes_at - now).total_seconds()))


def lobby_context(attempt: Attempt, now: datetime) -> dict[str, Any]:
    clock = selectors.clock_of(attempt)
    state = selectors.state_of(attempt, now)
    return {
        "attempt": attempt,
        "title": problem_title(attempt.problem),
        "preset_title": preset_title(attempt.preset),
        "state": state,
        "phases": [{**phase, "own_s": own} for phase, own in zip(attempt.phases, clock.budgets_s, strict=True)],
        "base_s": sum(phase["budget_s"] for phase in attempt.phases),
        "limit_s": clock.limit_s,
        "cut_s": window_cut_s(attempt, now),
        "accommodations": accommodation_words(attempt),
        "pause": attempt.pause_policy,
    }


def accommodation_words(attempt: Attempt) -> list[str]:
    """What is in force for this person, in words; empty without any."""
    wishes, break_s = attempt.accommodation, attempt.pause_policy.get("break_s") or 0
    said = [
        (attempt.multiplier != 1.0, f"{attempt.multiplier:g} times the usual time."),
        (attempt.extra_s > 0, f"{attempt.extra_s / 60:g} more minutes, spread over all phases."),
        (break_s > 0, f"Breaks of {break_s / 60:g} minutes in all, in which the clock stands."),
        (bool(wishes.get("hide_timer")), "The timer starts hidden."),
        (bool(wishes.get("no_low_time_alerts")), "No announcements when time runs low."),
        (bool(wishes.get("reduced_motion")), "Reduced motion."),
    ]
    return [words for holds, words in said if holds]
