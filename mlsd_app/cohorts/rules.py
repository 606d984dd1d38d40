"""Who may do what, as one predicate an action. `selectors.py` says the same as querysets, and a test holds the two together.

Ask with `may(user, "edit_cohort", cohort)`. `user.has_perm("cohorts.edit_cohort", cohort)` answers the same, except that Django says
yes to a superuser before it asks anybody, and nobody, superusers included, may grade their own work or give themselves time.

Site staff count as owner of every cohort. A person who was removed has no role; what people wrote themselves stays visible to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rules

from mlsd_app.accounts.models import User
from mlsd_app.challenges.models import Submission
from mlsd_app.cohorts.models import (
    Accommodation,
    AssignedAttempt,
    Assignment,
    Audit,
    Cohort,
    Export,
    Membership,
    Note,
    Result,
    Role,
    Task,
)
from mlsd_app.interviews.models import LIVE, Attempt
from mlsd_app.interviews.models import Status as AttemptStatus
from mlsd_app.quiz.models import Response
from mlsd_app.runs.models import Run

OWNER = frozenset({Role.OWNER})
MANAGERS = OWNER | {Role.INSTRUCTOR}
WATCHERS = MANAGERS | {Role.OBSERVER}
GRADERS = MANAGERS | {Role.GRADER}
STAFF = WATCHERS | GRADERS
EVERYONE = STAFF | {Role.LEARNER}


def predicate(check: Callable[..., bool]) -> Any:
    """`rules.predicate`, which carries no types: combined with & | ~, tested with (user, thing)."""
    return rules.predicate(check)


def may(user: User, action: str, thing: object) -> bool:
    """Raises KeyError for an action there is no rule for: a misspelt one must not pass for a refusal."""
    return bool(PERMISSIONS[action].test(user, thing))


# --- who somebody is -------------------------------------------------------------------------------------------------


def role_in(*, user: User, cohort_id: int) -> Role | None:
    """The role by membership; None for strangers and removed members, and for site staff who are no member."""
    found = Membership.objects.filter(user_id=user.pk, cohort_id=cohort_id, removed_at=None).values_list("role", flat=True).first()
    return Role(found) if found else None


def cohort_id_of(thing: Any) -> int | None:
    """The cohort a thing belongs to; None for one that belongs to none."""
    match thing:
        case Cohort():
            return thing.pk
        case Membership() | Accommodation() | Assignment() | Audit() | Export():
            return thing.cohort_id
        case AssignedAttempt() | Result():
            return thing.assignment.cohort_id
        case Task():
            return thing.assigned.assignment.cohort_id
        case _:
            return None


def _has_role(user: User, thing: Any, roles: frozenset[Role]) -> bool:
    cohort_id = cohort_id_of(thing)
    if cohort_id is None:
        return False
    return user.is_staff and Role.OWNER in roles or role_in(user=user, cohort_id=cohort_id) in roles


def _in_role(roles: frozenset[Role]) -> Any:
    @predicate
    def check(user: User, thing: Any) -> bool:
        return _has_role(user, thing, roles)

    return check


is_owner = _in_role(OWNER)
is_manager = _in_role(MANAGERS)
is_watcher = _in_role(WATCHERS)
is_grader = _in_role(GRADERS)
is_cohort_staff = _in_role(STAFF)
is_member = _in_role(EVERYONE)


@predicate
def is_own(user: User, thing: Any) -> bool:
    """The row is about, or belongs to, this person."""
    return thing is not None and thing.user_id == user.pk


# --- people ----------------------------------------------------------------------------------------------------------


@predicate
def is_present(user: User, membership: Membership | None) -> bool:
    return membership is not None and membership.removed_at is None


@predicate
def is_learner_row(user: User, membership: Membership | None) -> bool:
    return membership is not None and membership.role == Role.LEARNER


@predicate
def is_owner_row(user: User, membership: Membership | None) -> bool:
    return membership is not None and membership.role == Role.OWNER


@predicate
def is_learner_himself(user: User, accommodation: Accommodation | None) -> bool:
    if accommodation is None or accommodation.user_id != user.pk:
        return False
    return role_in(user=user, cohort_id=accommodation.cohort_id) == Role.LEARNER


# --- assignments -----------------------------------------------------------------------------------------------------


@predicate
def is_assigned(user: User, assignment: Assignment | None) -> bool:
    """A learner of the cohort to whom the assignment is published."""
    if assignment is None or assignment.published_at is None or assignment.archived_at is not None:
        return False
    found = Membership.objects.filter(user_id=user.pk, cohort_id=assignment.cohort_id, removed_at=None, role=Role.LEARNER).first()
    if found is None:
        return False
    return (
        assignment.everyone or assignment.people.filter(pk=found.pk).exists() or assignment.group_labels.filter(memberships=found).exists()
    )


@predicate
def has_finished(user: User, assignment: Assignment | None) -> bool:
    """Has handed something in: then others' results say nothing about one's own any more."""
    if assignment is None:
        return False
    mine = AssignedAttempt.objects.filter(assignment=assignment, user_id=user.pk).select_related("attempt", "sitting")
    return any(finished(row) for row in mine)


def finished(row: AssignedAttempt) -> bool:
    if row.attempt is not None:
        return row.attempt.closed_at is not None and row.attempt.status not in LIVE
    return (row.sitting.closed_at if row.sitting else row.finished_at) is not None


# --- attempts and what hangs on them ---------------------------------------------------------------------------------


def assigned_of(thing: Any) -> AssignedAttempt | None:
    """The try at an assignment to which an attempt, a sitting's answer, a run or a task belongs."""
    rows = AssignedAttempt.objects.select_related("assignment")
    match thing:
        case AssignedAttempt():
            return thing
        case Task():
            return thing.assigned
        case Attempt():
            return rows.filter(attempt=thing).first()
        case Note():
            return rows.filter(attempt=thing.attempt_id).first()
        case Response():
            return rows.filter(sitting=thing.sitting_id).first()
        case Run():
            return rows.filter(attempt__runlinks__run=thing).first()
        case Submission():
            return rows.filter(designs__submission=thing).first()
        case _:
            return None


def _of_assigned(roles: frozenset[Role], *, only_present: bool = False) -> Any:
    @predicate
    def check(user: User, thing: Any) -> bool:
        row = assigned_of(thing)
        return row is not None and _has_role(user, row, roles) and (not only_present or _is_there(row))

    return check


def _is_there(row: AssignedAttempt) -> bool:
    """The learner is still a member. The work of those who left is the managers' affair."""
    return role_in(user=row.user, cohort_id=row.assignment.cohort_id) is not None


manages_attempt = _of_assigned(MANAGERS)
watches_attempt = _of_assigned(frozenset({Role.OBSERVER}), only_present=True)
_grader_there = _of_assigned(frozenset({Role.GRADER}), only_present=True)


@predicate
def has_task_of(user: User, thing: Any) -> bool:
    row = assigned_of(thing)
    return row is not None and any(user.pk in (task.lease_user_id, task.tagged_to_id, task.graded_by_id) for task in row.tasks.all())


grades_attempt = _grader_there & has_task_of


@predicate
def is_closed(user: User, attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.status not in LIVE


@predicate
def is_author(user: User, note: Note | None) -> bool:
    return note is not None and note.author_id == user.pk


@predicate
def is_told(user: User, note: Note | None) -> bool:
    """The note is meant for the learner, and the learner's scores are out."""
    return (
        note is not None and note.visible_to_learner and note.attempt.user_id == user.pk and note.attempt.status == AttemptStatus.RELEASED
    )


@predicate
def is_note_on_own(user: User, note: Note | None) -> bool:
    return note is not None and note.attempt.user_id == user.pk


# --- grading ---------------------------------------------------------------------------------------------------------


@predicate
def is_open_to(user: User, task: Task | None) -> bool:
    return task is not None and task.tagged_to_id in (None, user.pk)


@predicate
def is_own_task(user: User, task: Task | None) -> bool:
    return task is not None and task.assigned.user_id == user.pk


@predicate
def is_released(user: User, thing: Result | AssignedAttempt | None) -> bool:
    match thing:
        case Result():
            return thing.released_at is not None
        case AssignedAttempt():
            return Result.objects.filter(assignment=thing.assignment_id, user=thing.user_id, released_at__isnull=False).exists()
        case _:
            return False


@predicate
def is_score_shown(user: User, result: Result | None) -> bool:
    return result is not None and result.assignment.show_score


@predicate
def has_no_cohort(user: User, thing: Any) -> bool:
    return thing is not None and thing.cohort_id is None


@predicate
def is_site_staff(user: User, thing: Any) -> bool:
    return user.is_staff


attempt_is_visible = is_own | manages_attempt | watches_attempt | grades_attempt

PERMISSIONS = {
    # a cohort
    "see_cohort": is_member,
    "edit_cohort": is_owner,
    "manage_learners": is_manager,
    "see_people": is_watcher,
    "manage_accommodations": is_manager,
    "create_assignment": is_manager,
    "grade_in_cohort": is_grader,
    "watch_live": is_watcher,
    "see_analytics": is_cohort_staff,
    "see_analytics_names": is_manager,
    "export_cohort": is_manager,
    "see_cohort_audit": is_manager,
    # a membership
    "see_member": is_watcher | (is_own & is_present),
    "remove_member": (is_owner & ~is_owner_row) | (is_manager & is_learner_row),
    "change_role": is_owner & ~is_owner_row,
    # an accommodation
    "see_accommodation": is_manager | is_learner_himself,
    "set_accommodation": is_manager,
    # an assignment
    "see_assignment": is_cohort_staff | is_assigned,
    "edit_assignment": is_manager,
    "begin_assignment": is_assigned,
    "edit_rubric": is_manager,
    "release_scores": is_manager,
    "see_map": is_cohort_staff | (is_assigned & has_finished),
    # somebody's try at it, the interview attempt behind it, its runs and answers
    "see_assigned": attempt_is_visible,
    "see_name": is_manager & is_released,
    "see_attempt": attempt_is_visible,
    "see_run": attempt_is_visible,
    "see_response": attempt_is_visible,
    "see_submission": attempt_is_visible,
    "follow_attempt": manages_attempt | watches_attempt,
    "proctor_attempt": manages_attempt & ~is_own,
    "add_note": ~is_own & (manages_attempt | (grades_attempt & is_closed)),
    "see_note": (~is_note_on_own & (manages_attempt | (grades_attempt & is_author))) | is_told,
    # grading
    "grade_task": ~is_own_task & (is_manager | (is_grader & is_open_to)),
    "see_result": is_manager | (is_own & is_released & is_score_shown),
    "override_result": is_manager & is_released & ~is_own,
    # what is kept
    "see_audit_entry": is_manager | is_site_staff,
    "see_export": is_own & (has_no_cohort | is_manager),
}

for _action, _predicate in PERMISSIONS.items():
    rules.add_perm(f"cohorts.{_action}", _predicate)
