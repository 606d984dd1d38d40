"""What a user does on the pages of a problem: one row a phase, one clock a problem."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from mlsd_app.catalog.clock import ClockEvent


class PhaseWork(models.Model):
    """Notes, marks and progress of one user in one phase. `revision` counts saves of the notes; `writer` is the tab that saved last."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="phase_work")
    problem = models.CharField(max_length=64)
    phase = models.CharField(max_length=32)
    text = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=0)
    writer = models.CharField(max_length=40, blank=True)
    saved_at = models.DateTimeField(null=True, blank=True)
    checked = models.JSONField(default=list, blank=True)  # ids of checklist items
    revealed_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    export_exclude = ("writer",)

    class Meta:
        ordering = ["problem", "phase"]
        constraints = [models.UniqueConstraint(fields=["user", "problem", "phase"], name="phase_work_once_per_user")]

    def __str__(self) -> str:
        return f"{self.problem}/{self.phase} of user {self.user_id}"

    def merge_guest_row(self, existing: PhaseWork) -> None:
        """A guest's row becomes part of the account's: texts one below the other, marks of both, the earlier of two dates.

        The revision rises above both, so that a page still open on either text cannot overwrite the joined one unseen.
        """
        existing.text = _joined(existing.text, self.text)
        existing.revision = max(existing.revision, self.revision) + 1
        existing.writer = ""
        existing.saved_at = max(filter(None, (existing.saved_at, self.saved_at)), default=None)
        existing.checked = [*existing.checked, *(item for item in self.checked if item not in existing.checked)]
        existing.revealed_at = min(filter(None, (existing.revealed_at, self.revealed_at)), default=None)
        existing.done_at = min(filter(None, (existing.done_at, self.done_at)), default=None)
        existing.save()


def _joined(kept: str, added: str) -> str:
    if added.strip() in kept:
        return kept
    return f"{kept.rstrip()}\n\n{added}" if kept.strip() else added


class SetAsideText(models.Model):
    """Notes that lost when two tabs wrote on top of the same revision. Kept until the user deletes them."""

    work = models.ForeignKey(PhaseWork, on_delete=models.CASCADE, related_name="set_aside")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.work} of {self.created_at:%Y-%m-%d %H:%M}"


class PracticeClock(models.Model):
    """What was pressed on the practice clock of one problem; `clock.py` says what that means."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="practice_clocks")
    problem = models.CharField(max_length=64)
    presses = models.JSONField(default=list, blank=True)  # [[unix seconds, kind, phase]]
    hidden = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["problem"]
        constraints = [models.UniqueConstraint(fields=["user", "problem"], name="practice_clock_once_per_user")]

    def __str__(self) -> str:
        return f"{self.problem} of user {self.user_id}"

    @property
    def events(self) -> list[ClockEvent]:
        return [ClockEvent(*press) for press in self.presses]
