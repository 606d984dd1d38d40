"""The plan as a form: what was typed stays, with a sentence beside each field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.http import QueryDict

from mlsd_app.quiz.models import Plan
from simulators.errors import InvalidInput

WHOLE = {"minutes_a_day": "minutes", "new_limit": "new cards", "desired_retention": "percent"}


@dataclass
class PlanForm:
    """`typed` holds the fields as text; `errors` a sentence a field."""

    typed: Mapping[str, Any]
    scope: list[str]
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> PlanForm:
        typed = {
            "interview_date": plan.interview_date.isoformat() if plan.interview_date else "",
            "minutes_a_day": str(plan.minutes_a_day),
            "new_limit": "" if plan.new_limit is None else str(plan.new_limit),
            "desired_retention": str(round(plan.desired_retention * 100)),
            "timezone": plan.timezone if plan.pk else "",
        }
        return cls(typed, list(plan.scope))

    @classmethod
    def sent(cls, data: QueryDict) -> PlanForm:
        names = ("interview_date", "minutes_a_day", "new_limit", "desired_retention", "timezone")
        return cls({name: data.get(name, "").strip()[:64] for name in names}, data.getlist("scope"))

    def values(self) -> dict[str, Any]:
        """Arguments for `plan_save`. Raises InvalidInput for text that is no date or number."""
        new_limit = self.typed["new_limit"]
        return {
            "interview_date": self._date(),
            "minutes_a_day": self._whole("minutes_a_day"),
            "new_limit": self._whole("new_limit") if new_limit else None,
            "desired_retention": self._whole("desired_retention") / 100,
            "scope": self.scope,
            "timezone": self.typed["timezone"] or "UTC",
        }

    def _date(self) -> date | None:
        text = self.typed["interview_date"]
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            raise InvalidInput(f"{text!r} is no date; write one like 2026-05-31.", field="interview_date") from None

    def _whole(self, name: str) -> int:
        text = self.typed[name]
        if not (text.isascii() and text.isdigit() and len(text) < 6):
            raise InvalidInput(f"{text!r} is no whole number of {WHOLE[name]}.", field=name)
        return int(text)
