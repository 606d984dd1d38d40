"""Runs over the API: started, followed, fetched, cancelled, and seen by their owner only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from mlsd_app.accounts.models import User
from mlsd_app.runs import channel
from mlsd_app.runs.models import Run, RunState
from simulators.lab import Lab
from tests.api.conftest import Api, assert_refused
from tests.web.runs.conftest import Queue

RUNS = "/labs/vector_search/counter/runs"


@pytest.fixture(autouse=True)
def pipeline(queue: Queue, counter: type[Lab]) -> None:
    """Every test here has a living Redis and the lab that counts."""


def follow(user: User, run_id: str, **headers: str) -> list[tuple[str, str, Any]]:
    """(id, kind, data) of every event a browser of `user` receives."""

    async def read() -> str:
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(f"/api/v1/runs/{run_id}/events", headers={"accept": "text/event-stream", **headers})
        assert response.status_code == 200
        assert response["Content-Type"] == "text/event-stream"
        return b"".join([piece async for piece in response.streaming_content]).decode()

    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in async_to_sync(read)().strip().split("\n\n")]
    return [(block.get("id", ""), block["event"], json.loads(block["data"])) for block in blocks]


# --- the way of a run ----------------------------------------------------------------------------------------------------


def test_a_run_from_start_to_result(api: Api, queue: Queue) -> None:
    started = api.post(RUNS, {"params": {"n": 4, "rate": 2.0}, "seed": 5})
    assert started.status_code == 201
    run = started.json()
    assert (run["state"], run["seed"], run["params"]["n"]) == ("queued", 5, 4)
    assert started["Location"] == run["links"]["self"] == f"/api/v1/runs/{run['id']}"
    queue.work()
    assert api.get(f"/runs/{run['id']}").json()["state"] == "done"
    result = api.get(f"/runs/{run['id']}/result").json()
    assert {metric["key"]: metric["value"] for metric in result["metrics"]} == {"score@a": 8.0, "cost@a": 4.0}
    assert result["figures"][0]["plot"]["data"]
    assert result["tables"][0]["rows"] == [[1, 2.0]]


def test_a_known_result_is_answered_at_once(api: Api, their_api: Api, queue: Queue) -> None:
    first = api.post(RUNS, {"params": {"n": 4}})
    queue.work()
    again = their_api.post(RUNS, {"params": {"n": 4}})
    assert again.status_code == 200
    assert again.json()["state"] == "done"
    assert again.json()["id"] != first.json()["id"], "everyone has a run of their own"
    assert not queue.sent


def test_fresh_runs_again(api: Api, queue: Queue) -> None:
    api.post(RUNS, {"params": {"n": 4}})
    queue.work()
    assert api.post(RUNS, {"params": {"n": 4}, "fresh": True}).status_code == 201


def test_defaults_stand_in_for_what_is_left_out(api: Api) -> None:
    assert api.post(RUNS).json()["params"] == {"n": 3, "rate": 1.0, "trap": ""}


def test_a_result_is_there_only_when_the_run_is_done(api: Api, queue: Queue) -> None:
    waiting = api.post(RUNS).json()
    assert "waiting" in assert_refused(api.get(f"/runs/{waiting['id']}/result"), 409)["detail"]
    failing = api.post(RUNS, {"params": {"trap": "invalid"}}).json()
    queue.work()
    assert api.get(f"/runs/{failing['id']}").json()["error"] == "Line 2 is not a number."
    assert "Line 2" in assert_refused(api.get(f"/runs/{failing['id']}/result"), 409)["detail"]


def test_a_cancelled_run_stops(api: Api, queue: Queue) -> None:
    run = api.post(RUNS).json()
    assert api.post(f"/runs/{run['id']}/cancel").status_code == 202
    queue.work()
    assert api.get(f"/runs/{run['id']}").json()["state"] == "cancelled"
    assert api.post(f"/runs/{run['id']}/cancel").status_code == 202, "once more changes nothing"


# --- what is refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"params": {"n": 0}}, "n"),
        ({"params": {"n": 10**400}}, "n"),
        ({"params": {"n": "many"}}, "n"),
        ({"params": {"n": None}}, "n"),
        ({"params": {"rate": 10**400}}, "rate"),
        ({"params": {"unknown": 1}}, "unknown"),
        ({"params": [1]}, "params"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"seed": 10**400}, "seed"),
        ({"seed": "x"}, "seed"),
        ({"dataset": "x"}, "dataset"),
        ({"dataset": "00000000-0000-0000-0000-000000000000"}, "dataset"),
        ({"fresh": "perhaps"}, "fresh"),
        ([1, 2], ""),
    ],
)
def test_a_wrong_value_is_named(api: Api, body: Any, field: str) -> None:
    assert_refused(api.post(RUNS, body), 422, field=field)
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"params": {"trap": "a\\u0000b"}}',
        b'{"params": {"trap": "\\ud800"}}',
        b'{"seed": NaN}',
        b'{"seed": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 30 + b"1" + b"}" * 30,
    ],
    ids=["cut off", "not UTF-8", "NUL", "surrogate", "NaN", "5,000 digits", "100,000 brackets", "30 levels"],
)
def test_a_body_that_is_not_json_as_we_take_it(api: Api, body: bytes) -> None:
    assert_refused(api.send(RUNS, body), 400)


def test_a_body_too_large(api: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert_refused(api.send(RUNS, b'{"params": {"trap": "' + b"x" * 2000 + b'"}}'), 413)


def test_other_forms_methods_and_addresses(api: Api) -> None:
    assert_refused(api.send(RUNS, b"n=3", "application/x-www-form-urlencoded"), 415)
    assert_refused(api.get(RUNS), 405)
    assert_refused(api.get("/nowhere"), 404)
    assert_refused(api.post("/labs/vector_search/nothing/runs"), 404)
    assert_refused(api.client.get("/api/v1/runs", headers={"accept": "text/html"}), 406)


def test_more_runs_than_allowed(api: Api, settings: Any) -> None:
    settings.RUN_LIMITS = {**settings.RUN_LIMITS, "active_per_user": 1}
    api.post(RUNS, {"params": {"n": 5}})
    assert "most allowed" in assert_refused(api.post(RUNS, {"params": {"n": 6}}), 429)["detail"]


def test_no_worker_and_no_redis(api: Api, settings: Any) -> None:
    channel.connection().flushall()
    assert "No worker" in assert_refused(api.post(RUNS), 503)["detail"]
    settings.REDIS_URL = "unix:///nowhere.sock"
    channel._connection.cache_clear()
    assert_refused(api.post(RUNS), 503)


def test_too_many_requests(api: Api, settings: Any) -> None:
    settings.API_LIMITS = {"signed_in_per_minute": 2, "visitor_per_minute": 2}
    answers = [api.get("/runs") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 61
    assert_refused(answers[-1], 429)


# --- whose it is -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("get", "/result"), ("get", "/events"), ("post", "/cancel")])
def test_a_run_of_another_user_is_not_there(api: Api, their_api: Api, method: str, path: str) -> None:
    run = api.post(RUNS).json()
    assert_refused(getattr(their_api, method)(f"/runs/{run['id']}{path}"), 404)
    assert Run.objects.get(pk=run["id"]).state == RunState.QUEUED
    assert not channel.connection().exists(channel.cancel_key(run["id"]))


@pytest.mark.parametrize(("method", "path"), [("get", "/runs"), ("post", RUNS), ("get", "/datasets"), ("get", "/tokens")])
def test_without_sign_in(visitor: Api, method: str, path: str) -> None:
    response = getattr(visitor, method)(path)
    assert_refused(response, 401)
    assert response["WWW-Authenticate"]


def test_the_list_has_ones_own_runs_in_pages(api: Api, their_api: Api) -> None:
    ids = [api.post(RUNS, {"params": {"n": n}}).json()["id"] for n in (5, 6, 7)]
    their_api.post(RUNS)
    first = api.get("/runs", limit=2).json()
    assert first["count"] == 3
    assert [run["id"] for run in first["results"]] == ids[:0:-1]
    rest = api.client.get(first["next"]).json()
    assert [run["id"] for run in rest["results"]] == ids[:1]
    assert rest["next"] is None
    assert rest["previous"]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"offset": -1}, {"offset": 10**30}, {"limit": "x"}, {"state": "odd"}])
def test_a_page_that_cannot_be(api: Api, query: dict[str, Any]) -> None:
    assert_refused(api.get("/runs", **query), 422, field=next(iter(query)))


def test_the_list_can_be_filtered(api: Api, queue: Queue) -> None:
    done = api.post(RUNS, {"params": {"n": 5}}).json()
    queue.work()
    api.post(RUNS, {"params": {"n": 6}})
    assert [run["id"] for run in api.get("/runs", state="done").json()["results"]] == [done["id"]]
    assert api.get("/runs", problem="vector_search", lab="counter").json()["count"] == 2
    assert api.get("/runs", lab="another").json()["count"] == 0


# --- events ----------------------------------------------------------------------------------------------------------------


def test_events_from_the_first_to_the_last(api: Api, user: User, queue: Queue) -> None:
    run = api.post(RUNS, {"params": {"n": 3}}).json()
    queue.work()
    Run.objects.filter(pk=run["id"]).update(state=RunState.RUNNING)  # whoever attached before the end reads on in the stream
    found = follow(user, run["id"])
    kinds = [kind for _, kind, _ in found]
    assert kinds[0] == "started"
    assert kinds[-1] == "done"
    assert kinds.count("frame") == 3
    resumed = follow(user, run["id"], **{"last-event-id": found[2][0]})
    assert resumed == found[3:]


@pytest.mark.parametrize("odd", ["-5", "x", "9" * 30, "1-2-3"])
def test_an_odd_last_event_id_begins_at_the_beginning(api: Api, user: User, queue: Queue, odd: str) -> None:
    run = api.post(RUNS).json()
    queue.work()
    Run.objects.filter(pk=run["id"]).update(state=RunState.RUNNING)
    assert follow(user, run["id"], **{"last-event-id": odd})[0][1] == "started"


def test_an_ended_run_sends_its_last_event(api: Api, user: User, queue: Queue) -> None:
    failing = api.post(RUNS, {"params": {"trap": "invalid"}}).json()
    queue.work()
    assert follow(user, failing["id"]) == [("", "failed", {"message": "Line 2 is not a number."})]


def test_a_refusal_is_json_also_where_events_were_asked_for(api: Api) -> None:
    path = "/api/v1/runs/00000000-0000-0000-0000-000000000000/events"
    assert_refused(api.client.get(path, headers={"accept": "text/event-stream"}), 404)
