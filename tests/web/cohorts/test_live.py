"""The live board: what a row says, to whom, in how many queries; what its stream tells and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.live import presence, stream
from mlsd_app.cohorts.live.rows import Filter, Row, board_rows
from mlsd_app.cohorts.models import Note, Role
from mlsd_app.cohorts.services import cohorts, members
from mlsd_app.cohorts.services.notes import note_add
from mlsd_app.interviews import lifecycle, staff_ops
from mlsd_app.interviews.answers import answer_save
from mlsd_app.interviews.hands import hand_raise
from mlsd_app.interviews.interviewer.questions import question_ask
from mlsd_app.interviews.models import Attempt, Event
from tests.redis_server import RedisServer
from tests.web.cohorts.conftest import House, client_of
from tests.web.cohorts.live_bench import REASON, at, begun, crowd, save

EVERYTHING = Filter()


@pytest.fixture(autouse=True)
def kept_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream gives its database connection back; here that is the one that holds the test's transaction."""
    monkeypatch.setattr(stream, "close_old_connections", lambda: None)


@pytest.fixture
def attempt(house: House) -> Attempt:
    return begun(house, house.learner)


def rows(house: House, now: datetime, *, role: str = "owner", asked: Filter = EVERYTHING, only: Any = None) -> list[Row]:
    return board_rows(user=house.people[role], cohort=house.cohort, asked=asked, now=now, only=only)


def row(house: House, now: datetime, **options: Any) -> Row:
    (found,) = rows(house, now, **options)
    return found


# --- what a row says -------------------------------------------------------------------------------------------------


def test_the_work_is_counted_as_it_stands(house: House, attempt: Attempt) -> None:
    save(attempt, "text/clarify", "Recall at ten, then memory.", at(20))
    save(attempt, "row/components/c1", {"name": "index", "kind": "vector_index"}, at(30))
    save(attempt, "row/components/c2", {"name": "cache", "kind": "cache"}, at(31))
    question_ask(attempt=attempt, text="How many vectors do we store?", now=at(40))
    found = row(house, at(50)).work
    assert (found.words, found.components, found.runs, found.pins) == (5, 2, 0, 0)
    assert found.asked == 1 and found.needed > 1
    reply = answer_save(
        attempt=attempt,
        field="row/components/c2",
        content=None,
        base_rev=1,
        op_id="gone",
        client_id="bench",
        client_label="",
        lease_epoch=None,
        now=at(51),
    )
    assert reply.status == 200 and row(house, at(52)).work.components == 1
    assert row(house, at(52)).saved_at == at(51)


def test_states_from_the_lobby_to_what_nobody_closed(house: House) -> None:
    ready = begun(house, house.learner)
    Attempt.objects.filter(pk=ready.pk).update(status="ready", started_at=None)
    assert row(house, at(5)).key == "ready"
    Attempt.objects.filter(pk=ready.pk).update(status="open", started_at=at(0))
    assert row(house, at(10)).key == "running" and row(house, at(10)).ends_at == at(2700)
    staff_ops.staff_pause(attempt=ready, actor=house.owner, reason=REASON, now=at(20))
    assert row(house, at(30)).key == "paused" and row(house, at(30)).ends_at is None
    staff_ops.staff_resume(attempt=ready, actor=house.owner, now=at(40))
    assert row(house, at(2725)).key == "closing" and row(house, at(2900)).key == "expired"
    staff_ops.limit_remove(attempt=ready, actor=house.owner, reason=REASON, now=at(60))
    assert row(house, at(2900)).no_limit and row(house, at(2900)).key == "running"


def test_an_overrun_phase_is_seen_and_owed(house: House, attempt: Attempt) -> None:
    begin = row(house, at(1)).phase_ends_at
    assert begin is not None
    over_s = (begin - at(0)).total_seconds() + 240
    found = row(house, at(over_s))
    assert found.phase_ends_at == begin and found.debt_min == 4 and found.steps[0].mark == "current"
    lifecycle.attempt_move(attempt=attempt, to_phase=1, actor=house.learner, now=at(over_s))
    assert [step.mark for step in row(house, at(over_s + 1)).steps][:3] == ["over", "current", "ahead"]


def test_flags_come_and_go(house: House, attempt: Attempt) -> None:
    assert row(house, at(30)).flags == ()
    save(attempt, "text/clarify", "One.", at(40))
    lost = answer_save(
        attempt=attempt,
        field="text/clarify",
        content="Two.",
        base_rev=0,
        op_id="late",
        client_id="bench",
        client_label="",
        lease_epoch=None,
        now=at(41),
    )
    assert lost.status == 409 and row(house, at(42)).flags == ("conflict",)
    assert "conflict" not in row(house, at(41 + 700)).flags
    key = attempt.content["interviewer"]["curveballs"][0]["key"]
    staff_ops_send(attempt, house, key, at(50))
    for _ in range(2):
        hand_raise(attempt=attempt, raised=True, actor=house.learner, now=at(51))
    assert Event.objects.filter(kind="hand").count() == 1
    assert row(house, at(52)).flags == ("hand", "conflict", "active")
    hand_raise(attempt=attempt, raised=False, actor=house.owner, now=at(53))
    assert "hand" not in row(house, at(54)).flags
    assert row(house, at(52), asked=Filter(flag="active")) and not rows(house, at(52), asked=Filter(flag="recovered"))


def staff_ops_send(attempt: Attempt, house: House, key: str, now: datetime) -> None:
    from mlsd_app.interviews.interviewer.throwing import curveball_send

    curveball_send(attempt=attempt, key=key, actor=house.owner, now=now)


def test_the_connection_is_what_the_page_last_said(house: House, attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    assert row(house, at(60)).connection == "resync"
    silent = row(house, at(200))
    assert silent.connection == "none" and silent.flags == ("gone",) and silent.heard_at == at(0)
    Attempt.objects.filter(pk=attempt.pk).update(lease_until=at(210))
    assert row(house, at(200)).connection == "resync" and row(house, at(200)).heard_at == at(190)
    monkeypatch.setattr("mlsd_app.cohorts.live.parts.listening_among", set)
    assert row(house, at(200)).connection == "stream"


# --- to whom ---------------------------------------------------------------------------------------------------------


def test_names_for_managers_code_names_for_observers(house: House, attempt: Attempt) -> None:
    User.objects.filter(pk=house.learner.pk).update(username="zelda", first_name="Zelda")
    house.learner.refresh_from_db()
    assert row(house, at(5)).name == house.learner.shown_name == "Zelda"
    seen = row(house, at(5), role="observer")
    assert seen.name != house.learner.shown_name and seen.name == row(house, at(6), role="observer").name
    page = client_of(house.people["observer"]).get(reverse("cohorts:live", args=[house.cohort.pk])).content.decode()
    follow = client_of(house.people["observer"]).get(reverse("cohorts:follow", args=[house.cohort.pk, attempt.pk])).content.decode()
    for body in (page, follow):
        assert seen.name in body and "zelda" not in body.lower()
        assert "live/operate" not in body and "/notes" not in body


def test_a_board_shows_its_own_cohort_only(house: House, attempt: Attempt) -> None:
    elsewhere = house.people["stranger"]
    assert board_rows(user=elsewhere, cohort=house.elsewhere, asked=EVERYTHING, now=at(5)) == []
    assert board_rows(user=elsewhere, cohort=house.cohort, asked=EVERYTHING, now=at(5)) == []
    assert rows(house, at(5), role="grader") == [] and rows(house, at(5), role="learner") == []


def test_filters_by_assignment_label_and_what_has_closed(house: House, attempt: Attempt) -> None:
    other = begun(house, house.other_learner)
    label = cohorts.label_add(by=house.by, cohort=house.cohort, name="Day", now=at(0))
    members.member_labels(by=house.by, member=house.member(house.other_learner), labels=[label], now=at(0))
    assert [found.attempt.pk for found in rows(house, at(5), asked=Filter(label=label.pk))] == [other.pk]
    assert [found.attempt.pk for found in rows(house, at(5), asked=Filter(assignment=attempt.assigned.assignment_id))] == [attempt.pk]
    lifecycle.attempt_submit(attempt=other, actor=house.other_learner, now=at(60))
    assert [found.attempt.pk for found in rows(house, at(70))] == [attempt.pk]
    closed = row(house, at(70), asked=Filter(closed=True))
    assert closed.attempt.pk == other.pk and closed.state_words == "Submitted" and not rows(house, at(90_000), asked=Filter(closed=True))


def test_as_many_queries_for_two_hundred_as_for_two(house: House) -> None:
    crowd(house, 2)
    with CaptureQueriesContext(connection) as few:
        assert len(rows(house, at(5))) == 2
    crowd_more(house, 38)
    with CaptureQueriesContext(connection) as many:
        assert len(rows(house, at(5))) == 40
    assert len(many) == len(few) <= 14


def crowd_more(house: House, count: int) -> None:
    first = Attempt.objects.order_by("created_at")[0]
    for number in range(count):
        user = house.add(f"more-{number}", Role.LEARNER)
        begun(house, user, assignment=first.assigned.assignment)


# --- the stream ------------------------------------------------------------------------------------------------------


class Redis:
    """A Redis stream without entries, or one that does not answer."""

    def __init__(self) -> None:
        self.down = False

    async def xread(self, keys: dict[str, str], count: int, block: int | None) -> list[Any]:
        if self.down:
            raise stream.redis.ConnectionError("down")
        await asyncio.sleep(0)
        return []

    async def aclose(self) -> None:
        return None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    server = Redis()
    monkeypatch.setattr(stream, "async_connection", lambda: server)
    for name in ("GATHER_S", "LOOK_EVERY_MS", "BEAT_S"):
        monkeypatch.setattr(stream, name, 0)
    yield server


class Reader:
    """Takes one event after the other from a board's stream."""

    def __init__(self, house: House, *, after: int | None = None, role: str = "owner") -> None:
        self.events: AsyncIterator[Any] = stream.watch_board(
            user_id=house.people[role].pk, cohort_id=house.cohort.pk, asked=EVERYTHING, after=after
        )

    async def rows(self) -> Any:
        """The next event that is no beat."""
        while (event := await asyncio.wait_for(anext(self.events), 10)).kind == "beat":
            pass
        return event


def in_loop(check: Any) -> None:
    async_to_sync(check)()


@pytest.fixture
def now_attempt(house: House) -> Attempt:
    """Runs by the real clock: a stream takes the time for itself."""
    found = begun(house, house.learner)
    Attempt.objects.filter(pk=found.pk).update(started_at=timezone.now() - timedelta(seconds=60), next_check_at=None)
    found.refresh_from_db()
    return found


def newest(attempt: Attempt) -> int:
    return Event.objects.filter(attempt=attempt).latest("pk").pk


def test_the_whole_board_first_then_what_changed(house: House, now_attempt: Attempt, server: Redis) -> None:
    async def check() -> None:
        reader = Reader(house)
        first = await reader.rows()
        assert first.data["all"] == [str(now_attempt.pk)] and len(first.data["rows"]) == 1
        await sync_to_async(save)(now_attempt, "text/clarify", "Four words of text.", timezone.now())
        news = await reader.rows()
        assert news.id == str(await sync_to_async(newest)(now_attempt))
        assert "all" not in news.data and '<b class="num">4</b> words' in news.data["rows"][0]["html"]

    in_loop(check)


def test_a_page_that_comes_back_is_told_what_came_since_and_nothing_twice(house: House, now_attempt: Attempt, server: Redis) -> None:
    last = newest(now_attempt)
    other = begun(house, house.other_learner)

    async def check() -> None:
        back = await Reader(house, after=last).rows()
        assert [found["id"] for found in back.data["rows"]] == [str(other.pk)] and "all" not in back.data
        again = Reader(house, after=int(back.id))
        beat = await asyncio.wait_for(anext(again.events), 10)
        assert beat.kind == "beat", "nothing came since"

    in_loop(check)


@pytest.mark.parametrize(
    "header, number", [("17", 17), ("", None), (None, None), ("1-0", None), ("-3", None), ("9" * 30, None), ("x", None)]
)
def test_a_last_event_that_is_none_begins_anew(header: str | None, number: int | None) -> None:
    assert stream.event_number(header) == number


def test_without_redis_the_log_is_read_all_the_same(house: House, now_attempt: Attempt, server: Redis) -> None:
    async def check() -> None:
        server.down = True
        reader = Reader(house)
        assert len((await reader.rows()).data["rows"]) == 1
        await sync_to_async(save)(now_attempt, "text/clarify", "Typed in the dark.", timezone.now())
        assert '<b class="num">4</b> words' in (await reader.rows()).data["rows"][0]["html"]
        server.down = False
        await sync_to_async(save)(now_attempt, "text/clarify", "And in the light of day.", timezone.now(), rev=1)
        assert '<b class="num">6</b> words' in (await reader.rows()).data["rows"][0]["html"]

    in_loop(check)


def test_one_that_ends_leaves_the_board_and_a_watcher_who_may_not_is_told(house: House, now_attempt: Attempt, server: Redis) -> None:
    async def check() -> None:
        reader = Reader(house, role="observer")
        await reader.rows()
        await sync_to_async(lifecycle.attempt_submit)(attempt=now_attempt, actor=house.learner, now=timezone.now())
        assert (await reader.rows()).data["gone"] == [str(now_attempt.pk)]
        observer = await sync_to_async(house.member)(house.people["observer"])
        await sync_to_async(members.member_remove)(by=house.by, member=observer, now=timezone.now())
        assert (await reader.rows()).kind == "over"

    in_loop(check)


def test_the_board_as_json_is_what_the_stream_tells(house: House, now_attempt: Attempt) -> None:
    answer = client_of(house.owner).get(reverse("cohorts:live_rows", args=[house.cohort.pk])).json()
    assert answer["all"] == [str(now_attempt.pk)] and answer["rows"][0]["id"] == str(now_attempt.pk)
    api = client_of(house.owner).get(reverse("api:cohort_live", args=[house.cohort.pk])).json()
    (found,) = api["rows"]
    assert UUID(found["attempt"]) == now_attempt.pk and found["state"] == "running" and found["clock"]["limit_ms"] == 2_700_000


# --- following -------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_was_saved_and_escapes_it(house: House, now_attempt: Attempt) -> None:
    save(now_attempt, "text/clarify", "<script>alert(1)</script> recall", timezone.now())
    save(now_attempt, "row/components/c1", {"name": "shard <b>", "kind": "vector_index"}, timezone.now())
    body = client_of(house.owner).get(reverse("cohorts:follow", args=[house.cohort.pk, now_attempt.pk])).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; recall" in body and "<script>alert" not in body and "shard <b>" not in body
    assert "<svg" in body


def test_notes_are_pinned_to_active_time(house: House, attempt: Attempt) -> None:
    staff_ops.staff_pause(attempt=attempt, actor=house.owner, reason=REASON, now=at(100))
    note = note_add(by=house.by, attempt=attempt, text="Waits for the clock.", now=at(500))
    assert note.active_ms == 100_000 and Note.objects.count() == 1


def test_the_candidate_is_told_once_when_the_first_comes_and_the_last_leaves(
    house: House, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    followers: set[str] = set()

    def count(self: presence.Here, *, join: bool) -> int:
        (followers.add if join else followers.discard)(self.name)
        return len(followers)

    monkeypatch.setattr(presence.Here, "_count", count)
    monkeypatch.setattr(presence, "close_old_connections", lambda: None)
    first, second = (presence.Here(attempt.pk, house.owner.pk) for _ in range(2))
    for here in (first, second, first):
        here.stay()
    first.leave()
    assert said(attempt) == [True]
    second.leave()
    assert said(attempt) == [True, False]


@pytest.mark.parametrize(("follow", "told"), [(1, [True]), (None, [True]), (0, [True, False])])
def test_who_left_without_a_word_is_noticed(
    house: House, attempt: Attempt, monkeypatch: pytest.MonkeyPatch, follow: int | None, told: list[bool]
) -> None:
    presence.presence_tell(attempt_id=attempt.pk, actor=house.owner, present=True, now=at(10))
    monkeypatch.setattr(presence, "followers", lambda attempt_id, now: follow)
    for moment in (at(60), at(80)):
        presence.presence_settle(now=moment)
    assert said(attempt) == told


def test_followers_are_counted_in_redis_and_told_anew_where_it_forgot(
    house: House, attempt: Attempt, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        monkeypatch.setattr(presence, "connection", lambda: client)
        monkeypatch.setattr(presence, "close_old_connections", lambda: None)
        client.flushdb()
        here = presence.Here(attempt.pk, house.owner.pk)
        here.stay()
        assert presence.followers(attempt.pk, timezone.now()) == 1
        assert presence.followers(attempt.pk, timezone.now() + timedelta(seconds=presence.HOLDS_S + 1)) == 0
        client.flushdb()
        presence.presence_settle(now=timezone.now())
        here.stay()
        assert said(attempt) == [True, False, True]


def said(attempt: Attempt) -> list[bool]:
    return [event.data["present"] for event in Event.objects.filter(attempt=attempt, kind="presence").order_by("seq")]
