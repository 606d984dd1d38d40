"""Twin rule: over random populations, every predicate and its queryset agree on every object for every person."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from django.db.models import Model

from mlsd_app.accounts.models import User
from mlsd_app.challenges.models import Submission
from mlsd_app.cohorts import rules
from mlsd_app.cohorts.models import (
    Accommodation,
    AssignedAttempt,
    Assignment,
    Audit,
    Cohort,
    Export,
    Label,
    Membership,
    Note,
    Result,
    Role,
    Task,
    TrySubmission,
)
from mlsd_app.cohorts.selectors import TWINS
from mlsd_app.interviews.models import Attempt, RunLink, Status
from mlsd_app.interviews.presets import preset_phases
from mlsd_app.quiz.models import Response, Sitting
from mlsd_app.runs.models import Run
from tests.web.cohorts.conftest import NOW, person

COHORTS, USERS = 5, 40
OBJECTS: dict[type[Model], list[str]] = {
    Cohort: [
        *("see_cohort", "edit_cohort", "manage_learners", "see_people", "manage_accommodations", "create_assignment", "grade_in_cohort"),
        *("watch_live", "see_analytics", "see_analytics_names", "export_cohort", "see_cohort_audit"),
    ],
    Membership: ["see_member", "remove_member", "change_role"],
    Accommodation: ["see_accommodation", "set_accommodation"],
    Assignment: ["see_assignment", "edit_assignment", "begin_assignment", "edit_rubric", "release_scores", "see_map"],
    AssignedAttempt: ["see_assigned", "see_name"],
    Attempt: ["see_attempt", "follow_attempt", "proctor_attempt", "add_note"],
    Run: ["see_run"],
    Response: ["see_response"],
    Submission: ["see_submission"],
    Note: ["see_note"],
    Task: ["grade_task"],
    Result: ["see_result", "override_result"],
    Audit: ["see_audit_entry"],
    Export: ["see_export"],
}


class Population:
    """Five cohorts, forty people (one of them site staff, one superuser), and a few hundred rows about them, all drawn by `seed`."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        extra: list[dict[str, Any]] = [{"is_staff": True}, {"is_staff": True, "is_superuser": True}, {"is_superuser": True}]
        self.users = [person(f"u{number}", **(extra[number] if number < len(extra) else {})) for number in range(USERS)]
        self.cohorts = [Cohort.objects.create(name=f"c{number}") for number in range(COHORTS)]
        for cohort in self.cohorts:
            self._people(cohort)
            for number in range(6):
                self._assignment(cohort, number)
        self._records()

    def maybe(self, chance: float = 0.5) -> bool:
        return self.draw.random() < chance

    def moment(self, chance: float = 0.5) -> Any:
        return NOW if self.maybe(chance) else None

    def _people(self, cohort: Cohort) -> None:
        labels = [Label.objects.create(cohort=cohort, name=f"l{number}", position=number) for number in range(3)]
        staff = [Role.INSTRUCTOR, Role.GRADER, Role.GRADER, Role.OBSERVER]
        for number, user in enumerate(self.draw.sample(self.users, 26)):
            role = [Role.OWNER, *staff, *staff][number] if number < 9 else Role.LEARNER
            removed = self.moment(0.2) if role != Role.OWNER else None
            member = Membership.objects.create(cohort=cohort, user=user, role=role, joined_via="added", removed_at=removed)
            member.labels.set([label for label in labels if self.maybe(0.3)])
            if self.maybe(0.15):
                Accommodation.objects.create(cohort=cohort, user=user)
        Accommodation.objects.create(cohort=cohort, label=labels[0])

    def _assignment(self, cohort: Cohort, number: int) -> None:
        row = Assignment.objects.create(
            cohort=cohort,
            title=f"a{number}",
            kind="mock",
            problem="vector_search",
            published_at=self.moment(0.8),
            archived_at=self.moment(0.15),
            everyone=self.maybe(),
            show_score=self.maybe(0.7),
        )
        members = list(cohort.memberships.all())
        if not row.everyone:
            row.group_labels.set([label for label in cohort.labels.all() if self.maybe(0.4)])
            row.people.set(self.draw.sample(members, 4))
        for member in self.draw.sample(members, 5):
            self._try(row, member.user, [other.user for other in members])

    def _try(self, assignment: Assignment, user: User, people: list[User]) -> None:
        """A mock with run and notes, a quiz with an answer, or neither; a task and a result."""
        kind = self.draw.choice(["attempt", "attempt", "sitting", "alone"])
        attempt = self._attempt(user, people) if kind == "attempt" else None
        sitting = self._sitting(user) if kind == "sitting" else None
        finished = self.moment() if kind == "alone" else None
        row = AssignedAttempt.objects.create(
            assignment=assignment, user=user, number=1, version=1, begun_at=NOW, attempt=attempt, sitting=sitting, finished_at=finished
        )
        if kind == "alone":
            TrySubmission.objects.create(assigned=row, submission=self._submission(user))
        graders = [*(other if self.maybe(0.4) else None for other in self.draw.sample(people, 3))]
        Task.objects.create(
            assigned=row, section="deep", order_key="0" * 16, lease_user=graders[0], tagged_to=graders[1], graded_by=graders[2]
        )
        Result.objects.create(assignment=assignment, user=user, released_at=self.moment())

    def _attempt(self, user: User, people: list[User]) -> Attempt:
        status = self.draw.choice(list(Status))
        closed = NOW if status not in ("ready", "open") else None
        attempt = Attempt.objects.create(
            user=user, problem="vector_search", phases=preset_phases("five_phase"), status=status, closed_at=closed, kind="assigned"
        )
        run = Run.objects.create(user=user, problem="vector_search", lab="x", lab_version=1, params={}, cache_key="k")
        RunLink.objects.create(attempt=attempt, run=run, number=1, phase="clarify", at=NOW)
        Note.objects.create(attempt=attempt, author=self.draw.choice(people), text="n", visible_to_learner=self.maybe())
        return attempt

    def _sitting(self, user: User) -> Sitting:
        closed = self.moment()
        sitting = Sitting.objects.create(user=user, kind="assigned", items=[], content={}, seed=1, started_at=NOW, closed_at=closed)
        Response.objects.create(
            user=user, sitting=sitting, place=0, problem_slug="p", item_id="i", rev=1, draw_seed=1, at=NOW, op_id=str(sitting.pk)
        )
        return sitting

    def _submission(self, user: User) -> Submission:
        names = {"problem": "vector_search", "lab": "x", "challenge": "c", "lab_version": 1, "scope": "s"}
        number = str(Submission.objects.count())
        return Submission.objects.create(user=user, design={}, design_hash=number, created_at=NOW, queued_at=NOW, touched_at=NOW, **names)

    def _records(self) -> None:
        for cohort in [*self.cohorts, None]:
            for _ in range(4):
                user = self.draw.choice(self.users)
                Audit.objects.create(at=NOW, actor=user, action="x", object_type="x", object_id="1", cohort=cohort)
                Export.objects.create(user=user, cohort=cohort, kind="runs", format="csv", expires_at=NOW + timedelta(days=7))
        for user in self.draw.sample(self.users, 10):  # what belongs to no cohort
            self._attempt(user, self.users)
            self._sitting(user)
            self._submission(user)


def test_every_rule_has_a_twin_and_a_kind_of_object() -> None:
    assert set(rules.PERMISSIONS) == set(TWINS) == {action for actions in OBJECTS.values() for action in actions}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_twins_agree(db: None, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """About 50,000 checks a seed. What the predicates read of the population is remembered: nothing changes it meanwhile."""
    population = Population(seed)
    by_ids, of_thing = rules.role_in, rules.assigned_of
    roles = cache(lambda user_id, cohort_id: by_ids(user=User(pk=user_id), cohort_id=cohort_id))
    monkeypatch.setattr(rules, "role_in", lambda *, user, cohort_id: roles(user.pk, cohort_id))
    monkeypatch.setattr(rules, "assigned_of", cache(of_thing))
    objects = {model: list(model._default_manager.all()) for model in OBJECTS}
    assert sum(map(len, objects.values())) >= 300
    checks, yes, wrong = 0, 0, []
    for user in population.users:
        for model, actions in OBJECTS.items():
            for action in actions:
                allowed = set(TWINS[action](user).values_list("pk", flat=True))
                for thing in objects[model]:
                    said = rules.may(user, action, thing)
                    checks, yes = checks + 1, yes + said
                    if said != (thing.pk in allowed):
                        wrong.append((user.username, action, thing, said))
    assert not wrong, f"{len(wrong)} of {checks}: {wrong[:5]}"
    assert checks >= 50_000
    assert 0.05 < yes / checks < 0.5  # neither all yes nor all no


def test_has_perm_says_the_same_except_to_superusers(db: None) -> None:
    population = Population(3)
    cohort = population.cohorts[0]
    for user in population.users:
        for action in OBJECTS[Cohort]:
            assert user.has_perm(f"cohorts.{action}", cohort) == (user.is_superuser or rules.may(user, action, cohort))


def test_a_misspelt_action_is_an_error(db: None) -> None:
    with pytest.raises(KeyError):
        rules.may(person("a"), "see_everything", None)


@pytest.mark.parametrize("action", sorted(rules.PERMISSIONS))
def test_nothing_is_allowed_on_nothing(db: None, action: str) -> None:
    assert not rules.may(person("a"), action, None)
