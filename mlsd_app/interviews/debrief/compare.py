"""What was written beside what the walkthrough says, the drawn design and its checks, and where most points were lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.urls import reverse

from mlsd_app.interviews.answers import rows_of, texts_of
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.scoring.checks import Check, design_checks
from mlsd_app.interviews.scoring.diagram import diagram_svg
from mlsd_app.interviews.scoring.reading import design_facts
from mlsd_app.interviews.scoring.scorecard import ItemCard, Scorecard
from problems.schema import Phase, Problem

MAX_LOSSES = 6
# Topic of an interview -> phase of the walkthrough that treats it.
WALKTHROUGH = {
    "clarify": "clarify",
    "capacity": "capacity",
    "architecture": "architecture",
    "deep_dive": "deep_dive",
    "infra": "deep_dive",
    "eval": "evaluation",
    "monitoring": "evaluation",
    "gotchas": "evaluation",
    "more_time": "evaluation",
}


@dataclass(frozen=True)
class Beside:
    """One phase of the plan and the phases of the walkthrough that treat its topics."""

    key: str
    title: str
    text: str
    walkthrough: tuple[Phase, ...]


@dataclass(frozen=True)
class Design:
    """The drawing as SVG ("" without components) and its checks."""

    svg: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Loss:
    """An item below its full points; `weight` of 100 that it would still have earned, `url` where the walkthrough treats it."""

    item: ItemCard
    weight: float
    url: str


def beside(attempt: Attempt, problem: Problem) -> tuple[Beside, ...]:
    texts = texts_of(attempt)
    return tuple(
        Beside(phase["key"], phase["title"], texts[phase["key"]], tuple(_treating(problem, phase["tags"]))) for phase in attempt.phases
    )


def _treating(problem: Problem, tags: list[str]) -> Iterator[Phase]:
    for key in dict.fromkeys(WALKTHROUGH[tag] for tag in tags):
        if found := problem.phase(key):
            yield found


def design_of(attempt: Attempt) -> Design:
    components, edges = rows_of(attempt, "components"), rows_of(attempt, "edges")
    svg = diagram_svg(components, edges) if components else ""
    return Design(svg, tuple(design_checks(components, edges, design_facts(attempt))))


def losses(card: Scorecard) -> tuple[Loss, ...]:
    """What cost most, of what was graded."""
    graded = [item for item in card.items if item.points is not None and item.points < item.max]
    lost = [Loss(item, item.weight * (1 - (item.points or 0) / item.max), _url(card.problem, item)) for item in graded]
    return tuple(sorted(lost, key=lambda loss: -loss.weight)[:MAX_LOSSES])


def _url(problem: str, item: ItemCard) -> str:
    return f"{reverse('catalog:phase', args=[problem, WALKTHROUGH[item.tag]])}#answer"


def strengths(card: Scorecard) -> Mapping[str, float]:
    """{title of a topic: share of its graded points}, best first; topics nobody graded are left out."""
    shares = {tag.title: tag.points / tag.max for tag in card.tags if tag.max}
    return dict(sorted(shares.items(), key=lambda entry: -entry[1]))
