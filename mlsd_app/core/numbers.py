"""Whole numbers in headers and query strings."""

from __future__ import annotations


def number_in(text: str | None, *, digits: int = 9) -> int | None:
    """The number of at most so many digits that `text` is; None for anything else."""
    given = text or ""
    return int(given) if given.isascii() and given.isdigit() and len(given) <= digits else None
