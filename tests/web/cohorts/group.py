"""Many learners at once, written straight into the tables, so that a test can say what each of them did."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlsd_app.accounts.models import User
from mlsd_app.challenges.models import State, Submission, SubmissionSeed
from mlsd_app.cohorts.designs import scope_of
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Membership, Prediction, Role, TrySubmission
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.presets import preset_phases
from mlsd_app.quiz.bank import items_of
from mlsd_app.quiz.models import Response, ResponseState, Sitting, SittingKind
from mlsd_app.runs.models import Run, RunState, StoredResult
from simulators.challenge import STAGE_1, STAGE_2, SeedResult, clearly_missed, judge
from tests.web.cohorts.conftest import NOW, House

SLUG = "vector_search"
STATIC = [entry.item.id for entry in items_of(SLUG) if entry.item.type in ("choice", "order", "number", "slip")]


def learners(house: House, count: int, start: int = 0) -> list[User]:
    """Members of the cohort called Zz0 Surname0, Zz1 Surname1, ..."""
    numbers = range(start, start + count)
    users = [User(username=f"zz{n}", first_name=f"Zz{n}", last_name=f"Surname{n}", email=f"zz{n}@example.org") for n in numbers]
    made = User.objects.bulk_create(users)
    Membership.objects.bulk_create([Membership(cohort=house.cohort, user=user, role=Role.LEARNER) for user in made])
    return made


def quiz_taken(
    assignment: Assignment,
    users: Sequence[User],
    marks: Sequence[Sequence[float | None]],
    items: Sequence[str],
    *,
    given: Sequence[Sequence[dict[str, Any]]] | None = None,
    rev: int = 1,
    number: int = 1,
    closed: bool = True,
) -> list[AssignedAttempt]:
    """`marks` (people, items); None: no answer. All of them closed an hour after NOW."""
    end = NOW + timedelta(hours=1)
    asked = [{"problem": SLUG, "item": item, "rev": rev, "seed": 7, "instance": None, "new": True} for item in items]
    common = {"kind": SittingKind.ASSIGNED, "items": asked, "content": {}, "seed": 7, "started_at": NOW, "feedback": False}
    state = {"status": "closed", "closed_at": end} if closed else {"status": "open"}
    sittings = Sitting.objects.bulk_create([Sitting(user=user, **common, **state) for user in users])
    Response.objects.bulk_create(
        [
            Response(
                user=user, sitting=sitting, place=place, problem_slug=SLUG, item_id=item, rev=rev, draw_seed=7,
                given=given[i][place] if given else {}, mark=marks[i][place], state=ResponseState.AUTO, at=end, ms=20_000,
                op_id=uuid.uuid4().hex,
            )
            for i, (user, sitting) in enumerate(zip(users, sittings, strict=True))
            for place, item in enumerate(items)
            if marks[i][place] is not None
        ]
    )  # fmt: skip
    rows = [
        AssignedAttempt(assignment=assignment, user=user, number=number, sitting=sitting, version=1, begun_at=NOW)
        for user, sitting in zip(users, sittings, strict=True)
    ]
    return AssignedAttempt.objects.bulk_create(rows)


def mock_taken(assignment: Assignment, user: User, *, share: float = 0.5, multiplier: float = 1.0, **changes: Any) -> AssignedAttempt:
    """A closed interview of which `share` of the person's own time was used, all of it without a move."""
    phases = preset_phases("five_phase")
    limit = sum(phase["budget_s"] for phase in phases) * multiplier
    fields = {"status": "graded", "started_at": NOW, "closed_at": NOW + timedelta(seconds=share * limit), "mode": "soft"}
    attempt = Attempt.objects.create(
        user=user, problem=SLUG, kind="assigned", phases=phases, multiplier=multiplier, board="", **{**fields, **changes}
    )
    return AssignedAttempt.objects.create(assignment=assignment, user=user, number=1, attempt=attempt, version=1, begun_at=NOW)


def run_made(
    user: User, lab: Any, metrics: Sequence[dict[str, Any]], *, at: datetime = NOW, params: dict[str, Any] | None = None, **changes: Any
) -> Run:
    """A finished run of the lab with these metrics."""
    values = lab.Params(**(params or {})).model_dump(mode="json")
    result = StoredResult.objects.create(cache_key=uuid.uuid4().hex, metrics=list(metrics), body={})
    fields = {"lab_version": lab.version, "seed": 0, "cache_key": result.cache_key, "state": RunState.DONE, "finished_at": at, **changes}
    run = Run.objects.create(user=user, problem=lab.problem, lab=lab.slug, params=values, result=result, **fields)
    Run.objects.filter(pk=run.pk).update(created_at=at)
    return run


def metric(key: str, value: float | None, *, better: str = "up", unit: str = "", series: str = "") -> dict[str, Any]:
    full = f"{key}@{series}" if series else key
    return {"key": full, "label": key.title(), "value": value, "unit": unit, "better": better, "series": series, "measured": False}


def handed_in(assignment: Assignment, user: User, *, number: int = 1, done: bool = True, minutes: float = 60) -> AssignedAttempt:
    """A try without an interview or a quiz, begun at NOW."""
    end = NOW + timedelta(minutes=minutes) if done else None
    return AssignedAttempt.objects.create(assignment=assignment, user=user, number=number, version=1, begun_at=NOW, finished_at=end)


def design_judged(
    row: AssignedAttempt,
    lab: Any,
    challenge: Any,
    design: Mapping[str, Any],
    values: Callable[[int], dict[str, float | None]],
    **changes: Any,
) -> Submission:
    """A design of this try that gave `values(n)` on its n-th seed, stage 1 before stage 2, judged by the real rule."""
    whole = {name: value for name, value in lab.Params(**design).model_dump(mode="json").items() if name in challenge.design}
    seeds = [SeedResult(n, values(n)) for n in range(STAGE_1 + STAGE_2)]
    first, second = seeds[:STAGE_1], seeds[STAGE_1:]
    if clearly_missed(challenge, first):
        second = []
    grade = judge(challenge, first, second or None)
    names = {"user": row.user, "problem": lab.problem, "lab": lab.slug, "challenge": challenge.slug, "scope": scope_of(row.assignment)}
    times = dict.fromkeys(("created_at", "queued_at", "touched_at", "finished_at"), NOW)
    state = {"state": State.DONE, "verdict": grade.verdict, "grade": grade.plain(), "lab_version": lab.version}
    made = Submission.objects.create(design=whole, design_hash=uuid.uuid4().hex, **names, **times, **{**state, **changes})
    SubmissionSeed.objects.bulk_create(
        SubmissionSeed(submission=made, stage=stage, number=number, values=dict(entry.values), ms=1)
        for stage, entries in ((1, first), (2, second))
        for number, entry in enumerate(entries)
    )
    TrySubmission.objects.create(assigned=row, submission=made)
    return made


def foretold(row: AssignedAttempt, metric: str, lower: float, upper: float, truth: float | None, **changes: Any) -> Prediction:
    """A prediction of this try as it stands once the run has ended."""
    hit = None if truth is None else lower <= truth <= upper
    told = {"label": metric, "scale": "linear", "made_at": NOW, "truth": truth, "hit": hit, "score": None, "resolved_at": NOW}
    return Prediction.objects.create(assigned=row, metric=metric, lower=lower, upper=upper, **{**told, **changes})
