"""Shapes of requests and answers about the live board."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers as s

from mlsd_app.api.attempt_shapes import Clock
from mlsd_app.api.cohort_shapes import LAST_ID
from mlsd_app.api.serializers import whole
from mlsd_app.cohorts.live.operations import OPERATIONS
from mlsd_app.cohorts.live.rows import FLAGS
from mlsd_app.cohorts.services.operations import MOST


class LiveFilter(s.Serializer):  # type: ignore[type-arg]
    assignment = whole(1, LAST_ID, required=False, default=None, help_text="Only this one.")
    label = whole(1, LAST_ID, required=False, default=None, help_text="Only people with this label, by its id.")  # type: ignore[assignment]
    flag = s.ChoiceField(choices=["", *FLAGS], default="", help_text="Only rows with this flag.")
    show = s.ChoiceField(choices=["live", "closed"], default="live", help_text="closed: what has closed within a day.")


class LiveWork(s.Serializer):  # type: ignore[type-arg]
    words = s.IntegerField()
    components = s.IntegerField()
    asked = s.IntegerField(help_text="Of the facts that are needed.")
    needed = s.IntegerField()
    runs = s.IntegerField()
    pins = s.IntegerField()
    prediction = s.CharField(allow_null=True, help_text="How the last prediction came out.")
    hit = s.BooleanField(allow_null=True)


class LiveRow(s.Serializer):  # type: ignore[type-arg]
    attempt = s.UUIDField()
    assignment = s.IntegerField()
    person = s.CharField()
    labels = s.ListField(child=s.CharField())
    status = s.CharField()
    state = s.CharField()
    clock = Clock()
    saved_at = s.DateTimeField(allow_null=True)
    heard_at = s.DateTimeField(allow_null=True, help_text="The last word from the candidate's page.")
    connection = s.ChoiceField(choices=["stream", "resync", "none"])
    work = LiveWork()
    flags = s.ListField(child=s.ChoiceField(choices=list(FLAGS)))


class LiveAnswer(s.Serializer):  # type: ignore[type-arg]
    now = s.DateTimeField()
    rows = LiveRow(many=True)


@extend_schema_field({"oneOf": [{"type": "string", "enum": ["all"]}, {"type": "array", "items": {"type": "string", "format": "uuid"}}]})
class AllOrIds(s.Field):  # type: ignore[type-arg]
    """ "all", or a list of ids."""

    ids = s.ListField(child=s.UUIDField(), min_length=1, max_length=MOST)

    def to_internal_value(self, data: Any) -> str | list[UUID]:
        if data == "all":
            return "all"
        found: list[UUID] = self.ids.run_validation(data)
        return found

    def to_representation(self, value: Any) -> Any:
        return value


class OperationRequest(s.Serializer):  # type: ignore[type-arg]
    op = s.ChoiceField(choices=list(OPERATIONS))
    attempts = AllOrIds(help_text="Ids of interviews, or all that the operation is for.")
    assignment = whole(1, LAST_ID, required=False, default=None, help_text="With all: only those of this assignment.")
    args = s.DictField(default=dict, help_text="minutes; percent; begin and end; key; text; each operation has its own.")
    reason = s.CharField(max_length=500, help_text="Kept in the log.")
    clock_seq = s.DictField(child=whole(0, 2**31), default=dict, help_text="{id: clock_seq} that set_remaining reckons from.")
    dry_run = s.BooleanField(default=False)


class OperationLook(s.Serializer):  # type: ignore[type-arg]
    state = s.CharField()
    limit_s = s.IntegerField(allow_null=True)
    remaining_s = s.IntegerField(allow_null=True)
    clock_seq = s.IntegerField()


class OperationResult(s.Serializer):  # type: ignore[type-arg]
    attempt = s.UUIDField()
    status = s.IntegerField(help_text="200, or the HTTP status of why it was skipped.")
    code = s.CharField()
    detail = s.CharField()
    before = OperationLook()
    after = OperationLook(allow_null=True)


class OperationAnswer(s.Serializer):  # type: ignore[type-arg]
    dry_run = s.BooleanField()
    results = OperationResult(many=True)
