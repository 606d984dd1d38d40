"""The demo accounts a development site starts with."""

from __future__ import annotations

from typing import NamedTuple


class DemoPerson(NamedTuple):
    role: str
    username: str
    password: str
    is_staff: bool = False


PEOPLE = (
    DemoPerson("Candidate", "candidate", "practice-45-minutes"),
    DemoPerson("Instructor", "instructor", "teach-45-minutes"),
    DemoPerson("Staff", "staff", "maintain-45-minutes", is_staff=True),
)
