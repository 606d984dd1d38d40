"""A try at a challenge: designs submitted in it, what they come to, and when its secret seeds may be told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlsd_app.challenges.models import ACTIVE, Submission, Verdict
from mlsd_app.challenges.selectors import best_of
from mlsd_app.challenges.services import seeds_of, submission_start
from mlsd_app.cohorts.kinds import ChallengeSettings, lab_of, problem_named
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, TrySubmission
from mlsd_app.cohorts.policies import policy_for
from mlsd_app.cohorts.policy import window_refusal
from mlsd_app.interviews.refusals import Refused
from simulators.challenge import challenge_of
from simulators.lab import Challenge, Lab


def scope_of(assignment: Assignment) -> str:
    """Everybody in one assignment meets the same secret seeds."""
    return f"assignment:{assignment.pk}"


def settings_of(assignment: Assignment) -> ChallengeSettings:
    return ChallengeSettings.model_validate(assignment.settings)


def task_of(assignment: Assignment) -> tuple[type[Lab], Challenge]:
    """Raises InvalidInput where lab or challenge is gone."""
    settings = settings_of(assignment)
    lab = lab_of(problem_named(assignment.problem), settings.lab)
    return lab, challenge_of(lab, settings.challenge)


def closed_because(row: AssignedAttempt, now: datetime) -> str:
    """Why nothing can be submitted in this try; "" when it can."""
    if row.finished_at is not None:
        return "This try is handed in."
    policy = policy_for(assignment=row.assignment, user=row.user, now=now)
    return window_refusal(now=now, opens_at=None, closes_at=policy.closes_at)


def design_submit(*, row: AssignedAttempt, design: Mapping[str, Any], now: datetime) -> Submission:
    """Raises as `submission_start`, and Refused once the try or the window is closed."""
    if words := closed_because(row, now):
        raise Refused("closed", words, 403)
    lab, challenge = task_of(row.assignment)
    made = submission_start(
        user=row.user,
        lab=lab,
        challenge=challenge,
        design=design,
        now=now,
        scope=scope_of(row.assignment),
        most=settings_of(row.assignment).submissions,
    )
    TrySubmission.objects.get_or_create(assigned=row, submission=made)
    return made


def submissions_in(row: AssignedAttempt) -> list[Submission]:
    """Newest first."""
    return list(Submission.objects.filter(tries__assigned=row))


def outcome_of(submissions: list[Submission]) -> tuple[float | None, str, int]:
    """(score of 100 or None, verdict in words, how many are still being judged). A pass is all, a fail nothing; no design is nothing.

    While one is being judged a pass counts already, and less than that waits.
    """
    waiting = sum(row.state in ACTIVE for row in submissions)
    best = best_of(submissions)
    if best is not None and best.verdict in (Verdict.PASS, Verdict.NARROW_PASS):
        return 100.0, "pass" if best.verdict == Verdict.PASS else "narrow pass", 0
    if waiting:
        return None, "", waiting
    if best is None:
        return 0.0, "no design judged", 0
    held = best.grade["assertions"]
    return 0.0, f"fail, {sum(item['passed'] for item in held)} of {len(held)} held", 0


# --- what staff see ----------------------------------------------------------------------------------------------------


def secret_seeds(assignment: Assignment, now: datetime) -> list[int]:
    """The ten that decide, once nobody can submit any more; [] before."""
    ends = [assignment.closes_at]
    for override in assignment.overrides.all():
        ends += [datetime.fromisoformat(override.fields[name]) for name in ("closes_at", "due_at") if override.fields.get(name)]
    known = [end for end in ends if end is not None]
    if assignment.closes_at is None or max(known) > now:
        return []
    lab, challenge = task_of(assignment)
    asked = Submission(
        problem=lab.problem, lab=lab.slug, challenge=challenge.slug, lab_version=lab.version, scope=scope_of(assignment), design_hash=""
    )
    return seeds_of(asked, 2)


def submitted_rows(rows: list[AssignedAttempt]) -> list[tuple[AssignedAttempt, list[Submission]]]:
    """(try, its submissions) of the tries given, which the caller has read as somebody."""
    found: dict[int, list[Submission]] = {row.pk: [] for row in rows}
    for link in TrySubmission.objects.filter(assigned__in=found).select_related("submission").order_by("-submission__queued_at"):
        found[link.assigned_id].append(link.submission)
    return [(row, found[row.pk]) for row in rows]
