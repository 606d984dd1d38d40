"""Designs that were submitted to challenges, and what each seed gave."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class State(models.TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Being judged"
    DONE = "done", "Judged"
    FAILED = "failed", "Stopped by an error"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE = (State.QUEUED, State.RUNNING)
STOPPED = (State.FAILED, State.CANCELLED)


class Verdict(models.TextChoices):
    PASS = "pass", "Passed"
    NARROW_PASS = "narrow_pass", "Passed narrowly"
    FAIL = "fail", "Failed"


class Submission(models.Model):
    """One design of one person. `scope` names whose secret seeds of stage 2 it meets: the person's own, or those of an assignment."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="submissions")
    problem = models.CharField(max_length=64)
    lab = models.CharField(max_length=64)
    challenge = models.CharField(max_length=64)
    lab_version = models.PositiveIntegerField()
    design = models.JSONField()  # every field the brief leaves open
    design_hash = models.CharField(max_length=64)
    scope = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    grade = models.JSONField(default=dict)  # simulators.challenge.Grade.plain(), once judged
    error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    queued_at = models.DateTimeField()  # when it was last asked for: a stopped one may be sent again
    touched_at = models.DateTimeField()  # when something last happened to it
    requeued = models.PositiveIntegerField(default=0)  # times a worker was lost since the last seed
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-queued_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "problem", "lab", "challenge", "lab_version", "design_hash", "scope"], name="design_submitted_once"
            )
        ]
        indexes = [
            models.Index(fields=["state", "touched_at"], name="submission_by_state"),
            models.Index(fields=["design_hash"], name="submission_by_design"),
        ]

    def __str__(self) -> str:
        return f"{self.problem}/{self.lab}/{self.challenge} {self.id}"

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


class Rejudgement(models.Model):
    """A pass that was judged once more, by the lab as it is now. The pass stays what it was; what flips is a sign of a fault in the lab."""

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="rejudgements")
    lab_version = models.PositiveIntegerField()
    verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)  # "" where there is none, as `error` says
    grade = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["submission", "lab_version"], name="rejudged_once_a_version")]

    def __str__(self) -> str:
        return f"{self.submission_id} under version {self.lab_version}: {self.verdict or self.error}"

    @property
    def flipped(self) -> bool:
        return self.verdict == Verdict.FAIL


class SubmissionSeed(models.Model):
    """What one seed gave. Seeds themselves are kept nowhere: they follow from the secret."""

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="seeds")
    stage = models.PositiveSmallIntegerField()
    number = models.PositiveSmallIntegerField()  # 0 for the first of its stage
    values = models.JSONField()
    reference = models.JSONField(default=dict)
    notes = models.JSONField(default=dict)
    ms = models.PositiveIntegerField()  # 0 for what was known

    class Meta:
        ordering = ["stage", "number"]
        constraints = [models.UniqueConstraint(fields=["submission", "stage", "number"], name="submission_seed_once")]

    def __str__(self) -> str:
        return f"seed {self.stage}.{self.number} of {self.submission_id}"
