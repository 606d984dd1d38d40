"""No fact of the source material is lost: test_problems looks for those of a problem in their phases, this file for the others."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from problems.loader import ROOT, all_problems
from problems.method import method_pages, readiness_questions

FACTS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "facts.yaml").read_text(encoding="utf-8"))
TOLD = {
    "youtube_recs": 104, "ads_ctr": 55, "search_ranking": 47, "content_moderation": 42, "llm_serving": 40, "support_chatbot": 40,
    "vector_search": 39, "driving_perception": 39, "rag": 38, "alignment_loop": 32, "x_feed": 31, "experimentation": 30,
    "feature_store": 28, "multimodal_recs": 24, "image_search": 24, "fraud_detection": 23,
}  # fmt: skip
METHOD_FACTS, QUESTION_FACTS = 52, 89
REFERENCE = Path(os.environ.get("LOOP45_REFERENCE", ROOT.parent.parent / "shared" / "reference"))
RUN = 8  # words


def words(text: str) -> str:
    return " ".join(text.lower().split())


def missing(terms: list[str], text: str) -> list[str]:
    return [term for term in terms if not re.search(rf"(?<![a-z0-9]){re.escape(term.lower())}", text)]


@cache
def method_text() -> str:
    return words(" ".join(f"{page.title} {page.body}" for page in method_pages()))


@cache
def question_text(number: int) -> str:
    items = [question.item for question in readiness_questions() if question.number == number]
    return words(" ".join(" ".join([item.stem, *item.points, item.model, item.explain]) for item in items))


def place(fact_id: str) -> str:
    return method_text() if fact_id.startswith("fw-") else question_text(int(fact_id.removeprefix("qz-")[:2]))


def test_every_fact_of_method_and_questions_is_told_where_it_belongs() -> None:
    assert {fact["id"]: gone for fact in FACTS if (gone := missing(fact["terms"], place(fact["id"])))} == {}


def test_no_fact_is_lost() -> None:
    """A problem's own facts are numbered without a gap; one told in several places counts once."""
    covered = {problem.slug: {fact.id for fact in problem.coverage} for problem in all_problems() if problem.complete}
    own = {slug: sorted(int(key.split("-")[1]) for key in ids if not key.startswith("qz-")) for slug, ids in covered.items()}
    assert own == {slug: list(range(1, n + 1)) for slug, n in TOLD.items()}
    others = {fact["id"] for fact in FACTS}
    assert len([key for key in others if key.startswith("fw-")]) == METHOD_FACTS
    asked = {key for ids in covered.values() for key in ids if key.startswith("qz-")}
    assert not asked & others
    assert len(asked) + len(others) - METHOD_FACTS == QUESTION_FACTS


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
