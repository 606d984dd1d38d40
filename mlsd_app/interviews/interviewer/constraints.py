"""Reading constraints back: which rows say what the interviewer knows, which contradict it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlsd_app.interviews.interviewer.facts import answer_text
from mlsd_app.interviews.interviewer.matcher import match
from problems.interview_schema import HiddenFact, Interviewer
from simulators.units import Quantity, UnitError, comparable, parse_quantity, quantity_of

CLOSE = 0.01  # two numbers this near say the same
_PLAIN = re.compile(r"[-+]?\d[\d,]*(\.\d+)?([eE][-+]?\d+)?")


@dataclass(frozen=True)
class ReadBack:
    """One row: confirmed or corrected, with the fact it is about and what is said; or left open, for the candidate to decide."""

    row: str
    how: Literal["confirmed", "corrected", "open"]
    fact: str = ""
    text: str = ""


def read_back(rows: Iterable[Mapping[str, Any]], interviewer: Interviewer, values: Mapping[str, float]) -> list[ReadBack]:
    """Each row of the constraints that has a value. What is missing is not named."""
    return [_read(row, interviewer, values) for row in rows if str(row["value"]).strip()]


def _read(row: Mapping[str, Any], interviewer: Interviewer, values: Mapping[str, float]) -> ReadBack:
    fact = _about(row, interviewer, values)
    agrees = _agrees(str(row["value"]), str(row["unit"]), values[fact.id], fact.unit) if fact else None
    if fact is None or agrees is None:
        return ReadBack(str(row["key"]), "open")
    said = f"{str(row['name']).strip() or 'That'}: {str(row['value']).strip()} {str(row['unit']).strip()}".rstrip()
    if agrees:
        return ReadBack(str(row["key"]), "confirmed", fact.id, f"{said}. Yes.")
    return ReadBack(str(row["key"]), "corrected", fact.id, f"{said}? No. {answer_text(fact, values[fact.id])}")


def _about(row: Mapping[str, Any], interviewer: Interviewer, values: Mapping[str, float]) -> HiddenFact | None:
    """The one fact with a number that the row names, by its id or by its words."""
    named = {str(row["fact"])}
    heard = set(match(f"{row['name']} {row['unit']}", interviewer.facts).facts)
    for wanted in (named, heard):
        found = [fact for fact in interviewer.facts if fact.id in wanted and fact.id in values]
        if len(found) == 1:
            return found[0]
    return None


def _agrees(value: str, unit: str, truth: float, truth_unit: str) -> bool | None:
    """Whether the row says the fact's number; None where that cannot be told, for want of a number or of a unit that compares."""
    expected = _expected(truth, truth_unit)
    for text in (f"{value} {unit}".strip(), f"{value} {expected.unit if expected else truth_unit}".strip()):
        given = _quantity(text, expected)
        if given and expected and comparable(given.dimension, expected.dimension):
            return math.isclose(given.base, expected.base, rel_tol=CLOSE)
        if given and unit:
            break
    plain = _PLAIN.fullmatch(value.strip())
    if plain is None or (unit and expected and unit.strip() != truth_unit):
        return None
    return math.isclose(float(plain[0].replace(",", "")), truth, rel_tol=CLOSE)


def _expected(truth: float, unit: str) -> Quantity | None:
    """A share "of impressions" is a ratio; a unit that the table does not know is compared as a plain number."""
    if not unit or unit.startswith("of "):
        return Quantity(truth, "", "ratio", truth)
    try:
        return quantity_of(truth, unit)
    except UnitError:
        return None


def _quantity(text: str, expected: Quantity | None) -> Quantity | None:
    try:
        return parse_quantity(text, expect=expected.dimension if expected else None)
    except UnitError:
        return None
