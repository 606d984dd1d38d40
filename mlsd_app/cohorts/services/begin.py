"""A learner begins what was assigned: the rules that hold at that moment are frozen on the try."""

from __future__ import annotations

import hashlib
import random
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.kinds import MockSettings, QuizSettings, problem_named
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Kind, Membership
from mlsd_app.cohorts.policies import policy_for
from mlsd_app.cohorts.policy import Resolved, window_refusal
from mlsd_app.interviews.lifecycle import attempt_create
from mlsd_app.interviews.models import LIVE, Attempt, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.quiz.bank import items_of
from mlsd_app.quiz.models import Sitting, SittingKind, SittingStatus
from mlsd_app.quiz.sittings import sitting_create

PAUSE_CAP_S = 180


def tries_of(*, user: User, assignment: Assignment) -> list[AssignedAttempt]:
    """The learner's tries, first to last. Void ones are among them and count for nothing."""
    return list(assignment.attempts.filter(user=user).select_related("attempt", "sitting").order_by("number"))


def is_open(row: AssignedAttempt) -> bool:
    """Still to be worked on."""
    if row.attempt is not None:
        return row.attempt.status in LIVE
    if row.sitting is not None:
        return row.sitting.status == SittingStatus.OPEN
    return row.finished_at is None


def counts_as_try(row: AssignedAttempt) -> bool:
    return row.attempt is None or row.attempt.status != Status.VOID


def begin_refusal(*, user: User, assignment: Assignment, policy: Resolved, tries: list[AssignedAttempt], now: datetime) -> Refused | None:
    """Why the learner cannot begin now; None when nothing is in the way."""
    if assignment.cohort.archived_at is not None:
        return Refused("archived", "This cohort is archived; nothing new can be begun in it.", 403)
    if words := window_refusal(now=now, opens_at=policy.opens_at, closes_at=policy.closes_at):
        return Refused("window", words, 403, {"opens_at": policy.opens_at, "closes_at": policy.closes_at})
    used = sum(counts_as_try(row) for row in tries)
    if used >= policy.attempts:
        return Refused("no_attempts_left", f"You have used {used} of {policy.attempts} tries.", 403)
    return None


def assignment_begin(*, user: User, assignment: Assignment, now: datetime) -> AssignedAttempt:
    """The learner's open try if there is one, else a new one. Refused outside the window and without tries left."""
    with transaction.atomic():
        Membership.objects.select_for_update().get(cohort=assignment.cohort_id, user=user)  # two tabs at once begin one try
        tries = tries_of(user=user, assignment=assignment)
        if current := next((row for row in reversed(tries) if is_open(row)), None):
            return current
        policy = policy_for(assignment=assignment, user=user, now=now)
        if refusal := begin_refusal(user=user, assignment=assignment, policy=policy, tries=tries, now=now):
            raise refusal
        made = AssignedAttempt(
            assignment=assignment,
            user=user,
            number=tries[-1].number + 1 if tries else 1,
            version=assignment.version,
            policy=_frozen(policy),
            begun_at=now,
        )
        if assignment.kind == Kind.MOCK:
            made.attempt = _mock(user, assignment, policy, now)
        elif assignment.kind == Kind.QUIZ:
            made.sitting = _quiz(user, assignment, policy, made.number, now)
        made.save(force_insert=True)
        _note_begun(made, now)
    return made


def _note_begun(made: AssignedAttempt, now: datetime) -> None:
    after = {"assignment": made.assignment_id, "number": made.number, "version": made.version}
    audited(by=By(made.user), action="assignment.begin", thing=made, cohort=made.assignment.cohort, now=now, after=after)


def _frozen(policy: Resolved) -> dict[str, Any]:
    values = asdict(policy)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def shared_seed(assignment: Assignment) -> int:
    """The seed of everything that is to be the same for all."""
    return int.from_bytes(hashlib.sha256(assignment.salt.encode()).digest()[:4], "big") % 2**31


def _mock(user: User, assignment: Assignment, policy: Resolved, now: datetime) -> Attempt:
    settings = MockSettings.model_validate(assignment.settings)
    custom = settings.preset == "custom"
    pauses = {"count": settings.pauses, "cap_s": PAUSE_CAP_S if settings.pauses else None, "hide_text": True, "break_s": policy.break_s}
    return attempt_create(
        user=user,
        problem=problem_named(assignment.problem),
        now=now,
        preset=settings.preset,
        phases=settings.plan() if custom else None,
        total_s=settings.total_min * 60 if settings.total_min and not custom else None,
        mode=settings.mode,
        show=settings.show,
        level=settings.level,
        seed=shared_seed(assignment) if settings.facts_seed == "same" else None,
        kind="assigned",
        board=f"cohort:{assignment.cohort_id}",
        multiplier=policy.multiplier,
        extra_s=policy.extra_s,
        pause_policy=pauses,
        overdue_policy=settings.overdue,
        accommodation=policy.flags(),
        opens_at=policy.opens_at,
        closes_at=policy.closes_at,
        curveballs=settings.curveballs,
        show_questions=assignment.show_questions,
        show_score=assignment.show_score,
    )


def _quiz(user: User, assignment: Assignment, policy: Resolved, number: int, now: datetime) -> Sitting:
    settings = QuizSettings.model_validate(assignment.settings)
    seed = shared_seed(assignment) if settings.draw == "same" else random.SystemRandom().randrange(2**31)
    return sitting_create(
        user=user,
        kind=SittingKind.ASSIGNED,
        keys=[(assignment.problem, item) for item in quiz_items(assignment.problem, settings, seed)],
        now=now,
        seed=seed,
        schedules=False,
        feedback=settings.feedback,
        problem_slug=assignment.problem,
        limit_s=settings.limit_min * 60 if settings.limit_min else None,
        multiplier=policy.multiplier,
        extra_s=policy.extra_s,
        closes_at=policy.closes_at,
    )


def quiz_items(problem: str, settings: QuizSettings, seed: int) -> list[str]:
    """The ids that are asked, in order: those listed, else a draw. Items that left the bank since are left out."""
    known = [entry.item.id for entry in items_of(problem)]
    if settings.items:
        return [item for item in settings.items if item in known]
    return random.Random(seed).sample(known, min(settings.count, len(known)))  # noqa: S311 - a draw, no secret


@transaction.atomic
def assignment_hand_in(*, user: User, row: AssignedAttempt, now: datetime) -> AssignedAttempt:
    """Closes a try that has neither an interview nor a quiz: those are handed in where they are worked on."""
    mine = AssignedAttempt.objects.select_for_update(of=("self",)).get(pk=row.pk, user=user)
    if mine.attempt_id or mine.sitting_id:
        raise Refused("wrong_state", "Hand this in on its own page.", 409)
    if mine.finished_at is None:
        mine.finished_at = now
        mine.save(update_fields=["finished_at"])
        audited(by=By(user), action="assignment.hand_in", thing=mine, cohort=mine.assignment.cohort, now=now, after={"finished_at": now})
    return mine


def tries_close(*, now: datetime) -> int:
    """Hands in tries at challenges and predictions whose window has closed for their learner, as of then; how many."""
    open_rows = AssignedAttempt.objects.filter(finished_at=None, assignment__kind__in=(Kind.CHALLENGE, Kind.PREDICTION))
    count = 0
    for row in open_rows.select_related("assignment__cohort", "user"):
        closes_at = policy_for(assignment=row.assignment, user=row.user, now=now).closes_at
        if closes_at is not None and closes_at <= now:
            count += _try_close(row, closes_at, now)
    return count


@transaction.atomic
def _try_close(row: AssignedAttempt, closes_at: datetime, now: datetime) -> bool:
    """False when it was handed in meanwhile."""
    closed = AssignedAttempt.objects.filter(pk=row.pk, finished_at=None).update(finished_at=closes_at) > 0
    if closed:
        after = {"finished_at": closes_at}
        audited(by=None, action="assignment.close", thing=row, cohort=row.assignment.cohort, now=now, after=after)
    return closed
