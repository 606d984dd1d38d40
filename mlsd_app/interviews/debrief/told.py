"""What was found out and what was computed: every hidden fact with how it came to light, every number beside the one expected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlsd_app.interviews.interviewer.constraints import read_back
from mlsd_app.interviews.interviewer.facts import answer_text, spoken_name
from mlsd_app.interviews.interviewer.record import told_facts
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.scoring.numbers import Hit, drawn_inputs, expected_of, hits_of
from mlsd_app.interviews.scoring.sheet import Sheet
from problems.calculators import Calculator, CalculatorOutput, evaluate
from problems.interview_schema import HiddenFact

How = Literal["asked", "confirmed", "corrected", "assumed", "assumed_wrong", "missed"]
HOW_WORDS: dict[How, str] = {
    "asked": "Asked",
    "confirmed": "Confirmed",
    "corrected": "Corrected",
    "assumed": "Assumed, rightly",
    "assumed_wrong": "Assumed, wrongly",
    "missed": "Missed",
}
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class FactLine:
    """One fact of the interviewer. `answer` only where it was told; `would_ask`: a question that gets a missed one."""

    id: str
    name: str
    how: How
    needed: bool
    answer: str
    would_ask: str

    @property
    def how_words(self) -> str:
        return HOW_WORDS[self.how]


@dataclass(frozen=True)
class NumberLine:
    """One output that the rubric asks for. `given` None: no row says it. `worked` is the formula with numbers for names."""

    title: str
    unit: str
    calculator: str
    given: float | None
    given_unit: str
    expected: float
    note: str
    ratio: float | None
    formula: str
    worked: str


def fact_lines(attempt: Attempt, sheet: Sheet) -> tuple[FactLine, ...]:
    """All facts: those that matter most and were missed first, then as they stand in the interviewer's list."""
    told, assumed = told_facts(attempt), _assumed(sheet)
    lines = [_fact_line(fact, _how(fact, told, assumed), sheet.values.get(fact.id)) for fact in sheet.interviewer.facts]
    return tuple(sorted(lines, key=lambda line: (line.how != "missed", not line.needed)))


def _how(fact: HiddenFact, told: Mapping[str, str], assumed: Mapping[str, How]) -> How:
    heard: Any = told.get(fact.id)
    return heard or assumed.get(fact.id, "missed")


def _assumed(sheet: Sheet) -> dict[str, How]:
    """{fact: whether a row of the constraints says it}, by the same reading as when they are read back."""
    words: dict[str, How] = {"confirmed": "assumed", "corrected": "assumed_wrong"}
    found = read_back(sheet.list_rows("constraints"), sheet.interviewer, sheet.values)
    return {line.fact: words[line.how] for line in found if line.how in words}


def _fact_line(fact: HiddenFact, how: How, value: float | None) -> FactLine:
    known = how not in ("missed", "assumed", "assumed_wrong")
    return FactLine(
        id=fact.id,
        name=spoken_name(fact),
        how=how,
        needed=fact.needed,
        answer=answer_text(fact, value) if known else "",
        would_ask="" if known else _as_question(fact.phrasings[0]),
    )


def _as_question(phrasing: str) -> str:
    text = phrasing[:1].upper() + phrasing[1:]
    return text if text.endswith("?") else f"{text}?"


# --- numbers ---------------------------------------------------------------------------------------------------------


def number_lines(sheet: Sheet) -> tuple[NumberLine, ...]:
    """Each output the rubric asks for, once."""
    items = [item for item in sheet.rubric.items if item.grade == "number"]
    found = {(calculator.key, output.key): (calculator, output, hit) for item in items for calculator, output, hit in hits_of(item, sheet)}
    return tuple(_number_line(calculator, output, hit, sheet) for calculator, output, hit in found.values())


def _number_line(calculator: Calculator, output: CalculatorOutput, hit: Hit | None, sheet: Sheet) -> NumberLine:
    expected = hit.expected if hit else expected_of(calculator, output.key, sheet)[0]
    return NumberLine(
        title=output.title,
        unit=output.unit,
        calculator=calculator.key,
        given=hit.row["value"] if hit else None,
        given_unit=str(hit.row.get("unit") or "") if hit else "",
        expected=expected.value,
        note=expected.note,
        ratio=hit.ratio if hit else None,
        formula=output.formula,
        worked=worked(calculator, output, drawn_inputs(calculator, sheet)),
    )


def worked(calculator: Calculator, output: CalculatorOutput, inputs: Mapping[str, float]) -> str:
    """The formula with the interview's inputs, the rest at the calculator's own, in place of their names."""
    result = evaluate(calculator, inputs)
    values = {**result.inputs, **{line.key: line.value for line in result.outputs}}
    return _NAME.sub(lambda name: f"{values[name[0]]:.4g}" if name[0] in values else name[0], output.formula)


def counts(lines: tuple[FactLine, ...]) -> Iterator[tuple[str, int]]:
    """(how in words, number of facts), only what there is."""
    for how, words in HOW_WORDS.items():
        if number := sum(line.how == how for line in lines):
            yield words, number
