"""Where allauth meets our guests: signing up keeps the guest's row, signing in merges it into the account."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest

from mlsd_app.accounts.merge import guest_merge
from mlsd_app.accounts.models import User

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def new_user(self, request: HttpRequest) -> User:
        return guest_of(request) or User()

    def save_user(self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True) -> User:
        user.is_guest = False
        saved: User = super().save_user(request, user, form, commit=commit)
        return saved

    def login(self, request: HttpRequest, user: User) -> None:
        """Merges before the session changes hands: if merging fails the visitor is still the guest, with all their work."""
        guest = guest_of(request)
        if guest and guest.pk != user.pk:
            guest_merge(guest=guest, into=user)
        super().login(request, user)

    def clean_username(self, username: str, shallow: bool = False) -> str:
        """Someone may sign in with a name or an address, so a name must not look like an address, nor like a guest's."""
        if "@" in username:
            raise ValidationError("A user name has no @; put your address into the e-mail field.")
        if username.lower().startswith("guest-"):
            raise ValidationError("Names that begin with guest- belong to visitors; choose another.")
        cleaned: str = super().clean_username(username, shallow)
        return cleaned

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return "/account/"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away is no reason to fail the page."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError:
            logger.exception("message %s not sent", template_prefix)
            messages.error(self.request, "The message could not be sent: the mail server does not answer. Try again later.")


def guest_of(request: HttpRequest) -> User | None:
    user = getattr(request, "user", None)
    return user if isinstance(user, User) and user.is_guest else None
