"""What proctors can do with interviews, each with its arguments and what it does to one of them.

`services.operations` runs them, for one or many, with reason, preview and log. A new operation is a class and a line in OPERATIONS.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from mlsd_app.accounts.models import User
from mlsd_app.interviews import staff_ops
from mlsd_app.interviews.hands import hand_is_up, hand_raise
from mlsd_app.interviews.interviewer.throwing import MAX_MESSAGE, curveball_send
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.selectors import state_of
from simulators.errors import InvalidInput

MOST_MIN = staff_ops.MAX_ADJUST_S / 60


@dataclass(frozen=True)
class Act:
    """Who does it, why and when. `seen`: {attempt id: number of the clock that was looked at}."""

    actor: User
    reason: str
    now: datetime
    seen: Mapping[str, int] = field(default_factory=dict)


class Operation(BaseModel):
    """Its fields are the arguments; times in minutes."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    title: ClassVar[str]
    words: ClassVar[str]
    of_closed: ClassVar[bool] = False  # done with interviews that are over
    sees_clock: ClassVar[bool] = False  # reckons from a clock that must not have changed since

    def check(self, attempts: list[Attempt], now: datetime) -> None:
        """Raises InvalidInput for arguments that fit none of these attempts."""

    @abstractmethod
    def run(self, attempt: Attempt, act: Act) -> None:
        """Does it to a locked attempt. Raises Refused or InvalidInput, each of which skips this attempt only."""


def _adjust(attempt: Attempt, seconds: float, act: Act, asked: Mapping[str, Any], seen_seq: int | None = None) -> None:
    whole = round(seconds)
    if whole == 0:
        raise Refused("unchanged", "The clock stands there already.", 409)
    phase = state_of(attempt, act.now).phase_index or 0
    staff_ops.adjust_add(
        attempt=attempt, seconds=whole, from_phase=phase, actor=act.actor, reason=act.reason, now=act.now, asked=asked, seen_seq=seen_seq
    )


def _running(attempt: Attempt) -> None:
    if attempt.mode == "free":
        raise Refused("no_limit", "This interview has no limit.", 409)


class SetTotal(Operation):
    title = "Set the total"
    words = "Minutes from the start to the end, pauses left out; the same for everybody chosen."
    minutes: float = Field(ge=1, le=2 * MOST_MIN)

    def run(self, attempt: Attempt, act: Act) -> None:
        _running(attempt)
        _adjust(attempt, 60 * self.minutes - state_of(attempt, act.now).limit_s, act, {"total_min": self.minutes})


class SetRemaining(Operation):
    title = "Set what is left"
    words = "Minutes left from now on. Refused for a clock that somebody changed after you looked."
    sees_clock = True
    minutes: float = Field(ge=0, le=MOST_MIN)

    def run(self, attempt: Attempt, act: Act) -> None:
        _running(attempt)
        state = state_of(attempt, act.now)
        seen = act.seen.get(str(attempt.pk))
        if seen is not None and seen != attempt.clock_seq:
            raise Refused("clock_changed", "The clock was changed meanwhile; look at it again.", 409)
        _adjust(attempt, 60 * self.minutes - (state.limit_s - state.active_s), act, {"remaining_min": self.minutes}, seen)


class Add(Operation):
    title = "Add or take minutes"
    words = "With a minus they are taken away, at most what is left."
    minutes: float = Field(ge=-MOST_MIN, le=MOST_MIN)

    def run(self, attempt: Attempt, act: Act) -> None:
        _adjust(attempt, 60 * self.minutes, act, {"minutes": self.minutes})


class Percent(Operation):
    title = "Add or take a share"
    words = "Per cent of each person's own limit, so that whoever has more time gets more."
    percent: float = Field(ge=-100, le=100)

    def run(self, attempt: Attempt, act: Act) -> None:
        if self.percent == 0:
            raise Refused("unchanged", "Nothing was asked for.", 409)
        phase = state_of(attempt, act.now).phase_index or 0
        staff_ops.adjust_percent(attempt=attempt, percent=self.percent, from_phase=phase, actor=act.actor, reason=act.reason, now=act.now)


class RemoveLimit(Operation):
    title = "Remove the limit"
    words = "The clock counts up; only a closing date still ends the interview."

    def run(self, attempt: Attempt, act: Act) -> None:
        _running(attempt)
        staff_ops.limit_remove(attempt=attempt, actor=act.actor, reason=act.reason, now=act.now)


class Pause(Operation):
    title = "Stop the clock"
    words = "Until you let it go on. Candidates cannot resume it themselves."

    def run(self, attempt: Attempt, act: Act) -> None:
        if attempt.stops.filter(kind="staff", end=None).exists():
            raise Refused("unchanged", "Staff have stopped this clock already.", 409)
        staff_ops.staff_pause(attempt=attempt, actor=act.actor, reason=act.reason, now=act.now)


class Resume(Operation):
    title = "Let the clock go on"
    words = "Ends a stop by staff; a candidate's own pause stays."

    def run(self, attempt: Attempt, act: Act) -> None:
        if not attempt.stops.filter(kind="staff", end=None).exists():
            raise Refused("unchanged", "Staff have not stopped this clock.", 409)
        staff_ops.staff_resume(attempt=attempt, actor=act.actor, now=act.now)


class Outage(Operation):
    title = "Credit an outage"
    words = "The clock did not run between these moments. Time that was stopped anyway is not given twice."
    begin: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.begin:
            raise ValueError("the end lies after the begin")
        return self

    def check(self, attempts: list[Attempt], now: datetime) -> None:
        if self.end > now:
            raise InvalidInput(f"The outage ends at {self.end:%H:%M:%S} UTC, in the future.", field="end")
        starts = [attempt.started_at for attempt in attempts if attempt.started_at]
        if starts and self.begin < min(starts):
            raise InvalidInput(
                f"The outage begins at {self.begin:%H:%M:%S} UTC; the first of these interviews was started at {min(starts):%H:%M:%S}.",
                field="begin",
            )

    def run(self, attempt: Attempt, act: Act) -> None:
        """An interview that was started during the outage is credited from its start."""
        begin = max(self.begin, attempt.started_at or self.begin)
        if begin >= self.end:
            raise Refused("not_running_then", "It was started after the outage.", 409)
        staff_ops.outage_credit(attempt=attempt, begin=begin, end=self.end, actor=act.actor, reason=act.reason, now=act.now)


class Expire(Operation):
    title = "End now"
    words = "Closes the interview; what was written is graded."

    def run(self, attempt: Attempt, act: Act) -> None:
        staff_ops.attempt_expire(attempt=attempt, actor=act.actor, reason=act.reason, now=act.now)


class Reopen(Operation):
    title = "Reopen"
    words = "Lets a closed interview go on with what was left, and these minutes more."
    of_closed = True
    minutes: float = Field(0, ge=0, le=MOST_MIN)

    def run(self, attempt: Attempt, act: Act) -> None:
        staff_ops.attempt_reopen(attempt=attempt, actor=act.actor, reason=act.reason, now=act.now, add_s=round(60 * self.minutes))


class Void(Operation):
    title = "Make void"
    words = "Takes the interview out of everything that counts and gives the try back. Its text is kept."

    def run(self, attempt: Attempt, act: Act) -> None:
        staff_ops.attempt_void(attempt=attempt, actor=act.actor, reason=act.reason, now=act.now)


class HandDown(Operation):
    title = "Take the hand down"
    words = "Says that you have seen it."

    def run(self, attempt: Attempt, act: Act) -> None:
        if not hand_is_up(attempt):
            raise Refused("unchanged", "No hand is up.", 409)
        hand_raise(attempt=attempt, raised=False, actor=act.actor, now=act.now)


class Throw(Operation):
    title = "Send an event"
    words = "An event of the problem, run against the candidate's design where it can be."
    key: str = Field(min_length=1, max_length=64)

    def run(self, attempt: Attempt, act: Act) -> None:
        curveball_send(attempt=attempt, key=self.key, actor=act.actor, now=act.now)


class Message(Operation):
    title = "Send a message"
    words = "It appears in the candidate's conversation."
    text: str = Field(min_length=1, max_length=MAX_MESSAGE)

    def run(self, attempt: Attempt, act: Act) -> None:
        curveball_send(attempt=attempt, text=self.text, actor=act.actor, now=act.now)


OPERATIONS: Mapping[str, type[Operation]] = {
    "add": Add,
    "percent": Percent,
    "set_remaining": SetRemaining,
    "set_total": SetTotal,
    "remove_limit": RemoveLimit,
    "pause": Pause,
    "resume": Resume,
    "outage": Outage,
    "message": Message,
    "curveball": Throw,
    "hand_down": HandDown,
    "expire": Expire,
    "reopen": Reopen,
    "void": Void,
}
