"""The synthetic language the tiny models speak, with an entropy rate that is known exactly.

300 phrases of 3 to 8 tokens; each phrase is followed by one of 12 others with Zipf weights. No phrase is the beginning of another, so a
text that starts at a phrase has one reading only, and the entropy per token is that of the phrase chain over its mean phrase length
(Shannon 1948; Cover & Thomas, Elements of Information Theory, section 4.2). No model can have a lower cross-entropy than that.
No torch here: forms and uploads read words without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InvalidInput

VOCABULARY = 512
PHRASES = 300
FOLLOWERS = 12
SHORTEST, LONGEST = 3, 8
LANGUAGE_SEED = 45

ONSETS = tuple("bdfgklmnprstvwyz")  # 16 onsets x 4 vowels x 8 endings = 512 words
VOWELS = tuple("aeio")
ENDINGS = ("ba", "du", "go", "ki", "la", "mu", "no", "ri")


@dataclass(frozen=True)
class Language:
    """`phrases`: token ids, phrases[i] a tuple; `followers` (PHRASES, FOLLOWERS) int; `weights` (FOLLOWERS,) sum to 1."""

    phrases: tuple[tuple[int, ...], ...]
    followers: NDArray[np.int64]
    weights: NDArray[np.float64]

    def sample(self, tokens: int, rng: np.random.Generator) -> list[int]:
        """`tokens` tokens of text from the beginning of a random phrase; the last phrase may be cut."""
        text: list[int] = []
        phrase = int(rng.integers(len(self.phrases)))
        while len(text) < tokens:
            text.extend(self.phrases[phrase])
            phrase = int(self.followers[phrase, rng.choice(FOLLOWERS, p=self.weights)])
        return text[:tokens]

    @property
    def entropy_rate(self) -> float:
        """nats per token: entropy of the choice of the next phrase over the mean phrase length of the stationary chain."""
        choice = -float(np.sum(self.weights * np.log(self.weights)))
        lengths = np.array([len(phrase) for phrase in self.phrases])
        return choice / float(self.stationary @ lengths)

    @property
    def stationary(self) -> NDArray[np.float64]:
        """(PHRASES,) share of each phrase in an endless text."""
        transition = np.zeros((len(self.phrases), len(self.phrases)))
        np.add.at(transition, (np.arange(len(self.phrases))[:, None], self.followers), self.weights)
        share = np.full(len(self.phrases), 1 / len(self.phrases))
        for _ in range(200):  # the chain mixes within a few steps: 12 followers out of 300
            share = share @ transition
        return np.asarray(share / share.sum())


@lru_cache(maxsize=1)
def language() -> Language:
    """The one language the shipped weights were trained on."""
    rng = np.random.default_rng(LANGUAGE_SEED)
    phrases: list[tuple[int, ...]] = []
    while len(phrases) < PHRASES:
        new = tuple(int(token) for token in rng.integers(VOCABULARY, size=int(rng.integers(SHORTEST, LONGEST + 1))))
        if not any(_begins(new, old) or _begins(old, new) for old in phrases):
            phrases.append(new)
    followers = np.stack([rng.choice(PHRASES, FOLLOWERS, replace=False) for _ in range(PHRASES)])
    zipf = 1.0 / np.arange(1, FOLLOWERS + 1)
    return Language(tuple(phrases), followers, zipf / zipf.sum())


def _begins(whole: tuple[int, ...], start: tuple[int, ...]) -> bool:
    return whole[: len(start)] == start


@lru_cache(maxsize=1)
def words() -> tuple[str, ...]:
    """The word of each token id."""
    return tuple(onset + vowel + ending for onset in ONSETS for vowel in VOWELS for ending in ENDINGS)


def to_text(tokens: Sequence[int]) -> str:
    return " ".join(words()[token] for token in tokens)


def to_tokens(text: str) -> list[int]:
    """Token ids of a text of known words separated by blanks. Raises InvalidInput with the position of the first unknown word."""
    ids = {word: token for token, word in enumerate(words())}
    tokens = []
    for place, word in enumerate(text.lower().split(), start=1):
        if word not in ids:
            raise InvalidInput(
                f"Word {place} of the prompt, {word!r}, is not one of the model's {VOCABULARY} words ({words()[0]}, {words()[1]}, ...)."
            )
        tokens.append(ids[word])
    return tokens
