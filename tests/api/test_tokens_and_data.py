"""API tokens and the caller's own data sets."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.test import Client

from mlsd_app.accounts.models import ApiToken, User
from mlsd_app.runs.models import Dataset, Run
from simulators.lab import Lab
from tests.api.conftest import Api, assert_refused
from tests.web.runs.conftest import Queue

UPLOAD = "/labs/vector_search/counter/datasets"


@pytest.fixture
def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# --- tokens ----------------------------------------------------------------------------------------------------------------


def test_the_life_of_a_token(browser: Client) -> None:
    made = browser.post("/api/v1/tokens", {"name": "notebook"}, content_type="application/json")
    assert made.status_code == 201
    secret = made.json()["token"]
    bearer = Client(headers={"authorization": f"Bearer {secret}"})
    assert bearer.get("/api/v1/runs").status_code == 200
    listed = browser.get("/api/v1/tokens").json()
    assert [token["name"] for token in listed] == ["notebook"]
    assert listed[0]["last_used_at"]
    assert secret not in str(listed)
    assert browser.delete(f"/api/v1/tokens/{listed[0]['id']}").status_code == 204
    assert_refused(bearer.get("/api/v1/runs"), 401)


def test_a_token_cannot_make_or_revoke_tokens(api: Api, user: User) -> None:
    token = ApiToken.objects.get(user=user)
    assert_refused(api.post("/tokens", {"name": "more"}), 401)
    assert_refused(api.delete(f"/tokens/{token.pk}"), 401)
    assert_refused(api.get("/tokens"), 401)


def test_a_token_of_another_user_is_not_there(browser: Client, their_api: Api, other: User) -> None:
    token = ApiToken.objects.get(user=other)
    assert_refused(browser.delete(f"/api/v1/tokens/{token.pk}"), 404)
    assert ApiToken.objects.filter(pk=token.pk).exists()
    assert_refused(browser.delete(f"/api/v1/tokens/{2**70}"), 404)


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 81, 5 * ["a"]])
def test_a_token_needs_a_name(browser: Client, name: Any) -> None:
    response = browser.post("/api/v1/tokens", {"name": name}, content_type="application/json")
    assert_refused(response, 400 if "\x00" in str(name).encode().decode("unicode_escape") else 422)


def test_a_session_needs_the_csrf_token(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert_refused(client.post("/api/v1/tokens", {"name": "notebook"}, content_type="application/json"), 403)
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer wrong", "Bearer \xff\xfe", "bearer " + "x" * 5000])
def test_a_token_that_is_none(db: None, header: str) -> None:
    assert_refused(Client(headers={"authorization": header}).get("/api/v1/problems"), 401)


def test_another_scheme_is_no_sign_in(visitor: Api) -> None:
    visitor.client.defaults["HTTP_AUTHORIZATION"] = "Basic YWRhOmFkYQ=="
    assert visitor.get("/problems").status_code == 200
    assert_refused(visitor.get("/runs"), 401)


# --- data sets -------------------------------------------------------------------------------------------------------------


def upload(api: Api, text: bytes = b"1\n2\n", *, file_name: str = "a.txt", **fields: Any) -> Any:
    file = BytesIO(text)
    file.name = file_name
    return api.client.post(f"/api/v1{UPLOAD}", {"numbers": file, **fields})


def test_upload_list_run_and_delete(api: Api, their_api: Api, queue: Queue, counter: type[Lab]) -> None:
    made = upload(api, file_name="mine.txt", **{"option-unit": "m", "name": "My numbers"})
    assert made.status_code == 201, made.json()
    data = made.json()
    assert (data["name"], data["options"], data["facts"]) == ("My numbers", {"unit": "m"}, [["Numbers", "2"]])
    assert [item["id"] for item in api.get("/datasets").json()] == [data["id"]]
    run = api.post("/labs/vector_search/counter/runs", {"dataset": data["id"]})
    assert run.json()["dataset"] == data["id"]
    assert_refused(their_api.post("/labs/vector_search/counter/runs", {"dataset": data["id"]}), 422, field="dataset")
    assert_refused(their_api.delete(f"/datasets/{data['id']}"), 404)
    assert their_api.get("/datasets").json() == []
    assert api.delete(f"/datasets/{data['id']}").status_code == 204
    assert not Dataset.objects.exists()
    assert not Run.objects.exists()


def test_what_cannot_be_used_is_refused_and_not_stored(api: Api, queue: Queue, counter: type[Lab], settings: Any) -> None:
    assert "whole numbers" in assert_refused(upload(api, b"one"), 422, field="numbers")["detail"]
    assert_refused(upload(api, file_name="a.exe"), 422, field="numbers")
    assert_refused(upload(api, **{"option-odd": "1"}), 422, field="odd")
    assert_refused(upload(api, **{"option-unit": "a\x00b"}), 422)
    assert_refused(api.client.post(f"/api/v1{UPLOAD}", {"name": "nothing"}), 422)
    assert_refused(api.send(UPLOAD, b"not multipart", "multipart/form-data"), 400)
    assert_refused(api.post(UPLOAD), 415)
    assert not Dataset.objects.exists()
    assert not list(settings.UPLOADS_DIR.glob("*/*"))
