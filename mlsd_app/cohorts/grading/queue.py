"""The queue of pieces to grade: who gets which, for how long, and how one gives it back.

A piece is claimed by one conditional UPDATE, so two graders never get the same one. The lease lasts 30 minutes from the last thing
its holder did; once it is over, the piece is open to others, and until another takes it the holder may go on.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading.sections import SECTIONS
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Task, TaskSkip
from mlsd_app.cohorts.selectors import GRADERS, MANAGERS, cohorts_as, tasks_for
from mlsd_app.interviews.models import Status
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

LEASE = timedelta(minutes=30)
SKIPPED_FOR = timedelta(hours=4)
MOST_WORDS = 500  # characters of a flag
IN_REACH = Q(assigned__attempt__status__in=[Status.GRADED, Status.RELEASED]) | Q(assigned__sitting__isnull=False)  # not reopened, not void


def order_key(*, assignment: Assignment, section: str, assigned: AssignedAttempt) -> str:
    """Places a piece in the queue: the same for ever, and another order in each section, so that nobody is always graded last."""
    return hashlib.sha256(f"{assignment.salt}:{section}:{assigned.pk}".encode()).digest()[:8].hex()


def waiting_state() -> Case:
    """What a piece goes back to: one that was graded before waits to be looked at again."""
    return Case(When(graded_at__isnull=True, then=Value("ungraded")), default=Value("check_again"))


def free(now: datetime) -> Q:
    """Pieces nobody holds: they wait, or the lease on them is over."""
    return Q(state__in=["ungraded", "check_again"]) | Q(state="in_progress") & (Q(lease_until=None) | Q(lease_until__lte=now))


def held_by(user: User, now: datetime) -> Q:
    return Q(state="in_progress", lease_user_id=user.pk, lease_until__gt=now)


# --- taking ----------------------------------------------------------------------------------------------------------


def task_next(*, user: User, assignment: Assignment, now: datetime, section: str = "") -> Task | None:
    """The user's next piece, claimed at once: the one held already, one tagged to the user, then the open ones in their order.

    None when nothing is left.
    """
    mine = tasks_for(user).filter(IN_REACH, assigned__assignment=assignment)
    if section:
        mine = mine.filter(section=section)
    if held := mine.filter(held_by(user, now)).first():
        return _renewed(held, now)
    skipped = TaskSkip.objects.filter(task=OuterRef("pk"), grader=user, until__gt=now)
    offered = mine.filter(free(now), Q(tagged_to=None) | Q(tagged_to_id=user.pk)).exclude(Exists(skipped))
    ranked = offered.order_by(Case(When(tagged_to_id=user.pk, then=Value(0)), default=Value(1)), "order_key", "pk")
    while True:
        with transaction.atomic():
            pk = ranked.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True).first()
            if pk is None:
                return None
            if _claimed(pk, user, now):
                return Task.objects.select_related("assigned__assignment").get(pk=pk)


def _claimed(pk: int, user: User, now: datetime) -> bool:
    """The one statement that gives a piece away."""
    row = Task.objects.filter(free(now), pk=pk)
    return bool(row.update(state="in_progress", lease_user=user, lease_until=now + LEASE))


def _renewed(task: Task, now: datetime) -> Task:
    Task.objects.filter(pk=task.pk).update(lease_until=now + LEASE)
    task.lease_until = now + LEASE
    return task


def task_claim(*, user: User, task: Task, now: datetime) -> Task:
    """This very piece, for whoever may grade it; also one that is held for the lead or graded. 409 `taken` while another has it."""
    open_to_all = Q(state__in=["held", "graded"]) | free(now) | Q(state="in_progress", lease_user_id=user.pk)
    row = Task.objects.filter(open_to_all, pk=task.pk)
    if not row.update(state="in_progress", lease_user=user, lease_until=now + LEASE):
        raise Refused("taken", f"{holder_words(task)} is grading this piece now.", 409)
    task.refresh_from_db()
    return task


def task_renew(*, user: User, task: Task, now: datetime) -> Task:
    """Anything done with a piece renews the lease. 409 `lease_lost` once the piece is somebody else's or has gone back."""
    row = Task.objects.filter(pk=task.pk, state="in_progress", lease_user=user)
    if not row.update(lease_until=now + LEASE):
        raise lease_lost(task)
    task.lease_until = now + LEASE
    return task


def lease_lost(task: Task) -> Refused:
    task.refresh_from_db()
    who = f"{holder_words(task)} has this piece now" if task.lease_user_id else f"This piece is {task.get_state_display().lower()}"
    return Refused("lease_lost", f"{who}. Your marks are kept as your draft.", 409, {"holder": holder_words(task)})


def holder_words(task: Task) -> str:
    task.refresh_from_db(fields=["lease_user"])
    return task.lease_user.shown_name if task.lease_user else "Nobody"


def leases_drop(*, user: User, now: datetime) -> int:
    """Gives back what the user holds in cohorts where they may not grade any more; how many pieces. What was typed stays a draft."""
    lost = Task.objects.filter(state="in_progress", lease_user=user).exclude(pk__in=tasks_for(user).values("pk"))
    return lost.update(state=waiting_state(), lease_user=None, lease_until=None)


# --- giving back -----------------------------------------------------------------------------------------------------


def _give_back(task: Task, user: User, **changes: object) -> None:
    row = Task.objects.filter(pk=task.pk, state="in_progress", lease_user=user)
    if not row.update(**{"state": waiting_state(), "lease_user": None, "lease_until": None, **changes}):
        raise lease_lost(task)


def task_give_back(*, user: User, task: Task, now: datetime) -> None:
    _give_back(task, user)


@transaction.atomic
def task_skip(*, user: User, task: Task, now: datetime) -> None:
    """Back into the queue, and not offered to this person for four hours."""
    _give_back(task, user)
    TaskSkip.objects.update_or_create(task=task, grader=user, defaults={"until": now + SKIPPED_FOR})


def task_tag(*, user: User, task: Task, to: User, now: datetime) -> None:
    """For a colleague, who gets it before all others. InvalidInput for somebody who may not grade it."""
    if not graders_for(task).filter(pk=to.pk).exists():
        raise InvalidInput("Only somebody who grades in this cohort, and not their own work, can be given a piece.", field="to")
    _give_back(task, user, tagged_to=to)


def task_hand_up(*, user: User, task: Task, words: str, now: datetime) -> None:
    """Out of the queue, for an owner or instructor to decide."""
    _give_back(task, user, state="held", flag=_checked(words), tagged_to=None)


def task_flag(*, user: User, task: Task, words: str, now: datetime) -> None:
    """Says that somebody should look at the piece; an empty text takes that back. It is graded on as before."""
    task_renew(user=user, task=task, now=now)
    Task.objects.filter(pk=task.pk).update(flag=_checked(words, needed=False))


def _checked(words: str, *, needed: bool = True) -> str:
    words = words.replace("\0", "").strip()
    if needed and not words or len(words) > MOST_WORDS:
        raise InvalidInput(f"Say why in 1 to {MOST_WORDS} characters; {len(words)} were given.", field="words")
    return words


def graders_for(task: Task) -> QuerySet[User]:
    """Who may grade this piece, save site staff."""
    members = Q(memberships__cohort=task.assigned.assignment.cohort_id, memberships__removed_at=None)
    return User.objects.filter(members, memberships__role__in=GRADERS).exclude(pk=task.assigned.user_id)


# --- counting --------------------------------------------------------------------------------------------------------


def counts(*, assignment: Assignment, user: User, now: datetime) -> dict[str, dict[str, int]]:
    """{section: {"ungraded", "check_again", "in_progress", "graded", "held": pieces}} of what the user may grade."""
    found: dict[str, dict[str, int]] = {}
    for section, state, until in (
        tasks_for(user).filter(IN_REACH, assigned__assignment=assignment).values_list("section", "state", "lease_until")
    ):
        lapsed = state == "in_progress" and (until is None or until <= now)
        row = found.setdefault(section, dict.fromkeys(STATES, 0))
        row["ungraded" if lapsed else state] += 1
    return dict(sorted(found.items(), key=lambda entry: _place(entry[0])))


STATES = ("ungraded", "check_again", "in_progress", "graded", "held")


def _place(section: str) -> tuple[int, str]:
    keys = [entry.key for entry in SECTIONS]
    return (keys.index(section) if section in keys else len(keys), section)


def for_managers(user: User) -> QuerySet[Task]:
    """Pieces that wait for an owner's or instructor's eye."""
    managed = cohorts_as(user, MANAGERS)
    return tasks_for(user).filter(Q(state="held") | ~Q(flag=""), IN_REACH, assigned__assignment__cohort__in=managed)


def held_now(*, user: User, now: datetime) -> QuerySet[Task]:
    return tasks_for(user).filter(held_by(user, now), IN_REACH)
