"""What a rule says of one rubric item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Evidence = dict[str, Any]  # {"kind": "quote" | "run" | "event" | "row", "ref", "text", "active_ms"}
MAX_EVIDENCE = 6


@dataclass(frozen=True)
class Mark:
    """`points` None: ungraded, and `error` is for staff. `comment` says what was seen; `ratio` is a number's, given / expected."""

    points: float | None
    comment: str
    evidence: tuple[Evidence, ...] = ()
    error: str = ""
    ratio: float | None = None

    @property
    def graded(self) -> bool:
        return self.points is not None


def mark(points: float, comment: str, evidence: Sequence[Evidence] = (), ratio: float | None = None) -> Mark:
    """Points above 0 without evidence are a fault of the rule, not a score."""
    if points > 0 and not evidence:
        raise ValueError("points without evidence")
    return Mark(round(points, 2), comment, tuple(evidence[:MAX_EVIDENCE]), ratio=ratio)


def not_shown(comment: str) -> Mark:
    return Mark(0.0, comment)


def ungraded(comment: str, *, error: str = "") -> Mark:
    return Mark(None, comment, error=error)
