"""What is assigned, who tried it, what differs for whom, and what came of it."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q

from mlsd_app.cohorts.models.people import PERSON_OR_LABEL, Cohort, Label, Membership


def random_salt() -> str:
    return secrets.token_hex(16)


class Kind(models.TextChoices):
    MOCK = "mock", "Mock interview"
    QUIZ = "quiz", "Quiz"
    CHALLENGE = "challenge", "Challenge"
    PREDICTION = "prediction", "Prediction"
    READING = "reading", "Reading"


class Assignment(models.Model):
    """Work for a cohort. `settings` is the pydantic model of its kind (`kinds.py`) and is frozen on each attempt at its start."""

    cohort = models.ForeignKey(Cohort, on_delete=models.CASCADE, related_name="assignments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    copied_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="copies")
    title = models.CharField(max_length=120)
    brief = models.TextField(blank=True)  # Markdown
    kind = models.CharField(max_length=12, choices=Kind.choices)
    problem = models.CharField(max_length=64)
    settings = models.JSONField(default=dict)

    opens_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True)
    late_steps = models.JSONField(default=list, blank=True)  # [{"until_h": hours after due, "credit": 0..1}], hours rising
    attempts_allowed = models.PositiveIntegerField(default=1)
    counts = models.CharField(
        max_length=8, choices=[("best", "The best"), ("last", "The last"), ("first", "The first"), ("mean", "The mean")], default="best"
    )

    everyone = models.BooleanField(default=True)  # else learners with one of `group_labels` and those in `people`
    group_labels = models.ManyToManyField(Label, blank=True, related_name="assignments")
    people = models.ManyToManyField(Membership, blank=True, related_name="assigned_alone")

    show_questions = models.BooleanField(default=True)
    show_score = models.BooleanField(default=True)
    show_when = models.CharField(
        max_length=8, choices=[("at_once", "At once"), ("due", "After it is due"), ("release", "When released")], default="release"
    )
    say_present = models.BooleanField(default=True)  # a candidate whose attempt is followed is told so

    salt = models.CharField(max_length=32, default=random_salt)  # of code names and of the order of grading
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    published_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["due_at", "pk"]

    def __str__(self) -> str:
        return self.title


class AssignedAttempt(models.Model):
    """One try of one learner at an assignment. A mock has an `attempt`, a quiz a `sitting`; the other kinds have this row alone."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="attempts")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="assigned_attempts")
    number = models.PositiveIntegerField()  # 1 for the first
    attempt = models.OneToOneField("interviews.Attempt", null=True, blank=True, on_delete=models.CASCADE, related_name="assigned")
    sitting = models.OneToOneField("quiz.Sitting", null=True, blank=True, on_delete=models.CASCADE, related_name="assigned")
    version = models.PositiveIntegerField()  # of the assignment when it was begun
    policy = models.JSONField(default=dict)  # policy.Resolved as it was then: values and where each came from
    begun_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)  # of the kinds that have this row alone
    queued_at = models.DateTimeField(null=True, blank=True)  # when its pieces came into the queue of graders

    class Meta:
        ordering = ["begun_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["assignment", "user", "number"], name="assigned_attempt_once")]

    def __str__(self) -> str:
        return f"try {self.number} of {self.user_id} at {self.assignment_id}"


class Override(models.Model):
    """What differs in one assignment for a person or a label. `fields` is a `policy.OverrideFields`."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    label = models.ForeignKey(Label, null=True, blank=True, on_delete=models.CASCADE, related_name="overrides")
    fields = models.JSONField(default=dict)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    set_at = models.DateTimeField(auto_now=True)

    export_exclude = ("set_by",)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=PERSON_OR_LABEL, name="override_person_or_label"),
            models.UniqueConstraint(fields=["assignment", "user"], name="override_once_per_person"),
            models.UniqueConstraint(fields=["assignment", "label"], name="override_once_per_label"),
        ]

    def __str__(self) -> str:
        return f"override of {self.assignment_id} for {self.label or self.user_id}"


class Result(models.Model):
    """What one learner reached in one assignment. A set `override_score` counts instead of `score`, which goes on being computed."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="results")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="results")
    counted = models.ForeignKey(AssignedAttempt, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(
        max_length=12,
        choices=[("ungraded", "Not graded"), ("partly", "Partly graded"), ("graded", "Graded")],
        default="ungraded",
    )
    score = models.FloatField(null=True, blank=True)  # 0 to 100, before late credit
    graded_weight = models.FloatField(default=0)  # 0 to 100
    verdict = models.CharField(max_length=24, blank=True)
    late_credit = models.FloatField(default=1.0)
    override_score = models.FloatField(null=True, blank=True)
    override_reason = models.TextField(blank=True)
    overridden_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    released_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)  # when the learner first opened it after the release
    updated_at = models.DateTimeField(auto_now=True)

    export_exclude = ("overridden_by",)
    export_when = Q(released_at__isnull=False)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["assignment", "user"], name="result_once")]

    def __str__(self) -> str:
        return f"result of {self.user_id} in {self.assignment_id}"
