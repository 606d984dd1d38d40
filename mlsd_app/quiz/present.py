"""Answers as pages and the API show them: verdict, reasons, where to read on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from django.urls import reverse

from mlsd_app.catalog.links import url_of
from mlsd_app.quiz.bank import TYPE_NAMES, tag_name
from mlsd_app.quiz.instances import lab_links
from mlsd_app.quiz.models import Card, Response, Sitting
from mlsd_app.quiz.questions import Marked
from mlsd_app.quiz.questions.figure import truth_figures
from mlsd_app.quiz.responses import EASY
from mlsd_app.quiz.scheduling import HALF, RIGHT, SLOW
from mlsd_app.quiz.served import Served, served
from problems.base import PHASES
from simulators.lab import Figure
from simulators.registry import get_lab

LAB_ICON = "flask-conical"
RATINGS = {1: "Again", 2: "Hard", 3: "Good", 4: "Easy"}
CONFIDENCE_WORDS = {"sure": "sure", "think": "probably", "guess": "a guess"}


@dataclass(frozen=True)
class Link:
    words: str
    url: str
    icon: str


@dataclass(frozen=True)
class Result:
    """One answer, judged. `tone` is good, warning, bad, or "" where nobody marked."""

    response: Response
    asked: Served
    marked: Marked
    links: tuple[Link, ...]
    next_due: datetime | None

    @property
    def tone(self) -> str:
        mark = self.response.mark
        if mark is None:
            return ""
        return "good" if mark >= RIGHT else "warning" if mark >= HALF else "bad"

    @property
    def verdict(self) -> str:
        if self.marked.verdict:
            return self.marked.verdict
        return f"Rated {RATINGS[self.response.rating or 1].lower()}."

    @property
    def rating_words(self) -> str:
        return RATINGS.get(self.response.rating or 0, "")

    @property
    def sure_and_wrong(self) -> bool:
        return self.response.confidence == "sure" and self.response.mark is not None and self.response.mark < HALF

    @property
    def confidence_words(self) -> str:
        return CONFIDENCE_WORDS.get(self.response.confidence, "")

    @property
    def easy_offered(self) -> bool:
        answer = self.response
        right = answer.state == "auto" and (answer.mark or 0) >= RIGHT
        return bool(right and answer.rating != EASY and answer.card_before is not None)

    @property
    def figures(self) -> list[Figure]:
        """What the runs behind a lab question found, with the answer marked on it."""
        if self.asked.instance is None:
            return []
        return truth_figures(self.asked.question, self.asked.instance, self.response.given)

    @property
    def slow(self) -> bool:
        return bool(self.response.ms > SLOW * 1000 * self.asked.item.expect_s)


def result_of(sitting: Sitting, response: Response, next_due: datetime | None = None) -> Result:
    """Marks the stored answer again, by the revision it was given to, for the words that explain it."""
    asked = served(sitting, response.place)
    return Result(response, asked, asked.question.mark(response.given), tuple(links_of(asked)), next_due)


def next_due_of(sitting: Sitting, response: Response) -> datetime | None:
    """When the card comes back; None where the sitting moves no card."""
    if not sitting.schedules:
        return None
    cards = Card.objects.filter(user_id=response.user_id, problem_slug=response.problem_slug, item_id=response.item_id)
    return cards.values_list("due_effective", flat=True).first()


def links_of(asked: Served) -> list[Link]:
    """Where the answer is shown: the walkthrough, the lab at these numbers, the calculator."""
    slug, see = asked.problem.slug, asked.item.see
    found = []
    if see.section:
        phase, _, part = see.section.partition("#")
        path = reverse("catalog:phase", args=[slug, phase]) + (f"#{part}" if part else "")
        found.append(Link(f"Read on: {PHASES[phase]}", path, "book-open"))
    if asked.instance is not None:
        title = get_lab(slug, asked.instance.lab).title
        settings = lab_links(asked.instance)
        found += [Link(f"Open in the lab {title}{f': {label}' if len(settings) > 1 else ''}", url, LAB_ICON) for label, url in settings]
    elif see.lab:
        query = f"?preset={see.preset}" if see.preset else ""
        found.append(Link(f"See it in the lab {get_lab(slug, see.lab).title}", url_of(slug, f"lab:{see.lab}{query}"), LAB_ICON))
    if see.calculator:
        found.append(Link("Open the calculator", url_of(slug, f"calc:{see.calculator}"), "calculator"))
    return found


# --- a whole sitting -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    name: str
    mark: float
    n: int


@dataclass(frozen=True)
class Summary:
    answered: int
    marked: int
    mark: float | None  # mean of the marked
    minutes: float
    by_type: tuple[Group, ...]
    by_tag: tuple[Group, ...]
    sure_and_wrong: tuple[Result, ...]
    labs: tuple[Link, ...]


def summary_of(results: Sequence[Result]) -> Summary:
    marked = [result for result in results if result.response.mark is not None]
    wrong = [result for result in marked if (result.response.mark or 0) < RIGHT]
    labs = {link.url: link for result in wrong for link in result.links if link.icon == LAB_ICON}
    tags = [(tag_name(tag), result) for result in marked for tag in result.asked.item.tags]
    return Summary(
        answered=len(results),
        marked=len(marked),
        mark=fmean(result.response.mark or 0 for result in marked) if marked else None,
        minutes=sum(result.response.ms for result in results) / 60_000,
        by_type=_groups([(TYPE_NAMES[result.asked.item.type], result) for result in marked]),
        by_tag=_groups(tags),
        sure_and_wrong=tuple({result.asked.key: result for result in results if result.sure_and_wrong}.values()),
        labs=tuple(labs.values())[:5],
    )


def _groups(named: Sequence[tuple[str, Result]]) -> tuple[Group, ...]:
    """Weakest first."""
    found: dict[str, list[float]] = {}
    for name, result in named:
        found.setdefault(name, []).append(result.response.mark or 0.0)
    return tuple(sorted((Group(name, fmean(marks), len(marks)) for name, marks in found.items()), key=lambda row: (row.mark, row.name)))
