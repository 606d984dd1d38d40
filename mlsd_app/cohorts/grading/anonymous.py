"""Code names, and taking names out of what people wrote."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Assignment, Cohort, Membership
from mlsd_app.interviews.scoring.words import FUNCTION_WORDS
from problems.errors import InvalidInput
from problems.loader import load_problem

_BIRDS = """
Avocet Bittern Bunting Buzzard Chough Condor Coot Cormorant Crane Curlew Dipper Dove Dunlin Eagle Egret Eider Falcon Finch
Flicker Gannet Goshawk Grebe Grouse Gull Harrier Heron Hobby Hoopoe Ibis Jackdaw Jay Kestrel Kingfisher Kite Kiwi Lapwing
Lark Linnet Loon Magpie Merlin Nightjar Nuthatch Oriole Osprey Ouzel Owl Pelican Petrel Pipit Plover Puffin Quail Rail Raven
Redstart Robin Rook Ruff Shrike Siskin Skua Snipe Sparrow Starling Stilt Stork Swallow Swan Swift Tern Thrush Turnstone
Wagtail Warbler Whimbrel Wren
"""
BIRDS = tuple(_BIRDS.split())
NUMBERS = 99
MASK = "[name]"
SHORTEST = 3  # letters of a name that is taken out when it stands alone
BRANCH_LIMIT = 80  # characters a mask may stand for


def code_names(assignment: Assignment) -> dict[int, str]:
    """{user id: "Heron 14"} of everybody who is or was in the cohort; the same for as long as the assignment exists, no name twice.

    Members are named in the order in which they joined, so that a later one never changes the name of an earlier one.
    """
    taken: set[str] = set()
    names: dict[int, str] = {}
    for user, seed in Membership.objects.filter(cohort=assignment.cohort_id).order_by("pk").values_list("user", "code_name_seed"):
        names[user] = next(name for name in _candidates(assignment.salt, seed) if name not in taken)
        taken.add(names[user])
    return names


def code_name(assignment: Assignment, user_id: int) -> str:
    """Of one person. Whoever is in no list any more is "Somebody"."""
    return code_names(assignment).get(user_id, "Somebody")


def _candidates(salt: str, seed: int) -> Iterable[str]:
    count = len(BIRDS) * NUMBERS
    start = int.from_bytes(hashlib.sha256(f"{salt}:{seed}".encode()).digest()[:8], "big") % count
    for step in range(count):
        bird, number = divmod((start + step) % count, NUMBERS)
        yield f"{BIRDS[bird]} {number + 1}"
    yield f"Bird {seed}"


# --- text ------------------------------------------------------------------------------------------------------------


class Mask:
    """Takes names, user names and e-mail addresses of a cohort's members out of texts.

    A single name that is also an ordinary word of the problem ("Mark", "Max") is only taken out where it is written as a name.
    """

    def __init__(self, people: Iterable[User], ordinary: frozenset[str] = frozenset()) -> None:
        always, as_name = set[str](), set[str]()
        for person in people:
            full = f"{person.first_name} {person.last_name}".strip()
            always |= {word for word in (person.email, full if " " in full else "") if word}
            for word in {person.username, *full.split(), person.email.partition("@")[0]}:
                if len(word) >= SHORTEST:
                    (as_name if word.lower() in ordinary else always).add(word)
        self._always = _pattern(always, re.IGNORECASE)
        self._as_name = _pattern({word[:1].upper() + word[1:] for word in as_name} | {word.upper() for word in as_name}, 0)

    @classmethod
    def of(cls, cohort: Cohort, problem: str) -> Mask:
        people = User.objects.filter(memberships__cohort=cohort).only("username", "first_name", "last_name", "email")
        return cls(people, ordinary_words(problem))

    def text(self, text: str) -> str:
        for pattern in (self._always, self._as_name):
            text = pattern.sub(MASK, text) if pattern else text
        return text

    @staticmethod
    def original(quote: str, text: str) -> str:
        """The span of `text` that reads as `quote` once names are taken out; `quote` itself where there is none."""
        if MASK not in quote:
            return quote
        parts = [r"\s+".join(re.escape(word) for word in part.split()) for part in quote.split(MASK)]
        found = re.search(rf"\s*.{{1,{BRANCH_LIMIT}}}?\s*".join(parts), text, re.DOTALL)
        return found[0] if found else quote


def _pattern(words: set[str], flags: int) -> re.Pattern[str] | None:
    """Longest first, so that a full name goes as one."""
    if not words:
        return None
    choices = "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
    return re.compile(rf"(?<!\w)@?(?:{choices})(?!\w)", flags)


@lru_cache(maxsize=64)
def ordinary_words(problem: str) -> frozenset[str]:
    """Words that stand in the problem's walkthrough in lower case, and those every text has."""
    try:
        texts = [phase.text for phase in load_problem(problem).phases]
    except InvalidInput:
        texts = []
    return FUNCTION_WORDS | frozenset(word for text in texts for word in re.findall(r"(?<![\w.@])[a-z]{3,}(?!\w)", text))
