"""Marks for numbers: what the candidate computed against the calculator at the facts of this interview."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from mlsd_app.interviews.interviewer.facts import fed_inputs
from mlsd_app.interviews.scoring import words
from mlsd_app.interviews.scoring.figures import physical, same_measure
from mlsd_app.interviews.scoring.marks import Mark, mark, not_shown
from mlsd_app.interviews.scoring.sheet import Row, Sheet
from problems.calculators import Calculator, CalculatorOutput, evaluate
from problems.interview_schema import RubricItem
from simulators.unit_terms import RATIO, UnitError, parse_unit
from simulators.units import Quantity, parse_quantity

FULL, HALF = 2.0, 10.0  # factors either way, as for an estimate in the quiz
FULL_SHARE, HALF_SHARE = 1.25, 2.0  # of percentages and ratios, where a factor of two says little
MAX_VALUES = 3  # for one output: more than these are guesses, not an estimate
ABSURD = 1e12  # times too high or low: not a number for this
EXACT = 100  # closeness of a row that was kept from the very line of the calculator
FLOOR, SIZED = {"peak": 1.0, "busy": 1.0}, {"peak": 2.0, "busy": 0.6}

_GENERAL = "total sum number numbers need needed each rate share cost time days hours minutes seconds weeks users people nodes machines"
_ALSO = "gpus servers cards tokens requests queries rows memory size load second first day hour kept left peak"
GENERAL = frozenset(words.content_words(f"{_GENERAL} {_ALSO}"))  # of any number


@dataclass(frozen=True)
class Expected:
    """A value that counts as right, and which reading of the question it answers."""

    value: float
    note: str = ""


@dataclass(frozen=True)
class Hit:
    """A row of the candidate beside what was expected of it; `ratio` is given / expected."""

    row: Row
    output: CalculatorOutput
    expected: Expected
    ratio: float
    share: float  # of the points

    @property
    def text(self) -> str:
        given = f"{self.row['name']}: {self.row['value']:g} {self.row.get('unit') or ''}".strip()
        note = f", {self.expected.note}" if self.expected.note else ""
        return f"{given}; expected about {self.expected.value:.3g} {self.output.unit}{note}"


def grade_number(item: RubricItem, sheet: Sheet) -> Mark:
    """Full points when half of the listed outputs are within a factor of two of the calculator; an output within ten counts half."""
    wanted = hits_of(item, sheet)
    best = [hit for _, _, hit in wanted if hit]
    if not best:
        return not_shown("No row of the numbers, by name and unit, says one of these.")
    needed = math.ceil(len(wanted) / 2)
    nearest = min(best, key=lambda hit: abs(math.log(hit.ratio)))
    strongest = sorted(best, key=lambda hit: hit.share, reverse=True)[:needed]
    earned = sum(hit.share for hit in strongest) / needed
    comment = "; ".join(_words(hit) for hit in strongest) + "."
    evidence = [sheet.row_evidence("numbers", hit.row, hit.text) for hit in strongest]
    return mark(item.points * earned, comment, evidence, ratio=nearest.ratio)


def hits_of(item: RubricItem, sheet: Sheet) -> list[tuple[Calculator, CalculatorOutput, Hit | None]]:
    """Each output that a number item asks for, with the row of the candidate that was held against it; None: no row says it."""
    wanted = [_output(sheet, *need.split(".")) for need in item.needs]
    return [(calculator, output, _best(calculator, output, sheet)) for calculator, output in wanted]


def _output(sheet: Sheet, calculator: str, output: str) -> tuple[Calculator, CalculatorOutput]:
    found = sheet.calculators[calculator]
    return found, next(entry for entry in found.outputs if entry.key == output)


def _words(hit: Hit) -> str:
    note = f" ({hit.expected.note})" if hit.expected.note else ""
    size = "agrees" if 0.8 <= hit.ratio <= 1.25 else f"{max(hit.ratio, 1 / hit.ratio):.2g} times too {'high' if hit.ratio > 1 else 'low'}"
    return f"{hit.output.title}: {size}{note}"


# --- what is expected ------------------------------------------------------------------------------------------------


def expected_of(calculator: Calculator, output: str, sheet: Sheet) -> list[Expected]:
    """The output at the drawn facts; for a fleet also the floor and the sized value, which rest on other habits of counting."""
    inputs = drawn_inputs(calculator, sheet)
    found = [Expected(evaluate(calculator, inputs).value(output))]
    names = {entry.key: entry for entry in calculator.inputs}
    for habit, note in ((FLOOR, "the floor: no peak, never idle"), (SIZED, "sized: peak 2, 60 % busy")):
        changed = {key: value for key, value in habit.items() if key in names and names[key].min <= value <= names[key].max}
        value = evaluate(calculator, {**inputs, **{key: value for key, value in changed.items() if key not in inputs}}).value(output)
        if changed and not math.isclose(value, found[0].value, rel_tol=1e-6):
            found.append(Expected(value, note))
    return found


def drawn_inputs(calculator: Calculator, sheet: Sheet) -> dict[str, float]:
    """Inputs the interview fixed. A fact that feeds `n` of one calculator also fixes the same input of another: same key, unit, default."""
    inputs: dict[str, float] = {}
    for owner, values in fed_inputs(sheet.interviewer.facts, sheet.values)["calculators"].items():
        sources = {entry.key: entry for entry in sheet.calculators[owner].inputs}
        for entry in calculator.inputs:
            source = sources.get(entry.key)
            if source and entry.key in values and (source.unit, source.default) == (entry.unit, entry.default):
                inputs[entry.key] = min(max(values[entry.key], entry.min), entry.max)
    return inputs


# --- what was given --------------------------------------------------------------------------------------------------


def _best(calculator: Calculator, output: CalculatorOutput, sheet: Sheet) -> Hit | None:
    """The nearest of the rows whose name fits this output best. Where several values compete, near is not enough and many are guesses."""
    rows = [(closeness(row, calculator, output), row) for row in sheet.list_rows("numbers")]
    hits = [(score, hit) for score, row in rows if score and (hit := _hit(row, calculator, output, sheet))]
    closest = [hit for score, hit in hits if score == max(score for score, _ in hits)]
    values = {hit.row["value"] for hit in closest}
    if not closest or len(values) > MAX_VALUES:
        return None
    best = min(closest, key=lambda hit: abs(math.log(hit.ratio)))
    return best if len(values) == 1 or best.share == 1 else replace(best, share=0.0)


def closeness(row: Row, calculator: Calculator, output: CalculatorOutput) -> int:
    """How well a row fits an output: kept from its line of the calculator, or by words of its name; 0 when it is about something else."""
    made_by, _, line = str(row.get("calculator") or "").partition(".")
    if (made_by, line) == (calculator.key, output.key):
        return EXACT
    name = frozenset(words.content_words(str(row.get("name") or "")))
    subject = _subject(output.title, output.key, calculator.title)
    return subject.shared(name) + (made_by == calculator.key)


@dataclass(frozen=True)
class Subject:
    """Stems that name an output: those of its title, of its key, and of its calculator's title."""

    title: frozenset[str]
    key: frozenset[str]
    around: frozenset[str]

    def shared(self, name: frozenset[str]) -> int:
        """Words in common. "Days" or "GPUs" alone name nothing: a word of the matter itself has to be among them, or two such words."""
        own = self.title | self.key
        common = self.title & name
        general = not self.title - GENERAL and (len(common) > 1 or common == self.title and bool(name & self.around - GENERAL))
        return len(name & own) if name & own - GENERAL or general else 0


@lru_cache(maxsize=1024)
def _subject(title: str, key: str, around: str) -> Subject:
    return Subject(*(frozenset(words.content_words(text.replace("_", " "))) for text in (title, key, around)))


def _hit(row: Row, calculator: Calculator, output: CalculatorOutput, sheet: Sheet) -> Hit | None:
    """None for a row without a value, with a unit of another dimension, or of the other sign."""
    unit = parse_unit(output.unit)
    given = _given(row, output.unit)
    if given is None or given.base <= 0:
        return None
    pairs = [(truth, given.base / (truth.value * unit.factor)) for truth in expected_of(calculator, output.key, sheet) if truth.value > 0]
    pairs = [(truth, ratio) for truth, ratio in pairs if 1 / ABSURD < ratio < ABSURD]
    if not pairs:
        return None
    truth, ratio = min(pairs, key=lambda pair: abs(math.log(pair[1])))
    return Hit(row, output, truth, ratio, share_of(ratio, is_share=unit.dimension == RATIO))


def _given(row: Row, expected_unit: str) -> Quantity | None:
    """The row's value in its unit; in the expected unit where a count or a ratio has none, or counts by a word no table knows."""
    value, unit = row.get("value"), str(row.get("unit") or "").strip()
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    wanted = parse_unit(expected_unit)
    bare = Quantity(value, expected_unit, wanted.dimension, value * wanted.factor)
    assumed = None if physical(wanted.dimension) or expected_unit == "%" else bare
    if not unit:
        return assumed
    try:
        quantity = parse_quantity(f"{value:.12g} {unit}", expect=expected_unit)
    except UnitError:
        return assumed if unit.replace(" ", "").isalpha() else None
    return quantity if same_measure(quantity.dimension, wanted.dimension) else None


def share_of(ratio: float, *, is_share: bool) -> float:
    """Of the points: 1 within a factor of two, a half within ten; tighter for percentages and ratios."""
    full, half = (FULL_SHARE, HALF_SHARE) if is_share else (FULL, HALF)
    off = max(ratio, 1 / ratio) * (1 - 1e-12)
    return 1.0 if off <= full else 0.5 if off <= half else 0.0


def nearest_ratio(marks: Sequence[Mark]) -> float | None:
    """The best of all numbers, given over expected; None when none was given."""
    ratios = list(_ratios(marks))
    return min(ratios, key=lambda ratio: abs(math.log(ratio)), default=None)


def _ratios(marks: Sequence[Mark]) -> Iterator[float]:
    yield from (entry.ratio for entry in marks if entry.ratio)
