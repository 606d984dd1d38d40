"""A timed interview over the API: from the plan to the replay, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.models import Attempt
from simulators.lab import Lab
from tests.api.conftest import Api
from tests.web.runs.conftest import Queue


@pytest.fixture
def attempt(api: Api) -> str:
    made = api.post("/attempts", {"problem": "vector_search", "seed": 7})
    assert made.status_code == 201, made.json()
    assert api.get(made["Location"].removeprefix("/api/v1")).status_code == 200
    return str(made.json()["id"])


@pytest.fixture
def open_attempt(api: Api, attempt: str) -> str:
    assert api.post(f"/attempts/{attempt}/start").json()["clock"]["state"] == "running"
    return attempt


def put(api: Api, attempt: str, field: str, content: str | None, base_rev: int = 0, **more: Any) -> Any:
    body = {"content": content, "base_rev": base_rev, "op_id": f"op-{field.replace('/', '-')}-{base_rev}", "client_id": "script", **more}
    return api.client.put(f"/api/v1/attempts/{attempt}/answers/{field}", json.dumps(body), content_type="application/json")


def refused(answer: Any, status: int, code: str = "") -> dict[str, Any]:
    body = dict(answer.json())
    assert answer.status_code == status, body
    assert len(body["detail"]) > 10 and "errors" in body
    assert body.get("code", "") == code
    return body


# --- the way through -------------------------------------------------------------------------------------------------


def test_from_plan_to_replay(api: Api, open_attempt: str) -> None:
    assert put(api, open_attempt, "text/clarify", "How many vectors?").json()["rev"] == 1
    told = api.post(f"/attempts/{open_attempt}/questions", {"text": "What is the size of the corpus?"}).json()
    assert told["kind"] == "answered" and told["facts"][0]["fact"] == "corpus_size"
    assert put(api, open_attempt, "row/constraints/c1", '{"name":"corpus","value":"1e9"}').status_code == 200
    assert api.post(f"/attempts/{open_attempt}/moves", {"to": 2}).json()["clock"]["phase"] == 2
    detail = api.get(f"/attempts/{open_attempt}").json()
    assert detail["answers"]["text/clarify"]["content"] == "How many vectors?" and detail["clock"]["writable"]
    closed = api.post(f"/attempts/{open_attempt}/submit").json()
    assert closed["clock"]["state"] == "closed"
    assert api.post(f"/attempts/{open_attempt}/submit").status_code == 200, "submitting twice is answered the same"
    end = api.get(f"/attempts/{open_attempt}/replay", at_ms=10**8).json()
    assert end["answers"]["text/clarify"] == "How many vectors?"
    kinds = [event["kind"] for event in api.get(f"/attempts/{open_attempt}/events").json()["events"]]
    assert kinds[:2] == ["created", "start"] and {"question", "save", "move", "submit", "close"} <= set(kinds)


def test_presets_and_opening(visitor: Api) -> None:
    presets = visitor.get("/interview-presets").json()
    assert [sum(phase["budget_s"] for phase in preset["phases"]) for preset in presets] == [2700, 2700, 2280]
    intro = visitor.get("/problems/vector_search/interview").json()
    assert set(intro) == {"problem", "title", "opener"}


def test_a_pause_and_its_end(api: Api, open_attempt: str) -> None:
    assert api.post(f"/attempts/{open_attempt}/pauses").json()["clock"]["state"] == "paused"
    assert refused(api.post(f"/attempts/{open_attempt}/moves", {"to": 1}), 423, "paused")
    assert api.delete(f"/attempts/{open_attempt}/pauses/current").json()["clock"]["state"] == "running"
    assert refused(api.post(f"/attempts/{open_attempt}/pauses"), 409, "no_pause_left")


# --- saving ----------------------------------------------------------------------------------------------------------


def test_the_loser_of_two_writes_is_told_and_kept(api: Api, open_attempt: str) -> None:
    put(api, open_attempt, "text/clarify", "first")
    lost = refused(put(api, open_attempt, "text/clarify", "second", op_id="another"), 409, "conflict")
    assert (lost["rev"], lost["content"]) == (1, "first")
    history = api.get(f"/attempts/{open_attempt}/answers/text/clarify/history").json()
    assert [(version["kind"], version["rev"]) for version in history] == [("conflict", None), ("save", 1)]


def test_bad_fields_and_rows(api: Api, open_attempt: str) -> None:
    refused(put(api, open_attempt, "text/nowhere", "x"), 404)
    body = refused(put(api, open_attempt, "row/numbers/n1", '{"value":"lots"}'), 422, "invalid")
    assert body["errors"]["value"]
    refused(put(api, open_attempt, "text/clarify", "x" * 20_001), 413, "too_large")
    refused(put(api, open_attempt, "text/clarify", "x", op_id="has spaces"), 422)


def test_after_the_end_text_is_kept_as_late(api: Api, open_attempt: str) -> None:
    api.post(f"/attempts/{open_attempt}/submit")
    assert refused(put(api, open_attempt, "text/clarify", "too late"), 410, "closed")["stored"] is True


# --- refusals --------------------------------------------------------------------------------------------------------


def test_one_live_attempt_a_problem(api: Api, attempt: str) -> None:
    assert refused(api.post("/attempts", {"problem": "vector_search"}), 409, "live_attempt_exists")["attempt"] == attempt


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"problem": "vector_search", "mode": "hard"}, "mode"),
        ({"problem": "vector_search", "preset": "none"}, "preset"),
        ({"problem": "vector_search", "total_s": 2699}, "total"),
        ({"problem": "vector_search", "phases": [{"key": "a", "title": "A", "budget_s": 900, "tags": ["clarify"]}]}, "phases"),
        ({"problem": "vector_search", "seed": -1}, "seed"),
    ],
)
def test_bad_plans(api: Api, body: dict[str, Any], field: str) -> None:
    assert field in refused(api.post("/attempts", body), 422)["errors"]


def test_nothing_of_anybody_else(api: Api, their_api: Api, visitor: Api, open_attempt: str) -> None:
    for path in ("", "/clock", "/events", "/runs", "/replay?at_ms=1", "/answers/text/clarify/history"):
        assert their_api.get(f"/attempts/{open_attempt}{path}").status_code == 404
        assert visitor.get(f"/attempts/{open_attempt}{path}").status_code == 401
    for path in ("start", "submit"):
        assert their_api.post(f"/attempts/{open_attempt}/{path}").status_code == 404
    assert their_api.get("/attempts").json()["count"] == 0


def test_no_replay_while_it_runs(api: Api, open_attempt: str) -> None:
    refused(api.get(f"/attempts/{open_attempt}/replay", at_ms=0), 403)


def test_facts_are_nowhere_before_they_were_asked(api: Api, open_attempt: str) -> None:
    content = Attempt.objects.get(pk=open_attempt).content
    answers = [fact["answer"].split("{value}")[-1].strip(" .") for fact in content["interviewer"]["facts"]]
    told = [api.get(f"/attempts/{open_attempt}{path}").content.decode() for path in ("", "/clock", "/events", "/runs")]
    assert not [answer for answer in answers if len(answer) > 15 and any(answer in text for text in told)]


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_gets_a_number_and_can_be_pinned(api: Api, queue: Queue, counter: type[Lab], open_attempt: str) -> None:
    started = api.post(f"/attempts/{open_attempt}/runs", {"lab": "counter", "params": {"n": 4}})
    assert started.status_code == 201, started.json()
    assert started.json()["number"] == 1
    address = f"/api/v1/attempts/{open_attempt}/runs/1"
    pin = json.dumps({"pinned": True, "label": "four"})
    refused(api.client.patch(address, pin, content_type="application/json"), 409, "not_done")
    queue.work()
    pinned = api.client.patch(address, pin, content_type="application/json").json()
    assert (pinned["pinned"], pinned["label"], pinned["run"]["state"]) == (True, "four", "done")
    assert [run["number"] for run in api.get(f"/attempts/{open_attempt}/runs").json()] == [1]
    api.post(f"/attempts/{open_attempt}/submit")
    refused(api.post(f"/attempts/{open_attempt}/runs", {"lab": "counter"}), 423, "closed")


# --- claims and what comes after ---------------------------------------------------------------------------------------


def graded(attempt: str) -> None:
    assert attempt_grade(attempt_id=attempt, now=timezone.now())


def test_claims_are_judged_and_kept_back_in_a_real_round(api: Api, queue: Queue, counter: type[Lab], open_attempt: str) -> None:
    put(api, open_attempt, "text/deep_dive", "The counter ends at 4 in all.")
    api.post(f"/attempts/{open_attempt}/runs", {"lab": "counter", "params": {"n": 4}})
    queue.work()
    metric = api.get(f"/attempts/{open_attempt}/runs").json()[0]["run"]
    key = api.get(f"/runs/{metric['id']}/result").json()["metrics"][0]["key"]
    body = {"field": "text/deep_dive", "quote": "ends at 4", "metric": key, "op": "=", "value": -1, "run": 1}
    added = api.post(f"/attempts/{open_attempt}/claims", body)
    assert added.status_code == 201 and added.json()["verdict"] == "pending" and added.json()["start"] == 12
    refused(api.post(f"/attempts/{open_attempt}/claims", {**body, "quote": "words that are not there"}), 422)
    address = f"/api/v1/attempts/{open_attempt}/claims/{added.json()['id']}"
    changed = api.client.patch(address, json.dumps({"run": None}), content_type="application/json").json()
    assert changed["run"] is None and changed["value"] == -1
    api.client.patch(address, json.dumps({"run": 1}), content_type="application/json")
    api.post(f"/attempts/{open_attempt}/submit")
    graded(open_attempt)
    claims = api.get(f"/attempts/{open_attempt}/claims").json()
    assert [claim["verdict"] for claim in claims] == ["contradicted"]
    refused(api.client.delete(address), 409, "wrong_state")


def test_a_claim_can_be_deleted_while_it_runs(api: Api, their_api: Api, open_attempt: str) -> None:
    put(api, open_attempt, "text/clarify", "It takes 5 ms.")
    added = api.post(f"/attempts/{open_attempt}/claims", {"field": "text/clarify", "quote": "5 ms"}).json()
    assert their_api.delete(f"/attempts/{open_attempt}/claims/{added['id']}").status_code == 404
    assert api.delete(f"/attempts/{open_attempt}/claims/{added['id']}").status_code == 204
    assert api.get(f"/attempts/{open_attempt}/claims").json() == []


def test_constraints_read_back(api: Api, open_attempt: str) -> None:
    put(api, open_attempt, "row/constraints/c1", '{"name":"corpus size","value":"3","unit":"vectors"}')
    said = api.post(f"/attempts/{open_attempt}/constraints/confirm").json()
    assert [(row["how"], row["fact"]) for row in said["rows"]] == [("corrected", "corpus_size")]


def test_the_scorecard_waits_for_its_release(api: Api, open_attempt: str) -> None:
    refused(api.get(f"/attempts/{open_attempt}/scorecard"), 403, "not_released")
    refused(api.get(f"/attempts/{open_attempt}/debrief"), 403, "not_released")
    api.post(f"/attempts/{open_attempt}/submit")
    refused(api.get(f"/attempts/{open_attempt}/scorecard"), 403, "not_released")
    before = api.get(f"/attempts/{open_attempt}/debrief").json()
    assert before["facts"] == before["numbers"] == [] and len(before["phases"]) == 5
    graded(open_attempt)
    card = api.get(f"/attempts/{open_attempt}/scorecard").json()
    assert card["verdict"] == "" and card["graded_weight"] < 70, "nothing was written: not enough to grade"
    assert all(item["points"] is None or item["points"] == 0 for tag in card["tags"] for item in tag["items"])
    assert {fact["how"] for fact in api.get(f"/attempts/{open_attempt}/debrief").json()["facts"]} == {"missed"}


def test_what_one_says_of_oneself_before_and_after_the_marks(api: Api, open_attempt: str) -> None:
    address = f"/api/v1/attempts/{open_attempt}/self-assessment"

    def put_levels(levels: dict[str, int]) -> Any:
        return api.client.put(address, json.dumps({"levels": levels}), content_type="application/json")

    refused(put_levels({"signal:scope": 2}), 409, "wrong_state")
    api.post(f"/attempts/{open_attempt}/submit")
    graded(open_attempt)
    assert put_levels({"signal:scope": 2}).json() == [{"subject": "signal:scope", "level": 2, "before_reveal": True}]
    api.get(f"/attempts/{open_attempt}/scorecard")
    after = {row["subject"]: row for row in put_levels({"signal:scope": 4, "signal:structure": 1}).json()}
    assert after["signal:scope"]["level"] == 2, "what was said first stays"
    assert after["signal:structure"] == {"subject": "signal:structure", "level": 1, "before_reveal": False}
    refused(put_levels({"signal:nowhere": 2}), 422)
    refused(put_levels({"signal:scope": 5}), 422)


def test_exports_over_the_api(api: Api, their_api: Api, open_attempt: str) -> None:
    put(api, open_attempt, "text/clarify", "kept for later")
    refused(api.get(f"/attempts/{open_attempt}/export.md"), 403, "not_released")
    api.post(f"/attempts/{open_attempt}/submit")
    text = api.get(f"/attempts/{open_attempt}/export.md")
    assert text["Content-Type"].startswith("text/markdown") and "> kept for later" in text.content.decode()
    lines = api.get(f"/attempts/{open_attempt}/export.jsonl")
    rows = [json.loads(line) for line in b"".join(lines.streaming_content).splitlines()]
    assert [row["type"] for row in rows][0] == "attempt" and rows[-1]["keyframe"] == "kept for later"
    for ending in ("scorecard", "debrief", "export.md", "export.jsonl", "claims"):
        assert their_api.get(f"/attempts/{open_attempt}/{ending}").status_code == 404
