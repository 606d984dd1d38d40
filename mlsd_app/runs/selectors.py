"""Reading runs. Each permission stands here twice: as a boolean and as a queryset filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.runs.models import ACTIVE, Baseline, Dataset, Run, RunState, StoredResult, Sweep

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from simulators.lab import Lab


def run_visible(*, user: User | AnonymousUser, run: Run) -> bool:
    return user.is_authenticated and run.user_id == user.pk


def runs_of(*, user: User) -> QuerySet[Run]:
    return Run.objects.filter(user=user).select_related("result").defer("result__body")


def datasets_of(*, user: User | AnonymousUser, lab: type[Lab] | None = None) -> QuerySet[Dataset]:
    found = Dataset.objects.filter(user_id=user.pk) if user.is_authenticated else Dataset.objects.none()
    return found.filter(problem=lab.problem, lab=lab.slug) if lab else found


def sweeps_of(*, user: User) -> QuerySet[Sweep]:
    return Sweep.objects.filter(user=user)


def active_runs(*, user: User, but_slot: str = "") -> int:
    """Runs of the user that wait or run, sweeps apart and without those the tab `but_slot` is about to replace."""
    found = Run.objects.filter(user=user, state__in=ACTIVE, sweep=None)
    return (found.exclude(slot=but_slot) if but_slot else found).count()


def finished_runs(*, user: User | AnonymousUser, lab: type[Lab], limit: int = 200) -> list[Run]:
    """The user's newest runs of this lab that have a result, newest first, without figures."""
    if not user.is_authenticated:
        return []
    return list(
        runs_of(user=user).filter(problem=lab.problem, lab=lab.slug, lab_version=lab.version, state=RunState.DONE, result__isnull=False)[
            :limit
        ]
    )


def baseline_of(*, user: User | AnonymousUser, lab: type[Lab]) -> Run | None:
    if not user.is_authenticated:
        return None
    found = Baseline.objects.filter(user_id=user.pk, problem=lab.problem, lab=lab.slug).select_related("run__result").first()
    return found.run if found else None


def cached_result(*, cache_key: str, user: User | AnonymousUser) -> StoredResult | None:
    """The newest result for these very inputs that this user may see."""
    found = StoredResult.objects.filter(cache_key=cache_key)
    return found.filter(owner=None).first() or (found.filter(owner_id=user.pk).first() if user.is_authenticated else None)
