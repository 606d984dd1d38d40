"""An assignment as its learner sees it: what holds, what was tried, where the work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.kinds import (
    MODELS,
    ChallengeSettings,
    MockSettings,
    PredictionSettings,
    QuizSettings,
    ReadingSettings,
    Settings,
    problem_named,
)
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Kind, Result
from mlsd_app.cohorts.panel import assignment_state
from mlsd_app.cohorts.policies import policy_for
from mlsd_app.cohorts.policy import Resolved
from mlsd_app.cohorts.rules import finished
from mlsd_app.cohorts.selectors import assignments_for, results_visible_to
from mlsd_app.cohorts.services.begin import begin_refusal, counts_as_try, is_open, tries_of
from mlsd_app.interviews.models import Status
from mlsd_app.interviews.presets import PRESETS
from problems.schema import Problem
from simulators.registry import labs_of


@dataclass(frozen=True)
class TryRow:
    row: AssignedAttempt
    state: str  # in words
    url: str  # where it goes on, or where it can be read; "" for neither


@dataclass(frozen=True)
class Work:
    """One assignment for one learner. `refusal` says why nothing can be begun; `current` is the try that is under way."""

    assignment: Assignment
    problem: Problem
    policy: Resolved
    tries: list[TryRow]
    current: TryRow | None
    refusal: str
    left: int
    facts: list[tuple[str, str]]
    links: list[tuple[str, str]]
    result: Result | None

    @property
    def done(self) -> bool:
        return any(finished(item.row) for item in self.tries)


def work_of(*, user: User, assignment: Assignment, now: datetime) -> Work:
    policy = policy_for(assignment=assignment, user=user, now=now)
    rows = tries_of(user=user, assignment=assignment)
    refusal = begin_refusal(user=user, assignment=assignment, policy=policy, tries=rows, now=now)
    settings, problem = settings_of(assignment), problem_named(assignment.problem)
    tries = [TryRow(row, state_words(row), url_of(row)) for row in rows]
    return Work(
        assignment=assignment,
        problem=problem,
        policy=policy,
        tries=tries,
        current=next((item for item in reversed(tries) if is_open(item.row)), None),
        refusal=refusal.message if refusal else "",
        left=max(0, policy.attempts - sum(counts_as_try(row) for row in rows)),
        facts=facts_of(settings, policy),
        links=links_of(settings, problem),
        result=results_visible_to(user).filter(assignment=assignment, user=user).first(),
    )


def settings_of(assignment: Assignment) -> Settings:
    return MODELS[assignment.kind].model_validate(assignment.settings)


@dataclass(frozen=True)
class LearnerRow:
    work: Work
    state: str  # of the assignment by this learner's own dates


def learner_rows(*, user: User, cohort: Cohort, now: datetime) -> list[LearnerRow]:
    """What is assigned to this learner: open first, then by due date."""
    found = [work_of(user=user, assignment=row, now=now) for row in assignments_for(user).filter(cohort=cohort).select_related("cohort")]
    rows = [LearnerRow(work, _own_state(work, now)) for work in found]
    order = ["open", "due", "scheduled", "closed"]
    return sorted(rows, key=lambda row: (order.index(row.state), row.work.policy.due_at is None, row.work.policy.due_at or now))


def _own_state(work: Work, now: datetime) -> str:
    own, policy = work.assignment, work.policy
    dated = Assignment(published_at=own.published_at, opens_at=policy.opens_at, due_at=policy.due_at, closes_at=policy.closes_at)
    return assignment_state(dated, now)


# --- tries -----------------------------------------------------------------------------------------------------------


def state_words(row: AssignedAttempt) -> str:
    if row.attempt is not None:
        return Status(row.attempt.status).label
    if is_open(row):
        return "Under way"
    return "Closed" if row.sitting is not None else "Handed in"


def url_of(row: AssignedAttempt) -> str:
    """The page of a try for the one whose it is."""
    if row.attempt is not None:
        pages = {Status.READY: "interviews:lobby", Status.OPEN: "interviews:room"}
        return reverse(pages.get(Status(row.attempt.status), "interviews:debrief"), args=[row.attempt_id])
    if row.sitting is not None:
        return reverse("quiz:session" if is_open(row) else "quiz:done", args=[row.sitting_id])
    if row.assignment.kind == Kind.CHALLENGE:
        return reverse("cohorts:try_challenge", args=[row.assignment.cohort_id, row.assignment_id, row.pk])
    return ""


# --- what a kind says of itself --------------------------------------------------------------------------------------


def facts_of(settings: Settings, policy: Resolved) -> list[tuple[str, str]]:
    """(what, words), with the person's own time worked in."""
    match settings:
        case MockSettings():
            return _mock_facts(settings, policy)
        case QuizSettings():
            count = len(settings.items) or settings.count
            limit = _minutes(settings.limit_min * 60, policy) if settings.limit_min else "no limit"
            return [("Questions", str(count)), ("Time", limit), ("Answers", "after each question" if settings.feedback else "at the end")]
        case ChallengeSettings():
            return [("Designs", f"up to {settings.submissions}, judged on secret seeds that are the same for everybody")]
        case PredictionSettings():
            return [("Foretell", f"{len(settings.metrics)} figure{'s' if len(settings.metrics) > 1 else ''}, as 80 % intervals")]
        case _:
            return []


def _mock_facts(settings: MockSettings, policy: Resolved) -> list[tuple[str, str]]:
    plan = settings.plan()
    pacing = PRESETS[settings.preset].title if settings.preset in PRESETS else "Own phases"
    modes = {"soft": "free to move between phases", "strict": "phases end by themselves", "free": "no limit"}
    ends = {"autosubmit": "handed in", "grace": "two more minutes, marked late", "abandon": "closed without grading"}
    pauses = f"{settings.pauses} of at most three minutes" if settings.pauses else "only by staff"
    time = "no limit" if settings.mode == "free" else _minutes(sum(phase["budget_s"] for phase in plan), policy)
    return [
        ("Time", time),
        ("Phases", f"{pacing}; {modes[settings.mode]}"),
        ("Level", settings.level.capitalize()),
        ("Hints", "shown at once" if settings.show == "study" else "none until the debrief"),
        ("Pauses", pauses),
        ("When time is up", ends[settings.overdue]),
    ]


def _minutes(seconds: int, policy: Resolved) -> str:
    return f"{(round(seconds * policy.multiplier) + policy.extra_s) / 60:g} minutes"


def links_of(settings: Settings, problem: Problem) -> list[tuple[str, str]]:
    """(title, address) of where the work is done, for the kinds without a room of their own."""
    match settings:
        case ChallengeSettings():
            return [(_lab_title(problem, settings.lab), reverse("runs:lab", args=[problem.slug, settings.lab]))]
        case ReadingSettings():
            wanted = settings.phases or [phase.key for phase in problem.phases]
            phases = [phase for phase in problem.phases if phase.key in wanted]
            return [(phase.title, reverse("catalog:phase", args=[problem.slug, phase.key])) for phase in phases]
        case _:
            return []


def _lab_title(problem: Problem, slug: str) -> str:
    return next((lab.title for lab in labs_of(problem.slug) if lab.slug == slug), slug)


def sources_shown(policy: Resolved) -> Sequence[tuple[str, str]]:
    """(field in words, where it came from) of what is not the assignment's own."""
    words: Mapping[str, str] = {
        "opens_at": "Opens",
        "due_at": "Due",
        "closes_at": "Closes",
        "attempts": "Tries",
        "multiplier": "Time",
        "extra_s": "Extra time",
        "break_s": "Breaks",
    }
    sources = policy.sources or {}
    return [(words[name], source) for name, source in sources.items() if name in words and source != "the assignment"]
