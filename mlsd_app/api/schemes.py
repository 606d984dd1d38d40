"""How the two ways to sign in stand in the OpenAPI schema. `ApiConfig.ready` imports this: spectacular finds extensions that way."""

from __future__ import annotations

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
    target_class = "mlsd_app.api.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token made on the account page under API tokens."}


class SessionOnlyScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
    target_class = "mlsd_app.api.authentication.SessionOnly"
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        description = "The cookie of a signed-in browser; requests that change something send the CSRF token as X-CSRFToken."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": description}
