"""Marks for cards with a form: trade-offs, and what one would do with more time."""

from __future__ import annotations

from mlsd_app.interviews.scoring import words
from mlsd_app.interviews.scoring.marks import Mark, mark, not_shown
from mlsd_app.interviews.scoring.sentences import MAX_COPIED
from mlsd_app.interviews.scoring.sheet import Row, Sheet
from problems.interview_schema import RubricItem

MIN_WORDS = 3  # of a reason and of a cost
HALF = 0.5
CLOSING = (2, 3)  # rows that earn full points
TOO_MANY = 5  # more than these are a list, not a choice


def grade_tradeoff(item: RubricItem, sheet: Sheet) -> Mark:
    """Full points for a card that sets one alternative against another, with a reason and a cost; half when one of the two is missing."""
    cards = [row for row in sheet.list_rows("tradeoffs") if _names_both(row, item)]
    if not cards:
        return not_shown(f"No trade-off card sets {_shown(item.needs[0])} against {_shown(item.needs[-1])}.")
    best = max(cards, key=lambda row: _reasons(row, sheet))
    reasons = _reasons(best, sheet)
    if not reasons:
        return not_shown("The card names both but gives neither a reason nor a cost in words of its own.")
    comment = "Choice, alternative, reason and cost." if reasons == 2 else "Half: the card lacks a reason or a cost of three words or more."
    return mark(item.points * reasons / 2, comment, [sheet.row_evidence("tradeoffs", best, card_text(best))])


def _shown(concept: str) -> str:
    return concept.split("|")[0].strip()


def _names_both(row: Row, item: RubricItem) -> bool:
    """One alternative is chosen and a different one is set against it."""
    chosen, other = (str(row.get(cell) or "") for cell in ("choose", "over"))
    picked = {need for need in item.needs if words.named_in(need, chosen)}
    passed = {need for need in item.needs if words.named_in(need, other)}
    return any(one != two for one in picked for two in passed)


def _reasons(row: Row, sheet: Sheet) -> int:
    """How many of reason and cost say something: long enough, not copied, not the same text twice."""
    cells = [str(row.get(cell) or "") for cell in ("because", "cost")]
    names = set(words.stems(f"{row.get('choose')} {row.get('over')}"))
    own = {" ".join(words.tokens(cell)) for cell in cells if _says_something(cell, names, sheet)}
    return len(own)


def _says_something(cell: str, names: set[str], sheet: Sheet) -> bool:
    enough = len(words.tokens(cell)) >= MIN_WORDS and bool(set(words.content_words(cell)) - names)
    return enough and words.overlap(cell, sheet.source) < MAX_COPIED


def card_text(row: Row) -> str:
    return f"{row.get('choose')} over {row.get('over')} because {row.get('because')}; it costs {row.get('cost')}"


def grade_close(item: RubricItem, sheet: Sheet) -> Mark:
    """Two or three ideas with a reason each; above five it is a list and counts as none, any other number earns half."""
    rows = sheet.list_rows("more_time")
    whole = [row for row in rows if words.tokens(str(row.get("what") or "")) and _reasoned(row, sheet)]
    distinct = {" ".join(words.tokens(str(row["why"]))) for row in whole}
    if len(rows) > TOO_MANY:
        return not_shown(f"{len(rows)} ideas are a list; two or three were asked for.")
    if not distinct:
        return not_shown("No idea with a reason.")
    full = CLOSING[0] <= len(distinct) <= CLOSING[1] and len(rows) <= CLOSING[1]
    comment = "Two or three ideas, each with a reason." if full else f"Half: {len(distinct)} with a reason, two or three were asked for."
    evidence = [sheet.row_evidence("more_time", row, f"{row['what']}: {row['why']}") for row in whole]
    return mark(item.points * (1 if full else HALF), comment, evidence)


def _reasoned(row: Row, sheet: Sheet) -> bool:
    why = str(row.get("why") or "")
    return len(words.tokens(why)) >= MIN_WORDS and words.overlap(why, sheet.source) < MAX_COPIED
