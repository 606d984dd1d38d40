"""Reading submissions, always as somebody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.challenges.models import State, Submission, Verdict
from mlsd_app.core.content import labs_taught
from simulators.lab import Challenge, Lab
from simulators.registry import problems

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

PRACTICE = "user:"
RANKS = {Verdict.PASS: 2, Verdict.NARROW_PASS: 1, Verdict.FAIL: 0}


def practice_scope(user: User) -> str:
    return f"{PRACTICE}{user.pk}"


def submissions_of(user: User | AnonymousUser) -> QuerySet[Submission]:
    """The user's own, newest first."""
    return Submission.objects.filter(user_id=user.pk) if user.is_authenticated else Submission.objects.none()


def submissions_to(
    user: User | AnonymousUser, lab: type[Lab], challenge: Challenge, *, scope: str | None = None, practice: bool = False
) -> QuerySet[Submission]:
    """The user's own to this challenge: those of one scope, or those of practice."""
    found = submissions_of(user).filter(problem=lab.problem, lab=lab.slug, challenge=challenge.slug)
    if scope is not None:
        return found.filter(scope=scope)
    return found.filter(scope__startswith=PRACTICE) if practice else found


def best_of(submissions: Iterable[Submission]) -> Submission | None:
    """The best verdict, then the most assertions that held, then the widest margin. None while nothing is judged."""
    judged = [row for row in submissions if row.state == State.DONE and row.verdict]
    return max(judged, key=_merit, default=None)


def _merit(row: Submission) -> tuple[int, float, float]:
    slack = row.grade.get("slack")
    return RANKS[Verdict(row.verdict)], row.grade.get("pass_rate", 0.0), float("-inf") if slack is None else slack


def best_verdicts(user: User | AnonymousUser) -> dict[tuple[str, str, str], Submission]:
    """{(problem, lab, challenge): best submission} over practice and assignments."""
    found: dict[tuple[str, str, str], list[Submission]] = {}
    for row in submissions_of(user).filter(state=State.DONE):
        found.setdefault((row.problem, row.lab, row.challenge), []).append(row)
    return {key: best for key, rows in found.items() if (best := best_of(rows))}


def all_challenges() -> list[tuple[type[Lab], Challenge]]:
    """Every challenge of every lab, in the order in which a problem opens its labs."""
    return [(lab, challenge) for problem in problems() for lab in labs_taught(problem) for challenge in lab.challenges]
