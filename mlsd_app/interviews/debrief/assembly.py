"""The debrief as page, export and API show it, without what its owner may not see yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from django.db.models import prefetch_related_objects

from mlsd_app.interviews.debrief import compare, evidence, own, pacing, told
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.scoring import Scorecard, scorecard
from mlsd_app.interviews.scoring.reading import sheet_of
from mlsd_app.interviews.scoring.sheet import Sheet
from mlsd_app.interviews.selectors import questions_visible, score_visible
from problems.loader import load_problem
from problems.schema import Problem


@dataclass(frozen=True)
class Debrief:
    """Parts are made when they are asked for.

    answers_shown  what was asked and written may be looked at
    result_shown   facts missed, numbers expected, verdicts of claims: what would give the interview away before its release
    score_shown    marks may be seen
    """

    attempt: Attempt

    @cached_property
    def problem(self) -> Problem:
        return load_problem(self.attempt.problem)

    @property
    def begun(self) -> bool:
        return self.attempt.started_at is not None and "rubric" in self.attempt.content

    @property
    def answers_shown(self) -> bool:
        return self.begun and questions_visible(self.attempt)

    @property
    def result_shown(self) -> bool:
        return self.answers_shown and self.attempt.status == Status.RELEASED

    @property
    def score_shown(self) -> bool:
        return self.begun and score_visible(self.attempt)

    @property
    def waits_for_grade(self) -> bool:
        """A rule is about to mark it: the page may ask again in a moment."""
        return self.attempt.kind == "mock" and self.attempt.grading_needed

    @cached_property
    def card(self) -> Scorecard:
        return scorecard(self.attempt, viewer="owner")

    @cached_property
    def _sheet(self) -> Sheet:
        return sheet_of(self.attempt)

    @cached_property
    def pacing(self) -> pacing.Pacing:
        return pacing.pacing_of(self.attempt)

    @cached_property
    def facts(self) -> tuple[told.FactLine, ...]:
        return told.fact_lines(self.attempt, self._sheet) if self.result_shown else ()

    @cached_property
    def fact_counts(self) -> tuple[tuple[str, int], ...]:
        return tuple(told.counts(self.facts))

    @property
    def needed_facts(self) -> int:
        return sum(line.needed for line in self.facts)

    @property
    def needed_known(self) -> int:
        """Needed facts that the interviewer told, asked for or when constraints were read back."""
        return sum(line.needed and bool(line.answer) for line in self.facts)

    @cached_property
    def numbers(self) -> tuple[told.NumberLine, ...]:
        return told.number_lines(self._sheet) if self.result_shown else ()

    @cached_property
    def runs(self) -> tuple[evidence.RunLine, ...]:
        return evidence.run_lines(self.attempt)

    @property
    def predictions(self) -> tuple[evidence.RunLine, ...]:
        return tuple(line for line in self.runs if line.predicted)

    @cached_property
    def labs(self) -> tuple[evidence.LabLeft, ...]:
        return evidence.labs_left(self.runs)

    @cached_property
    def claims(self) -> tuple[evidence.ClaimLine, ...]:
        return evidence.claim_lines(self.attempt)

    @cached_property
    def untested(self) -> tuple[str, ...]:
        return evidence.untested(self.attempt)

    @cached_property
    def events(self) -> tuple[evidence.BallLine, ...]:
        return evidence.ball_lines(self.attempt, self.runs)

    @cached_property
    def design(self) -> compare.Design:
        return compare.design_of(self.attempt)

    @cached_property
    def beside(self) -> tuple[compare.Beside, ...]:
        return compare.beside(self.attempt, self.problem)

    @cached_property
    def losses(self) -> tuple[compare.Loss, ...]:
        return compare.losses(self.card)

    @cached_property
    def gaps(self) -> list[own.GapRow]:
        return own.gaps_until(self.attempt)


def debrief_of(attempt: Attempt) -> Debrief:
    """Of an attempt that is over: what several parts read is read once."""
    prefetch_related_objects([attempt], "stops", "adjusts", "moves", "answers", "events", "self_assessments", "verdicts")
    return Debrief(attempt)
