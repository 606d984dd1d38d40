"""Shapes of requests and answers about timed interviews. No logic lives here."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from mlsd_app.api.serializers import LAST_SEED, Number, Page, RunAnswer, whole
from mlsd_app.interviews.models import Attempt, Event, Reason, Status
from mlsd_app.interviews.presets import TAGS

NAME = r"^[A-Za-z0-9_-]{1,40}$"


def choices_of(field: str) -> list[tuple[str, str]]:
    """What the model allows, so that requests and answers name one list."""
    column: Any = Attempt._meta.get_field(field)
    return list(column.flatchoices)


MODES, SHOWS, LEVELS, KINDS = (choices_of(name) for name in ("mode", "show", "level", "kind"))
VERSION_KINDS = [(kind, kind) for kind in ("save", "conflict", "dropped", "late", "restore")]
PAUSE_KINDS = [("pause", "Pause"), ("break", "Break")]
ANSWER_KINDS = [("answered", "Answered"), ("miss", "Left to you"), ("too_many", "Too many at once")]
LAST_REV = 2**31 - 1


class PlannedPhase(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField(max_length=32)
    title = s.CharField(max_length=60)
    budget_s = whole(60, 3600, help_text="Seconds, before any accommodation.")
    tags = s.ListField(child=s.ChoiceField(choices=[(tag, tag) for tag in TAGS]), max_length=len(TAGS), help_text="Topics of the phase.")


class PacingPreset(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    note = s.CharField()
    phases = PlannedPhase(many=True)
    range_s = s.ListField(child=s.IntegerField(), help_text="Totals it can be stretched or shrunk to, in seconds.")


class InterviewIntro(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField()
    title = s.CharField()
    opener = s.CharField(help_text="What the interviewer says first. What the interviewer knows beyond that is told when it is asked for.")


class AttemptRequest(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField(max_length=64)
    preset = s.CharField(max_length=32, default="five_phase", help_text="GET /api/v1/interview-presets lists them.")
    total_s = whole(600, 7200, default=None, allow_null=True, help_text="Of a preset that can be stretched.")
    phases = PlannedPhase(many=True, default=None, allow_null=True, help_text="A plan of your own instead of a preset.")
    mode = s.ChoiceField(choices=MODES, default="soft")
    show = s.ChoiceField(choices=SHOWS, default="real")
    level = s.ChoiceField(choices=LEVELS, default="senior")
    seed = whole(0, LAST_SEED, default=None, allow_null=True, help_text="Decides the facts; random without one.")


class Clock(s.Serializer):  # type: ignore[type-arg]
    seq = s.IntegerField(help_text="Rises with everything that changes the clock; an answer with a lower one is older.")
    state = s.ChoiceField(choices=["scheduled", "ready", "expired", "running", "paused", "overtime", "closing", "closed"])
    phase = s.IntegerField(allow_null=True, help_text="Number of the phase, from 0.")
    remaining_ms = s.IntegerField(allow_null=True)
    phase_remaining_ms = s.IntegerField(allow_null=True, help_text="Negative when the phase is overrun.")
    spent_ms = s.ListField(child=s.IntegerField())
    plan_ms = s.ListField(child=s.IntegerField())
    debt_ms = s.IntegerField()
    limit_ms = s.IntegerField()
    change_ms = s.IntegerField(allow_null=True, help_text="Until it changes by itself.")
    writable = s.ListField(child=s.CharField(), help_text="Keys of the phases whose text can be saved now.")
    server_time = s.CharField()


class ClockAnswer(s.Serializer):  # type: ignore[type-arg]
    attempt = s.UUIDField()
    status = s.ChoiceField(choices=Status.choices)
    clock = Clock()


class AttemptSummary(s.ModelSerializer[Attempt]):
    phases = PlannedPhase(many=True)
    status = s.ChoiceField(choices=Status.choices)
    reason = s.ChoiceField(choices=[("", "Not over"), *Reason.choices], allow_blank=True)

    class Meta:
        model = Attempt
        fields = (
            *("id", "problem", "kind", "show", "level", "status", "reason", "preset", "phases", "mode", "seed"),
            *("created_at", "started_at", "closed_at"),
        )


class AttemptPage(s.Serializer):  # type: ignore[type-arg]
    count = s.IntegerField()
    next = s.CharField(allow_null=True)
    previous = s.CharField(allow_null=True)
    results = AttemptSummary(many=True)


class AttemptFilter(Page):
    problem = s.CharField(max_length=64, default="", help_text="Only attempts at this problem.")
    status = s.ChoiceField(choices=Status.choices, default=None, help_text="Only attempts in this state.")


class FieldState(s.Serializer):  # type: ignore[type-arg]
    rev = s.IntegerField(help_text="0 for a field that was never written.")
    content = s.CharField(allow_null=True, allow_blank=True, help_text="Markdown of a text, JSON of a row; null where it was deleted.")
    saved_at = s.DateTimeField(allow_null=True)


class AttemptDetail(AttemptSummary):
    clock = Clock()
    answers = s.DictField(child=FieldState(), help_text="By field: text/<phase key> or row/<list>/<key>.")

    class Meta(AttemptSummary.Meta):
        fields = (*AttemptSummary.Meta.fields, "clock", "answers")  # type: ignore[assignment]


class MoveRequest(s.Serializer):  # type: ignore[type-arg]
    to = whole(0, 7, help_text="Number of the phase, from 0.")


class PauseRequest(s.Serializer):  # type: ignore[type-arg]
    kind = s.ChoiceField(choices=PAUSE_KINDS, default="pause", help_text="break takes from a granted budget of stop-clock time.")


class SaveRequest(s.Serializer):  # type: ignore[type-arg]
    content = s.CharField(allow_null=True, allow_blank=True, trim_whitespace=False, max_length=200_000, help_text="null deletes a row.")
    base_rev = whole(0, LAST_REV, help_text="Revision it was written on; 0 for the first.")
    op_id = s.RegexField(NAME, help_text="A name of this write; sent again, it counts once.")
    client_id = s.RegexField(NAME, help_text="A name of whoever writes.")
    lease_epoch = whole(0, LAST_REV, default=None, allow_null=True, help_text="From POST lease; a program without a page leaves it out.")


class Saved(s.Serializer):  # type: ignore[type-arg]
    rev = s.IntegerField()
    current_rev = s.IntegerField(help_text="Above rev: the field has changed since.")
    saved_at = s.CharField()
    lease_epoch = s.IntegerField()
    clock = Clock()


class AnswerVersion(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    rev = s.IntegerField(allow_null=True, help_text="null for one that did not become the text.")
    kind = s.ChoiceField(choices=VERSION_KINDS)
    at = s.DateTimeField()
    active_ms = s.IntegerField()
    characters = s.IntegerField(allow_null=True)
    client_label = s.CharField(allow_blank=True)


class LeaseRequest(s.Serializer):  # type: ignore[type-arg]
    client_id = s.RegexField(NAME)
    take_over = s.BooleanField(default=False)


class Lease(s.Serializer):  # type: ignore[type-arg]
    held = s.BooleanField()
    lease_epoch = s.IntegerField()
    label = s.CharField(allow_blank=True)  # type: ignore[assignment]
    until = s.DateTimeField(allow_null=True)


class QuestionRequest(s.Serializer):  # type: ignore[type-arg]
    text = s.CharField(max_length=2000)


class SaidFact(s.Serializer):  # type: ignore[type-arg]
    fact = s.CharField()
    text = s.CharField()


class QuestionAnswer(s.Serializer):  # type: ignore[type-arg]
    kind = s.ChoiceField(choices=ANSWER_KINDS)
    text = s.CharField()
    facts = SaidFact(many=True)


class Prediction(s.Serializer):  # type: ignore[type-arg]
    metric = s.CharField(max_length=120)
    lower = Number()
    upper = Number()


class AttemptRunRequest(s.Serializer):  # type: ignore[type-arg]
    lab = s.CharField(max_length=64)
    params = s.DictField(
        child=s.JSONField(allow_null=True), default=dict, help_text="What you were told is held fast whatever stands here."
    )
    prediction = Prediction(default=None, allow_null=True, help_text="Before the first run of a lab.")


class PinRequest(s.Serializer):  # type: ignore[type-arg]
    pinned = s.BooleanField()
    label = s.CharField(max_length=80, allow_blank=True, default=None, allow_null=True)  # type: ignore[assignment]


class AttemptRun(s.Serializer):  # type: ignore[type-arg]
    number = s.IntegerField(help_text="What the text calls it: [run 7].")
    phase = s.CharField(allow_blank=True)
    active_ms = s.IntegerField()
    pinned = s.BooleanField()
    label = s.CharField(allow_blank=True)  # type: ignore[assignment]
    curveball = s.CharField(allow_blank=True)
    run = RunAnswer()


class EventAnswer(s.ModelSerializer[Event]):
    data = s.DictField()  # type: ignore[assignment]

    class Meta:
        model = Event
        fields = ("seq", "at", "active_ms", "phase", "kind", "online", "data")


class EventFilter(s.Serializer):  # type: ignore[type-arg]
    after = whole(0, LAST_REV, default=0, help_text="Number of the last event you know.")


class EventPage(s.Serializer):  # type: ignore[type-arg]
    events = EventAnswer(many=True)
    more = s.BooleanField()


class MomentFilter(s.Serializer):  # type: ignore[type-arg]
    at_ms = whole(0, LAST_REV, help_text="Milliseconds of active time.")


class Moment(s.Serializer):  # type: ignore[type-arg]
    at_ms = s.IntegerField(help_text="Cut to what the interview lasted.")
    phase = s.CharField(allow_blank=True)
    answers = s.DictField(child=s.CharField(allow_null=True, allow_blank=True), help_text="Every field as it stood then.")
    runs = s.ListField(child=s.IntegerField(), help_text="Numbers of the runs made by then.")
    pinned = s.ListField(child=s.IntegerField())
