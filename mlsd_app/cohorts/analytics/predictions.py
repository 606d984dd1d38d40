"""Ranges that learners named before a run: how many held the truth, and how wide they were, by lab."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlsd_app.cohorts.analytics.population import Which, population_of
from mlsd_app.cohorts.analytics.small import Share, Spread, share, spread, too_few
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Kind, Prediction
from mlsd_app.interviews.models import RunLink
from mlsd_app.runs.models import RunState
from simulators.registry import labs

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
    hits = share(sum(bool(one.hit) for one in ranges), len(ranges))
    width = spread(one.width for one in ranges if one.width is not None)
    if reason := too_few(people):  # many ranges of few people are still about few people
        hits, width = Share(hits.hits, hits.n, None, None, reason), Spread(width.n, hidden_reason=reason)
    return TopicRow(lab.title if lab else key[1].replace("_", " "), people, hits, width)
