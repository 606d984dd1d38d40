"""What learners have reached in an assignment: which try counts, what it is worth, how much of it is graded. Reads, never writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlsd_app.accounts.models import User
from mlsd_app.cohorts import designs, foretelling
from mlsd_app.cohorts.grading.sections import ANSWER, is_answer
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Kind, Task
from mlsd_app.cohorts.policies import policy_for
from mlsd_app.cohorts.policy import late_credit
from mlsd_app.cohorts.rules import finished
from mlsd_app.cohorts.selectors import assigned_finished
from mlsd_app.interviews.models import Reason, Status, Verdict
from mlsd_app.quiz.models import Sitting
from mlsd_app.quiz.sittings import answers_of

UNGRADED, PARTLY, GRADED = "ungraded", "partly", "graded"


@dataclass(frozen=True)
class TryOutcome:
    """`score` 0 to 100 over what was graded, None while nothing is; `open_pieces` wait for a person."""

    row: AssignedAttempt
    score: float | None
    graded_weight: float
    verdict: str
    credit: float
    open_pieces: int

    @property
    def state(self) -> str:
        if self.row.attempt is None and self.row.sitting is None and not self.open_pieces:
            return GRADED
        if self.score is None:
            return UNGRADED
        return PARTLY if self.open_pieces else GRADED

    @property
    def credited(self) -> float | None:
        return None if self.score is None else self.score * self.credit


@dataclass(frozen=True)
class Outcome:
    """`score` is before late credit; `score * late_credit` counts. `counted` None: the mean of several tries, or none."""

    tries: tuple[TryOutcome, ...]
    counted: AssignedAttempt | None
    score: float | None
    late_credit: float
    graded_weight: float
    verdict: str
    state: str
    open_pieces: int

    @property
    def credited(self) -> float | None:
        return None if self.score is None else self.score * self.late_credit


NOTHING = Outcome((), None, None, 1.0, 0.0, "", UNGRADED, 0)


def counts(row: AssignedAttempt) -> bool:
    """Finished, not void, and not abandoned unless staff let it be graded."""
    attempt = row.attempt
    if not finished(row):
        return False
    if attempt is None:
        return True
    return attempt.status != Status.VOID and (attempt.reason != Reason.ABANDONED or attempt.accepted_late)


def outcomes_of(*, assignment: Assignment, now: datetime, user: User | None = None) -> dict[int, Outcome]:
    """{user id: outcome} of everybody with a try that counts."""
    rows = assigned_finished().filter(assignment=assignment).select_related("assignment__cohort", "attempt", "sitting", "user")
    rows = rows.defer("attempt__content").order_by("number")
    if user is not None:
        rows = rows.filter(user=user)
    mine: dict[int, list[AssignedAttempt]] = defaultdict(list)
    for row in rows:
        if counts(row):
            mine[row.user_id].append(row)
    facts = _Facts(assignment, [row for tries in mine.values() for row in tries], now)
    return {user_id: outcome([facts.of(row) for row in tries], assignment.counts) for user_id, tries in mine.items()}


def outcome(tries: Sequence[TryOutcome], counts: str) -> Outcome:
    """By the assignment's rule: best, last, first or mean. Pure."""
    if not tries:
        return NOTHING
    if counts == "mean" and len(scored := [entry for entry in tries if entry.score is not None]) > 1:
        return _mean(tries, scored)
    match counts:
        case "first":
            chosen = tries[0]
        case "last":
            chosen = tries[-1]
        case _:
            chosen = max(tries, key=lambda entry: (-1.0 if entry.credited is None else entry.credited, entry.row.number))
    return Outcome(
        tries=tuple(tries),
        counted=chosen.row,
        score=chosen.score,
        late_credit=chosen.credit,
        graded_weight=chosen.graded_weight,
        verdict=chosen.verdict,
        state=chosen.state,
        open_pieces=chosen.open_pieces,
    )


def _mean(tries: Sequence[TryOutcome], scored: Sequence[TryOutcome]) -> Outcome:
    """The mean of what each try counts; the credit is the one that leads from the mean score to it."""
    score = sum(entry.score or 0.0 for entry in scored) / len(scored)
    credited = sum(entry.credited or 0.0 for entry in scored) / len(scored)
    states = {entry.state for entry in tries}
    return Outcome(
        tries=tuple(tries),
        counted=None,
        score=score,
        late_credit=credited / score if score else 1.0,
        graded_weight=min(entry.graded_weight for entry in scored),
        verdict="",
        state=GRADED if states == {GRADED} else PARTLY,
        open_pieces=sum(entry.open_pieces for entry in tries),
    )


class _Facts:
    """What is known of many tries, read in a few queries."""

    def __init__(self, assignment: Assignment, rows: Sequence[AssignedAttempt], now: datetime) -> None:
        self.assignment, self.now = assignment, now
        attempts = [row.attempt_id for row in rows if row.attempt_id]
        self.verdicts = {(row.attempt_id, row.rubric_version): row for row in Verdict.objects.filter(attempt__in=attempts).order_by("pk")}
        self.tasks: dict[int, list[Task]] = defaultdict(list)
        for task in Task.objects.filter(assigned__in=[row.pk for row in rows]):
            self.tasks[task.assigned_id].append(task)

    def of(self, row: AssignedAttempt) -> TryOutcome:
        tasks = self.tasks[row.pk]
        waiting = sum(task.state != "graded" for task in tasks)
        credit = self._credit(row)
        if row.attempt is not None:
            found = self.verdicts.get((row.attempt.pk, row.attempt.rubric_version))
            if found is None:
                return TryOutcome(row, None, 0.0, "", credit, waiting)
            return TryOutcome(row, found.score, found.graded_weight, found.verdict, credit, waiting)
        if row.sitting is not None:
            score, weight = quiz_score(row.sitting, {task.section: task.mark for task in tasks if is_answer(task) and task.graded_at})
            return TryOutcome(row, score, weight, "", credit, waiting)
        return self._alone(row, credit, waiting)

    def _alone(self, row: AssignedAttempt, credit: float, waiting: int) -> TryOutcome:
        """A challenge is judged by machine; predictions and readings bear no marks."""
        if self.assignment.kind == Kind.CHALLENGE:
            score, verdict, judging = designs.outcome_of(designs.submissions_in(row))
            return TryOutcome(row, score, 0.0 if score is None else 100.0, verdict, credit, judging)
        verdict = foretelling.outcome_of(list(row.predictions.all())) if self.assignment.kind == Kind.PREDICTION else ""
        return TryOutcome(row, None, 0.0, verdict, credit, waiting)

    def _credit(self, row: AssignedAttempt) -> float:
        """By what holds for the person now: time that was granted afterwards counts, too."""
        at = _ended(row)
        if at is None or not self.assignment.late_steps or self.assignment.due_at is None or at <= self.assignment.due_at:
            return 1.0
        due_at = policy_for(assignment=self.assignment, user=row.user, now=self.now).due_at
        return late_credit(at=at, due_at=due_at, steps=self.assignment.late_steps)


def _ended(row: AssignedAttempt) -> datetime | None:
    if row.attempt is not None:
        return row.attempt.closed_at
    return row.sitting.closed_at if row.sitting is not None else row.finished_at


def quiz_score(sitting: Sitting, by_people: Mapping[str, float | None]) -> tuple[float | None, float]:
    """(percent over what is marked, share of the questions that is marked, in percent). What was not answered is 0.

    A free answer counts what a person gave it; until then, and where nobody can mark it (flashcards), it is left out.
    """
    answers = answers_of(sitting)
    marks: list[float | None] = []
    for place, entry in enumerate(sitting.items):
        if entry.get("dropped"):
            continue
        key = f"{entry['problem']}/{entry['item']}"
        response, kind = answers.get(place), sitting.content.get(key, {}).get("type")
        if kind == "flashcard":
            continue
        if kind == "free" and response is not None and str(response.given.get("text") or "").strip():
            marks.append(by_people.get(f"{ANSWER}{key}"))
        else:
            marks.append(response.mark if response is not None and kind != "free" else 0.0)
    marked = [mark for mark in marks if mark is not None]
    if not marked:
        return None, 0.0
    return 100 * sum(marked) / len(marked), 100 * len(marked) / len(marks)


def distribution(scores: Iterable[float], *, width: int = 10) -> list[tuple[str, int]]:
    """[("0 to 10", how many)]; 100 stands in the last."""
    bins = [0] * (100 // width)
    for score in scores:
        bins[min(int(score // width), len(bins) - 1)] += 1
    return [(f"{place * width} to {(place + 1) * width}", count) for place, count in enumerate(bins)]
