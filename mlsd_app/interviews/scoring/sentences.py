"""Which sentences of an answer count, and which concepts they earn.

A list of terms, a pasted text and the same sentence fifty times are no sentences: a concept counts where it is used to say something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlsd_app.interviews.scoring import words

MIN_WORDS = 6
MAX_TERMS = 0.5  # share of the content words that may be terms of the lexicon
MIN_FUNCTION = 0.15  # share of the words that hold a sentence together
MAX_COPIED = 0.6  # share of five-word runs that stand in what was read, or in an earlier sentence
MAX_CONCEPTS = 2  # credited a sentence

_END = re.compile(r"(?<=[.!?;])\s+|\n\s*\n|\n(?=\s*(?:[-*+>#|]|\d+[.)]))")
_WRAP = re.compile(r"\n(?![a-z(])")  # a line that goes on in lower case belongs to the one before
_TO_THE_GRADER = re.compile(
    r"\b(?:full|maximum|max|all) (?:marks?|points?|credit|score)\b|\b(?:ignore|disregard) (?:all|any|the|these|previous|your)\b"
    r"|\b(?:give|award|assign|grant) (?:me|this|the|full)\b.{0,40}\b(?:marks?|points?|credit|score|hire)\b|\bas (?:the|a) grader\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """`ref` is the field it stands in (`text/<phase>`, `row/<list>/<key>`)."""

    text: str
    ref: str


@dataclass(frozen=True)
class Credit:
    """A concept and the sentence that earned it."""

    concept: str
    sentence: Sentence


def split(text: str) -> list[str]:
    """Sentences, list items and table rows of a Markdown text."""
    parts = [line for part in _END.split(text) for line in _WRAP.split(part)]
    return [part.strip() for part in parts if part and part.strip()]


def faults(text: str, terms: frozenset[str], source: frozenset[str]) -> Iterator[str]:
    """Why a sentence does not count; nothing when it does. `source`: five-word runs of all that the candidate could have copied."""
    found = words.tokens(text)
    if len(found) < MIN_WORDS:
        yield f"fewer than {MIN_WORDS} words"
        return
    content = words.content_words(text)
    if len(found) - len(content) < MIN_FUNCTION * len(found):
        yield "a list of terms, not a sentence"
    elif sum(word in terms for word in content) > MAX_TERMS * len(content):
        yield "more terms than statement"
    if words.overlap(text, source) >= MAX_COPIED:
        yield "copied from what was shown"
    if _TO_THE_GRADER.search(text):
        yield "addressed to the grader"


def counted(fields: Mapping[str, str], terms: frozenset[str], source: frozenset[str]) -> list[Sentence]:
    """The sentences that count, in order; one that repeats an earlier sentence does not."""
    kept: list[Sentence] = []
    seen: set[str] = set()
    for ref, text in fields.items():
        for part in split(text):
            if next(faults(part, terms, source), None) is None and words.overlap(part, seen) < MAX_COPIED:
                kept.append(Sentence(part, ref))
                seen |= words.grams(part)
    return kept


def credited(sentences: Iterable[Sentence], concepts: Sequence[str]) -> dict[str, Credit]:
    """{concept: the first sentence that earns it}; a sentence earns at most two, in the order of `concepts`."""
    earned: dict[str, Credit] = {}
    for sentence in sentences:
        runs = words.joined(sentence.text)
        new = [concept for concept in concepts if concept not in earned and runs & words.spellings(concept)]
        earned |= {concept: Credit(concept, sentence) for concept in new[:MAX_CONCEPTS]}
    return earned


def focus_share(sentences: Sequence[Sentence], focus: Sequence[str], outside: Sequence[str]) -> tuple[int, int]:
    """(inside, outside): sentences that name a concept of the drawn focus, and those that only name one off the point."""
    inside = [any(words.named_in(concept, sentence.text) for concept in focus) for sentence in sentences]
    off = [any(words.named_in(concept, sentence.text) for concept in outside) for sentence in sentences]
    return sum(inside), sum(away and not near for near, away in zip(inside, off, strict=True))
