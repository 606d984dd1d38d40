from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from mlsd_app.accounts.models import ApiToken, User

admin.site.site_header = admin.site.site_title = "Loop45 staff"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # the same rate limits as everyone's sign-in


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # has no subscript at run time
    list_display = ("username", "email", "is_guest", "is_staff", "date_joined", "last_login")
    list_filter = ("is_guest", "is_staff", "is_active")
    date_hierarchy = "date_joined"


@admin.register(ApiToken)
class TokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Staff see that a token exists and can revoke it; its secret is known to nobody."""

    list_display = ("name", "user", "prefix", "created_at", "last_used_at")
    search_fields = ("name", "user__username")
    fields = readonly_fields = ("name", "user", "prefix", "created_at", "last_used_at")

    def has_add_permission(self, request: object) -> bool:
        return False
