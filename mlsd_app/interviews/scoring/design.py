"""Marks for components: present, connected, and with a reason of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlsd_app.interviews.kinds import COMPONENT_KINDS, kind_of
from mlsd_app.interviews.scoring import words
from mlsd_app.interviews.scoring.marks import Mark, mark, not_shown
from mlsd_app.interviews.scoring.sheet import Row, Sheet
from problems.interview_schema import RubricItem

MIN_WHY = 3  # words
MAX_COPIED = 0.6


def grade_component(item: RubricItem, sheet: Sheet) -> Mark:
    """Points in proportion to the kinds that stand in the design, joined to another component, with a reason of three words."""
    wanted = {kind_of(kind): COMPONENT_KINDS.get(kind_of(kind), kind) for kind in item.needs}
    good = {kind_of(str(row["kind"])): row for row in reversed(reasoned(sheet)) if kind_of(str(row.get("kind") or "")) in wanted}
    if not good:
        return not_shown(f"Not drawn, not connected or without a reason: {', '.join(wanted.values())}.")
    missing = [title for kind, title in wanted.items() if kind not in good]
    comment = f"Not drawn, not connected or without a reason: {', '.join(missing)}." if missing else "Drawn, connected and with a reason."
    evidence = [sheet.row_evidence("components", good[kind], _text(good[kind])) for kind in wanted if kind in good]
    return mark(item.points * len(good) / len(wanted), comment, evidence)


def reasoned(sheet: Sheet) -> list[Row]:
    """Components that an edge joins to another one and whose reason is not shared, copied or only the name again."""
    rows = sheet.list_rows("components")
    joined = _joined(rows, sheet.list_rows("edges"))
    told = Counter(_plain(row) for row in rows)
    return [row for row in rows if row["key"] in joined and told[_plain(row)] == 1 and _has_reason(row, sheet)]


def _joined(components: Sequence[Row], edges: Sequence[Row]) -> set[str]:
    keys = {str(row["key"]) for row in components}
    ends = [(str(edge.get("from") or ""), str(edge.get("to") or "")) for edge in edges]
    return {end for pair in ends if pair[0] != pair[1] and set(pair) <= keys for end in pair}


def _plain(row: Row) -> str:
    return " ".join(words.tokens(str(row.get("why") or "")))


def _has_reason(row: Row, sheet: Sheet) -> bool:
    why = str(row.get("why") or "")
    named = set(words.stems(f"{row.get('name') or ''} {str(row.get('kind') or '').replace('_', ' ')}"))
    own = [word for word in words.content_words(why) if word not in named]
    return len(words.tokens(why)) >= MIN_WHY and bool(own) and words.overlap(why, sheet.source) < MAX_COPIED


def _text(row: Row) -> str:
    return f"{row.get('name') or row['kind']}: {row['why']}"
