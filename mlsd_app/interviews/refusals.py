"""Why something cannot be done with an attempt just now, in a form that pages and API answer alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlsd_app.interviews.models import Attempt, Status

LOCKED = 423


@dataclass
class Refused(Exception):
    """`code` is a problem+json code, `status` the HTTP status, `extra` further members such as the id of another attempt."""

    code: str
    message: str
    status: int
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


def refuse_unless_open(attempt: Attempt) -> None:
    if attempt.status == Status.READY:
        raise Refused("wrong_state", "This interview has not begun.", 409)
    if attempt.status != Status.OPEN:
        raise Refused("wrong_state", "This interview is over.", 409)
