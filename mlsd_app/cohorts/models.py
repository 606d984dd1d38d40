"""Cohorts, what is assigned to them, and how it is graded. Times are UTC.

A person belongs to a cohort by a membership and to nothing else: the owner is the member whose role is owner. Rows about a learner go
with the learner's account; rows that somebody merely made, set or graded stay and forget the name. Times of an attempt, its clock and
its text stand in `interviews`.
"""

from __future__ import annotations

import secrets
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q

PERSON_OR_LABEL = (Q(user__isnull=True) & Q(label__isnull=False)) | (Q(user__isnull=False) & Q(label__isnull=True))


def random_seed() -> int:
    return secrets.randbelow(2**31)


def random_salt() -> str:
    return secrets.token_hex(16)


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    INSTRUCTOR = "instructor", "Instructor"
    GRADER = "grader", "Grader"
    OBSERVER = "observer", "Observer"
    LEARNER = "learner", "Learner"


class Cohort(models.Model):
    name = models.CharField(max_length=120)
    timezone = models.CharField(max_length=64, default="UTC")  # in which staff type and everybody reads due dates
    join_code = models.CharField(max_length=8, unique=True, null=True, blank=True)
    join_enabled = models.BooleanField(default=True)
    join_uses_left = models.PositiveIntegerField(null=True, blank=True)  # None: no limit
    join_expires_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)  # of the settings, so that two editors notice each other
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """A group of members. Where several labels of a person say something, the one with the highest position wins."""

    cohort = models.ForeignKey(Cohort, on_delete=models.CASCADE, related_name="labels")
    name = models.CharField(max_length=40)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["cohort", "name"], name="label_once_per_cohort")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's one role in a cohort; kept, with the time, when the person is removed."""

    cohort = models.ForeignKey(Cohort, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices, default=Role.LEARNER)
    labels = models.ManyToManyField(Label, blank=True, related_name="memberships")
    code_name_seed = models.PositiveIntegerField(default=random_seed)  # graders read "Heron 14", drawn from it and an assignment's salt
    joined_via = models.CharField(
        max_length=8, choices=[("made", "Made the cohort"), ("code", "Join code"), ("csv", "Import"), ("added", "Added by staff")]
    )
    joined_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    export_exclude = ("code_name_seed",)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["cohort", "user"], name="membership_once"),
            models.UniqueConstraint(fields=["cohort"], condition=Q(role="owner", removed_at=None), name="one_owner_per_cohort"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.user_id} of {self.cohort_id}"


class Accommodation(models.Model):
    """What holds for a person, or all with a label, in every assignment of the cohort. `fields` is a `policy.Accommodations`;
    a field that is absent says nothing. Graders and exports never see these rows."""

    cohort = models.ForeignKey(Cohort, on_delete=models.CASCADE, related_name="accommodations")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    label = models.ForeignKey(Label, null=True, blank=True, on_delete=models.CASCADE, related_name="accommodations")
    fields = models.JSONField(default=dict)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    set_at = models.DateTimeField(auto_now=True)

    export_exclude = ("set_by",)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=PERSON_OR_LABEL, name="accommodation_person_or_label"),
            models.UniqueConstraint(fields=["cohort", "user"], name="accommodation_once_per_person"),
            models.UniqueConstraint(fields=["cohort", "label"], name="accommodation_once_per_label"),
        ]

    def __str__(self) -> str:
        return f"accommodation of {self.label or self.user_id}"


# --- assignments -----------------------------------------------------------------------------------------------------


class Kind(models.TextChoices):
    MOCK = "mock", "Mock interview"
    QUIZ = "quiz", "Quiz"
    CHALLENGE = "challenge", "Challenge"
    PREDICTION = "prediction", "Prediction"
    DRILL = "drill", "Failure drill"
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
    """One try of one learner at an assignment. A mock has an `attempt`; kinds without a sitting of their own have this row alone."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="attempts")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="assigned_attempts")
    number = models.PositiveIntegerField()  # 1 for the first
    attempt = models.OneToOneField("interviews.Attempt", null=True, blank=True, on_delete=models.CASCADE, related_name="assigned")
    version = models.PositiveIntegerField()  # of the assignment when it was begun
    policy = models.JSONField(default=dict)  # policy.Resolved as it was then: values and where each came from
    begun_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)  # kinds without an attempt or a sitting

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
    updated_at = models.DateTimeField(auto_now=True)

    export_exclude = ("overridden_by",)
    export_when = Q(released_at__isnull=False)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["assignment", "user"], name="result_once")]

    def __str__(self) -> str:
        return f"result of {self.user_id} in {self.assignment_id}"


# --- grading ---------------------------------------------------------------------------------------------------------


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
    content = models.JSONField()  # a dump of problems.interview_schema.Rubric
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


# --- audit and exports -----------------------------------------------------------------------------------------------


class AuditIsFinal(TypeError):
    """Somebody tried to change or delete an audit entry."""


def _refuse() -> NoReturn:
    raise AuditIsFinal("An audit entry cannot be changed or deleted; add another one.")


class AuditRows(models.QuerySet["Audit"]):
    def update(self, **changes: Any) -> NoReturn:
        _refuse()

    def bulk_update(self, *args: Any, **options: Any) -> NoReturn:
        _refuse()

    def delete(self) -> NoReturn:
        _refuse()


class Audit(models.Model):
    """Who did what. Rows are only ever added; the database refuses the rest by triggers (migration 0002), save that a deleted
    person's or cohort's link becomes NULL."""

    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    role = models.CharField(max_length=12, blank=True)  # of the actor in the cohort then; "staff" for site staff without one
    action = models.CharField(max_length=40)  # "cohort.create"
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=40)
    cohort = models.ForeignKey(Cohort, null=True, on_delete=models.SET_NULL, related_name="audit")
    before = models.JSONField(default=dict)  # ids and values, no names: a deleted person's name must not stay here
    after = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)  # network only: /24 or /48

    objects = AuditRows.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["cohort", "-id"], name="audit_by_cohort")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.action}"

    def save(self, *args: Any, **options: Any) -> None:
        if not self._state.adding:
            _refuse()
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        _refuse()


class Export(models.Model):
    """A file somebody asked for; made in the background and kept until `expires_at`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports")
    cohort = models.ForeignKey(Cohort, null=True, blank=True, on_delete=models.CASCADE, related_name="exports")
    kind = models.CharField(max_length=16)
    format = models.CharField(max_length=8, choices=[("csv", "CSV"), ("jsonl", "JSON Lines"), ("zip", "Zip")])
    params = models.JSONField(default=dict)
    status = models.CharField(
        max_length=8,
        choices=[("queued", "Waiting"), ("running", "Being written"), ("done", "Ready"), ("failed", "Failed")],
        default="queued",
    )
    file = models.CharField(max_length=200, blank=True)  # name in the default storage
    rows = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    export_exclude = ("file",)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.kind} as {self.format}: {self.status}"
