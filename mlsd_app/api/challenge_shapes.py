"""Shapes of requests and answers about challenges. No logic lives here."""

from __future__ import annotations

from rest_framework import serializers as s

from mlsd_app.api.serializers import Page, Param
from mlsd_app.challenges.models import State, Verdict

OPERATORS = [("<=", "<="), (">=", ">=")]
KINDS = [(kind, kind) for kind in ("target", "ceiling", "safety")]


class ChallengeTarget(s.Serializer):  # type: ignore[type-arg]
    metric = s.CharField()
    label = s.CharField()  # type: ignore[assignment]
    op = s.ChoiceField(choices=OPERATORS)
    target = s.FloatField()
    unit = s.CharField(allow_blank=True)
    kind = s.ChoiceField(choices=KINDS)
    on_every_seed = s.BooleanField(help_text="It must hold on each seed; otherwise the mean must.")
    measured = s.BooleanField(help_text="Judged against a run of a reference design on the same machine.")


class ChallengeSummary(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField()
    lab = s.CharField()
    challenge = s.CharField()
    title = s.CharField()
    targets = ChallengeTarget(many=True)
    best = s.ChoiceField(choices=Verdict.choices, allow_null=True, help_text="Your best verdict; null without one.")


class ChallengeDetail(ChallengeSummary):
    brief = s.CharField(help_text="Markdown.")
    lab_version = s.IntegerField()
    fixed = s.DictField(child=s.JSONField(allow_null=True), help_text="What the brief fixes, by parameter.")
    design = Param(many=True, help_text="What is left to you.")


class SubmissionRequest(s.Serializer):  # type: ignore[type-arg]
    design = s.DictField(
        child=s.JSONField(allow_null=True), help_text="By name, only what the brief leaves open; those left out stand at their defaults."
    )


class SubmissionAssertion(s.Serializer):  # type: ignore[type-arg]
    metric = s.CharField()
    label = s.CharField()  # type: ignore[assignment]
    op = s.ChoiceField(choices=OPERATORS)
    target = s.FloatField()
    unit = s.CharField(allow_blank=True)
    kind = s.ChoiceField(choices=KINDS)
    passed = s.BooleanField()
    mean = s.FloatField(allow_null=True, help_text="Over the seeds of the stage that decided; null where it is undefined.")
    ci = s.ListField(child=s.FloatField(), allow_null=True, help_text="95 %, by Student's t.")
    margin = s.FloatField(allow_null=True, help_text="In the unit; negative outside the target.")
    margin_unit = s.CharField(allow_blank=True)
    margin_percent = s.FloatField(allow_null=True, help_text="Of the target.")
    worst_seed = s.IntegerField(help_text="Of the first seeds; run the lab on it to see.")
    worst_value = s.FloatField(allow_null=True)
    narrow = s.BooleanField(help_text="Inside by less than a standard error.")
    as_measured = s.FloatField(allow_null=True, help_text="Mean reading of this machine, of a measured figure.")
    note = s.CharField(allow_blank=True)


class SubmissionGrade(s.Serializer):  # type: ignore[type-arg]
    stage = s.IntegerField(help_text="1: the first seeds were clear; 2: the secret ones decided.")
    pass_rate = s.FloatField()
    cost = s.FloatField(allow_null=True, help_text="Mean of the first ceiling.")
    cost_unit = s.CharField(allow_blank=True)
    slack = s.FloatField(allow_null=True, help_text="Smallest margin in % of its target.")
    assertions = SubmissionAssertion(many=True)


class Submission(s.Serializer):  # type: ignore[type-arg]
    id = s.UUIDField()
    problem = s.CharField()
    lab = s.CharField()
    challenge = s.CharField()
    lab_version = s.IntegerField()
    design = s.DictField(child=s.JSONField(allow_null=True))
    practice = s.BooleanField(help_text="false: sent within an assignment.")
    state = s.ChoiceField(choices=State.choices)
    verdict = s.ChoiceField(choices=Verdict.choices, allow_null=True)
    error = s.CharField(allow_blank=True)
    created_at = s.DateTimeField()
    finished_at = s.DateTimeField(allow_null=True)
    seeds = s.ListField(child=s.IntegerField(), help_text="The first seeds, once it is judged; the secret ones are never told.")
    grade = SubmissionGrade(allow_null=True)


class SubmissionPage(s.Serializer):  # type: ignore[type-arg]
    count = s.IntegerField()
    next = s.CharField(allow_null=True)
    previous = s.CharField(allow_null=True)
    results = Submission(many=True)


class SubmissionFilter(Page):
    problem = s.CharField(max_length=64, default="", help_text="Only submissions to this problem's challenges.")
    challenge = s.CharField(max_length=64, default="", help_text="Only submissions to this challenge.")
