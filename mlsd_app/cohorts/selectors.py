"""Reading what is in the panel, always as somebody: each rule of `rules.py` as a queryset of everything it allows.

Views and API fetch through these, so that another cohort's object does not exist here (404), whatever its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

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
    TrySubmission,
)
from mlsd_app.interviews.models import LIVE, Attempt, RunLink
from mlsd_app.interviews.models import Status as AttemptStatus
from mlsd_app.quiz.models import Response
from mlsd_app.runs.models import Run

MANAGERS = (Role.OWNER, Role.INSTRUCTOR)
WATCHERS = (*MANAGERS, Role.OBSERVER)
GRADERS = (*MANAGERS, Role.GRADER)
STAFF = (*WATCHERS, Role.GRADER)


# --- cohorts and people ----------------------------------------------------------------------------------------------


def roles_of(*, user: User, roles: tuple[Role, ...] = tuple(Role)) -> QuerySet[Membership]:
    """The user's own memberships in one of `roles`."""
    return Membership.objects.filter(user_id=user.pk, removed_at=None, role__in=roles)


def cohorts_as(user: User, roles: tuple[Role, ...]) -> QuerySet[Cohort]:
    """Cohorts in which the user has one of `roles`; site staff count as owner of all."""
    if user.is_staff and Role.OWNER in roles:
        return Cohort.objects.all()
    return Cohort.objects.filter(pk__in=roles_of(user=user, roles=roles).values("cohort"))


def cohorts_visible_to(user: User) -> QuerySet[Cohort]:
    return cohorts_as(user, tuple(Role))


def memberships_visible_to(user: User) -> QuerySet[Membership]:
    return Membership.objects.filter(Q(cohort__in=cohorts_as(user, WATCHERS)) | Q(user_id=user.pk, removed_at=None))


def memberships_removable_by(user: User) -> QuerySet[Membership]:
    as_owner = Q(cohort__in=cohorts_as(user, (Role.OWNER,))) & ~Q(role=Role.OWNER)
    return Membership.objects.filter(as_owner | Q(cohort__in=cohorts_as(user, MANAGERS), role=Role.LEARNER))


def memberships_changeable_by(user: User) -> QuerySet[Membership]:
    return Membership.objects.filter(cohort__in=cohorts_as(user, (Role.OWNER,))).exclude(role=Role.OWNER)


def accommodations_visible_to(user: User) -> QuerySet[Accommodation]:
    as_learner = roles_of(user=user, roles=(Role.LEARNER,)).values("cohort")
    return Accommodation.objects.filter(Q(cohort__in=cohorts_as(user, MANAGERS)) | Q(user_id=user.pk, cohort__in=as_learner))


def accommodations_set_by(user: User) -> QuerySet[Accommodation]:
    return Accommodation.objects.filter(cohort__in=cohorts_as(user, MANAGERS))


# --- assignments -----------------------------------------------------------------------------------------------------


def assignments_for(user: User) -> QuerySet[Assignment]:
    """What is published to this learner: to everyone, to one of their labels, or to them alone."""
    mine = roles_of(user=user, roles=(Role.LEARNER,))
    to_me = Exists(mine.filter(assigned_alone=OuterRef("pk"))) | Exists(mine.filter(labels__assignments=OuterRef("pk")))
    published = Assignment.objects.filter(published_at__isnull=False, archived_at=None, cohort__in=mine.values("cohort"))
    return published.filter(Q(everyone=True) | to_me)


def assignments_as(user: User, roles: tuple[Role, ...]) -> QuerySet[Assignment]:
    return Assignment.objects.filter(cohort__in=cohorts_as(user, roles))


def assignments_visible_to(user: User) -> QuerySet[Assignment]:
    return Assignment.objects.filter(Q(cohort__in=cohorts_as(user, STAFF)) | Q(pk__in=assignments_for(user).values("pk")))


def assignments_with_map_for(user: User) -> QuerySet[Assignment]:
    """Those whose trade-off map the user may see: a learner only after handing in."""
    finished = assigned_finished().filter(user_id=user.pk).values("assignment")
    mine = assignments_for(user).filter(pk__in=finished)
    return Assignment.objects.filter(Q(cohort__in=cohorts_as(user, STAFF)) | Q(pk__in=mine.values("pk")))


# --- tries at assignments, and what hangs on them --------------------------------------------------------------------


def assigned_finished() -> QuerySet[AssignedAttempt]:
    """Tries that were handed in or closed."""
    attempt = Q(attempt__closed_at__isnull=False) & ~Q(attempt__status__in=LIVE)
    sitting = Q(sitting__closed_at__isnull=False)
    alone = Q(attempt=None, sitting=None, finished_at__isnull=False)
    return AssignedAttempt.objects.filter(attempt | sitting | alone)


def _of_members() -> Exists:
    """The learner is still in the cohort."""
    there = Membership.objects.filter(cohort=OuterRef("assignment__cohort"), user=OuterRef("user"), removed_at=None)
    return Exists(there)


def assigned_managed_by(user: User) -> QuerySet[AssignedAttempt]:
    return AssignedAttempt.objects.filter(assignment__cohort__in=cohorts_as(user, MANAGERS))


def assigned_followed_by(user: User) -> QuerySet[AssignedAttempt]:
    watched = Q(_of_members(), assignment__cohort__in=cohorts_as(user, (Role.OBSERVER,)))
    return AssignedAttempt.objects.filter(watched | Q(assignment__cohort__in=cohorts_as(user, MANAGERS)))


def assigned_graded_by(user: User) -> QuerySet[AssignedAttempt]:
    """Tries with a task that this grader holds, was given, or has done."""
    own = Task.objects.filter(Q(lease_user_id=user.pk) | Q(tagged_to_id=user.pk) | Q(graded_by_id=user.pk))
    return AssignedAttempt.objects.filter(
        _of_members(), assignment__cohort__in=cohorts_as(user, (Role.GRADER,)), pk__in=own.values("assigned")
    )


def assigned_visible_to(user: User) -> QuerySet[AssignedAttempt]:
    found = (assigned_followed_by(user), assigned_graded_by(user))
    return AssignedAttempt.objects.filter(Q(user_id=user.pk) | Q(pk__in=found[0].values("pk")) | Q(pk__in=found[1].values("pk")))


def assigned_named_to(user: User) -> QuerySet[AssignedAttempt]:
    """Tries whose learner's name graders may read: the scores are out."""
    released = Result.objects.filter(assignment=OuterRef("assignment"), user=OuterRef("user"), released_at__isnull=False)
    return assigned_managed_by(user).filter(Exists(released))


def attempts_visible_to(user: User, cohort: Cohort | None = None) -> QuerySet[Attempt]:
    """Interview attempts the user may read: their own and what their roles give; of one cohort if it is named."""
    visible = Attempt.objects.filter(Q(user_id=user.pk) | Q(pk__in=assigned_visible_to(user).values("attempt")))
    return visible.filter(assigned__assignment__cohort=cohort) if cohort else visible


def attempts_followed_by(user: User) -> QuerySet[Attempt]:
    return Attempt.objects.filter(pk__in=assigned_followed_by(user).values("attempt"))


def attempts_proctored_by(user: User) -> QuerySet[Attempt]:
    """Attempts whose clock the user may move; never their own."""
    return Attempt.objects.filter(pk__in=assigned_managed_by(user).values("attempt")).exclude(user_id=user.pk)


def attempts_noted_by(user: User) -> QuerySet[Attempt]:
    """Attempts the user may write notes on: graders once they are closed."""
    managed = Q(pk__in=assigned_managed_by(user).values("attempt"))
    graded = Q(pk__in=assigned_graded_by(user).values("attempt")) & ~Q(status__in=LIVE)
    return Attempt.objects.filter(managed | graded).exclude(user_id=user.pk)


def notes_visible_to(user: User) -> QuerySet[Note]:
    managed = Q(attempt__in=assigned_managed_by(user).values("attempt"))
    graded = Q(author_id=user.pk, attempt__in=assigned_graded_by(user).values("attempt"))
    told = Q(visible_to_learner=True, attempt__user_id=user.pk, attempt__status=AttemptStatus.RELEASED)
    return Note.objects.filter((managed | graded) & ~Q(attempt__user_id=user.pk) | told)


def runs_visible_to(user: User) -> QuerySet[Run]:
    links = RunLink.objects.filter(attempt__in=assigned_visible_to(user).values("attempt"))
    return Run.objects.filter(Q(user_id=user.pk) | Q(pk__in=links.values("run")))


def responses_visible_to(user: User) -> QuerySet[Response]:
    return Response.objects.filter(Q(user_id=user.pk) | Q(sitting__in=assigned_visible_to(user).values("sitting")))


def submissions_visible_to(user: User) -> QuerySet[Submission]:
    links = TrySubmission.objects.filter(assigned__in=assigned_visible_to(user).values("pk"))
    return Submission.objects.filter(Q(user_id=user.pk) | Q(pk__in=links.values("submission")))


# --- grading, audit, exports -----------------------------------------------------------------------------------------


def tasks_for(user: User) -> QuerySet[Task]:
    """What the user may claim and grade: never their own work; a grader what nobody else was given."""
    managed = Q(assigned__assignment__cohort__in=cohorts_as(user, MANAGERS))
    open_to_me = Q(assigned__assignment__cohort__in=cohorts_as(user, (Role.GRADER,))) & (Q(tagged_to=None) | Q(tagged_to_id=user.pk))
    return Task.objects.filter(managed | open_to_me).exclude(assigned__user_id=user.pk)


def results_visible_to(user: User) -> QuerySet[Result]:
    own = Q(user_id=user.pk, released_at__isnull=False, assignment__show_score=True)
    return Result.objects.filter(Q(assignment__cohort__in=cohorts_as(user, MANAGERS)) | own)


def results_overridable_by(user: User) -> QuerySet[Result]:
    managed = Result.objects.filter(assignment__cohort__in=cohorts_as(user, MANAGERS), released_at__isnull=False)
    return managed.exclude(user_id=user.pk)


def audit_visible_to(user: User) -> QuerySet[Audit]:
    return Audit.objects.all() if user.is_staff else Audit.objects.filter(cohort__in=cohorts_as(user, MANAGERS))


def exports_visible_to(user: User) -> QuerySet[Export]:
    """The user's own files, as long as they may still export that cohort."""
    return Export.objects.filter(Q(cohort=None) | Q(cohort__in=cohorts_as(user, MANAGERS)), user_id=user.pk)


Twin = Callable[[User], QuerySet[Any]]

TWINS: Mapping[str, Twin] = {
    "see_cohort": cohorts_visible_to,
    "edit_cohort": lambda user: cohorts_as(user, (Role.OWNER,)),
    "manage_learners": lambda user: cohorts_as(user, MANAGERS),
    "see_people": lambda user: cohorts_as(user, WATCHERS),
    "manage_accommodations": lambda user: cohorts_as(user, MANAGERS),
    "create_assignment": lambda user: cohorts_as(user, MANAGERS),
    "grade_in_cohort": lambda user: cohorts_as(user, GRADERS),
    "watch_live": lambda user: cohorts_as(user, WATCHERS),
    "see_analytics": lambda user: cohorts_as(user, STAFF),
    "see_analytics_names": lambda user: cohorts_as(user, MANAGERS),
    "export_cohort": lambda user: cohorts_as(user, MANAGERS),
    "see_cohort_audit": lambda user: cohorts_as(user, MANAGERS),
    "see_member": memberships_visible_to,
    "remove_member": memberships_removable_by,
    "change_role": memberships_changeable_by,
    "see_accommodation": accommodations_visible_to,
    "set_accommodation": accommodations_set_by,
    "see_assignment": assignments_visible_to,
    "edit_assignment": lambda user: assignments_as(user, MANAGERS),
    "begin_assignment": assignments_for,
    "edit_rubric": lambda user: assignments_as(user, MANAGERS),
    "release_scores": lambda user: assignments_as(user, MANAGERS),
    "see_map": assignments_with_map_for,
    "see_assigned": assigned_visible_to,
    "see_name": assigned_named_to,
    "see_attempt": attempts_visible_to,
    "see_run": runs_visible_to,
    "see_response": responses_visible_to,
    "see_submission": submissions_visible_to,
    "follow_attempt": attempts_followed_by,
    "proctor_attempt": attempts_proctored_by,
    "add_note": attempts_noted_by,
    "see_note": notes_visible_to,
    "grade_task": tasks_for,
    "see_result": results_visible_to,
    "override_result": results_overridable_by,
    "see_audit_entry": audit_visible_to,
    "see_export": exports_visible_to,
}
"""The queryset of everything on which `rules.may(user, action, thing)` is true."""
