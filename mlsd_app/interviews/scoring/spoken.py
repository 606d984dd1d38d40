"""Marks for what was asked and what was said: facts and concepts."""

from __future__ import annotations

from mlsd_app.interviews.interviewer.matcher import match
from mlsd_app.interviews.scoring.marks import Evidence, Mark, mark, not_shown
from mlsd_app.interviews.scoring.sheet import Row, Sheet, Told
from problems.interview_schema import HiddenFact, RubricItem

LATE = ASSUMED = 0.5  # of the points


def grade_fact(item: RubricItem, sheet: Sheet) -> Mark:
    """Full points for a fact obtained before anything was drawn; half for one obtained later, or assumed with value and unit."""
    told = [entry for entry in sheet.told if entry.fact in item.needs]
    early = [entry for entry in told if sheet.drawn_ms is None or entry.active_ms <= sheet.drawn_ms]
    if early:
        return mark(item.points, "Asked before the first component was drawn.", [_event(entry) for entry in early])
    if told:
        return mark(item.points * LATE, "Asked, but after the design had begun: half.", [_event(entry) for entry in told])
    if assumed := _assumptions(item, sheet):
        return mark(item.points * ASSUMED, "Not asked, but assumed with a value: half.", assumed)
    return not_shown("Neither asked nor assumed.")


def _event(entry: Told) -> Evidence:
    return {"kind": "event", "ref": entry.ref, "text": entry.text[:300], "active_ms": entry.active_ms}


def _assumptions(item: RubricItem, sheet: Sheet) -> list[Evidence]:
    """Constraint rows that state a needed fact of this item with a value, and with a unit where the fact has one."""
    facts = [fact for key in item.needs if (fact := sheet.fact(key)) and fact.needed]
    found = [row for row in sheet.list_rows("constraints") if any(_states(row, fact, sheet) for fact in facts)]
    return [sheet.row_evidence("constraints", row, f"{row['name']}: {row['value']} {row.get('unit') or ''}".strip()) for row in found]


def _states(row: Row, fact: HiddenFact, sheet: Sheet) -> bool:
    name, value, unit = (str(row.get(cell) or "").strip() for cell in ("name", "value", "unit"))
    has_unit = bool(unit or not fact.unit or any(letter.isalpha() or letter in "%$" for letter in value))
    return bool(name and value and has_unit) and fact.id in match(f"{name} {unit}", sheet.interviewer.facts).facts


def grade_mention(item: RubricItem, sheet: Sheet) -> Mark:
    """Points in proportion to the concepts that stand in a sentence that counts."""
    found = [sheet.credits[concept] for concept in item.needs if concept in sheet.credits]
    if not found:
        return not_shown("None of the concepts stands in a sentence that says something about it.")
    missing = [concept.split("|")[0].strip() for concept in item.needs if concept not in sheet.credits]
    comment = f"Not found in a sentence: {', '.join(missing)}." if missing else "Each concept was used in a sentence."
    quotes = {credit.sentence.text: sheet.quote(credit.sentence) for credit in found}
    return mark(item.points * len(found) / len(item.needs), comment, list(quotes.values()))
