"""The queue of what people grade, and what they grade by."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from mlsd_app.cohorts.models.assignments import AssignedAttempt, Assignment


class Task(models.Model):
    """One section of one attempt, to be graded by one person at a time."""

    assigned = models.ForeignKey(AssignedAttempt, on_delete=models.CASCADE, related_name="tasks")
    section = models.CharField(max_length=128)  # a group of rubric tags, or the item of a quiz
    order_key = models.CharField(max_length=16, db_index=True)  # hex of the first 8 bytes of SHA-256(salt, section, attempt)
    state = models.CharField(
        max_length=12,
        choices=[
            ("ungraded", "Not graded"),
            ("in_progress", "In progress"),
            ("graded", "Graded"),
            ("held", "Held"),
            ("check_again", "Check again"),
        ],
        default="ungraded",
    )
    lease_user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    lease_until = models.DateTimeField(null=True, blank=True)
    tagged_to = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    flag = models.TextField(blank=True)  # why a grader wants somebody to look at it
    graded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    graded_at = models.DateTimeField(null=True, blank=True)
    mark = models.FloatField(null=True, blank=True)  # 0 to 1, of a quiz's free answer; marks of interviews stand in `interviews`
    comment = models.TextField(blank=True)  # to that mark

    export_when = Q(pk__in=[])  # how the grading was organised belongs to the cohort

    class Meta:
        ordering = ["order_key", "pk"]
        constraints = [models.UniqueConstraint(fields=["assigned", "section"], name="task_once")]
        indexes = [models.Index(fields=["state", "lease_until"], name="task_by_state")]

    def __str__(self) -> str:
        return f"{self.section} of {self.assigned_id}: {self.state}"


class TaskSkip(models.Model):
    """A grader passed this task over and is not offered it before `until`."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="skips")
    grader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["task", "grader"], name="task_skip_once")]

    def __str__(self) -> str:
        return f"{self.grader_id} skips {self.task_id}"


class TaskDraft(models.Model):
    """Marks a grader typed and did not submit, or submitted after the lease was lost."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="drafts")
    grader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    marks = models.JSONField(default=dict)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["task", "grader"], name="task_draft_once")]

    def __str__(self) -> str:
        return f"draft of {self.grader_id} for {self.task_id}"


class Rubric(models.Model):
    """An assignment's own rubric; without one the problem's counts. Each save is a new version."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="rubrics")
    version = models.PositiveIntegerField()
    content = models.JSONField()  # a dump of rubric_content.RubricContent
    note = models.CharField(max_length=300, blank=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["assignment", "-version"]
        constraints = [models.UniqueConstraint(fields=["assignment", "version"], name="rubric_version_once")]

    def __str__(self) -> str:
        return f"rubric {self.version} of {self.assignment_id}"


class Note(models.Model):
    """What staff wrote beside an attempt at a moment of its active time."""

    attempt = models.ForeignKey("interviews.Attempt", on_delete=models.CASCADE, related_name="staff_notes")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    active_ms = models.PositiveBigIntegerField(default=0)
    text = models.TextField()
    visible_to_learner = models.BooleanField(default=False)
    at = models.DateTimeField(auto_now_add=True)

    export_exclude = ("author",)
    export_when = Q(visible_to_learner=True)

    class Meta:
        ordering = ["active_ms", "pk"]

    def __str__(self) -> str:
        return f"note at {self.active_ms} ms: {self.text[:40]}"


class Comment(models.Model):
    """A sentence graders use again at a rubric item."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="comments")
    item_id = models.CharField(max_length=128)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    text = models.CharField(max_length=500)
    uses = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-uses", "pk"]

    def __str__(self) -> str:
        return f"{self.item_id}: {self.text[:40]}"
