"""Units in words: from "requests/s", "$ / 1M tokens" or "GPU-hours" to a dimension and a factor, by the table alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

from simulators.errors import InvalidInput
from simulators.unit_table import ATOMS, LABELS, MULTIPLIERS, NOT_COUNTED, PREFIXED, RATIOS, SINGULAR, TIME, TRAPS, WORDS, Atom

RATIO = "ratio"
OVER = re.compile(r"\s*/\s*|\s+per\s+|\s+an?\s+", re.ASCII)
_LEADING_OVER = re.compile(r"(?:1\s?/|/|per\s|an?\s|in\s(?=\d))\s*", re.ASCII)
_OF = re.compile(r"of (\d{1,9})(?: [a-z]+)?", re.ASCII)
_BELOW = re.compile(r"(?P<number>\d{1,3}(?:,\d{3})+|\d{1,12})?\s?(?P<rest>\D+)", re.ASCII)
_RATIO_WORDS = re.compile(r"[A-Za-z][A-Za-z' .-]*(?: \d+)?", re.ASCII)  # "% of clicks", "x plan", "share of the plan"
_NOUN = re.compile(r"(?P<noun>[A-Za-z]+(?:-[A-Za-z]+)*)(?P<over>(?:/| per ).*)?", re.ASCII)  # what may stand behind a 1
_IN_ANY_CASE = ("qps", "rps", "iops", "fps", "hz")
_SPACES = str.maketrans("\u00a0\u2009\u202f\t", "    ")
_MEANT = str.maketrans("\u00b5\u03bc\u00d7", "uux")
_PEOPLE = frozenset({"person", "user", "reviewer", "viewer"})
_ONE = Atom((), 1.0, "1", "1")


class UnitError(InvalidInput):
    """Text that is no quantity. `code` is stable, `message` says what to write, `position` is where in the text it went wrong."""

    def __init__(self, code: str, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.code, self.position = code, position

    def later(self, by: int) -> UnitError:
        """The same fault, found in a text that begins `by` characters into a longer one."""
        return UnitError(self.code, self.message, self.position + by)


@dataclass(frozen=True)
class Unit:
    """`text` as this site writes it; `factor` turns a value into base units; `other` is the factor of GiB for GB and the reverse."""

    text: str
    dimension: str
    factor: float
    note: str | None = None
    other: float | None = None


def parse_unit(label: str) -> Unit:
    """A unit as labs, calculators, questions and people write it: "requests/s", "% of clicks", "million users".

    Raises UnitError if the table does not know it.
    """
    text = label.translate(_SPACES).strip()
    return _parse(text) if text in LABELS else _parse(text.translate(_MEANT))


def counted_unit(multiplier: str, text: str) -> Unit:
    """The unit behind a multiplier: something counted, money, operations, a time; "2M GB" is refused."""
    unit = parse_unit(text)
    if unit.dimension.partition("/")[0] in PREFIXED | {RATIO}:
        raise UnitError("multiplier", f"{multiplier} stands before what is counted, as in 2{multiplier} users, not before {unit.text}.")
    return unit


def behind(number: str, unit: str) -> str:
    """`unit` as it stands behind `number`: "1 hour", "2 hours", "1 GPU-hour". A unit of more than one word stays as it is."""
    found = _NOUN.fullmatch(unit) if number == "1" else None
    if not found:
        return unit
    whole, last = found["noun"], found["noun"].rpartition("-")[2]
    noun = whole if whole.lower() in SINGULAR else last
    one = SINGULAR.get(noun.lower(), noun)
    return f"{whole.removesuffix(noun)}{noun[: len(one)] if noun.lower().startswith(one) else one}{found['over'] or ''}"


def comparable(given: str, truth: str) -> bool:
    """Whether two dimensions measure the same: a rate of nothing named fits any rate, people are users or reviewers alike."""
    if given == truth:
        return True
    (above, _, below), (wanted, _, under) = given.partition("/"), truth.partition("/")
    if below != under:
        return False
    nameless = above == "1" and wanted not in NOT_COUNTED
    return nameless or ("person" in (above, wanted) and {above, wanted} <= _PEOPLE)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Unit:
    """Terms with at most one division. Positions of faults count from the start of `text`."""
    if text in LABELS:
        over, under, factor = LABELS[text]
        return Unit(text, _dimension(Counter(over), Counter(under)), factor)
    if (part := _OF.fullmatch(text)) and int(part[1]):
        return Unit(text, RATIO, 1 / int(part[1]))
    first, _, last = text.partition(" ")
    if first in MULTIPLIERS and last and not OVER.match(f" {last}"):
        unit = counted_unit(first, last)
        return replace(unit, text=f"{first} {unit.text}", factor=unit.factor * MULTIPLIERS[first])
    if leading := _LEADING_OVER.match(text):
        return _divided(_ONE, text, leading.end())
    sides = list(OVER.finditer(text))
    if len(sides) > 1:
        raise UnitError("two_divisions", "Write one division at most, such as GB/s.", sides[1].start())
    if sides:
        return _divided(_term(text[: sides[0].start()]), text, sides[0].end())
    atom = _term(text)
    return Unit(atom.many, _dimension(Counter(atom.over), Counter(atom.under)), atom.factor, atom.note or None, atom.other)


def _divided(top: Atom, text: str, at: int) -> Unit:
    """`top` over what stands in `text` from `at` on."""
    try:
        bottom, number = _below(text[at:])
    except UnitError as error:
        raise error.later(at) from None
    over, under = Counter(top.over) + Counter(bottom.under), Counter(top.under) + Counter(bottom.over)
    scale = bottom.factor * number
    return Unit(
        text=f"{top.many}/{bottom.one if number == 1 else f'{number:,.15g} {bottom.many}'}",
        dimension=_dimension(over, under),
        factor=top.factor / scale,
        note=" ".join(part for part in (top.note, bottom.note) if part) or None,
        other=top.other / scale if top.other else None,
    )


def _below(text: str) -> tuple[Atom, float]:
    """Below the line there may be a number of things: "1M tokens", "1,000 auctions", "million questions"."""
    found = _BELOW.fullmatch(text)
    number = float((found["number"] or "1").replace(",", "")) if found else 0.0
    if not found or not number:
        raise _unknown(text)
    first, _, last = found["rest"].partition(" ")
    if first in MULTIPLIERS and last:
        return _term(last), number * MULTIPLIERS[first]
    return _term(found["rest"]), number


def _term(text: str) -> Atom:
    """One unit, a ratio with words about it, or something counted times a time ("GPU-hours")."""
    text = text.strip()
    if atom := _atom(text):
        return atom
    first, _, words = text.partition(" ")
    if first in RATIOS and _RATIO_WORDS.fullmatch(words):
        return _ratio(first)
    left, _, right = text.replace("-", " ").rpartition(" ")
    thing, time = _atom(left), _atom(right)
    if thing and time and time.over == (TIME,) and thing.over and thing.over[0] not in NOT_COUNTED:
        names = f"{thing.one}-{time.one}", f"{thing.one}-{time.many}"
        return Atom((*thing.over, TIME), time.factor, *names, note=time.note)
    raise _unknown(text)


def _atom(text: str) -> Atom | None:
    """A unit of the table. Symbols are read as written (mb is not MB), words in any case."""
    if text in RATIOS:
        return _ratio(text)
    if text in ATOMS or text in TRAPS:
        return ATOMS.get(text)
    lowered = text.lower()
    if lowered in _IN_ANY_CASE or len(text) >= 5:
        return WORDS.get(lowered) or WORDS.get(lowered.replace(" ", "-")) or ATOMS.get(lowered)
    return WORDS.get(lowered) if len(text) > 1 else None


def _ratio(name: str) -> Atom:
    return Atom((), RATIOS[name], name, name)


def _dimension(over: Counter[str], under: Counter[str]) -> str:
    """What is left above and below the line: "request/time"; "ratio" when nothing is."""
    above, below = "*".join(sorted((over - under).elements())), "*".join(sorted((under - over).elements()))
    if not above and not below:
        return RATIO
    return f"{above or '1'}/{below}" if below else above


def _unknown(text: str) -> UnitError:
    if hint := TRAPS.get(text):
        return UnitError("trap", hint)
    return UnitError("unknown_unit", f"We do not know the unit {text[:24]!r}. Write one such as GB, ms, requests/s, $ or %.")
