"""The rules an attempt is sat under: checked where they come from outside, and a person's own for their mocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlsd_app.accounts.models import User
from mlsd_app.accounts.selectors import accommodation_of
from mlsd_app.interviews.models import Attempt
from simulators.errors import InvalidInput

MOCK_PAUSES = {"count": 1, "cap_s": 180, "hide_text": True, "break_s": 0}
STAFF_PAUSES = {"count": 0, "cap_s": None, "hide_text": True, "break_s": 0}
GRACE_OVERTIME_S = 120
FLAGS = ("hide_timer", "no_low_time_alerts", "reduced_motion", "keyboard_canvas")
_LOOKS = ("kind", "mode", "show", "level", "accommodation", "show_questions", "show_score")
_TIMES = ("multiplier", "extra_s", "pause_policy", "overdue_policy", "overtime_s", "opens_at", "closes_at")
_OPEN_TO_CALLERS = frozenset((*_LOOKS, *_TIMES, "board", "curveballs", "reattempt_of"))


def own_accommodation(user: User) -> dict[str, Any]:
    """The fields of an attempt that follow from what the person has set for themselves."""
    wish = accommodation_of(user=user)
    return {
        "multiplier": wish.multiplier,
        "extra_s": wish.extra_s,
        "pause_policy": {**MOCK_PAUSES, "break_s": wish.break_s},
        "accommodation": {flag: getattr(wish, flag) for flag in FLAGS},
    }


def checked_policy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with their defaults filled in. Raises InvalidInput for values out of range, TypeError for a field nobody may set."""
    if unknown := set(fields) - _OPEN_TO_CALLERS:
        raise TypeError(f"attempt_create takes no {', '.join(sorted(unknown))}")
    policy = {"pause_policy": STAFF_PAUSES, **fields}
    policy["pause_policy"] = {**STAFF_PAUSES, **policy["pause_policy"]}
    if policy.get("overdue_policy") == "grace":
        policy.setdefault("overtime_s", GRACE_OVERTIME_S)
    _check_choices(policy)
    _check_times(policy)
    return policy


def _check_choices(policy: Mapping[str, Any]) -> None:
    for name in ("kind", "mode", "show", "level", "overdue_policy", "curveballs"):
        known = [value for value, _ in Attempt._meta.get_field(name).choices or ()]  # type: ignore[union-attr]
        if name in policy and policy[name] not in known:
            raise InvalidInput(f"{str(policy[name])[:40]!r} was given; expected one of {', '.join(known)}.", field=name)


def _check_times(policy: Mapping[str, Any]) -> None:
    multiplier = policy.get("multiplier", 1.0)
    if not 1.0 <= multiplier <= 4.0:
        raise InvalidInput(f"Time was to be multiplied by {multiplier:g}; expected 1 to 4.", field="multiplier")
    for name in ("extra_s", "overtime_s"):
        if not 0 <= policy.get(name, 0) <= 7200:
            raise InvalidInput(f"{policy[name]} s were given; expected 0 to 7200.", field=name)
    opens, closes = policy.get("opens_at"), policy.get("closes_at")
    if opens and closes and closes <= opens:
        raise InvalidInput("The window closes before it opens.", field="closes_at")
