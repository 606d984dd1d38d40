"""Effects as the page of `hidden_effects` writes them."""

from __future__ import annotations

PER_CENT = 100.0


def signed(share: float | None, digits: int = 1) -> str:
    """0.0123 reads +1.2 %."""
    return "undefined" if share is None else f"{PER_CENT * share:+.{digits}f} %"
