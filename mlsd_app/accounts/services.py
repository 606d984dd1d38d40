"""Writing accounts. Reading stands in `selectors.py`, moving a guest's work in `merge.py`, deletion in `deletion.py`."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import login
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from mlsd_app.accounts.models import ApiToken, User
from mlsd_app.accounts.ownership import owns_nothing
from mlsd_app.accounts.selectors import token_digest, tokens_of
from simulators.errors import InvalidInput

TOKEN_START = "l45_"  # noqa: S105 - lets secret scanners recognise one that was committed by mistake
TOKEN_PREFIX_LENGTH = 10
USED_EVERY = timedelta(minutes=1)  # a token's last use is written at most this often


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


def guests_delete_stale() -> int:
    """Deletes guests that own nothing and were made longer ago than settings.STALE_GUEST_DAYS; how many."""
    old = User.objects.filter(is_guest=True, date_joined__lt=timezone.now() - timedelta(days=settings.STALE_GUEST_DAYS))
    empty = [guest.pk for guest in old.iterator() if owns_nothing(guest)]
    for pk in empty:
        User.objects.filter(pk=pk, is_guest=True).delete()
    return len(empty)


def demo_user_create(*, username: str, password: str, email: str = "", is_staff: bool = False) -> User:
    """The demo account of that name; made if there is none, and left as it is otherwise."""
    found = User.objects.filter(username=username).first()
    return found or User.objects.create_user(username, email=email, password=password, is_staff=is_staff, is_superuser=is_staff)


# --- API tokens ------------------------------------------------------------------------------------------------------


@transaction.atomic
def token_create(*, user: User, name: str) -> tuple[ApiToken, str]:
    """A new token and its secret, which is kept nowhere. Raises InvalidInput without a name, or with too many tokens, or for a guest."""
    name = name.strip()
    User.objects.select_for_update().get(pk=user.pk)  # two requests at once count one after the other
    if user.is_guest:
        raise InvalidInput("You are a guest here. Sign up first: a token needs an account that outlasts this browser session.")
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise InvalidInput(
            f"The name has {len(name)} characters; expected 1 to 80 printable ones, such as the script it is for.", field="name"
        )
    if tokens_of(user=user).count() >= settings.API_TOKENS_PER_USER:
        raise InvalidInput(f"You have {settings.API_TOKENS_PER_USER} tokens, the most allowed. Revoke one first.")
    secret = TOKEN_START + secrets.token_urlsafe(32)
    made = ApiToken.objects.create(user=user, name=name, prefix=secret[:TOKEN_PREFIX_LENGTH], digest=token_digest(secret))
    return made, secret


def token_revoke(*, token: ApiToken) -> None:
    token.delete()


def token_mark_used(*, token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
