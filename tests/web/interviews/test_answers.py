"""Every reply of the autosave protocol, what is kept when a write is refused, and every version of a field that can be had again."""

from __future__ import annotations

import json
import random
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.interviews import answers, lifecycle
from mlsd_app.interviews.answers import answer_drop, answer_restore, answer_save
from mlsd_app.interviews.fields import UnknownField
from mlsd_app.interviews.models import Answer, AnswerOp, Attempt, Event, Status, Stop
from mlsd_app.interviews.texts import KEYFRAME_EVERY, fields_at, history, splice, spliced, text_at_rev, version_text
from mlsd_app.interviews.views.answers import device_label
from mlsd_app.interviews.writes import Reply
from tests.web.interviews.conftest import LIMIT_S, at

FIELD = "text/clarify"
WEEK_S = 7 * 86_400


def save(attempt: Attempt, content: str | None, base: int = 0, *, field: str = FIELD, seconds: float = 60, **more: Any) -> Reply:
    sent: dict[str, Any] = {"op_id": uuid4().hex, "client_id": "tab", "client_label": "Firefox", "lease_epoch": None, **more}
    return answer_save(attempt=attempt, field=field, content=content, base_rev=base, now=at(seconds), **sent)


def kept(attempt: Attempt, kind: str) -> list[str | None]:
    return [op.keyframe for op in AnswerOp.objects.filter(attempt=attempt, kind=kind)]


# --- 200 -------------------------------------------------------------------------------------------------------------


def test_a_save_becomes_the_next_revision_with_its_event(running: Attempt) -> None:
    first = save(running, "one two")
    second = save(running, "one two three", 1, seconds=62)
    assert (first.status, first.body["rev"], second.body["rev"], second.body["current_rev"]) == (200, 1, 2, 2)
    assert first.body["clock"]["state"] == "running" and first.body["clock"]["remaining_ms"] == (LIMIT_S - 60) * 1000
    last = Event.objects.filter(attempt=running, kind="save").last()
    assert last is not None and last.data == {"field": FIELD, "rev": 2, "words": 3}
    assert answers.text_of(running, "clarify") == "one two three"


def test_the_same_write_counts_once_and_is_answered_the_same(running: Attempt) -> None:
    first = save(running, "one", op_id="x")
    save(running, "two", 1)
    again = save(running, "one", op_id="x", seconds=90)
    assert again.status == 200 and {**again.body, "clock": 0} == {**first.body, "clock": 0, "current_rev": 2}
    assert answers.text_of(running, "clarify") == "two" and Answer.objects.get().rev == 2


def test_text_that_stands_there_already_makes_no_revision_and_no_conflict(running: Attempt) -> None:
    save(running, "one")
    assert save(running, "one", 0).body["rev"] == 1 and Answer.objects.get().rev == 1


def test_line_ends_and_what_no_column_holds_are_cleaned(running: Attempt) -> None:
    save(running, "a\r\nb\0\ud800")
    assert answers.text_of(running, "clarify") == "a\nb?"


def test_what_a_page_sends_while_it_goes_away_follows_its_own_write(running: Attempt) -> None:
    save(running, "one", op_id="x")
    assert save(running, "one two", 0, after="x").body["rev"] == 2
    assert save(running, "else", 0, after="x").status == 409  # x is not what stands there any more
    assert save(running, "else", 0, after="x", client_id="other").status == 423


@pytest.mark.parametrize("instead", ["one", "one three"])
def test_a_write_that_its_page_has_replaced_is_only_kept_when_it_comes_late(instead: str, running: Attempt) -> None:
    save(running, "one")
    save(running, instead, 1, op_id="y", after="x")  # "one": it takes back what x says
    assert save(running, "one two", 1, op_id="x").status == 409
    assert answers.text_of(running, "clarify") == instead and kept(running, "conflict") == ["one two"]


# --- 409, 410, 413, 422, 423 -----------------------------------------------------------------------------------------


def test_a_conflict_shows_the_other_version_and_keeps_the_loser(running: Attempt) -> None:
    save(running, "mine", client_label="Chrome on Linux")
    reply = save(running, "yours", 0, op_id="loser")
    assert (reply.status, reply.body["code"]) == (409, "conflict")
    assert (reply.body["rev"], reply.body["content"], reply.body["client_label"]) == (1, "mine", "Chrome on Linux")
    assert kept(running, "conflict") == ["yours"] and answers.text_of(running, "clarify") == "mine"
    save(running, "mine, changed", 1)
    again = save(running, "yours", 0, op_id="loser", seconds=80)
    assert {**again.body, "clock": 0} == {**reply.body, "clock": 0} and kept(running, "conflict") == ["yours"]


def test_an_op_id_with_other_content_is_refused(running: Attempt) -> None:
    save(running, "one", op_id="x")
    reply = save(running, "two", 1, op_id="x")
    assert (reply.status, reply.body["code"]) == (422, "op_id_reused") and Answer.objects.get().content == "one"


@pytest.mark.parametrize(
    ("seconds", "status", "late", "stored"),
    [
        (LIMIT_S - 0.001, 200, "no", None),
        (LIMIT_S, 200, "no", None),
        (LIMIT_S + 0.001, 200, "net", None),
        (LIMIT_S + 29.999, 200, "net", None),
        (LIMIT_S + 30.001, 410, "no", True),
        (LIMIT_S + 86_400, 410, "no", True),
        (LIMIT_S + WEEK_S - 1, 410, "no", True),
        (LIMIT_S + 8 * 86_400, 410, "no", False),
    ],
)
def test_packets_around_the_deadline(running: Attempt, seconds: float, status: int, late: str, stored: bool | None) -> None:
    save(running, "in time")
    lifecycle.close_if_due(attempt=running, now=at(seconds), online=True)
    reply = save(running, "after", 1, seconds=seconds)
    answer = Answer.objects.get()
    assert (reply.status, answer.late, reply.body.get("stored")) == (status, late, stored)
    assert answer.content == ("after" if status == 200 else "in time")
    assert answer.late_content == ("after" if stored else "") and kept(running, "late") == (["after"] if stored else [])


def test_late_text_counts_once_staff_accept_it(running: Attempt) -> None:
    save(running, "in time")
    save(running, "late", 1, seconds=LIMIT_S + 100)
    assert answers.text_of(running, "clarify") == "in time"
    running.accepted_late = True
    assert answers.text_of(running, "clarify") == "late"


def test_text_of_the_overtime_is_marked_late(running: Attempt) -> None:
    Attempt.objects.update(overtime_s=120)
    running.refresh_from_db()
    for base, (seconds, late) in enumerate([(LIMIT_S - 1, "no"), (LIMIT_S + 60, "late"), (LIMIT_S + 140, "late")]):
        assert save(running, f"at {seconds}", base, seconds=seconds).status == 200 and Answer.objects.get().late == late


def test_a_void_attempt_takes_nothing(running: Attempt) -> None:
    Attempt.objects.update(status=Status.VOID, closed_at=at(50))
    assert save(running, "one").body["stored"] is False and not AnswerOp.objects.exists()


def test_before_the_start_nothing_is_written(ready: Attempt) -> None:
    reply = save(ready, "one")
    assert (reply.status, reply.body["code"]) == (423, "not_started") and not Answer.objects.exists()


def test_a_strict_phase_stays_as_it_was_after_its_net_grace(running: Attempt) -> None:
    Attempt.objects.update(mode="strict")
    running.refresh_from_db()
    assert save(running, "one", seconds=299).status == 200
    assert save(running, "one two", 1, seconds=329).status == 200
    reply = save(running, "one two three", 2, seconds=331)
    assert (reply.status, reply.body["code"], reply.body["stored"]) == (423, "phase_frozen", True)
    assert kept(running, "conflict") == ["one two three"] and answers.text_of(running, "clarify") == "one two"
    assert save(running, "early", field="text/deep_dive", seconds=331).body["code"] == "phase_frozen"
    assert save(running, "{}", field="row/numbers/n1", seconds=331).status == 200


def test_a_pause_takes_the_last_words_and_then_nothing(running: Attempt) -> None:
    Stop.objects.create(attempt=running, kind="staff", begin=at(100))
    assert save(running, "one", seconds=110).status == 200
    reply = save(running, "two", 1, seconds=140)
    assert (reply.status, reply.body["code"]) == (423, "paused") and kept(running, "conflict") == ["two"]


def test_limits_are_413_and_nothing_is_changed(running: Attempt) -> None:
    assert save(running, "x" * 20_000).status == 200
    reply = save(running, "x" * 20_001, 1)
    assert (reply.status, reply.body["code"]) == (413, "too_large") and "20,001" in reply.body["fields"][FIELD]
    row = {"name": "n", "request": "r" * 2000, "response": "\u4e00" * 1500}
    assert save(running, json.dumps(row), field="row/api/a").status == 413


def test_a_list_and_an_attempt_have_a_last_row(running: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ROWS", 3)
    assert [save(running, "{}", field=f"row/gotchas/g{n}").status for n in range(4)] == [200, 200, 200, 413]
    assert save(running, None, 1, field="row/gotchas/g0").status == 200
    assert save(running, "{}", field="row/gotchas/g3").status == 200
    monkeypatch.setattr(answers, "MAX_ATTEMPT_CHARACTERS", 500)
    assert save(running, "x" * 500).status == 413 and save(running, "x").status == 200


def test_a_bad_row_is_422_with_a_sentence_a_field(running: Attempt) -> None:
    reply = save(running, json.dumps({"value": "many", "colour": 1}), field="row/numbers/n")
    assert reply.status == 422 and set(reply.body["fields"]) == {"value", "colour"}
    assert save(running, None, field=FIELD).status == 422  # a text is emptied, not deleted


@pytest.mark.parametrize("field", ["text/nothing", "row/nothing/a", "row/api/", "row/api/a b", "text/clarify/", "other"])
def test_a_field_that_is_not_there(running: Attempt, field: str) -> None:
    with pytest.raises(UnknownField):
        save(running, "x", field=field)


def test_writes_are_counted(running: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_OPS", 2)
    assert [save(running, f"{n}", n).status for n in range(3)] == [200, 200, 429]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_come_in_their_order_with_their_keys(running: Attempt) -> None:
    for key, order in (("b", 2), ("a", 3), ("c", 1)):
        save(running, json.dumps({"effect": key, "order": order}), field=f"row/gotchas/{key}")
    save(running, json.dumps({"effect": "b", "order": 9}), 1, field="row/gotchas/b")
    save(running, None, 1, field="row/gotchas/c")
    assert [(row["key"], row["effect"]) for row in answers.rows_of(running, "gotchas")] == [("a", "a"), ("b", "b")]
    assert answers.rows_of(running, "api") == []


def test_the_same_row_written_otherwise_is_no_conflict_and_comes_back_as_kept(running: Attempt) -> None:
    first = save(running, '{"value": "2.5M", "name": "peak"}', field="row/numbers/n")
    second = save(running, '{"name":"peak","value":2500000}', field="row/numbers/n")
    assert (first.status, second.status, second.body["rev"]) == (200, 200, 1)
    assert json.loads(first.body["content"])["value"] == 2_500_000


# --- versions --------------------------------------------------------------------------------------------------------


@given(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.text()))
def test_a_splice_turns_one_text_into_the_other(before: str | None, after: str | None) -> None:
    assert spliced(before, splice(before, after)) == after


@given(st.text(min_size=20), st.text(max_size=5), st.data())
def test_a_splice_of_one_edit_is_no_longer_than_the_edit(text: str, inserted: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    assert len(splice(text, text[:start] + inserted + text[start:])[2]) <= len(inserted)


def typed(attempt: Attempt, saves: int, seed: int = 1) -> list[str]:
    """Texts of so many saves, each an edit of the one before, across two phases."""
    rng, text, texts = random.Random(seed), "", []
    for number in range(saves):
        start = rng.randint(0, len(text))
        text = text[:start] + f"w{number} " + text[start + rng.randint(0, 4) :]
        assert save(attempt, text, number, seconds=60 + number, op_id=f"op{number}").status == 200
        texts.append(text)
    return texts


def test_every_revision_can_be_had_again(running: Attempt) -> None:
    texts = typed(running, 60)
    assert [text_at_rev(running, FIELD, rev) for rev in range(61)] == [None, *texts]
    keyframes = AnswerOp.objects.filter(attempt=running, keyframe__isnull=False).values_list("rev", flat=True)
    assert set(keyframes) == set(range(1, 61, KEYFRAME_EVERY))


def test_a_keyframe_stands_where_a_phase_begins(running: Attempt, user: Any) -> None:
    typed(running, 3)
    lifecycle.attempt_move(attempt=running, to_phase=1, actor=user, now=at(70))
    save(running, "after the move", 3, seconds=80)
    assert list(AnswerOp.objects.filter(keyframe__isnull=False).values_list("rev", flat=True)) == [1, 4]


def test_fields_at_a_time_and_at_the_end(running: Attempt) -> None:
    texts = typed(running, 30)
    save(running, '{"effect":"x"}', field="row/gotchas/g", seconds=70)
    save(running, None, 1, field="row/gotchas/g", seconds=80)
    assert fields_at(running, 59_999) == {}
    assert fields_at(running, 65_000) == {FIELD: texts[5]}
    assert fields_at(running, 75_000)["row/gotchas/g"] is not None and fields_at(running, 80_000)["row/gotchas/g"] is None
    assert fields_at(running, LIMIT_S * 1000) == {answer.field: answer.content for answer in Answer.objects.all()}


def test_a_later_outage_credit_does_not_cut_the_end_off_the_replay(running: Attempt) -> None:
    texts = typed(running, 30)
    Stop.objects.create(attempt=running, kind="outage", begin=at(62), end=at(80))
    active_ms = round((89 - 18) * 1000)
    assert fields_at(running, active_ms) == {FIELD: texts[-1]}


def test_times_of_a_field_never_go_back(running: Attempt) -> None:
    save(running, "one", seconds=61)
    save(running, "one two", 1, seconds=60.9)  # taken later by a process that read its clock earlier
    assert fields_at(running, 61_000) == {FIELD: "one two"} and fields_at(running, 60_950) == {}


def test_history_has_every_version_and_any_of_them_can_be_restored(running: Attempt) -> None:
    save(running, "one")
    save(running, "two", 1)
    save(running, "lost", 1)
    drop(running, "dropped")
    found = history(running, FIELD)
    assert [(version.kind, version.rev) for version in found] == [("dropped", None), ("conflict", None), ("save", 2), ("save", 1)]
    assert [version.characters for version in found] == [7, 4, 3, 3]
    for version, text in zip(found, ["dropped", "lost", "two", "one"], strict=True):
        op = AnswerOp.objects.get(pk=version.id)
        assert version_text(op) == text and restore(op).body["content"] == text
        assert answers.text_of(running, "clarify") == text
    assert history(running, FIELD)[0].kind == "restore"


def drop(attempt: Attempt, content: str, *, op_id: str = "", seconds: float = 60) -> Reply:
    return answer_drop(
        attempt=attempt,
        field=FIELD,
        content=content,
        base_rev=0,
        op_id=op_id or uuid4().hex,
        client_id="tab",
        client_label="",
        now=at(seconds),
    )


def restore(op: AnswerOp, *, op_id: str = "", seconds: float = 90) -> Reply:
    return answer_restore(version=op, client_id="tab", client_label="", lease_epoch=None, op_id=op_id or uuid4().hex, now=at(seconds))


def test_a_restore_is_bound_by_the_same_rules(running: Attempt) -> None:
    save(running, "one")
    op = AnswerOp.objects.get()
    save(running, "two", 1)
    assert restore(op, op_id="r").body["rev"] == restore(op, op_id="r", seconds=95).body["rev"] == 3
    assert restore(op, seconds=LIMIT_S + 60).status == 410


def test_dropped_text_is_kept_also_after_the_close(running: Attempt) -> None:
    assert drop(running, "found here", op_id="d", seconds=LIMIT_S + 500).body["stored"] is True
    assert drop(running, "found here", op_id="d", seconds=LIMIT_S + 501).status == 200
    assert kept(running, "dropped") == ["found here"]


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_time() -> Any:
    with patch("django.utils.timezone.now", lambda: at(60)):
        yield


def put(client: Client, attempt: Attempt, field: str = FIELD, **body: Any) -> Any:
    sent = {"content": "one", "base_rev": 0, "op_id": uuid4().hex, "client_id": "tab", **body}
    return client.put(f"/interviews/{attempt.pk}/answers/{field}", json.dumps(sent), content_type="application/json")


@pytest.mark.usefixtures("on_time")
def test_put_get_history_and_restore(mine: Client, running: Attempt) -> None:
    url = f"/interviews/{running.pk}/answers/"
    assert put(mine, running).json()["rev"] == 1 and put(mine, running, content="two", base_rev=1).json()["rev"] == 2
    one = mine.get(f"{url}{FIELD}").json()
    assert (one["rev"], one["content"]) == (2, "two") and mine.get(url).json()["fields"][FIELD]["op_id"] == one["op_id"]
    versions = mine.get(f"{url}{FIELD}/history").json()["versions"]
    assert mine.get(f"{url}{FIELD}/history/{versions[-1]['id']}").json()["content"] == "one"
    sent = {"version": versions[-1]["id"], "op_id": "r", "client_id": "tab"}
    assert mine.post(f"{url}{FIELD}/restore", json.dumps(sent), content_type="application/json").json()["content"] == "one"


@pytest.mark.usefixtures("on_time")
def test_a_beacon_saves_from_form_fields(mine: Client, running: Attempt) -> None:
    url = f"/interviews/{running.pk}/answers/"
    sent = {"base_rev": "0", "op_id": "b", "client_id": "tab"}
    assert mine.post(url + FIELD, {**sent, "content": "from a page that closes"}).status_code == 200
    put(mine, running, "row/gotchas/g", content="{}")
    assert mine.post(f"{url}row/gotchas/g", {**sent, "op_id": "c", "base_rev": "1", "deleted": "1"}).status_code == 200
    assert answers.rows_of(running, "gotchas") == [] and answers.text_of(running, "clarify") == "from a page that closes"


@pytest.mark.usefixtures("on_time")
def test_another_persons_attempt_is_not_there(client: Client, other: Any, running: Attempt) -> None:
    client.force_login(other)
    url = f"/interviews/{running.pk}/"
    assert put(client, running).status_code == 404 and client.get(f"{url}answers/").status_code == 404
    for path in ("lease", "lease/heartbeat", f"answers/{FIELD}/dropped", f"answers/{FIELD}/restore"):
        assert client.post(url + path, "{}", content_type="application/json").status_code == 404
    assert not AnswerOp.objects.exists()


@pytest.mark.usefixtures("on_time")
@pytest.mark.parametrize(
    ("body", "field"),
    [({"op_id": "a b"}, "op_id"), ({"base_rev": -1}, "base_rev"), ({"content": 3}, "content"), ({"client_id": ""}, "client_id")],
)
def test_a_body_of_another_form_is_refused(mine: Client, running: Attempt, body: dict[str, Any], field: str) -> None:
    response = put(mine, running, **body)
    assert response.status_code == 422 and list(response.json()["fields"]) == [field]
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.usefixtures("on_time")
def test_without_a_token_a_browser_saves_nothing(running: Attempt, user: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert put(strict, running).status_code == 403 and not AnswerOp.objects.exists()


@pytest.mark.usefixtures("on_time")
def test_a_row_called_history_is_a_row(mine: Client, running: Attempt) -> None:
    assert put(mine, running, "row/api/history", content="{}").status_code == 200
    assert mine.get(f"/interviews/{running.pk}/answers/row/api/history/history").json()["versions"]


@pytest.mark.parametrize(
    ("user_agent", "label"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.0 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0 Safari/537.36 Edg/120.0", "Edge on Windows"),
        ("", "A browser"),
    ],
)
def test_a_device_goes_by_browser_and_system(user_agent: str, label: str) -> None:
    assert device_label(user_agent) == label
