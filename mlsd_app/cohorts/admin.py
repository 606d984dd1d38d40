"""For site staff: finding things. Cohorts are changed on their own pages, where every change is logged; nothing is changed here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Audit, Cohort, Membership


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Cohort)
class CohortAdmin(ReadOnly):
    list_display = ("name", "page", "timezone", "created_at", "archived_at")
    list_filter = ("archived_at",)
    search_fields = ("name", "memberships__user__username")
    exclude = ("join_code",)

    @admin.display(description="Page")
    def page(self, cohort: Cohort) -> str:
        return format_html('<a href="{}">open (logged)</a>', reverse("cohorts:cohort", args=[cohort.pk]))


@admin.register(Membership)
class MembershipAdmin(ReadOnly):
    list_display = ("user", "cohort", "role", "joined_via", "joined_at", "removed_at")
    list_filter = ("role", "joined_via")
    search_fields = ("user__username", "user__email", "cohort__name")
    list_select_related = ("user", "cohort")


@admin.register(Assignment)
class AssignmentAdmin(ReadOnly):
    list_display = ("title", "cohort", "kind", "problem", "published_at", "due_at", "archived_at")
    list_filter = ("kind", "problem")
    search_fields = ("title", "cohort__name")
    list_select_related = ("cohort",)
    exclude = ("salt",)


@admin.register(AssignedAttempt)
class AssignedAttemptAdmin(ReadOnly):
    list_display = ("assignment", "user", "number", "begun_at", "finished_at")
    search_fields = ("user__username", "assignment__title")
    list_select_related = ("assignment", "user")
    exclude = ("policy",)  # says who has which accommodation


@admin.register(Audit)
class AuditAdmin(ReadOnly):
    list_display = ("at", "actor", "role", "action", "object_type", "object_id", "cohort")
    list_filter = ("action", "role")
    search_fields = ("actor__username", "object_id", "request_id", "cohort__name")
    date_hierarchy = "at"
    list_select_related = ("actor", "cohort")
