"""What every question can do, and what comes back from marking one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from problems.quiz_schema import ItemBase
from problems.schema import Problem
from simulators.errors import InvalidInput

Form = Literal["reveal", "free", "choice", "number", "order"]


class LabFacts(Protocol):
    """What a lab question needs of its instance; `mlsd_app.quiz.models.Instance` has it. See `instances` for `truth`."""

    lab: str
    params: Any
    options: Any
    truth: Any


@dataclass(frozen=True)
class Reason:
    """One option, step or place after the answer: what it said, whether it was right, whether it was chosen, and why."""

    text: str
    correct: bool
    picked: bool
    why: str = ""


@dataclass(frozen=True)
class Marked:
    """An answer, judged. Texts are Markdown.

    mark        0 to 1; None where nobody marks (flashcards, free answers before ticking)
    given       the answer in its stored form: what `mark` accepts again
    echo        how the answer was read: "13.9 requests/s"
    notes       what grading has to say: the ratio, GB read as GiB
    correct     the right answer in words
    line        of a number: formula, the same with the numbers put in, and the result
    wrong_path  the mistake that leads to the value that was typed
    """

    mark: float | None
    state: Literal["auto", "self", "ungraded"]
    verdict: str
    given: dict[str, Any]
    correct: str = ""
    explanation: str = ""
    echo: str = ""
    notes: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    formula: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    line: str = ""
    wrong_path: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Question:
    """An item with its numbers drawn and its options in the order they are shown."""

    item: ItemBase
    problem: Problem
    seed: int
    form: ClassVar[Form]

    def public(self) -> dict[str, Any]:
        """What a page or the API may show before the answer. Nothing in it tells the answer, not even an order."""
        item = self.item
        return {
            "problem": self.problem.slug,
            "item": item.id,
            "rev": item.rev,
            "type": self.type,
            "form": self.form,
            "phase": item.phase,
            "tags": list(item.tags),
            "level": item.level,
            "expect_s": item.expect_s,
            "stem": self.stem,
            "has_hint": bool(self.hint),
        } | self._shown()

    def _shown(self) -> dict[str, Any]:
        return {}

    def mark(self, given: Mapping[str, Any]) -> Marked:
        """The answer judged. Raises InvalidInput, with the field, for what is no answer: that costs no attempt."""
        raise NotImplementedError

    def right(self) -> dict[str, Any]:
        """An answer that earns the full mark."""
        raise NotImplementedError

    @property
    def type(self) -> str:
        return str(getattr(self.item, "type", ""))

    @property
    def stem(self) -> str:
        return str(getattr(self.item, "stem", ""))

    @property
    def hint(self) -> str:
        return str(getattr(self.item, "hint", ""))


def shuffled(count: int, seed: int, salt: str) -> list[int]:
    """0 to count - 1 in an order that the seed decides, the same on every machine and Python."""
    return sorted(range(count), key=lambda place: hashlib.sha256(f"{salt}:{seed}:{place}".encode()).digest())


def verdict(mark: float) -> str:
    if mark == 1:
        return "Right."
    return "Partly right." if mark > 0 else "Not right."


@dataclass(frozen=True)
class Shown:
    """One option as it is shown; `why` speaks only after the answer."""

    text: str
    correct: bool = False
    why: str = ""


@dataclass(frozen=True)
class ChoiceQuestion(Question):
    """One or several of the options shown; `given` {"picked": [places]}."""

    options: tuple[Shown, ...] = ()
    multiple: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)  # of a lab question: what else is public
    form = "choice"

    def _shown(self) -> dict[str, Any]:
        return {"multiple": self.multiple, "options": [option.text for option in self.options], **self.extra}

    def mark(self, given: Mapping[str, Any]) -> Marked:
        picked = places(given, "picked", len(self.options))
        if not picked or (len(picked) > 1 and not self.multiple):
            raise InvalidInput(f"Choose {'at least ' if self.multiple else ''}one of the {len(self.options)} options.", field="picked")
        correct = {place for place, option in enumerate(self.options) if option.correct}
        hits = len(correct & set(picked))
        mark = max(0.0, (hits - (len(picked) - hits)) / len(correct))
        return Marked(
            mark=mark,
            state="auto",
            verdict=verdict(mark),
            given={"picked": sorted(picked)},
            correct="; ".join(option.text for option in self.options if option.correct),
            explanation=self.item.explain,
            echo="; ".join(self.options[place].text for place in sorted(picked)),
            reasons=tuple(Reason(item.text, item.correct, place in picked, item.why) for place, item in enumerate(self.options)),
        )

    def right(self) -> dict[str, Any]:
        return {"picked": [place for place, option in enumerate(self.options) if option.correct]}


@dataclass(frozen=True)
class OrderQuestion(Question):
    """Lines to bring into order; `rank` is the right place of each line shown. `given` {"order": [places as shown, first to last]}."""

    lines: tuple[str, ...] = ()
    rank: tuple[int, ...] = ()
    axis: str = ""
    whys: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    form = "order"

    def _shown(self) -> dict[str, Any]:
        return {"axis": self.axis, "lines": list(self.lines), **self.extra}

    def mark(self, given: Mapping[str, Any]) -> Marked:
        order = places(given, "order", len(self.lines))
        if len(order) != len(self.lines):
            raise InvalidInput(f"The order has {len(order)} of the {len(self.lines)} lines; give each once.", field="order")
        mark = max(0.0, kendall_tau([self.rank[place] for place in order]))
        wanted = self.right()["order"]
        return Marked(
            mark=mark,
            state="auto",
            verdict=verdict(mark),
            given={"order": order},
            correct="\n".join(f"{number}. {self.lines[place]}" for number, place in enumerate(wanted, start=1)),
            explanation=self.item.explain,
            echo=" → ".join(self.lines[place] for place in order),
            reasons=tuple(
                Reason(self.lines[place], place == right, True, self.whys[place] if self.whys else "")
                for place, right in zip(order, wanted, strict=True)
            ),
        )

    def right(self) -> dict[str, Any]:
        return {"order": sorted(range(len(self.rank)), key=lambda place: self.rank[place])}


def kendall_tau(ranks: Sequence[int]) -> float:
    """Pairs in the right order less pairs in the wrong one, over all pairs: 1 in order, -1 reversed."""
    pairs = [(a < b) - (a > b) for i, a in enumerate(ranks) for b in ranks[i + 1 :]]
    return sum(pairs) / len(pairs)


def places(given: Mapping[str, Any], name: str, count: int) -> list[int]:
    """Distinct places 0 to count - 1 out of what was sent; numbers may come as text, as a form sends them."""
    sent = given.get(name)
    if isinstance(sent, str) or (isinstance(sent, int) and not isinstance(sent, bool)):
        sent = [sent]
    found = [_place(entry) for entry in sent[: count + 1]] if isinstance(sent, (list, tuple)) else [-1]
    if not all(0 <= place < count for place in found) or len(set(found)) < len(found):
        raise InvalidInput(f"{name} lists places from 0 to {count - 1}, each at most once.", field=name)
    return found


def _place(entry: object) -> int:
    """A place as a number or as its digits; -1 for anything else."""
    if isinstance(entry, int) and not isinstance(entry, bool):
        return entry
    return int(entry) if isinstance(entry, str) and len(entry) < 4 and entry.isascii() and entry.isdigit() else -1
