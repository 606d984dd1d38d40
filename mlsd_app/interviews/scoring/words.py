"""Words and concepts of a text: stems, n-grams, and where a rubric's concept is named. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache

from mlsd_app.interviews.interviewer.matcher import stem

N = 5  # words of an n-gram

_TOKEN = re.compile(r"[a-z0-9]+")
_BRITISH = re.compile(r"(?<=[a-z]{3})is(?=(e|es|ed|er|ers|ing|ation|ations)\b)")  # quantisation, quantizer: one word
_LINK = re.compile(r"\]\([^)\s]*\)")  # of [text](target): the target is not prose
PREFIXES = frozenset({"re", "pre", "post", "over", "under", "mid", "un", "de", "co", "non"})
MAX_JOINED = 4  # neighbours read as one word, so that re-scoring, re scoring and rescoring are the same

_FUNCTION = """
a about above after again against all also although always am among an and another any are as at be because been before being below
between both but by can could did do does doing down during each either else even ever every few for from further had has have having he
her here hers him his how however i if in into is it its itself just less like many may me might more most much must my neither never no
nor not now of off often on once one only or other our ours out over own per perhaps rather same shall she should since so some such
than that the their theirs them then there these they this those though through thus to too toward under unless until up upon us very
was we were what whatever when where whereas whether which while who whom whose why will with within without would yet you your yours
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())


def tokens(text: str) -> list[str]:
    """Words in lower case, hyphens split, British -ise as -ize, targets of Markdown links left out."""
    return _TOKEN.findall(_BRITISH.sub("iz", _LINK.sub("] ", text).lower().replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "")))


def stems(text: str) -> list[str]:
    return [stem(token) for token in tokens(text)]


def content_words(text: str) -> list[str]:
    """Stems of the words that carry meaning."""
    return [stem(token) for token in tokens(text) if token not in FUNCTION_WORDS]


def grams(text: str) -> frozenset[str]:
    """All runs of five words."""
    found = tokens(text)
    return frozenset(" ".join(found[start : start + N]) for start in range(len(found) - N + 1))


def overlap(text: str, source: Set[str]) -> float:
    """Share of the five-word runs of `text` that stand in `source`; 0 for a text of fewer words."""
    own = grams(text)
    return len(own & source) / len(own) if own else 0.0


def grams_of(texts: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(grams(text) for text in texts))


# --- concepts --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def spellings(concept: str) -> frozenset[str]:
    """Each way to say a concept, closed up: `a | b` are two ways."""
    ways = [tokens(way) for way in concept.split("|") if way.strip()]
    return frozenset(form for way in ways for form in _closed_up(way))


def named_in(concept: str, text: str) -> bool:
    """Whether the concept stands in the text."""
    return bool(spellings(concept) & joined(text))


@lru_cache(maxsize=4096)
def joined(text: str) -> frozenset[str]:
    """Every run of one to four words, closed up."""
    found = tokens(text)
    runs = (found[start : start + length] for length in range(1, MAX_JOINED + 1) for start in range(len(found) - length + 1))
    return frozenset(form for run in runs for form in _closed_up(run))


def _closed_up(run: Sequence[str]) -> Iterator[str]:
    """The stems as one word; behind a prefix also the stem of the words as one: re scored, re-scoring and rescoring have that in common."""
    yield "".join(map(stem, run))
    if len(run) == 2 and run[0] in PREFIXES:
        yield stem("".join(run))


def lexicon(concepts: Iterable[str]) -> frozenset[str]:
    """Stems of the words of the concepts, in the first way to say each."""
    return frozenset(word for concept in concepts for word in content_words(concept.partition("|")[0]))
