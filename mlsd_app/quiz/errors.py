from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Refused(Exception):
    """What was asked does not fit the present state. `code` names it for programs, `status` is the HTTP status."""

    code: str
    message: str
    status: int = 409

    def __str__(self) -> str:
        return self.message


def already_answered() -> Refused:
    return Refused("already_answered", "This question was answered already, here or on another device. Your first answer stands.")


def sitting_closed() -> Refused:
    return Refused("sitting_closed", "This quiz is closed; the answer came too late to count.", 410)
