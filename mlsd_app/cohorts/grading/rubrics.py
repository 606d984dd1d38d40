"""Versions of an assignment's rubric, and marking what was handed in under the newest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.grading.marks import NUL
from mlsd_app.cohorts.grading.rubric_content import OWN, ItemChange, RubricContent, changes, content_of, rubric_from, to_judge_again
from mlsd_app.cohorts.grading.sections import SECTIONS
from mlsd_app.cohorts.kinds import problem_named
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Kind, Rubric, Task
from mlsd_app.cohorts.policy import checked
from mlsd_app.interviews.models import Attempt, ItemScore, ScoreState, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring.reading import rubric_of
from mlsd_app.interviews.scoring.rows import regrade
from mlsd_app.interviews.scoring.scorecard import item_texts
from mlsd_app.interviews.scoring.verdict import GROUPS
from problems.interview_schema import Rubric as ProblemRubric
from simulators.errors import InvalidInput

MOST_VERSIONS = 200
MOST_NOTE = 300


def problem_rubric(assignment: Assignment) -> ProblemRubric:
    """InvalidInput for what is no mock, or has lost its rubric."""
    rubric = problem_named(assignment.problem).rubric
    if assignment.kind != Kind.MOCK or rubric is None:
        raise InvalidInput("Only mock interviews are graded by a rubric.", field="assignment")
    return rubric


def rubric_latest(assignment: Assignment) -> Rubric | None:
    """The assignment's own newest rubric; None while the problem's counts."""
    return Rubric.objects.filter(assignment=assignment).order_by("-version").first()


def content_now(assignment: Assignment) -> tuple[int, RubricContent]:
    """(version, content) that counts for new marks: the assignment's own, else the problem's."""
    if own := rubric_latest(assignment):
        return own.version, RubricContent.model_validate(own.content)
    base = problem_rubric(assignment)
    return base.version, content_of(base, item_texts(assignment.problem))


def content_at(assignment: Assignment, version: int) -> RubricContent:
    """As it was in that version; the problem's rubric where the assignment had none of its own yet."""
    own = Rubric.objects.filter(assignment=assignment, version=version).first()
    return RubricContent.model_validate(own.content) if own else content_of(problem_rubric(assignment), item_texts(assignment.problem))


def rubric_diff(assignment: Assignment, rubric: Rubric) -> list[ItemChange]:
    """What a version changed against the one before it."""
    before = Rubric.objects.filter(assignment=assignment, version__lt=rubric.version).order_by("-version").first()
    old = RubricContent.model_validate(before.content) if before else content_at(assignment, 0)
    return changes(old, RubricContent.model_validate(rubric.content))


@transaction.atomic
def rubric_save(
    *, by: By, assignment: Assignment, content: Mapping[str, Any], base_version: int, note: str = "", now: datetime
) -> Rubric | None:
    """A new version; None when nothing differs. Refused `stale` (409) when somebody saved since `base_version` was read.

    What was handed in keeps its marks until `rubric_regrade`. Raises InvalidInput for points that are none of the problem's and do
    not begin with "own.", for more than can be kept, and for weights that leave nothing to grade.
    """
    row = Assignment.objects.select_for_update(of=("self",)).select_related("cohort").get(pk=assignment.pk)
    base, (version, old) = problem_rubric(row), content_now(row)
    new = checked(RubricContent, content, field="content")
    if NUL in json.dumps(new.model_dump(mode="json")):
        raise InvalidInput("The rubric has a NUL character, which cannot be kept.", field="content")
    if version != base_version:
        words = "Somebody saved the rubric since you opened it. Yours is below; save again to put it in its place."
        raise Refused("stale", words, 409, {"version": version, "diff": [entry.id for entry in changes(old, new)]})
    _check(new, base, note)
    if not changes(old, new):
        return None
    if Rubric.objects.filter(assignment=row).count() >= MOST_VERSIONS:
        raise InvalidInput(f"The rubric has {MOST_VERSIONS} versions, the most that are kept.")
    made = Rubric.objects.create(
        assignment=row, version=version + 1, content=new.model_dump(mode="json"), note=note.strip(), changed_by=by.user, at=now
    )
    after = {"version": made.version, "points": [entry.id or "weights" for entry in changes(old, new)]}
    audited(by=by, action="rubric.edit", thing=made, cohort=row.cohort, now=now, before={"version": version}, after=after, reason=note)
    return made


def _check(content: RubricContent, base: ProblemRubric, note: str) -> None:
    known = {item.id: item for item in base.items}
    for item in content.items:
        if item.id not in known and not OWN.match(item.id):
            raise InvalidInput(f"{item.id}: the problem has no such point; ids of added ones begin with own.", field=item.id)
        if item.id in known and (item.tag, item.signal) != (known[item.id].tag, known[item.id].signal):
            raise InvalidInput(f"{item.id}: topic and signal stay as the problem has them.", field=item.id)
    if missing := known.keys() - {item.id for item in content.items}:
        raise InvalidInput(f"{min(missing)} is missing; switch a point off instead of leaving it out.", field=min(missing))
    weighed = {item.tag for item in content.items if item.on}
    if not any(weight > 0 for tag, weight in content.weights.items() if weighed & set(group_of(tag))):
        raise InvalidInput("Some topic with points must weigh more than 0.", field="weights")
    if len(note) > MOST_NOTE or "\0" in note:
        raise InvalidInput(f"The note has {len(note)} characters; at most {MOST_NOTE} are kept.", field="note")


def group_of(first: str) -> tuple[str, ...]:
    """The tags that are weighed together, by the first of them."""
    return next((tags for tags, _ in GROUPS if tags[0] == first), ())


# --- marking under it ------------------------------------------------------------------------------------------------


def rubric_apply(*, attempt: Attempt, rubric: Rubric, now: datetime) -> bool:
    """Marks one finished interview under the rubric; False when it stands under that version already. Old rows stay."""
    if attempt.rubric_version == rubric.version:
        return False
    content = RubricContent.model_validate(rubric.content)
    base = problem_rubric(rubric.assignment)
    attempt.content = {**attempt.content, "item_texts": {item.id: item.text for item in content.items}}
    attempt.save(update_fields=["content"])
    regrade(attempt=attempt, now=now, rubric=rubric_from(content, base, rubric.version))
    attempt.refresh_from_db()
    return True


def behind(assignment: Assignment) -> QuerySet[AssignedAttempt]:
    """Finished interviews that stand under an older rubric than the newest."""
    newest = content_now(assignment)[0]
    over = [Status.GRADED, Status.RELEASED]
    rows = AssignedAttempt.objects.filter(assignment=assignment, attempt__status__in=over).exclude(attempt__rubric_version=newest)
    return rows.select_related("attempt", "assignment__cohort")


def rubric_regrade(*, by: By, assignment: Assignment, now: datetime) -> dict[str, int]:
    """Marks all finished interviews under the newest version: rules at once, and pieces with a changed point that a person had judged
    go back to the queue as "check again". {"marked": interviews, "check_again": pieces}. Each interview in a transaction of its own,
    with its entry in the log: interrupted, it goes on where it stopped.
    """
    newest = rubric_latest(assignment)
    if newest is None:
        return {"marked": 0, "check_again": 0}
    marked = again = 0
    for row in behind(assignment):
        with transaction.atomic():
            before = {"version": row.attempt.rubric_version if row.attempt else None}
            pieces = _regrade_one(row, newest, now)
            after = {"version": newest.version, "check_again": pieces}
            audited(by=by, action="rubric.regrade", thing=row, cohort=row.assignment.cohort, now=now, before=before, after=after)
        marked, again = marked + 1, again + pieces
    return {"marked": marked, "check_again": again}


def _regrade_one(row: AssignedAttempt, newest: Rubric, now: datetime) -> int:
    attempt = row.attempt
    assert attempt is not None
    new = RubricContent.model_validate(newest.content)
    changed = to_judge_again(content_at(row.assignment, attempt.rubric_version), new)
    rubric_apply(attempt=attempt, rubric=newest, now=now)
    by_person = {item.id for item in rubric_of(attempt).items if item.grade == "text"} | _marked_by_people(attempt)
    tags = {item.tag for item in new.items if item.id in changed & by_person}
    sections = [section.key for section in SECTIONS if tags & set(section.tags)]
    return Task.objects.filter(assigned=row, section__in=sections, state="graded").update(state="check_again")


def _marked_by_people(attempt: Attempt) -> set[str]:
    return set(ItemScore.objects.filter(attempt=attempt, state=ScoreState.HUMAN).values_list("item_id", flat=True))
