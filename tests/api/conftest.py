from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import token_create
from tests.web.runs.conftest import counter, other, queue, user  # noqa: F401

START = "/api/v1/labs/vector_search/counter/runs"


class Api:
    """A client with somebody's token, or without any."""

    def __init__(self, owner: User | None) -> None:
        headers = {"authorization": f"Bearer {token_create(user=owner, name='test')[1]}"} if owner else {}
        self.client = Client(headers=headers, raise_request_exception=False)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1{path}", query)

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/v1{path}")

    def post(self, path: str, body: Any = None) -> Any:
        return self.send(path, json.dumps({} if body is None else body).encode())

    def send(self, path: str, body: bytes, content_type: str = "application/json") -> Any:
        return self.client.post(f"/api/v1{path}", body, content_type=content_type)


@pytest.fixture
def api(user: User) -> Api:  # noqa: F811
    return Api(user)


@pytest.fixture
def their_api(other: User) -> Api:  # noqa: F811
    return Api(other)


@pytest.fixture
def visitor(db: None) -> Api:
    return Api(None)


def assert_refused(response: Any, status: int, *, field: str | None = None) -> dict[str, Any]:
    """The one shape of an error, with a sentence, beside `field` where one is named."""
    body = response.json()
    assert response.status_code == status, body
    assert response["Content-Type"].startswith("application/json")
    assert set(body) == {"detail", "errors"}
    assert len(body["detail"]) > 10, body
    if field is not None:
        assert body["errors"].get(field), body
    return dict(body)
