"""For site staff: submissions as they are, and which passes a lab would no longer give. Read only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mlsd_app.challenges.models import Rejudgement, Submission


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Submission)
class SubmissionAdmin(ReadOnly):
    list_display = ("challenge", "lab", "user", "state", "verdict", "queued_at")
    list_filter = ("state", "verdict", "problem")
    list_select_related = ("user",)


@admin.register(Rejudgement)
class RejudgementAdmin(ReadOnly):
    """Filter by the verdict "Failed" for those that flipped."""

    list_display = ("challenge", "lab", "passed_under", "lab_version", "verdict", "error", "at")
    list_filter = ("verdict", "submission__problem", "lab_version")
    list_select_related = ("submission",)

    @admin.display(ordering="submission__challenge")
    def challenge(self, row: Rejudgement) -> str:
        return row.submission.challenge

    @admin.display(ordering="submission__lab")
    def lab(self, row: Rejudgement) -> str:
        return row.submission.lab

    @admin.display(description="Passed under version", ordering="submission__lab_version")
    def passed_under(self, row: Rejudgement) -> int:
        return row.submission.lab_version
