"""The quiz over the API: the same services as the pages, and no answer before a response."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.quiz.bank import bank
from mlsd_app.quiz.models import Instance, Response
from mlsd_app.quiz.served import served
from tests.api.conftest import Api, assert_refused
from tests.web.quiz.conftest import CHOICE, EVERY_TYPE, FLASHCARD, NUMBER, SLUG, begin, instance_of, right
from tests.web.runs.conftest import Queue

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


def start(api: Api, *items: str, **wanted: Any) -> dict[str, Any]:
    response = api.post("/quiz/sittings", {"kind": "problem", "problem": SLUG, "items": list(items), **wanted})
    assert response.status_code == 201, response.content
    return dict(response.json())


def answer(api: Api, sitting: dict[str, Any], given: dict[str, Any], place: int = 0, **sent: Any) -> Any:
    return api.post("/quiz/responses", {"sitting": sitting["id"], "place": place, "given": given, "op_id": "operation-1", **sent})


def right_answer(user: User, sitting: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return right(user.quiz_sittings.get(pk=sitting["id"]), place)


def test_the_plan_is_set_and_read(api: Api) -> None:
    assert api.get("/quiz/plan").json()["minutes_a_day"] == 20
    wanted = {"interview_date": TOMORROW, "minutes_a_day": 30, "scope": [SLUG], "timezone": "Asia/Tokyo", "desired_retention": 0.85}
    sent = api.client.put("/api/v1/quiz/plan", json.dumps(wanted), content_type="application/json")
    assert sent.status_code == 200, sent.content
    assert api.get("/quiz/plan").json() == {**wanted, "new_limit": None}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("interview_date", "2001-01-01"), ("interview_date", "soon"), ("minutes_a_day", 4), ("new_limit", 101)),
        *(("desired_retention", 0.99), ("scope", ["no_such_problem"]), ("timezone", "Mars/Olympus")),
    ],
)
def test_a_plan_that_cannot_be_is_refused(api: Api, field: str, value: Any) -> None:
    sent = api.client.put("/api/v1/quiz/plan", json.dumps({field: value}), content_type="application/json")
    errors = assert_refused(sent, 422)["errors"]
    assert any(name.startswith(field) for name in errors)


def test_what_is_due_says_how_much_and_how_long(api: Api) -> None:
    due = api.get("/quiz/due", limit=3).json()
    assert (due["due"], due["new"], len(due["items"])) == (0, 10, 3)
    assert due["minutes"] > 0
    assert all(item["new"] for item in due["items"])


def test_a_question_is_answered(api: Api, user: User) -> None:
    sitting = start(api, CHOICE[1], NUMBER[1], counts=True)
    assert sitting["question"]["item"] == CHOICE[1]
    answered = answer(api, sitting, right_answer(user, sitting), confidence="sure", ms=4000).json()
    assert (answered["mark"], answered["rating"], answered["shown"]) == (1.0, 3, True)
    assert answered["explanation"]
    assert all(reason["why"] for reason in answered["reasons"] if not reason["correct"])
    assert any("/labs/" in link["url"] for link in answered["links"])
    assert datetime.fromisoformat(answered["next_due"]) > datetime.now(UTC)
    after = api.get(f"/quiz/sittings/{sitting['id']}").json()
    assert (after["answered"], after["question"]["item"]) == ([0], NUMBER[1])


def test_an_answer_counts_once(api: Api, user: User) -> None:
    sitting = start(api, CHOICE[1], NUMBER[1])
    first = answer(api, sitting, right_answer(user, sitting))
    assert answer(api, sitting, {"picked": [0]}).json() == first.json(), "the same op_id"
    assert_code(answer(api, sitting, {"picked": [0]}, op_id="operation-2"), 409, "already_answered")


def assert_code(response: Any, status: int, code: str) -> dict[str, Any]:
    body = dict(response.json())
    assert (response.status_code, body.get("code")) == (status, code), body
    assert len(body["detail"]) > 10
    return body


def test_an_unreadable_number_is_no_attempt(api: Api) -> None:
    sitting = start(api, NUMBER[1])
    body = answer(api, sitting, {"text": "85,9 GB"}).json()
    assert "point" in body["detail"]
    assert isinstance(body["position"], int)
    assert body["code"]
    assert not Response.objects.exists()


def test_a_closed_sitting_takes_nothing(api: Api, user: User) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    sitting = begin(user, CHOICE, limit_s=60, now=long_ago)
    assert_code(answer(api, {"id": str(sitting.pk)}, {"picked": [0]}), 410, "sitting_closed")


def test_an_answer_is_taken_back_once(api: Api, user: User) -> None:
    sitting = start(api, CHOICE[1])
    given = answer(api, sitting, right_answer(user, sitting)).json()
    undone = api.post(f"/quiz/responses/{given['id']}/undo", {"op_id": "take-it-back"})
    assert (undone.status_code, undone.json()["answered"]) == (200, [])
    assert_code(api.post(f"/quiz/responses/{given['id']}/undo", {"op_id": "and-again-1"}), 409, "not_standing")


def test_a_flashcard_is_looked_at_then_rated(api: Api) -> None:
    sitting = start(api, FLASHCARD[1])
    assert_code(answer(api, sitting, {}, rating=3), 409, "not_revealed")
    back = api.post(f"/quiz/sittings/{sitting['id']}/reveal", {"place": 0}).json()
    assert back == {"back": bank()[FLASHCARD].item.back}
    rated = answer(api, sitting, {}, rating=3).json()
    assert (rated["mark"], rated["rating"]) == (None, 3)


def test_others_quizzes_do_not_exist(api: Api, their_api: Api, user: User) -> None:
    sitting = start(api, CHOICE[1], NUMBER[1])
    given = answer(api, sitting, right_answer(user, sitting)).json()
    assert_refused(their_api.get(f"/quiz/sittings/{sitting['id']}"), 404)
    assert_refused(their_api.post(f"/quiz/sittings/{sitting['id']}/reveal", {"place": 0}), 404)
    assert_refused(their_api.post(f"/quiz/responses/{given['id']}/undo", {"op_id": "not-mine-1"}), 404)
    assert_refused(answer(their_api, sitting, {"picked": [0]}, place=1), 422, field="sitting")


def test_visitors_read_questions_only(visitor: Api) -> None:
    assert visitor.get(f"/problems/{SLUG}/quiz").status_code == 200
    for path in ("plan", "due", "readiness", "stats"):
        assert_refused(visitor.get(f"/quiz/{path}"), 401)
    assert_refused(visitor.post("/quiz/parse", {"text": "1 GB"}), 401)


def test_numbers_are_read_back(api: Api) -> None:
    read = api.post("/quiz/parse", {"text": "1.2M req/day", "expect": "request/time"}).json()
    assert read["value"] > 0
    assert "request" in read["read"]
    refused = api.post("/quiz/parse", {"text": "85,9 GB"})
    assert refused.status_code == 422
    assert refused.json()["code"]


def test_readings_and_reports_have_a_limit(api: Api, settings: Any, queue: Queue) -> None:
    settings.API_LIMITS = {**settings.API_LIMITS, "readings_per_minute": 2}
    statuses = [api.post("/quiz/parse", {"text": "1 GB"}).status_code for _ in range(4)]
    assert statuses[:2] == [200, 200]
    assert 429 in statuses[2:]
    report = {"problem": SLUG, "item": CHOICE[1], "kind": "unclear", "text": "Which k?"}
    sent = [api.post("/quiz/flags", report) for _ in range(21)]
    assert [response.status_code for response in sent] == [201] * 20 + [429]
    assert_code(sent[-1], 429, "too_many_flags")


def test_readiness_and_statistics_know_what_they_do_not_know(api: Api) -> None:
    readiness = api.get("/quiz/readiness").json()
    assert (readiness["overall"]["low"], readiness["overall"]["high"]) == (0, 100)
    assert all(part["value"] is None and part["missing"] for row in readiness["problems"] for part in row["parts"])
    assert readiness["next_step"]["gain"] > 0
    stats = api.get("/quiz/stats").json()
    assert (stats["answers"], stats["retention"]["value"], len(stats["days"]), len(stats["forecast"])) == (0, None, 90, 14)


# --- no answer before a response -------------------------------------------------------------------------------------


def secrets_of(key: tuple[str, str]) -> list[str]:
    """Sentences that only the answer may show."""
    item = bank()[key].item
    told = [item.explain]
    match item.type:
        case "flashcard":
            told.append(item.back)
        case "free":
            told += [*item.points, item.model]
        case "choice":
            told += [option.why for option in item.options if option.why]
        case "slip":
            told.append(item.right)
        case "number":
            told += [item.hint, *(path.because for path in item.wrong)]
    return [text for text in told if text]


@pytest.mark.parametrize("key", EVERY_TYPE, ids=lambda key: bank()[key].item.type)
def test_no_answer_comes_before_the_response(api: Api, key: tuple[str, str]) -> None:
    instance: Instance = instance_of(("vector_search", "ann.pq.recall_direction"))
    sitting = start(api, key[1])
    listed = api.get(f"/problems/{key[0]}/quiz").json() + api.get("/quiz/due", limit=100).json()["items"]
    text = json.dumps([sitting, listed], ensure_ascii=False)
    assert [secret for secret in secrets_of(key) if secret in text] == []
    question = sitting["question"]
    assert {"correct", "why", "answer", "back", "points", "model", "explain", "rank", "right", "truth", "hint"}.isdisjoint(question)
    assert str(instance.truth["difference"]) not in text


def test_no_question_of_the_bank_gives_its_answer_away(user: User) -> None:
    """All of them, as they are asked; what is compared is what the API presents."""
    keys = [key for key, entry in bank().items() if entry.item.type != "lab"]
    assert len(keys) >= 192
    for part in range(0, len(keys), 100):
        sitting = begin(user, *keys[part : part + 100])
        for place, key in enumerate(keys[part : part + 100]):
            text = json.dumps(served(sitting, place).question.public(), ensure_ascii=False)
            assert [secret for secret in secrets_of(key) if secret in text] == [], key
