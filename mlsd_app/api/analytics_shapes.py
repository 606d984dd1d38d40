"""Shapes of figures, exports and content reports."""

from __future__ import annotations

from rest_framework import serializers as s

from mlsd_app.api.cohort_shapes import LAST_ID, Paged
from mlsd_app.api.serializers import whole
from mlsd_app.cohorts.exports.kinds import KINDS

HIDDEN = 'Why figures are null: "n<30" or "n<5"; "" when they are not.'


class WhichFilter(s.Serializer):  # type: ignore[type-arg]
    which = s.ChoiceField(choices=["first", "counted"], default="first", help_text="Each person's first try, or the one that counts.")
    pool = s.BooleanField(default=False, help_text="Revisions of an item together.")


class AnalyticsAnswer(s.Serializer):  # type: ignore[type-arg]
    which = s.CharField()
    n = s.IntegerField(help_text="Closed tries that are counted, one a person.")
    figures = s.DictField(help_text="By kind of assignment. Every figure stands beside its n; what few people cannot carry is null.")


class ItemAnswer(s.Serializer):  # type: ignore[type-arg]
    item = s.CharField()
    revision = s.CharField(allow_blank=True)
    kind = s.CharField(allow_blank=True)
    title = s.CharField(allow_blank=True)
    unmarked = s.IntegerField()
    n = s.IntegerField()
    facility = s.FloatField(allow_null=True)
    facility_ci = s.ListField(child=s.FloatField(), allow_null=True)
    sd = s.FloatField(allow_null=True)
    guess = s.FloatField(allow_null=True)
    intended_weight = s.FloatField(allow_null=True)
    effective_weight = s.FloatField(allow_null=True)
    discrimination = s.FloatField(allow_null=True)
    discrimination_ci = s.ListField(child=s.FloatField(), allow_null=True)
    efficiency = s.FloatField(allow_null=True)
    against = s.BooleanField(allow_null=True)
    hidden_reason = s.CharField(allow_blank=True, help_text=HIDDEN)
    curve = s.ListField(child=s.DictField(), help_text="Mean mark by fifths of the group, weakest first.")
    wrong = s.ListField(child=s.DictField(), help_text="Wrong numbers by how many times too large they are.")


class ItemsAnswer(s.Serializer):  # type: ignore[type-arg]
    n = s.IntegerField()
    whole = s.DictField(help_text="The whole test; null with a hidden_reason where few people have taken it.")
    items = ItemAnswer(many=True)


class MapFilter(s.Serializer):  # type: ignore[type-arg]
    lab = s.CharField(max_length=64, default="")
    x = s.CharField(max_length=120, default="")
    y = s.CharField(max_length=120, default="")
    colour = s.CharField(max_length=120, default="")
    names = s.BooleanField(default=False, help_text="Names of learners; for owner and instructors only.")


class DotAnswer(s.Serializer):  # type: ignore[type-arg]
    series = s.CharField(allow_blank=True)
    x = s.FloatField()
    y = s.FloatField()
    colour = s.FloatField(allow_null=True)
    front = s.BooleanField(help_text="No other run beats it in both figures.")
    own = s.BooleanField()
    name = s.CharField(allow_blank=True)
    params = s.DictField(help_text="Empty while they are hidden.")


class MapAnswer(s.Serializer):  # type: ignore[type-arg]
    hidden = s.CharField(allow_blank=True, help_text="Why there is nothing to see.")
    lab = s.CharField(allow_null=True)
    x = s.CharField(allow_null=True)
    y = s.CharField(allow_null=True)
    people = s.IntegerField()
    dots = DotAnswer(many=True)
    left_out = s.IntegerField()
    other_versions = s.IntegerField()
    other_worlds = s.IntegerField()
    own_data = s.IntegerField()


class ExportRequest(s.Serializer):  # type: ignore[type-arg]
    kind = s.ChoiceField(choices=[*KINDS, "own"], help_text="own: everything of yourself in one zip.")
    cohort = whole(1, LAST_ID, required=False, help_text="Id of the cohort; not for own.")
    format = s.ChoiceField(choices=["csv", "jsonl"], default="csv")
    assignment = whole(1, LAST_ID, required=False, allow_null=True, help_text="Only this assignment.")
    names = s.BooleanField(default=False, help_text="Real names beside scores that are out.")
    bom = s.BooleanField(default=False, help_text="Begin a CSV with a byte order mark.")


class ExportAnswer(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    cohort = s.IntegerField(allow_null=True)
    kind = s.CharField()
    format = s.CharField()
    status = s.CharField(help_text="queued, running, done or failed.")
    rows = s.IntegerField()
    error = s.CharField(allow_blank=True)
    created_at = s.DateTimeField()
    expires_at = s.DateTimeField(allow_null=True)
    file = s.CharField(allow_null=True, help_text="Address of the file once it is there.")


class ExportPage(Paged):
    results = ExportAnswer(many=True)


class ContentRequest(s.Serializer):  # type: ignore[type-arg]
    slug = s.CharField(max_length=60)
    files = s.DictField(
        child=s.CharField(allow_blank=True, trim_whitespace=False),
        default=dict,
        help_text="{name: text}; they are put into the problem's folder for this check. Without any the problem is checked as it is.",
    )


class FindingAnswer(s.Serializer):  # type: ignore[type-arg]
    level = s.ChoiceField(choices=["error", "warning", "note"])
    file = s.CharField(allow_blank=True)
    line = s.IntegerField(allow_null=True)
    message = s.CharField()
    remedy = s.CharField(allow_blank=True)


class ContentAnswer(s.Serializer):  # type: ignore[type-arg]
    slug = s.CharField()
    errors = s.IntegerField()  # type: ignore[assignment]
    findings = FindingAnswer(many=True)
