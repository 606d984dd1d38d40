"""The audit log and files somebody asked for."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models

from mlsd_app.cohorts.models.people import Cohort


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
