"""What an owner looks at before letting results out: how scores lie, how far grading is, whether graders judge alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading.anonymous import code_names
from mlsd_app.cohorts.grading.outcomes import NOTHING, Outcome, distribution, outcomes_of
from mlsd_app.cohorts.grading.results import final_score, undecided
from mlsd_app.cohorts.grading.sections import SECTIONS, section_title
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Membership, Result, Role, Task
from mlsd_app.cohorts.panel import learners_by_assignment
from mlsd_app.interviews.models import ItemScore, ScoreState
from mlsd_app.interviews.scoring.people import MAX_LEVEL

ENOUGH = 10  # pieces of each grader, before two means are compared
APART = 1.0  # levels


@dataclass(frozen=True)
class GraderMean:
    """The mean level, 0 to 4, of a grader's marks in a section over `n` pieces. `apart`: more than a level from a colleague's."""

    section: str
    grader: str
    n: int
    mean: float
    apart: bool


def grader_means(assignment: Assignment) -> list[GraderMean]:
    """By section. Means of fewer than ten pieces are shown but never compared."""
    tasks = {(task.assigned.attempt_id, task.section): task for task in _graded(assignment)}
    levels: dict[tuple[str, int], list[float]] = defaultdict(list)
    pieces: dict[tuple[str, int], set[object]] = defaultdict(set)
    section_of = {tag: section.key for section in SECTIONS for tag in section.tags}
    marks = ItemScore.objects.filter(attempt__assigned__assignment=assignment, state=ScoreState.HUMAN, superseded_by=None)
    for row in marks.exclude(grader=None):
        section = section_of.get(row.item_id.partition(".")[0], "")
        if row.points is not None and (row.attempt_id, section) in tasks and row.grader_id is not None:
            levels[section, row.grader_id].append(MAX_LEVEL * row.points / row.max)
            pieces[section, row.grader_id].add(row.attempt_id)
    names = {user.pk: user.shown_name for user in User.objects.filter(pk__in={grader for _, grader in levels})}
    means = {key: sum(found) / len(found) for key, found in levels.items()}
    counts = {key: len(found) for key, found in pieces.items()}
    far = _far_apart(means, counts)
    return [
        GraderMean(section_title(key[0]), names[key[1]], counts[key], mean, key in far)
        for key, mean in sorted(means.items(), key=lambda entry: (entry[0][0], names[entry[0][1]]))
    ]


def _graded(assignment: Assignment) -> list[Task]:
    return list(Task.objects.filter(assigned__assignment=assignment, graded_at__isnull=False).select_related("assigned"))


def _far_apart(means: Mapping[tuple[str, int], float], counts: Mapping[tuple[str, int], int]) -> set[tuple[str, int]]:
    enough = [key for key in means if counts[key] >= ENOUGH]
    pairs = [(one, two) for one, two in combinations(enough, 2) if one[0] == two[0] and abs(means[one] - means[two]) > APART]
    return {key for pair in pairs for key in pair}


# --- the release page ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResultRow:
    """One learner. `name` is the code name until the result is out."""

    name: str
    outcome: Outcome
    result: Result | None
    final: float | None

    @property
    def released(self) -> bool:
        return self.result is not None and self.result.released_at is not None


@dataclass(frozen=True)
class ReleaseView:
    rows: list[ResultRow]
    missing: int  # learners without a try that counts
    distribution: list[tuple[str, int]]
    mean: float | None
    open_pieces: int
    unfinished: int  # learners not let out yet whose work waits for a person
    to_release: int
    undecided: list[tuple[str, AssignedAttempt]]
    means: list[GraderMean]


def release_view(*, assignment: Assignment, now: datetime) -> ReleaseView:
    outcomes = outcomes_of(assignment=assignment, now=now)
    results = {row.user_id: row for row in assignment.results.select_related("user")}
    codes = code_names(assignment)
    rows = [_row(codes.get(user, "Somebody"), found, results.get(user)) for user, found in outcomes.items()]
    rows.sort(key=lambda row: (not row.released, row.name.lower()))
    scores = [row.final for row in rows if row.final is not None]
    held_back = [row for row in rows if not row.released]
    learners = learners_by_assignment(assignment.cohort)[assignment.pk]
    return ReleaseView(
        rows=rows,
        missing=len(learners - outcomes.keys()),
        distribution=distribution(scores),
        mean=sum(scores) / len(scores) if scores else None,
        open_pieces=sum(entry.open_pieces for row in rows for entry in row.outcome.tries),
        unfinished=sum(row.outcome.state != "graded" for row in held_back),
        to_release=sum(row.outcome.state != "ungraded" for row in held_back),
        undecided=[(codes.get(row.user_id, "Somebody"), row) for row in undecided(assignment)],
        means=grader_means(assignment),
    )


def _row(code: str, found: Outcome, result: Result | None) -> ResultRow:
    out = result is not None and result.released_at is not None
    override = result.override_score if result else None
    name = result.user.shown_name if result and out else code
    return ResultRow(name, found or NOTHING, result, found.credited if override is None else override)


# --- the gradebook ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BookRow:
    member: Membership
    cells: list[tuple[Result | None, float | None]]  # in the order of the assignments; None: not out


def gradebook(cohort: Cohort) -> tuple[list[Assignment], list[BookRow]]:
    """Learners and what they have reached in everything that is out. What is not released stays under code names elsewhere."""
    shown = list(cohort.assignments.filter(published_at__isnull=False, archived_at=None).exclude(kind="reading"))
    found = {(row.user_id, row.assignment_id): row for row in Result.objects.filter(assignment__in=shown, released_at__isnull=False)}
    members = cohort.memberships.filter(role=Role.LEARNER, removed_at=None).select_related("user").prefetch_related("labels")
    rows = []
    for member in sorted(members, key=lambda member: member.user.shown_name.lower()):
        results = [found.get((member.user_id, assignment.pk)) for assignment in shown]
        rows.append(BookRow(member, [(result, final_score(result) if result else None) for result in results]))
    return shown, rows
