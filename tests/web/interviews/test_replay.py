"""An attempt looked at again is the attempt as it was."""

from __future__ import annotations

import random
import time

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle, staff_ops
from mlsd_app.interviews.answers import answer_save, answers_of
from mlsd_app.interviews.interviewer.questions import question_ask
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.interviews.replay import moment_at, timeline
from problems.loader import load_problem
from tests.web.interviews.conftest import LIMIT_S, NOW, at

FIELDS = ["text/clarify", "text/capacity", "text/deep_dive", "row/constraints/c1", "row/components/k1", "row/components/k2"]
ROW = '{{"name":"{word}","order":{order}}}'


def save(attempt: Attempt, field: str, content: str | None, seconds: float) -> None:
    answer = answers_of(attempt).get(field)
    reply = answer_save(
        attempt=attempt,
        field=field,
        content=content,
        base_rev=answer.rev if answer else 0,
        op_id=f"{field}-{seconds}",
        client_id="tab",
        client_label="Firefox",
        lease_epoch=None,
        now=at(seconds),
    )
    assert reply.status == 200, reply.body


def write_at_random(attempt: Attempt, writes: int, seed: int) -> list[tuple[float, dict[str, str | None]]]:
    """Saves in random fields; (second, every field after it)."""
    draw = random.Random(seed)
    standing: dict[str, str | None] = {}
    after = []
    for number in range(writes):
        seconds = 10 + number * (LIMIT_S - 20) / writes
        field = draw.choice(FIELDS)
        word = "".join(draw.choices("abcdefgé \n", k=draw.randint(0, 12)))
        content: str | None
        if field.startswith("row"):
            content = None if draw.random() < 0.2 else ROW.format(word=word.replace("\n", " ").strip(), order=draw.randint(0, 9))
        else:
            old = standing.get(field) or ""
            cut = draw.randint(0, len(old))
            content = old[:cut] + word + old[cut + draw.randint(0, 3) :]
        save(attempt, field, content, seconds)
        standing = {**standing, field: answers_of(attempt)[field].content}
        after.append((seconds, standing))
    return after


@pytest.mark.parametrize("seed", range(3))
def test_at_any_second_the_fields_are_what_they_were(running: Attempt, user: User, seed: int) -> None:
    after = write_at_random(running, 60, seed)
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(LIMIT_S - 1))
    running.refresh_from_db()
    for _ in range(25):
        second = random.Random(seed + _).uniform(0, LIMIT_S)
        expected = next((fields for saved_at, fields in reversed(after) if saved_at <= second), {})
        assert moment_at(running, round(second * 1000)).fields == expected
    final = {field: answer.content for field, answer in answers_of(running).items()}
    assert moment_at(running, 10**9).fields == final


def test_what_came_in_the_last_moment_is_in_the_end(running: Attempt, user: User) -> None:
    save(running, "text/evaluation", "just in time", LIMIT_S + 5)  # on its way when the time was up
    lifecycle.close_if_due(attempt=running, now=at(LIMIT_S + 60), online=False)
    running.refresh_from_db()
    assert moment_at(running, 10**9).texts["evaluation"] == "just in time"


def test_talk_phases_and_clock(running: Attempt, user: User) -> None:
    question_ask(attempt=running, text="How many vectors do we store?", now=at(30))
    lifecycle.attempt_move(attempt=running, to_phase=1, actor=user, now=at(200))
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(300))
    lifecycle.attempt_resume(attempt=running, actor=user, now=at(400))
    lifecycle.attempt_move(attempt=running, to_phase=3, actor=user, now=at(500))
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(700))
    running.refresh_from_db()
    found = timeline(running)
    assert [(span.key, span.begin_ms, span.end_ms) for span in found.phases] == [
        ("clarify", 0, 200_000),
        ("capacity", 200_000, 400_000),
        ("deep_dive", 400_000, 600_000),
    ]
    assert {track.kind: len(track.marks) for track in found.tracks} == {"talk": 1, "stop": 2}
    assert moment_at(running, 29_000).talk == ()
    assert [said.who for said in moment_at(running, 30_000).talk] == ["you", "interviewer"]
    assert moment_at(running, 350_000).phase_title == "Capacity" and moment_at(running, 450_000).phase_title == "Deep dive"


def test_a_credited_outage_moves_what_lies_behind_it(running: Attempt, user: User) -> None:
    save(running, "text/clarify", "before", 50)
    save(running, "text/clarify", "after", 500)
    staff_ops.outage_credit(attempt=running, begin=at(100), end=at(400), actor=user, reason="network", now=at(600))
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(700))
    running.refresh_from_db()
    assert moment_at(running, 199_000).texts["clarify"] == "before"
    assert moment_at(running, 201_000).texts["clarify"] == "after"
    assert timeline(running).end_ms == 400_000


def test_a_thousand_events_are_quick(running: Attempt, user: User) -> None:
    write_at_random(running, 400, 1)
    last = running.events.latest("seq").seq
    Event.objects.bulk_create(
        Event(attempt=running, seq=last + i, at=at(10 + 2 * i), kind="probe", data={"key": f"p{i}", "text": "Why?"}) for i in range(1, 601)
    )
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(LIMIT_S - 1))
    running.refresh_from_db()
    spent = []
    for ms in range(0, LIMIT_S * 1000, LIMIT_S * 25):
        begun = time.process_time()
        moment_at(running, ms)
        spent.append(time.process_time() - begun)
    assert sorted(spent)[int(len(spent) * 0.95)] <= 0.2


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_and_its_moments(mine: Client, running: Attempt, user: User) -> None:
    save(running, "text/clarify", "<b>zebra</b>", 100)
    save(running, "row/components/k1", '{"name":"Gateway","kind":"gateway","why":"one door for all","order":1}', 200)
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(700))
    page = mine.get(reverse("interviews:replay", args=[running.pk]))
    assert page.status_code == 200
    html = page.content.decode()
    assert "&lt;b&gt;zebra&lt;/b&gt;" in html and "Gateway" in html and "<svg" in html
    early = mine.get(reverse("interviews:moment", args=[running.pk]), {"ms": 50_000}).content.decode()
    assert "zebra" not in early and "Gateway" not in early
    for nonsense in ("-1", "x", "9" * 30, "1.5"):
        assert mine.get(reverse("interviews:moment", args=[running.pk]), {"ms": nonsense}).status_code == 200


def test_no_replay_before_the_end_or_of_anybody_else(mine: Client, client: Client, running: Attempt, other: User, user: User) -> None:
    address = reverse("interviews:replay", args=[running.pk])
    moment = reverse("interviews:moment", args=[running.pk])
    Attempt.objects.filter(pk=running.pk).update(started_at=NOW)
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(700))
    Attempt.objects.filter(pk=running.pk).update(show_questions=False)
    assert mine.get(address).status_code == mine.get(moment).status_code == 404
    Attempt.objects.filter(pk=running.pk).update(show_questions=True)
    client.force_login(other)
    assert client.get(address).status_code == client.get(moment).status_code == 404


def test_while_it_runs_the_replay_leads_to_the_room(mine: Client, user: User) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=load_problem("rag"), now=timezone.now())
    lifecycle.attempt_start(attempt=attempt, actor=user, now=timezone.now())
    answer = mine.get(reverse("interviews:replay", args=[attempt.pk]))
    assert answer.status_code == 302 and str(attempt.pk) in answer["Location"]
    assert mine.get(reverse("interviews:moment", args=[attempt.pk])).status_code == 404
