"""Marks by rule: one function for each `grade` a rubric item may have.

A rule says how many points and shows what for; where it cannot say, the item stays ungraded. It never guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlsd_app.interviews.scoring.cards import grade_close, grade_tradeoff
from mlsd_app.interviews.scoring.design import grade_component
from mlsd_app.interviews.scoring.marks import Mark, ungraded
from mlsd_app.interviews.scoring.measured import grade_curveball, grade_run
from mlsd_app.interviews.scoring.numbers import grade_number
from mlsd_app.interviews.scoring.sheet import Sheet
from mlsd_app.interviews.scoring.spoken import grade_fact, grade_mention
from problems.interview_schema import RubricItem
from simulators.errors import InvalidInput

Grader = Callable[[RubricItem, Sheet], Mark]

GRADERS: Mapping[str, Grader] = {
    "fact": grade_fact,
    "number": grade_number,
    "component": grade_component,
    "tradeoff": grade_tradeoff,
    "run": grade_run,
    "curveball": grade_curveball,
    "close": grade_close,
    "mention": grade_mention,
}


def grade_item(item: RubricItem, sheet: Sheet) -> Mark:
    """The mark of one item; a `text` item waits for a person."""
    grader = GRADERS.get(item.grade)
    if grader is None:
        return ungraded("Judged by a person.")
    try:
        return grader(item, sheet)
    except (InvalidInput, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return ungraded("The rule could not say.", error=f"{type(error).__name__}: {error}")


def grade_all(sheet: Sheet) -> dict[str, Mark]:
    """{item id: mark}, in the order of the rubric."""
    return {item.id: grade_item(item, sheet) for item in sheet.rubric.items}
