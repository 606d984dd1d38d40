"""Numbers with units, read from what people type, and graded the way a capacity estimate is judged.

    parse_quantity("13.9k req/s")  ->  Quantity(value=13900.0, unit="requests/s", dimension="request/time", base=13900.0)
    grade_quantity(given, truth, Rule("estimate"))  ->  Mark(mark=1.0, ratio=0.93, ...)

A number is found by a regular expression and a unit by a whitelist (`simulators.unit_table`); nothing is evaluated, so no text can
hang the reader. General unit libraries are left out on purpose: they read "80 G" as gauss and let a bare 80 pass as bytes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from simulators.unit_table import MULTIPLIERS, TRAPS
from simulators.unit_terms import OVER, RATIO, Unit, UnitError, behind, comparable, counted_unit, parse_unit

__all__ = [
    "Mark",
    "Quantity",
    "Rule",
    "Unit",
    "UnitError",
    "behind",
    "comparable",
    "dimension_of",
    "grade_quantity",
    "money_text",
    "number_text",
    "parse_quantity",
    "parse_unit",
    "quantity_of",
]

MAX_LENGTH = 64
MAX_EXPONENT = 30
_SIGNED = frozenset({"money", RATIO})  # dimensions whose values may lie below zero, and so may their rates


@dataclass(frozen=True)
class Quantity:
    """A number read: `value` in `unit`, `base` in base units (bytes, s, $, one of what is counted) of `dimension`."""

    value: float
    unit: str
    dimension: str
    base: float
    note: str | None = None

    @property
    def text(self) -> str:
        """What was read, for the echo under the field: "13.9 requests/s"."""
        number = number_text(self.value)
        if self.unit.startswith("1/"):
            below = self.unit[2:]
            return f"{number} per {below}" if below[0].isdigit() else f"{number}/{below}"
        if self.unit.startswith("$"):
            return f"{'-' if self.value < 0 else ''}${money_text(abs(self.value))}{self.unit[1:]}"
        return f"{number} {behind(number, self.unit)}".strip()


# --- reading ---------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(
    r"(?P<sign>[-+\u2212])?"
    r"(?:(?P<power>10\s?\^\s?\d{1,3}(?![\d.]))"
    r"|(?P<whole>\d{1,3}(?:[,\u2009\u202f]\d{3})+(?!\d)|\d+)?(?P<fraction>\.\d+)?"
    r"(?:[eE](?P<e>[-+\u2212]?\d{1,3})(?!\d)|\s?[*x\u00d7\u00b7]\s?10\s?\^\s?(?P<exponent>[-+\u2212]?\d{1,3})(?!\d))?)",
    re.ASCII,
)
_SPACES = str.maketrans("\u00a0\u2009\u202f\t", "    ")
_MONEY = re.compile(r"([-\u2212]?)\s?\$\s?")
_MONEY_SCALE = re.compile(r"(k|K|thousand|million|mn|M|billion|bn|B|G|trillion|T|P)(?![A-Za-z])")


def parse_quantity(text: str, expect: str | None = None) -> Quantity:
    """The quantity a person typed, or UnitError with what to write instead.

    expect  a unit or dimension the answer is asked in; it decides what "2B" means and lets a ratio stand without a unit
    """
    if len(text) > MAX_LENGTH:
        raise UnitError("too_long", f"At most {MAX_LENGTH} characters are read.", MAX_LENGTH)
    start = len(text) - len(text.lstrip(" ~\u2248\u00a0"))
    if start == len(text):
        raise UnitError("empty", "Give a number with its unit, for example 80 GB.")
    money = _MONEY.match(text, start)
    number, end = _number(text, money.end() if money else start)
    _refuse_after(text, end, money=bool(money))
    if money and money.group(1):
        number = -number
    scale, unit = _unit_typed(text, end, expect, money=bool(money))
    if number < 0 and unit.dimension.partition("/")[0] not in _SIGNED:
        raise UnitError("negative", f"There are no negative {unit.text}. Write a number above zero.", start)
    return _quantity(number * scale, unit)


def quantity_of(value: float, unit: str) -> Quantity:
    """`value` in a declared unit."""
    return _quantity(value, parse_unit(unit))


def dimension_of(expect: str) -> str:
    """The dimension of a unit; a dimension is returned as it is."""
    try:
        return parse_unit(expect).dimension
    except UnitError:
        return expect


def number_text(value: float) -> str:
    """At most six significant digits, thousands apart by commas, so that it can be typed back."""
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.6g}"
    digits = 6 if abs(value) < 1e6 else 15
    return f"{float(f'{value:.6g}'):,.{digits}g}"


def money_text(value: float) -> str:
    """Dollars above zero: in cents where they are whole cents ($9.60), else as any number ($0.0042)."""
    cents = f"{value:,.2f}"
    return cents if 0.1 <= value < 1e6 and value % 1 and math.isclose(value, float(cents.replace(",", ""))) else number_text(value)


def _quantity(value: float, unit: Unit) -> Quantity:
    return Quantity(value, unit.text, unit.dimension, value * unit.factor, unit.note)


def _number(text: str, start: int) -> tuple[float, int]:
    """The number at `start` and where it ends."""
    found = _NUMBER.match(text, start)
    if not found or not (found["power"] or found["whole"] or found["fraction"]):
        raise UnitError("not_a_number", "Not a number we read. Write 80, 85.9, 1,000 or 8.59e10, then the unit.", start)
    sign = -1.0 if found["sign"] in ("-", "\u2212") else 1.0
    exponent = int((found["e"] or found["exponent"] or "0").replace("\u2212", "-"))
    if found["power"]:
        exponent = int(found["power"].partition("^")[2])
    if abs(exponent) > MAX_EXPONENT:
        raise UnitError("exponent", f"The exponent is beyond {MAX_EXPONENT}.", start)
    if found["power"]:
        return sign * 10.0**exponent, found.end()
    whole = re.sub("[,\u2009\u202f]", "", found["whole"] or "0")
    return sign * float(f"{whole}{found['fraction'] or ''}e{exponent}"), found.end()


def _refuse_after(text: str, end: int, *, money: bool) -> None:
    """What stands right behind a number and makes it another number than it seems."""
    rest = text[end:]
    if rest.startswith(",") or re.match(r"\.\d*,", rest):
        raise UnitError("comma", "Use a point for decimals.", end)
    if re.match(r"[\s\u00a0\u2009\u202f]+[0-9]", rest):
        raise UnitError("spaced", "Write 1000 or 1,000.", end)
    if re.match(r"\s*(?:[-\u2013\u2014~]|to\s|\.\.|\u00b1|\+-|\+/-)", rest):
        raise UnitError("range", "Write one number, not a range.", end)
    if re.match(r"\s*(?:[*^+_(=.]|[x\u00d7]\s?\d)", rest) or (not money and re.match(r"\s*/\s?\d", rest)):
        raise UnitError("not_a_number", "Not a number we read. Write it out, or as 8.59e10.", end)


def _unit_typed(text: str, end: int, expect: str | None, *, money: bool) -> tuple[float, Unit]:
    """What multiplies the number ("k", "million"; else 1) and the unit that follows it."""
    behind = text[end:].translate(_SPACES)
    rest, at = behind.strip(), end + len(behind) - len(behind.lstrip())
    if money:
        return _money(rest, at)
    wanted = dimension_of(expect) if expect else ""
    if not rest:
        return 1.0, _bare(expect, wanted, end)
    if rest == "B" and wanted.partition("/")[0] != "information":
        number = text[:end].strip()
        raise UnitError("bytes_or_billion", f"{number} bytes or {number} billion? Write the unit.", at)
    first, _, last = rest.partition(" ")
    if first in MULTIPLIERS and last and not OVER.match(f" {last}"):
        return MULTIPLIERS[first], _at(last, at + len(first) + 1, multiplier=first)
    if rest in MULTIPLIERS and rest not in TRAPS and rest != "B":
        raise UnitError("no_unit", f"Give a unit after {rest}: {rest} of what?", at)
    return 1.0, _at(rest, at)


def _money(rest: str, at: int) -> tuple[float, Unit]:
    """What follows "$80": nothing, a multiplier, a division, or both."""
    found = _MONEY_SCALE.match(rest)
    after = (rest[found.end() :] if found else rest).strip()
    unit = _at(f"$ {'' if after in ('$', 'USD', 'dollars') else after}".strip(), at)
    return MULTIPLIERS[found[1]] if found else 1.0, unit


def _bare(expect: str | None, wanted: str, end: int) -> Unit:
    if wanted != RATIO:
        raise UnitError("no_unit", "Give a unit.", end)
    if expect in ("%", "pp"):
        raise UnitError("percent_or_share", "Percent or times? Write % or x after the number.", end)
    return Unit("", RATIO, 1.0)


def _at(text: str, position: int, *, multiplier: str = "") -> Unit:
    try:
        return counted_unit(multiplier, text) if multiplier else parse_unit(text)
    except UnitError as error:
        raise error.later(position) from None


# --- grading ---------------------------------------------------------------------------------------------------------

FLEET_MARGIN = 2 / 0.6  # twice the mean at peak, each machine 60 % busy: the sized fleet over the floor
_SLACK = 1e-9  # of a ratio that floating point brought to the wrong side of a bound


@dataclass(frozen=True)
class Rule:
    """How close is close.

    kind           estimate: full within 2x, half within 10x. derived: full within 1 %, half within 5 %. exact: equal
    binary_strict  GB and GiB are told apart; otherwise the reading that fits better counts
    fleet          the truth is a floor (mean traffic, machines 100 % busy) or a sized fleet (peak 2x, 60 % busy); either is right
    """

    kind: Literal["estimate", "derived", "exact"] = "estimate"
    binary_strict: bool = False
    fleet: Literal["", "floor", "sized"] = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """Largest ratio for the full mark and for the half; of an estimate either way, else by the difference."""
        return {"estimate": (2.0, 10.0), "derived": (1.01, 1.05), "exact": (1.0, 1.0)}[self.kind]


@dataclass(frozen=True)
class Mark:
    """`mark` 0 to 1; `ratio` given over truth, None where it says nothing; `code` right, close, off, sign or unit."""

    mark: float
    ratio: float | None
    code: Literal["right", "close", "off", "sign", "unit"]
    message: str


def grade_quantity(given: Quantity, truth: Quantity, rule: Rule) -> Mark:
    """How well `given` meets `truth`: the best of the readings the rule allows, and which one it was."""
    if not comparable(given.dimension, truth.dimension):
        return _wrong_unit(given, truth, rule)
    readings = [
        (_compared(base, target, rule), said, named) for base, said in _readings(given, rule) for target, named in _truths(truth, rule)
    ]
    best, said, named = max(readings, key=lambda reading: (reading[0].mark, not reading[1], -_distance(reading[0].ratio)))
    return replace(best, message=" ".join(part for part in (best.message, said, named) if part)) if best.mark else best


def _readings(given: Quantity, rule: Rule) -> list[tuple[float, str]]:
    unit = parse_unit(given.unit) if given.unit else None
    if unit is None or unit.other is None or rule.binary_strict:
        return [(given.base, "")]
    head, line, tail = given.unit.partition("/")
    other = head.replace("iB", "B").replace("KB", "kB") if "iB" in head else head.replace("k", "K").replace("B", "iB")
    return [(given.base, ""), (given.value * unit.other, f"Read as {other}{line}{tail}.")]


def _truths(truth: Quantity, rule: Rule) -> list[tuple[float, str]]:
    floor, sized = "This is the floor: mean traffic, every machine 100 % busy.", "This is sized for a peak of twice the mean at 60 % busy."
    if rule.fleet == "floor":
        return [(truth.base, floor), (truth.base * FLEET_MARGIN, sized)]
    if rule.fleet == "sized":
        return [(truth.base, sized), (truth.base / FLEET_MARGIN, floor)]
    return [(truth.base, "")]


def _compared(base: float, truth: float, rule: Rule) -> Mark:
    if truth == 0 or base == 0:
        if truth == base:
            return Mark(1.0, None, "right", "Exactly.")
        return Mark(0.0, None, "off", f"The answer is {'not ' if truth else ''}zero.")
    ratio = base / truth
    if ratio < 0:
        return Mark(0.0, None, "sign", "The sign is the other way round.")
    full, half = rule.bounds
    off = max(ratio, 1 / ratio) if rule.kind == "estimate" else 1 + abs(ratio - 1)
    if off <= full + _SLACK:
        return Mark(1.0, ratio, "right", _named(ratio))
    if off <= half + _SLACK:
        return Mark(0.5, ratio, "close", _named(ratio))
    return Mark(0.0, ratio, "off", _named(ratio))


def _distance(ratio: float | None) -> float:
    return abs(math.log(ratio)) if ratio else 0.0


def _named(ratio: float) -> str:
    """The ratio in words: "4.2x too high", "3 % too low"."""
    off = math.exp(_distance(ratio))
    if off < 1.0005:
        return "Exactly."
    way = "high" if ratio > 1 else "low"
    if off < 1.5:
        return f"{abs(ratio - 1):.1%} too {way}.".replace("%", " %")
    return f"{off:,.3g}x too {way}." if off < 1e6 else f"{off:.1e}x too {way}."


def _wrong_unit(given: Quantity, truth: Quantity, rule: Rule) -> Mark:
    """Another dimension: a quarter if the number would be right in the unit that was asked for."""
    if given.value > 0 and truth.value > 0 and _compared(given.value, truth.value, rule).mark == 1:
        return Mark(0.25, None, "unit", f"Right size, wrong unit: the answer is in {truth.unit or 'no unit'}.")
    return Mark(0.0, None, "unit", f"Wrong unit: {given.unit or 'a bare number'} was given, the answer is in {truth.unit or 'no unit'}.")
