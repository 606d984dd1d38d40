"""Writing accounts. Reading stands in `selectors.py`."""

from __future__ import annotations

import secrets

from django.contrib.auth import login
from django.http import HttpRequest

from mlsd_app.accounts.models import User


def ensure_user(*, request: HttpRequest) -> User:
    """Whoever makes the request; a guest is made, and signed in, for a visitor whose first piece of work this is."""
    if isinstance(request.user, User):
        return request.user
    guest = guest_create()
    login(request, guest, backend="django.contrib.auth.backends.ModelBackend")
    return guest


def guest_create() -> User:
    guest = User(username=f"guest-{secrets.token_hex(8)}", is_guest=True)
    guest.set_unusable_password()
    guest.save()
    return guest
