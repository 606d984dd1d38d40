"""Refusals of the quiz; one shape with those of interviews, so that pages and API answer alike."""

from __future__ import annotations

from mlsd_app.interviews.refusals import Refused

__all__ = ["Refused", "already_answered", "conflict", "sitting_closed"]


def conflict(code: str, message: str) -> Refused:
    """What was asked does not fit the present state."""
    return Refused(code, message, 409)


def already_answered() -> Refused:
    return conflict("already_answered", "This question was answered already, here or on another device. Your first answer stands.")


def sitting_closed() -> Refused:
    return Refused("sitting_closed", "This quiz is closed; the answer came too late to count.", 410)
