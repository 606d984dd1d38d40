"""What is kept of runs. The database is the truth; Redis only carries events of runs that are under way."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models


class RunState(models.TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    LOST = "lost", "Lost"
    EXPIRED = "expired", "Not started"


ACTIVE = (RunState.QUEUED, RunState.RUNNING)


class Dataset(models.Model):
    """Files a user gave to a lab, checked before they were stored. Bytes lie under settings.UPLOADS_DIR by their SHA-256."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="datasets")
    problem = models.CharField(max_length=64)
    lab = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # of all files and options
    files = models.JSONField(default=list)  # [{"slot", "name", "sha256", "suffix", "bytes"}]
    options = models.JSONField(default=dict)
    facts = models.JSONField(default=list)  # [[label, value]]
    warnings = models.JSONField(default=list)
    bytes = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["user", "problem", "lab", "digest"], name="dataset_once_per_user")]

    def __str__(self) -> str:
        return self.name


class StoredResult(models.Model):
    """One finished Result. `owner` is set when the user's own data went in: then nobody else is answered from it."""

    cache_key = models.CharField(max_length=64, db_index=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    metrics = models.JSONField()
    body = models.JSONField()  # figures, tables, insights, notes
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.cache_key[:12]} of {self.created_at:%Y-%m-%d %H:%M}"


class Sweep(models.Model):
    """One parameter run over several values; its points are ordinary runs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sweeps")
    problem = models.CharField(max_length=64)
    lab = models.CharField(max_length=64)
    params = models.JSONField()
    field = models.CharField(max_length=64)
    values = models.JSONField()
    cancelled = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.problem}/{self.lab} over {self.field}"


class Run(models.Model):
    """One press of a slider: parameters, seed, data, and what came of them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="runs")
    problem = models.CharField(max_length=64)
    lab = models.CharField(max_length=64)
    lab_version = models.PositiveIntegerField()
    params = models.JSONField()
    seed = models.PositiveBigIntegerField(default=0)
    dataset = models.ForeignKey(Dataset, null=True, blank=True, on_delete=models.CASCADE, related_name="runs")
    sweep = models.ForeignKey(Sweep, null=True, blank=True, on_delete=models.CASCADE, related_name="runs")
    sweep_value = models.FloatField(null=True, blank=True)
    slot = models.CharField(max_length=64, blank=True)
    cache_key = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=RunState.choices, default=RunState.QUEUED)
    error = models.TextField(blank=True)
    result = models.ForeignKey(StoredResult, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["user", "problem", "lab", "-created_at"], name="run_by_user_and_lab"),
            models.Index(fields=["state", "created_at"], name="run_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.problem}/{self.lab} {self.id}"

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    def export_extra(self) -> dict[str, Any]:
        """For the export of an account: the numbers, which stand in a row that several users may share. Figures are drawn from them."""
        body = self.result.body if self.result else {}
        kept = {name: body.get(name, []) for name in ("tables", "insights", "notes")}
        return {"result": {"metrics": self.result.metrics, **kept} if self.result else None}


class Baseline(models.Model):
    """The run a user compares with, one a lab."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="baselines")
    problem = models.CharField(max_length=64)
    lab = models.CharField(max_length=64)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "problem", "lab"], name="one_baseline_per_lab")]

    def __str__(self) -> str:
        return f"{self.problem}/{self.lab}: {self.run_id}"


def stored_path(item: dict[str, Any]) -> Path:
    """Where the bytes of one entry of `Dataset.files` lie."""
    return Path(settings.UPLOADS_DIR, item["sha256"][:2], f"{item['sha256']}{item['suffix']}")
