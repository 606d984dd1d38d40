"""Runs that belong to an assignment, and which of them may be compared: the same lab version, world and seed, no data of one's own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Kind
from mlsd_app.cohorts.selectors import assigned_finished
from mlsd_app.interviews.models import RunLink
from mlsd_app.runs.models import Run, RunState
from simulators.lab import Challenge, Lab
from simulators.params import parse_params
from simulators.registry import labs_of

WORLD = "world"  # the group under which labs declare what their learners cannot choose


@dataclass(frozen=True)
class AssignedRun:
    """A finished run of one try. `user` is whose it is."""

    run: Run
    user: int


def labs_in(assignment: Assignment) -> list[type[Lab]]:
    """The labs an assignment is about: the one it names, or all of its problem."""
    named = assignment.settings.get("lab")
    return [lab for lab in labs_of(assignment.problem) if not named or lab.slug == named]


def runs_in(assignment: Assignment, lab: type[Lab], tries: Iterable[AssignedAttempt] | None = None) -> list[AssignedRun]:
    """Runs of finished tries, oldest first: those inside the interview, or those made between beginning and handing in."""
    closed = list(assigned_finished().filter(assignment=assignment)) if tries is None else list(tries)
    if assignment.kind == Kind.MOCK:
        return _inside(closed, lab)
    return _between(closed, lab)


def _done(lab: type[Lab], prefix: str = "") -> Q:
    wanted = {"problem": lab.problem, "lab": lab.slug, "state": RunState.DONE, "result__isnull": False}
    return Q(**{f"{prefix}{name}": value for name, value in wanted.items()})


def _inside(tries: Sequence[AssignedAttempt], lab: type[Lab]) -> list[AssignedRun]:
    """What the interviewer ran to show an event is nobody's design."""
    links = RunLink.objects.filter(_done(lab, "run__"), attempt__in=[row.attempt_id for row in tries if row.attempt_id])
    shown = Q(pk__in=links.filter(curveball__broken__isnull=False).values("curveball__broken"))
    rows = links.exclude(shown).select_related("run__result").defer("run__result__body").order_by("at", "pk")
    users = {row.attempt_id: row.user_id for row in tries}
    return [AssignedRun(link.run, users[link.attempt_id]) for link in rows]


def _between(tries: Sequence[AssignedAttempt], lab: type[Lab]) -> list[AssignedRun]:
    spans: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for row in tries:
        if row.finished_at is not None:
            spans[row.user_id].append((row.begun_at, row.finished_at))
    rows: QuerySet[Run] = Run.objects.filter(_done(lab), user__in=spans).select_related("result").defer("result__body")
    found = [run for run in rows.order_by("created_at") if any(begun <= run.created_at <= end for begun, end in spans[run.user_id])]
    return [AssignedRun(run, run.user_id) for run in found]


# --- worlds ----------------------------------------------------------------------------------------------------------


def world_fields(lab: type[Lab]) -> tuple[str, ...]:
    """Parameters that describe the world rather than a design: what challenges fix, and the group of that name."""
    fixed = {name for challenge in lab.challenges for name in challenge.world}
    open_to_all = {name for challenge in lab.challenges for name in challenge.design}
    grouped = {name for name, field in lab.Params.model_fields.items() if _group(field).lower() == WORLD}
    return tuple(name for name in lab.Params.model_fields if name in (fixed | grouped) - open_to_all)


def _group(field: Any) -> str:
    return str((field.json_schema_extra or {}).get("lab", {}).get("group", ""))


def challenge_of(assignment: Assignment, lab: type[Lab]) -> Challenge | None:
    return next((challenge for challenge in lab.challenges if challenge.slug == assignment.settings.get("challenge")), None)


def set_world(lab: type[Lab], challenge: Challenge) -> dict[str, Any]:
    """What the brief fixes, as runs keep it."""
    values = parse_params(lab, dict(challenge.world)).model_dump(mode="json")
    return {name: values[name] for name in challenge.world}


def in_world(run: Run, world: Mapping[str, Any]) -> bool:
    return all(run.params.get(name) == value for name, value in world.items())


@dataclass(frozen=True)
class Comparable:
    """`runs` share lab version, world and seed; the other counts say what was left out, and why."""

    runs: tuple[AssignedRun, ...]
    world: Mapping[str, Any]
    seed: int
    other_versions: int
    other_worlds: int
    own_data: int

    @property
    def people(self) -> int:
        return len({item.user for item in self.runs})


def comparable(assignment: Assignment, lab: type[Lab], found: Sequence[AssignedRun]) -> Comparable:
    """The challenge's world, else the one most people have been in."""
    current = [item for item in found if item.run.lab_version == lab.version]
    shared = [item for item in current if item.run.dataset_id is None]
    challenge = challenge_of(assignment, lab)
    fixed = set_world(lab, challenge) if challenge else {}
    names = tuple(fixed) if challenge else world_fields(lab)
    groups: dict[str, list[AssignedRun]] = defaultdict(list)
    for item in shared:
        if in_world(item.run, fixed):
            groups[_world_key(item.run, names)].append(item)
    chosen = max(groups.values(), key=lambda group: (len({item.user for item in group}), len(group)), default=[])
    return Comparable(
        runs=tuple(chosen),
        world={name: chosen[0].run.params.get(name) for name in names} if chosen else fixed,
        seed=chosen[0].run.seed if chosen else 0,
        other_versions=len(found) - len(current),
        other_worlds=len(shared) - len(chosen),
        own_data=len(current) - len(shared),
    )


def _world_key(run: Run, names: Sequence[str]) -> str:
    return json.dumps([run.seed, *(run.params.get(name) for name in names)], sort_keys=True)
