"""Cohorts, their members, and what holds for single members in all of a cohort's assignments."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q

PERSON_OR_LABEL = (Q(user__isnull=True) & Q(label__isnull=False)) | (Q(user__isnull=False) & Q(label__isnull=True))


def random_seed() -> int:
    return secrets.randbelow(2**31)


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
