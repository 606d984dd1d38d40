"""Every fact of the source material stands where it belongs: in the phase of its problem, on a page on the method, or in a question."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from problems.loader import ROOT, load_problem
from problems.method import method_pages, readiness_questions

FACTS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "facts.yaml").read_text(encoding="utf-8"))
PHASES = {"eval": "evaluation", "monitoring": "evaluation", "gotchas": "evaluation"}
ANYWHERE = {"process", "signals"}  # of a problem: they belong to no phase of the round
REFERENCE = Path(os.environ.get("LOOP45_REFERENCE", ROOT.parent.parent / "shared" / "reference"))
RUN = 8  # words


def words(text: str) -> str:
    return " ".join(text.lower().split())


def missing(terms: list[str], text: str) -> list[str]:
    return [term for term in terms if not re.search(rf"(?<![a-z0-9]){re.escape(term.lower())}", text)]


@cache
def phase_texts(slug: str) -> dict[str, str]:
    return {phase.key: words(phase.text) for phase in load_problem(slug).phases}


@cache
def question_text(number: int) -> str:
    items = [question.item for question in readiness_questions() if question.number == number]
    return words(" ".join(" ".join([item.stem, *item.points, item.model, item.explain]) for item in items))


def places(fact: dict[str, Any]) -> list[str]:
    """The texts of which one has to hold every term."""
    if fact["problem"] == "framework":
        return [words(" ".join(f"{page.title} {page.body}" for page in method_pages()))]
    if fact["problem"] == "quiz":
        number = int(fact["id"].removeprefix("qz-")[:2])
        asked = [question for question in readiness_questions() if question.number == number]
        return [question_text(number), *(text for question in asked for text in phase_texts(question.problem.slug).values())]
    texts = phase_texts(fact["problem"])
    phase = PHASES.get(fact["phase"], fact["phase"])
    return list(texts.values()) if phase in ANYWHERE else [texts[phase]]


@pytest.mark.parametrize("problem", sorted({fact["problem"] for fact in FACTS}))
def test_every_fact_is_told_where_it_belongs(problem: str) -> None:
    lost = {}
    for fact in FACTS:
        if fact["problem"] == problem:
            least = min((missing(fact["terms"], text) for text in places(fact)), key=len)
            if least:
                lost[fact["id"]] = least
    assert lost == {}


def test_the_readiness_check_has_fifteen_questions() -> None:
    assert [question.number for question in readiness_questions()] == list(range(1, 16))
    assert all(3 <= len(question.item.points) <= 8 for question in readiness_questions())


@pytest.mark.validation
def test_no_run_of_eight_words_is_taken_over() -> None:
    """Facts carry over, sentences do not."""
    if not REFERENCE.is_dir():
        pytest.skip(f"needs the source texts in {REFERENCE}, or LOOP45_REFERENCE")
    source: Counter[tuple[str, ...]] = Counter()
    for path in REFERENCE.glob("*.txt"):
        source.update(runs(path.read_text(encoding="utf-8")))
    ours = [path for pattern in ("**/*.md", "**/*.yaml") for path in ROOT.glob(pattern)]
    assert len(source) > 1000 and len(ours) > 100
    taken = {str(path.relative_to(ROOT)): found for path in ours if (found := runs(path.read_text(encoding="utf-8")) & source.keys())}
    assert taken == {}


def runs(text: str) -> set[tuple[str, ...]]:
    tokens = re.findall(r"[a-z0-9]+", text.lower())
    return set(zip(*(tokens[start:] for start in range(RUN)), strict=False))
