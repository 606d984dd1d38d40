"""`Authorization: Bearer <token>`, beside the site's own session."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from mlsd_app.accounts.models import ApiToken, User
from mlsd_app.accounts.selectors import token_by_secret
from mlsd_app.accounts.services import token_mark_used


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = token_by_secret(secret.strip())
        if token is None:
            raise AuthenticationFailed("This token is not known: it was revoked, or is not complete. Make one at /account/tokens/.")
        token_mark_used(token=token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Makes a request without any sign-in answer 401 rather than 403."""
        return 'Bearer realm="Loop45 API"'


class SessionOnly(SessionAuthentication):
    """For what a leaked token must not do: make more tokens."""

    def authenticate_header(self, request: Request) -> str:
        return 'Session realm="Loop45"'
