"""Shapes of requests and answers about grading."""

from __future__ import annotations

from rest_framework import serializers as s

from mlsd_app.api.cohort_shapes import LAST_ID, Paged
from mlsd_app.api.serializers import whole
from mlsd_app.cohorts.grading.queue import MOST_WORDS
from mlsd_app.cohorts.grading.results import MOST_REASON
from mlsd_app.cohorts.grading.rubrics import MOST_NOTE


class NextRequest(s.Serializer):  # type: ignore[type-arg]
    assignment = whole(1, LAST_ID)
    section = s.CharField(max_length=128, required=False, default="", allow_blank=True, help_text="Only this part.")


class SubjectAnswer(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField(help_text='"item:<id>", "signal:<key>", or "answer" for a quiz.')
    title = s.CharField()
    points = s.IntegerField(allow_null=True)
    needed = s.BooleanField(help_text="Only a person can judge it, so it needs a level.")
    guidance = s.CharField()
    anchors = s.ListField(child=s.CharField(), help_text="What levels 0 to 4 mean.")
    by_rule = s.DictField(allow_null=True)
    by_people = s.ListField(child=s.DictField())
    comments = s.ListField(child=s.CharField())
    mark = s.DictField(help_text="level, evidence and comment: your draft, or what a person said last.")


class TaskAnswer(s.Serializer):  # type: ignore[type-arg]
    """A piece: no name, no time but as a share of the person's own limit."""

    id = s.IntegerField()
    assignment = s.IntegerField()
    section = s.CharField()
    title = s.CharField()
    code_name = s.CharField()
    state = s.CharField()
    yours = s.BooleanField()
    lease_until = s.DateTimeField(allow_null=True, help_text="Of your own lease.")
    rubric_version = s.IntegerField(allow_null=True)
    handed = s.DictField(help_text="phases, tables, runs, claims, balls and talk.")
    subjects = SubjectAnswer(many=True)


class TaskPatch(s.Serializer):  # type: ignore[type-arg]
    marks = s.DictField(help_text='{subject: {"level": 0 to 4, "none" or null, "evidence": [{"kind", "ref", "text"}], "comment", "keep"}}')
    submit = s.BooleanField(default=False, help_text="Hands the marks in; without it they are kept as your draft.")
    rubric_version = whole(1, LAST_ID, required=False, allow_null=True, help_text="As you read it; 409 when it was changed since.")


class TaskRelease(s.Serializer):  # type: ignore[type-arg]
    how = s.ChoiceField(choices=["give_back", "skip", "tag", "hand_up"], default="give_back")
    to = whole(1, LAST_ID, required=False, allow_null=True, help_text="Id of the user it is tagged to.")
    words = s.CharField(max_length=MOST_WORDS, required=False, default="", allow_blank=True, help_text="Why it goes to the lead.")


class RubricAnswer(s.Serializer):  # type: ignore[type-arg]
    version = s.IntegerField()
    own = s.BooleanField(help_text="Whether the assignment has a rubric of its own.")
    behind = s.IntegerField(help_text="Finished interviews that stand under an older version.")
    content = s.DictField(help_text="items and weights, as PUT takes them.")


class RubricRequest(s.Serializer):  # type: ignore[type-arg]
    base_version = whole(1, LAST_ID, help_text="As you read it; 409 when somebody saved since.")
    content = s.DictField()
    note = s.CharField(max_length=MOST_NOTE, default="", allow_blank=True)


class RegradeAnswer(s.Serializer):  # type: ignore[type-arg]
    marked = s.IntegerField(help_text="Interviews.")
    check_again = s.IntegerField(help_text="Pieces that went back to the queue.")


class ResultAnswer(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    code_name = s.CharField()
    user = s.IntegerField(allow_null=True, help_text="Once the result is out.")
    state = s.CharField()
    score = s.FloatField(allow_null=True, help_text="0 to 100, before late credit.")
    late_credit = s.FloatField()
    override_score = s.FloatField(allow_null=True)
    final = s.FloatField(allow_null=True, help_text="What counts.")
    graded_weight = s.FloatField()
    verdict = s.CharField()
    released_at = s.DateTimeField(allow_null=True)


class ResultPage(Paged):
    results = ResultAnswer(many=True)


class ResultPatch(s.Serializer):  # type: ignore[type-arg]
    override_score = s.FloatField(allow_null=True, min_value=0, max_value=100, help_text="null takes the override back.")
    reason = s.CharField(max_length=MOST_REASON)


class ReleaseRequest(s.Serializer):  # type: ignore[type-arg]
    labels = s.ListField(child=s.CharField(max_length=40), max_length=50, default=list, help_text="Names of labels; none: everybody.")
    partly = s.BooleanField(default=False, help_text="Also what is not wholly graded.")


class ReleaseAnswer(s.Serializer):  # type: ignore[type-arg]
    released = s.IntegerField()
    partly = s.IntegerField()
