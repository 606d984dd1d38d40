"""Which hidden facts a question asks for. Pure: words in, fact ids out, the same every time.

A fact declares groups of words; a question asks for it when all words of one group stand in it, in any order and inflection.
The longer group wins: "price of tokens" asks for the fact with [price, tokens], not for the one with [tokens].
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, Protocol

import snowballstemmer

MAX_FACTS = 3  # a message that asks for more is answered with "one at a time"
MAX_QUESTION = 500  # characters

_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_BRITISH = re.compile(r"(?<=[a-z]{3})is(?=(e|es|ed|ing|ation|ations)\b)")  # randomise, randomised: as randomize
# What people say for one word of the trade. Left: a phrase, right: the words it also counts as.
_SAME = {
    "99th percentile": "p99",
    "p95": "p99",
    "tail latency": "p99",
    "requests per second": "qps",
    "queries per second": "qps",
    "transactions per second": "tps qps",
    "rps": "qps",
    "daily active users": "dau",
    "time to first token": "ttft",
    "time per output token": "itl",
    "frames per second": "fps",
    "over the air": "ota",
    "personally identifiable information": "pii",
    "status quo": "today",
    "how quickly": "fast",
    "how quick": "fast",
}

_STEMMER = snowballstemmer.stemmer("english")


class Askable(Protocol):
    """What the matcher needs of a fact."""

    @property
    def id(self) -> str: ...
    @property
    def ask(self) -> Sequence[Sequence[str]]: ...


@dataclass(frozen=True)
class Match:
    """`facts`: ids in the order of the interviewer's file; empty unless answered."""

    kind: Literal["answered", "too_many", "miss"]
    facts: tuple[str, ...] = ()


def match(question: str, facts: Iterable[Askable]) -> Match:
    """What the question asks for; more than three facts at once reveal none."""
    said = words(question)
    asked = {fact.id: _heard(said, fact.ask) for fact in facts}
    found = tuple(fact for fact, groups in asked.items() if any(not _outdone(group, fact, asked) for group in groups))
    if not found:
        return Match("miss")
    return Match("too_many") if len(found) > MAX_FACTS else Match("answered", found)


def words(text: str) -> frozenset[str]:
    """Stems of all words; of hyphenated ones the whole and its parts, and of neighbours the two as one: real-time, real time, realtime."""
    tokens = _WORD.findall(normalised(text))
    parts = [part for token in tokens for part in token.split("-")]
    joined = [first + second for first, second in pairwise(parts)]
    return frozenset(stem(token) for token in (*parts, *joined))


def normalised(text: str) -> str:
    """Lower case, plain apostrophes gone with what follows them, British -ise as -ize, phrases of the trade with their short form."""
    text = unicodedata.normalize("NFKC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = re.sub(r"'(s|re|d|ll|ve)\b", "", text).replace("'", "")
    text = _BRITISH.sub("iz", text)
    return " ".join([text, *(also for phrase, also in _SAME.items() if re.search(rf"\b{phrase}\b", text))])


@lru_cache(maxsize=8192)
def stem(token: str) -> str:
    return str(_STEMMER.stemWord(token))


def _heard(said: frozenset[str], groups: Sequence[Sequence[str]]) -> list[frozenset[str]]:
    """The groups all of whose words were said."""
    return [stems for stems in (frozenset(map(_group_word, group)) for group in groups) if stems <= said]


def _outdone(group: frozenset[str], fact: str, asked: Mapping[str, Sequence[frozenset[str]]]) -> bool:
    """Another fact's group holds all of this one's words and more."""
    return any(group < other for owner, others in asked.items() if owner != fact for other in others)


@lru_cache(maxsize=8192)
def _group_word(word: str) -> str:
    """A word of a group as it stands among the words of a question: hyphens closed up."""
    return stem(normalised(word).replace("-", ""))
