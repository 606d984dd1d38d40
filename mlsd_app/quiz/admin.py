"""For site staff: what people reported about questions, open reports first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mlsd_app.quiz.models import Flag


@admin.register(Flag)
class FlagAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("item_id", "problem_slug", "kind", "status", "user", "created_at")
    list_filter = ("status", "kind", "problem_slug")
    search_fields = ("item_id", "text", "user__username")
    ordering = ("-status", "-created_at")
    list_select_related = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
