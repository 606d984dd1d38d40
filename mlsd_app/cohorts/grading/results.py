"""Results: kept up to date, let out to learners, overridden with a reason; and what staff decide about abandoned and late work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.grading.outcomes import GRADED, NOTHING, Outcome, outcomes_of
from mlsd_app.cohorts.grading.tasks_made import tasks_make
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Label, Result
from mlsd_app.cohorts.policies import policy_for
from mlsd_app.interviews.grading import attempt_release
from mlsd_app.interviews.models import Answer, Attempt, Reason, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.staff_ops import late_accept
from simulators.errors import InvalidInput

MOST_REASON = 1_000


def reason_checked(reason: str) -> str:
    reason = reason.replace("\0", "").strip()
    if not 1 <= len(reason) <= MOST_REASON:
        raise InvalidInput(f"A reason of 1 to {MOST_REASON} characters is needed; it has {len(reason)}.", field="reason")
    return reason


# --- keeping them up to date -----------------------------------------------------------------------------------------


def results_refresh(*, assignment: Assignment, now: datetime, user: User | None = None) -> dict[int, Result]:
    """{user id: result} of everybody with a try, written anew where something differs. Releases and overrides stay as they are."""
    outcomes = outcomes_of(assignment=assignment, now=now, user=user)
    stored = {row.user_id: row for row in Result.objects.filter(assignment=assignment, **({"user": user} if user else {}))}
    for gone in stored.keys() - outcomes.keys():  # the only try was voided, or reopened
        outcomes[gone] = NOTHING
    return {user_id: _written(assignment, user_id, found, stored.get(user_id)) for user_id, found in outcomes.items()}


def _written(assignment: Assignment, user_id: int, found: Outcome, row: Result | None) -> Result:
    values: dict[str, Any] = {
        "counted_id": found.counted.pk if found.counted else None,
        "state": found.state,
        "score": None if found.score is None else round(found.score, 4),
        "graded_weight": round(found.graded_weight, 4),
        "verdict": found.verdict,
        "late_credit": round(found.late_credit, 6),
    }
    if row is None:
        return Result.objects.get_or_create(assignment=assignment, user_id=user_id, defaults=values)[0]
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.save(update_fields=[*(name.removesuffix("_id") for name in changed), "updated_at"])
    return row


def final_score(result: Result) -> float | None:
    """What counts: the override where there is one, else the score with its late credit. 0 to 100."""
    if result.override_score is not None:
        return result.override_score
    return None if result.score is None else result.score * result.late_credit


def grading_catch_up(*, now: datetime, assignment: Assignment | None = None) -> int:
    """Takes what has come in into the queue and into the results; how many tries."""
    made = tasks_make(now=now, assignment=assignment)
    for row in made:
        results_refresh(assignment=row.assignment, now=now, user=row.user)
    return len(made)


# --- letting them out ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Release:
    released: int  # learners
    partly: int  # of these, not wholly graded


def people_of(assignment: Assignment, labels: Sequence[Label]) -> QuerySet[User] | None:
    """Members with one of the labels; None: all."""
    if not labels:
        return None
    return User.objects.filter(memberships__cohort=assignment.cohort_id, memberships__labels__in=labels).distinct()


@transaction.atomic
def results_release(
    *, by: By | None, assignment: Assignment, now: datetime, people: Iterable[User] | None = None, partly: bool = False
) -> Release:
    """Opens results and interviews to their learners, all at once. `people` None: everybody; `by` None: the assignment's own rule.

    Refused `ungraded` (409, with how many) while something waits for a person, unless `partly`: learners then read that it is partly
    graded, and see the rest as it comes. Whoever was let out before stays so.
    """
    row = Assignment.objects.select_for_update(of=("self",)).select_related("cohort").get(pk=assignment.pk)
    grading_catch_up(now=now, assignment=row)
    wanted = None if people is None else {person.pk for person in people}
    unreleased = set(row.attempts.filter(attempt__status=Status.GRADED).values_list("user", flat=True))
    results = [found for user, found in results_refresh(assignment=row, now=now).items() if wanted is None or user in wanted]
    due = [found for found in results if found.released_at is None or found.user_id in unreleased]
    fresh = [found for found in due if found.state != "ungraded"]
    waiting = sum(found.state != GRADED and (found.counted_id or found.score) is not None for found in due)
    if waiting and not partly:
        who = "1 learner's work is" if waiting == 1 else f"The work of {waiting} learners is"
        raise Refused("ungraded", f"{who} not wholly graded. Finish grading, or release as partly graded.", 409, {"waiting": waiting})
    for found in fresh:
        _let_out(row, found, by.user if by else None, now)
    outcome = Release(len(fresh), sum(found.state != GRADED for found in fresh))
    if fresh:
        after = {"released": [found.pk for found in fresh], "partly": outcome.partly}
        audited(by=by, action="result.release", thing=row, cohort=row.cohort, now=now, after=after)
    return outcome


def _let_out(assignment: Assignment, result: Result, actor: User | None, now: datetime) -> None:
    """With the visibility that the assignment has now."""
    result.released_at = result.released_at or now
    result.seen_at = None
    result.save(update_fields=["released_at", "seen_at", "updated_at"])
    tries = AssignedAttempt.objects.filter(assignment=assignment, user=result.user_id, attempt__status=Status.GRADED)
    for row in tries.select_related("attempt"):
        assert row.attempt is not None
        switches = {"show_questions": assignment.show_questions, "show_score": assignment.show_score}
        Attempt.objects.filter(pk=row.attempt.pk).update(**switches)
        attempt_release(attempt=row.attempt, actor=actor, now=now)


def releases_due(*, now: datetime) -> int:
    """Lets out what an assignment shows at once, or once it is due, as soon as the rules have marked it; how many results."""
    count = 0
    for assignment in Assignment.objects.filter(show_when__in=["at_once", "due"], published_at__isnull=False).select_related("cohort"):
        graded = assignment.attempts.filter(attempt__status=Status.GRADED)
        quizzes = assignment.attempts.filter(sitting__closed_at__isnull=False)
        alone = assignment.attempts.filter(finished_at__isnull=False)
        out = assignment.results.filter(released_at__isnull=False).values("user")
        waiting = graded | (quizzes | alone).exclude(user__in=out)
        people = [row.user for row in waiting.select_related("user") if _is_time(assignment, row.user, now)]
        if people:
            count += results_release(by=None, assignment=assignment, now=now, people=people, partly=True).released
    return count


def _is_time(assignment: Assignment, user: User, now: datetime) -> bool:
    if assignment.show_when == "at_once":
        return True
    due_at = policy_for(assignment=assignment, user=user, now=now).due_at
    return due_at is None or due_at <= now


# --- decisions -------------------------------------------------------------------------------------------------------


@transaction.atomic
def result_override(*, by: By, result: Result, score: float | None, reason: str, now: datetime) -> Result:
    """Sets what counts instead of the computed score, which goes on being kept; None takes that back. Always with a reason."""
    reason = reason_checked(reason)
    if score is not None and not 0 <= score <= 100:
        raise InvalidInput(f"{score:g} was given; a score goes from 0 to 100.", field="score")
    row = Result.objects.select_for_update(of=("self",)).select_related("assignment__cohort").get(pk=result.pk)
    before = {"override_score": row.override_score}
    row.override_score, row.override_reason, row.overridden_by = score, reason, by.user
    row.seen_at = None  # the learner is told again
    row.save()
    after = {"override_score": score}
    audited(by=by, action="result.override", thing=row, cohort=row.assignment.cohort, now=now, before=before, after=after, reason=reason)
    return row


def undecided(assignment: Assignment) -> QuerySet[AssignedAttempt]:
    """Tries that staff may let be graded: abandoned ones, and those with text that came too late."""
    late = Answer.objects.exclude(late_content="").values("attempt")
    over = AssignedAttempt.objects.filter(assignment=assignment, attempt__accepted_late=False).select_related("attempt")
    return over.filter(attempt__status=Status.CLOSED, attempt__reason=Reason.ABANDONED) | over.filter(
        attempt__status__in=[Status.CLOSED, Status.GRADED], attempt__in=late
    )


@transaction.atomic
def try_accept(*, by: By, row: AssignedAttempt, reason: str, now: datetime) -> AssignedAttempt:
    """Has an abandoned try, or text that came after the end, graded after all. Refused once the result is out."""
    attempt = row.attempt
    if attempt is None:
        raise InvalidInput("Only interviews can be accepted late.", field="try")
    reason = reason_checked(reason)
    late_accept(attempt=attempt, actor=by.user, reason=reason, now=now)
    audited(by=by, action="try.accept", thing=row, cohort=row.assignment.cohort, now=now, after={"accepted_late": True}, reason=reason)
    row.refresh_from_db()
    return row


def result_seen(*, user: User, assignment: Assignment, now: datetime) -> None:
    """The learner has opened what was let out: the notice goes."""
    Result.objects.filter(assignment=assignment, user=user, released_at__isnull=False, seen_at=None).update(seen_at=now)


def news_for(user: User) -> QuerySet[Result]:
    """Results that were let out and not opened yet."""
    return Result.objects.filter(user_id=user.pk, released_at__isnull=False, seen_at=None).select_related("assignment")
