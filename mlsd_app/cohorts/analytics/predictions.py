"""Ranges that learners named before a run: how many held the truth, and how wide they were, by lab and by figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlsd_app.cohorts.analytics.population import Population, Which, population_of
from mlsd_app.cohorts.analytics.small import Share, Spread, share, spread
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Kind, Prediction
from mlsd_app.interviews.models import RunLink
from mlsd_app.runs.models import RunState
from simulators.registry import labs
from simulators.scoring import width_factor

AIM = 0.8  # of the ranges should hold the truth


@dataclass(frozen=True)
class Predicted:
    """`truth` None: the run did not give this figure. `width` is upper / lower, None where that says nothing."""

    user: int
    problem: str
    lab: str
    metric: str
    lower: float
    upper: float
    truth: float | None

    @property
    def hit(self) -> bool | None:
        return None if self.truth is None else self.lower <= self.truth <= self.upper

    @property
    def width(self) -> float | None:
        return self.upper / self.lower if self.lower > 0 else None


@dataclass(frozen=True)
class TopicRow:
    """`hits` of the ranges whose truth came; `people` said them."""

    topic: str
    people: int
    hits: Share
    width: Spread


def predicted(link: RunLink) -> Predicted:
    """In an interview, before a run that has finished since."""
    said: Mapping[str, Any] = link.prediction or {}
    metrics = link.run.result.metrics if link.run.result else []
    truth = next((metric["value"] for metric in metrics if metric["key"] == said["metric"]), None)
    lower, upper = float(said["lower"]), float(said["upper"])
    return Predicted(link.attempt.user_id, link.run.problem, link.run.lab, str(said["metric"]), lower, upper, truth)


def foretold(row: Prediction) -> Predicted:
    """In an assignment."""
    assignment = row.assigned.assignment
    return Predicted(row.assigned.user_id, assignment.problem, assignment.settings["lab"], row.metric, row.lower, row.upper, row.truth)


def topic_rows(cohort: Cohort, which: Which) -> tuple[TopicRow, ...]:
    """Over all mocks and predictions of the cohort, one try a person and assignment. Whoever had run it before is left out."""
    interviews = RunLink.objects.filter(
        attempt__in=[row.attempt_id for row in _tries(cohort, Kind.MOCK, which)],
        prediction__isnull=False,
        run__state=RunState.DONE,
        run__result__isnull=False,
    )
    links = interviews.select_related("run__result", "attempt").defer("run__result__body", "attempt__content")
    alone = [row.pk for row in _tries(cohort, Kind.PREDICTION, which)]
    scored = Prediction.objects.filter(assigned__in=alone, hit__isnull=False, seen_before=False).select_related("assigned__assignment")
    return rows_of([*map(predicted, links), *map(foretold, scored)])


def _tries(cohort: Cohort, kind: Kind, which: Which) -> list[AssignedAttempt]:
    return [row for one in Assignment.objects.filter(cohort=cohort, kind=kind) for row in population_of(one, which).tries]


def rows_of(found: Iterable[Predicted]) -> tuple[TopicRow, ...]:
    topics: dict[tuple[str, str], list[Predicted]] = defaultdict(list)
    for one in found:
        if one.truth is not None:
            topics[one.problem, one.lab].append(one)
    return tuple(_row(key, ranges) for key, ranges in sorted(topics.items()))


def _row(key: tuple[str, str], ranges: list[Predicted]) -> TopicRow:
    lab = labs().get(key)
    people = len({one.user for one in ranges})
    hits = share(sum(bool(one.hit) for one in ranges), len(ranges), people=people)
    width = spread((one.width for one in ranges if one.width is not None), people=people)
    return TopicRow(lab.title if lab else key[1].replace("_", " "), people, hits, width)


# --- one assignment ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FigureRow:
    """One figure that was to be foretold. `width`: upper / lower where `factor`, else upper less lower in the figure's unit; `score`
    the interval score, smaller is better. `seen` were left out: they had run it before."""

    label: str
    unit: str
    people: int
    hits: Share
    width: Spread
    factor: bool
    score: Spread
    seen: int


def prediction_rows(assignment: Assignment, population: Population) -> tuple[FigureRow, ...]:
    """One a figure, in the order of the assignment. No marks are made of it; see `foretelling`."""
    wanted: Sequence[str] = assignment.settings["metrics"]
    by_metric: dict[str, list[Prediction]] = defaultdict(list)
    for row in Prediction.objects.filter(assigned__in=[one.pk for one in population.tries]).select_related("assigned"):
        by_metric[row.metric].append(row)
    return tuple(_figure_row(by_metric[name]) for name in wanted if by_metric[name])


def _figure_row(rows: Sequence[Prediction]) -> FigureRow:
    counted = [row for row in rows if row.hit is not None and not row.seen_before]
    people = len({row.assigned.user_id for row in counted})
    return FigureRow(
        label=rows[0].label,
        unit=rows[0].unit,
        people=people,
        hits=share(sum(bool(row.hit) for row in counted), len(counted), people=people),
        width=spread(map(_width, counted), people=people),
        factor=rows[0].scale != "linear",
        score=spread((row.score for row in counted if row.score is not None), people=people),
        seen=sum(row.seen_before for row in rows),
    )


def _width(row: Prediction) -> float:
    factor = width_factor(row.lower, row.upper, row.scale)  # type: ignore[arg-type]
    return row.upper - row.lower if factor is None else factor
