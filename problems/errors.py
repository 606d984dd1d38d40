"""The one exception of this package: content or calculator input that cannot be used."""

from __future__ import annotations


class InvalidInput(ValueError):
    """A sentence: what was given, what is expected, where.

    `field` names the calculator input or the key of a content file it belongs beside; None when it concerns the whole.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
