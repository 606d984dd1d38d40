"""The one exception that bad input raises anywhere below the web layer."""

from __future__ import annotations


class InvalidInput(ValueError):
    """Something the user gave cannot be used.

    `message` is a sentence: what was given, what is expected, where. `field` names the parameter,
    column or file the message belongs beside, or is None when it concerns the whole input.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
