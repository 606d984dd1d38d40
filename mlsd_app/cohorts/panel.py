"""What the pages of a cohort show, read in a fixed number of queries however many people are in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Accommodation, AssignedAttempt, Assignment, Cohort, Label, Membership, Override, Result, Role, Task
from mlsd_app.cohorts.policies import policy_for
from mlsd_app.cohorts.selectors import assigned_finished, assignments_for, cohorts_visible_to, tasks_for
from mlsd_app.interviews.models import Answer, Status
from mlsd_app.quiz.models import Response, SittingStatus

IDLE = timedelta(days=7)
MISSED = 2
RUNNING = Q(attempt__status=Status.OPEN) | Q(sitting__status=SittingStatus.OPEN)


# --- the list of cohorts ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CohortCard:
    cohort: Cohort
    role: str  # in words; "Site staff" without a membership
    learners: int
    next_due: Assignment | None
    to_grade: int


def cohort_cards(*, user: User, now: datetime) -> list[CohortCard]:
    """The user's cohorts, open ones first. Site staff see their own here; any other they open by its address or the admin."""
    own = {member.cohort_id: member for member in Membership.objects.filter(user=user, removed_at=None)}
    learners = Count("memberships", filter=Q(memberships__role=Role.LEARNER, memberships__removed_at=None))
    cohorts = cohorts_visible_to(user).filter(pk__in=own).annotate(learner_count=learners)
    due = _next_due(user, [*own], now)
    waiting = dict(_waiting(user).values_list("assigned__assignment__cohort").annotate(n=Count("pk")).order_by())
    cards = [
        CohortCard(cohort, own[cohort.pk].get_role_display(), cohort.learner_count, due.get(cohort.pk), waiting.get(cohort.pk, 0))
        for cohort in cohorts
    ]
    return sorted(cards, key=lambda card: (card.cohort.archived_at is not None, card.cohort.name.lower()))


def _waiting(user: User) -> QuerySet[Task]:
    return tasks_for(user).exclude(state="graded")


def _next_due(user: User, cohorts: Sequence[int], now: datetime) -> dict[int, Assignment]:
    """The published assignment due next in each cohort; a learner's are those assigned to that learner."""
    learning = Membership.objects.filter(user=user, role=Role.LEARNER, removed_at=None).values("cohort")
    published = Assignment.objects.filter(cohort__in=cohorts, published_at__isnull=False, archived_at=None, due_at__gt=now)
    rows = published.exclude(Q(cohort__in=learning) & ~Q(pk__in=assignments_for(user).values("pk"))).order_by("-due_at")
    return {row.cohort_id: row for row in rows}


# --- assignments -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AssignmentRow:
    assignment: Assignment
    state: str  # draft, scheduled, open, due, closed, archived
    assigned: int
    begun: int
    finished: int
    running: int


STATES = {
    "draft": "Draft",
    "scheduled": "Not open yet",
    "open": "Open",
    "due": "Past due, open",
    "closed": "Closed",
    "archived": "Archived",
}


def assignment_state(assignment: Assignment, now: datetime) -> str:
    """By the assignment's own dates; single people may have others."""
    if assignment.archived_at:
        return "archived"
    if assignment.published_at is None:
        return "draft"
    if assignment.opens_at and now < assignment.opens_at:
        return "scheduled"
    if assignment.closes_at and now >= assignment.closes_at:
        return "closed"
    return "due" if assignment.due_at and now >= assignment.due_at else "open"


def assignment_rows(*, cohort: Cohort, now: datetime) -> list[AssignmentRow]:
    people = learners_by_assignment(cohort)
    tries = AssignedAttempt.objects.filter(assignment__cohort=cohort)
    begun = _people_by_assignment(tries)
    finished = _people_by_assignment(assigned_finished().filter(assignment__cohort=cohort))
    running = _people_by_assignment(tries.filter(RUNNING))
    rows = [
        AssignmentRow(
            row, assignment_state(row, now), len(people[row.pk]), begun.get(row.pk, 0), finished.get(row.pk, 0), running.get(row.pk, 0)
        )
        for row in cohort.assignments.all()
    ]
    order = list(STATES)
    return sorted(rows, key=lambda row: (order.index(row.state), row.assignment.due_at is None, row.assignment.due_at or now))


def _people_by_assignment(tries: QuerySet[AssignedAttempt]) -> dict[int, int]:
    return dict(tries.order_by().values_list("assignment").annotate(people=Count("user", distinct=True)))


def learners_by_assignment(cohort: Cohort) -> dict[int, set[int]]:
    """{assignment id: user ids of the learners it is for}."""
    members = cohort.memberships.filter(role=Role.LEARNER, removed_at=None).prefetch_related("labels")
    users = {member.pk: member.user_id for member in members}
    by_label: dict[int, set[int]] = {}
    for member in members:
        for label in member.labels.all():
            by_label.setdefault(label.pk, set()).add(member.user_id)
    found: dict[int, set[int]] = {}
    for row in cohort.assignments.prefetch_related("group_labels", "people"):
        alone = {users[member.pk] for member in row.people.all() if member.pk in users}
        grouped = set[int]().union(*(by_label.get(label.pk, set()) for label in row.group_labels.all()))
        found[row.pk] = set(users.values()) if row.everyone else alone | grouped
    return found


# --- people ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PersonRow:
    member: Membership
    last_active: datetime | None
    done: int  # assignments handed in
    assigned: int  # published ones that are for this learner
    accommodated: bool  # by an accommodation of the person or of a label; only managers are shown it
    missed: int
    idle: bool

    @property
    def at_risk(self) -> bool:
        return self.idle or self.missed >= MISSED


def people_rows(*, cohort: Cohort, now: datetime) -> list[PersonRow]:
    """Everybody who is in the cohort, staff first, then by name."""
    members = list(cohort.memberships.filter(removed_at=None).select_related("user").prefetch_related("labels"))
    active, assigned = last_activity(cohort), learners_by_assignment(cohort)
    accommodated = {(row.user_id, row.label_id) for row in Accommodation.objects.filter(cohort=cohort) if row.fields}
    published = list(cohort.assignments.filter(published_at__isnull=False, archived_at=None))
    done = set(assigned_finished().filter(assignment__cohort=cohort).values_list("user", "assignment"))
    begun = set(AssignedAttempt.objects.filter(assignment__cohort=cohort).values_list("user", "assignment"))

    moved = {(row.assignment_id, (row.user_id, row.label_id)) for row in Override.objects.filter(assignment__cohort=cohort)}

    def row(member: Membership) -> PersonRow:
        mine = [item for item in published if member.user_id in assigned[item.pk]]
        seen = active.get(member.user_id)
        keys: set[Key] = {(member.user_id, None), *((None, label.pk) for label in member.labels.all())}
        return PersonRow(
            member=member,
            last_active=seen,
            done=sum((member.user_id, item.pk) in done for item in mine),
            assigned=len(mine),
            accommodated=bool(keys & accommodated),
            missed=sum((member.user_id, item.pk) not in begun and _is_over(item, member, keys, moved, now) for item in mine),
            idle=member.role == Role.LEARNER and bool(mine) and (seen or member.joined_at) < now - IDLE,
        )

    order = list(Role)
    rows = [row(member) for member in members]
    return sorted(rows, key=lambda row: (order.index(Role(row.member.role)), row.member.user.shown_name.lower()))


Key = tuple[int | None, int | None]  # a person, or a label


def _is_over(assignment: Assignment, member: Membership, keys: set[Key], moved: set[tuple[int, Key]], now: datetime) -> bool:
    """Its end is over, also for this learner; their own dates are worked out only where something moved them."""
    end = assignment.closes_at or assignment.due_at
    if end is not None and any((assignment.pk, key) in moved for key in keys):
        policy = policy_for(assignment=assignment, user=member.user, now=now)
        end = policy.closes_at or policy.due_at
    return end is not None and end <= now


def last_activity(cohort: Cohort) -> dict[int, datetime]:
    """{user id: last thing they did in this cohort's assignments}. What they do elsewhere is not the cohort's affair."""
    tries = AssignedAttempt.objects.filter(assignment__cohort=cohort)
    sources: Iterable[tuple[int, datetime | None]] = [
        *tries.order_by().values_list("user").annotate(at=Max("begun_at")),
        *tries.order_by().values_list("user").annotate(at=Max("finished_at")),
        *tries.order_by().values_list("user").annotate(at=Max("attempt__closed_at")),
        *Answer.objects.filter(attempt__assigned__assignment__cohort=cohort)
        .order_by()
        .values_list("attempt__user")
        .annotate(at=Max("updated_at")),
        *Response.objects.filter(sitting__assigned__assignment__cohort=cohort).order_by().values_list("user").annotate(at=Max("at")),
    ]
    latest: dict[int, datetime] = {}
    for user, at in sources:
        if at is not None:
            latest[user] = max(at, latest.get(user, at))
    return latest


# --- the overview ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overview:
    assignments: list[AssignmentRow]
    learners: int
    running: int
    ungraded: int
    at_risk: list[PersonRow]
    orphan: bool  # nobody owns the cohort: its owner deleted the account


def overview(*, cohort: Cohort, now: datetime) -> Overview:
    people = people_rows(cohort=cohort, now=now)
    return Overview(
        assignments=assignment_rows(cohort=cohort, now=now),
        learners=sum(row.member.role == Role.LEARNER for row in people),
        running=AssignedAttempt.objects.filter(RUNNING, assignment__cohort=cohort).count(),
        ungraded=Task.objects.filter(assigned__assignment__cohort=cohort).exclude(state="graded").count(),
        at_risk=[row for row in people if row.member.role == Role.LEARNER and row.at_risk],
        orphan=not any(row.member.role == Role.OWNER for row in people),
    )


def labels_with_counts(cohort: Cohort) -> QuerySet[Label]:
    return cohort.labels.annotate(
        members=Count("memberships", filter=Q(memberships__removed_at=None), distinct=True),
        accommodated=Exists(Accommodation.objects.filter(label=OuterRef("pk"))),
    )


def results_by_assignment(*, user: User, cohort: Cohort) -> dict[int, Result]:
    return {row.assignment_id: row for row in Result.objects.filter(user=user, assignment__cohort=cohort)}
