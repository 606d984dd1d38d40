"""Reading accounts. Each permission stands here as a boolean and as a queryset filter."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from mlsd_app.accounts.models import Accommodation, ApiToken, User

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


def has_account(user: User | AnonymousUser) -> bool:
    """Signed up, not just visiting."""
    return isinstance(user, User) and not user.is_guest


def accommodation_of(*, user: User) -> Accommodation:
    """What the person has set; an unsaved one with the defaults for whoever has set nothing."""
    return Accommodation.objects.filter(user=user).first() or Accommodation(user=user)


def tokens_of(*, user: User) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(user=user)


def token_visible(*, user: User, token: ApiToken) -> bool:
    return token.user_id == user.pk


def token_digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def token_by_secret(secret: str) -> ApiToken | None:
    """The token, if its user may sign in."""
    return ApiToken.objects.select_related("user").filter(digest=token_digest(secret), user__is_active=True).first()
