"""For site staff: finding a run and why it ended. One safe action: asking runs to stop."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from mlsd_app.runs.models import ACTIVE, Run
from mlsd_app.runs.services import RunRefused, run_cancel


@admin.register(Run)
class RunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "user", "problem", "lab", "state", "created_at", "started_at", "finished_at", "error")
    list_filter = ("state", "problem")
    search_fields = ("id", "user__username", "lab")
    date_hierarchy = "created_at"
    list_select_related = ("user",)
    exclude = ("result",)
    actions = ("stop",)

    @admin.action(description="Ask the chosen runs to stop", permissions=["view"])
    def stop(self, request: HttpRequest, chosen: QuerySet[Run]) -> None:
        try:
            for run in chosen.filter(state__in=ACTIVE):
                run_cancel(run=run)
        except RunRefused as error:
            self.message_user(request, error.message, messages.ERROR)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
