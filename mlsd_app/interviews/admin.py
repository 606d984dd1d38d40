"""For site staff: finding an attempt and seeing how it stands. Clocks are moved on the pages of a cohort, where it is logged."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mlsd_app.interviews.models import Attempt


@admin.register(Attempt)
class AttemptAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "user", "problem", "kind", "status", "reason", "mode", "started_at", "closed_at", "grading_needed")
    list_filter = ("status", "kind", "mode", "problem", "grading_needed")
    search_fields = ("id", "user__username", "problem", "board")
    date_hierarchy = "created_at"
    list_select_related = ("user",)
    exclude = ("accommodation", "multiplier", "extra_s", "pause_policy", "content")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
