"""What a problem is. Every model is frozen and refuses keys it does not know; docs/content.md shows the files behind them."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from problems.base import PHASES, Content, PhaseKey, Slug, Text
from problems.calculators import Calculator
from problems.interview_schema import Interviewer, Rubric
from problems.quiz_schema import Quiz

Theme = Literal["recommendation & ranking", "retrieval & search", "LLM systems", "platforms", "perception", "trust & safety"]


# --- problem.yaml ----------------------------------------------------------------------------------------------------


class Source(Content):
    title: Text
    authors: Text
    year: int = Field(ge=1900, le=2100)
    arxiv: str = Field("", pattern=r"^(\d{4}\.\d{4,5})?$")
    url: str = Field("", pattern=r"^(https://\S+)?$")


class LabLink(Content):
    """A lab of this problem (`simulators/<slug>/<lab>.py`), the phase it belongs to and the preset to open it with."""

    phase: PhaseKey
    lab: Slug
    preset: str = ""
    why: Text


class Minutes(Content):
    """Minutes a phase; the default is the 45-minute round."""

    clarify: int = Field(5, ge=1, le=60)
    capacity: int = Field(5, ge=1, le=60)
    architecture: int = Field(10, ge=1, le=60)
    deep_dive: int = Field(15, ge=1, le=60)
    evaluation: int = Field(10, ge=1, le=60)

    @property
    def total(self) -> int:
        return sum(getattr(self, key) for key in PHASES)


class ProblemHead(Content):
    """problem.yaml: all that is known of a problem before its walkthrough is written."""

    slug: Slug
    title: Text
    tagline: Text  # the hard part, one line
    theme: Theme
    difficulty: Literal["mid", "senior", "staff"]
    state: Literal["complete", "labs_only"]  # labs_only: walkthrough to come
    minutes: Minutes = Minutes()
    engines: tuple[Text, ...] = ()  # chips: what really runs behind the labs
    related: tuple[Slug, ...] = ()
    tags: tuple[Text, ...] = ()
    sources: tuple[Source, ...] = ()
    labs: tuple[LabLink, ...] = ()


# --- one Markdown file a phase ---------------------------------------------------------------------------------------


class Probe(Content):
    question: Text
    answer: Text  # Markdown


class CheckItem(Content):
    """A point to mark oneself against; `id` is the rubric item of the same id."""

    id: str = Field(pattern=r"^[a-z_]+\.[a-z0-9_]+$")
    text: Text


class Phase(Content):
    key: PhaseKey
    title: Text
    minutes: int
    prompt: Text  # Markdown, as are strong, answer and tradeoffs
    strong: Text  # what a strong candidate does in these minutes
    answer: Text
    tradeoffs: Text  # a Markdown table
    probes: tuple[Probe, ...]
    checklist: tuple[CheckItem, ...]

    @property
    def anchors(self) -> tuple[str, ...]:
        """What `phase:<key>#<anchor>` may name: the six parts, and each `###` heading of the worked answer."""
        headings = re.findall(r"^### +(.+?) *$", self.answer, flags=re.MULTILINE)
        return (*SECTION_ANCHORS, *(anchor(heading) for heading in headings))

    @property
    def text(self) -> str:
        """All prose of the phase, for counting words and looking for terms."""
        probes = [f"{probe.question}\n{probe.answer}" for probe in self.probes]
        return "\n\n".join([self.prompt, self.strong, self.answer, self.tradeoffs, *probes, *(item.text for item in self.checklist)])


SECTION_ANCHORS = ("prompt", "strong", "answer", "tradeoffs", "probes", "checklist")


def anchor(heading: str) -> str:
    """`Filters and deletes` -> `filters-and-deletes`."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


class CoveredFact(Content):
    """coverage.yaml: a fact the walkthrough must hold, the phase it stands in and the words that have to appear there."""

    id: Text
    phase: PhaseKey
    terms: tuple[Text, ...] = Field(min_length=1)


# --- the whole -------------------------------------------------------------------------------------------------------


class Problem(ProblemHead):
    """A problem folder. With state "labs_only" the walkthrough is to come: no phases, no calculators, no interview."""

    phases: tuple[Phase, ...] = ()
    calculators: tuple[Calculator, ...] = ()
    rubric: Rubric | None = None
    interviewer: Interviewer | None = None
    quiz: Quiz | None = None
    coverage: tuple[CoveredFact, ...] = ()
    diagram_svg: str = ""

    @property
    def complete(self) -> bool:
        return self.state == "complete"

    def phase(self, key: str) -> Phase | None:
        return next((phase for phase in self.phases if phase.key == key), None)

    def calculator(self, key: str) -> Calculator | None:
        return next((calculator for calculator in self.calculators if calculator.key == key), None)

    def labs_in(self, phase: str) -> tuple[LabLink, ...]:
        return tuple(link for link in self.labs if link.phase == phase)
