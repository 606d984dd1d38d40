"""The pages before and during an interview: whose they are, what they show in each state, what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.presets import TAGS
from mlsd_app.runs.sliders import number_text
from problems.loader import load_problem

FORM = {"problem": "vector_search", "preset": "five_phase", "mode": "soft", "show": "real", "level": "senior"}
PAGES = ("lobby", "room", "debrief", "feed", "diagram", "runs", "curveball")
WRITES = ("plan", "begin", "cancel", "check", "preview", "ask", "assume", "confirm")


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def mine(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


@pytest.fixture
def make(user: User) -> Callable[..., Attempt]:
    def made(*, running: bool = True, **options: object) -> Attempt:
        now = timezone.now()
        attempt = lifecycle.attempt_create(user=user, problem=load_problem("vector_search"), now=now, seed=7, **options)  # type: ignore[arg-type]
        return lifecycle.attempt_start(attempt=attempt, actor=user, now=now) if running else attempt

    return made


def url(name: str, attempt: Attempt, *rest: object) -> str:
    return reverse(f"interviews:{name}", args=[attempt.pk, *rest])


# --- whose they are --------------------------------------------------------------------------------------------------


def test_nobody_reaches_the_attempt_of_another(client: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    client.force_login(User.objects.create_user("grace"))
    assert {name: client.get(url(name, attempt)).status_code for name in PAGES} == dict.fromkeys(PAGES, 404)
    answers = {name: client.post(url(name, attempt), "{}", content_type="application/json").status_code for name in WRITES}
    assert answers == dict.fromkeys(WRITES, 404)
    assert client.get(url("lab", attempt, "index_tradeoffs")).status_code == 404
    assert client.get(url("calculator", attempt, "shard_count")).status_code == 404
    assert str(attempt.pk) not in client.get(reverse("interviews:start")).content.decode()


def test_a_visitor_becomes_a_guest_with_a_first_round_and_not_before(client: Client, db: None) -> None:
    assert client.get(reverse("interviews:start")).status_code == 200
    assert client.post(reverse("interviews:create"), {**FORM, "mode": "no"}).status_code == 422
    assert not User.objects.exists()
    answer = client.post(reverse("interviews:create"), FORM)
    attempt = Attempt.objects.get()
    assert attempt.user.is_guest
    assert answer.headers["Location"] == url("lobby", attempt)


# --- the start form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem": ""}, "Choose a problem"),
        ({"preset": "compact", "compact_minutes": "60"}, "27 to 45 minutes"),
        ({"preset": "compact", "compact_minutes": "soon"}, "expected a number"),
        ({"seed": "-1"}, "whole number"),
        ({"level": "principal"}, "choose mid, senior, staff"),
    ],
)
def test_what_cannot_be_started_is_said_and_nothing_typed_is_lost(mine: Client, changes: dict[str, str], said: str) -> None:
    answer = mine.post(reverse("interviews:create"), {**FORM, "phase-title-1": "My own first phase", "phase-minutes-1": "7", **changes})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert "My own first phase" in page
    assert not Attempt.objects.exists()


def test_compact_round_of_a_chosen_length(mine: Client) -> None:
    mine.post(reverse("interviews:create"), {**FORM, "preset": "compact", "compact_minutes": "27"})
    attempt = Attempt.objects.get()
    assert sum(phase["budget_s"] for phase in attempt.phases) == 27 * 60


def test_own_plan_puts_each_topic_where_it_was_sent(mine: Client) -> None:
    plan = {"preset": "custom", "phase-title-1": "Talk", "phase-minutes-1": "4", "phase-title-3": "Build", "phase-minutes-3": "7.5"}
    tags = dict.fromkeys([f"tag-{tag}" for tag in TAGS], "3") | {"tag-clarify": "1"}
    mine.post(reverse("interviews:create"), {**FORM, **plan, **tags})
    first, second = Attempt.objects.get().phases
    assert (first["title"], first["budget_s"], first["tags"]) == ("Talk", 240, ["clarify"])
    assert (second["title"], second["budget_s"]) == ("Build", 450)
    assert set(second["tags"]) == set(TAGS) - {"clarify"}


def test_a_second_round_on_the_same_problem_is_refused_while_one_is_live(mine: Client, make: Callable[..., Attempt]) -> None:
    make()
    answer = mine.post(reverse("interviews:create"), FORM)
    assert answer.status_code == 409
    assert "not over" in answer.content.decode()


# --- lobby -----------------------------------------------------------------------------------------------------------


def test_the_plan_of_the_lobby_keeps_its_sum(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make(running=False)
    budgets = {f"budget-{phase['key']}": phase["budget_s"] for phase in attempt.phases}
    moved = {**budgets, "budget-clarify": 240, "budget-deep_dive": 960}
    assert mine.post(url("plan", attempt), moved).status_code == 302
    attempt.refresh_from_db()
    assert [phase["budget_s"] for phase in attempt.phases] == [240, 300, 600, 960, 600]
    answer = mine.post(url("plan", attempt), {**budgets, "budget-clarify": 600})
    assert answer.status_code == 422
    assert "add up to" in answer.content.decode()


def test_a_window_that_cuts_the_round_has_to_be_confirmed(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make(running=False)
    Attempt.objects.filter(pk=attempt.pk).update(closes_at=timezone.now() + timedelta(minutes=20))
    assert "you have 25:00 less" in mine.get(url("lobby", attempt)).content.decode()
    assert mine.post(url("begin", attempt)).status_code == 422
    attempt.refresh_from_db()
    assert attempt.status == Status.READY
    assert mine.post(url("begin", attempt), {"confirm_window": "1"}).headers["Location"] == url("room", attempt)


def test_a_round_not_begun_can_be_dropped_and_one_that_runs_cannot(mine: Client, make: Callable[..., Attempt]) -> None:
    waiting = make(running=False)
    mine.post(url("cancel", waiting))
    assert not Attempt.objects.exists()
    running = make()
    mine.post(url("cancel", running))
    assert Attempt.objects.get() == running


def test_each_state_has_its_place(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make(running=False)
    assert mine.get(url("room", attempt)).headers["Location"] == url("lobby", attempt)
    lifecycle.attempt_start(attempt=attempt, actor=attempt.user, now=timezone.now())
    assert mine.get(url("lobby", attempt)).headers["Location"] == url("room", attempt)
    assert "Resume" in mine.get(reverse("interviews:start")).content.decode()
    lifecycle.attempt_submit(attempt=attempt, actor=attempt.user, now=timezone.now())
    assert mine.get(url("room", attempt)).headers["Location"] == url("debrief", attempt)
    page = mine.get(reverse("interviews:start")).content.decode()
    assert "not graded" in page
    assert "Resume" not in page


@pytest.mark.parametrize(("verdict", "weight", "shown", "hidden"), [("", 50, "of 50 in 100", "not graded"), ("hire", 90, "hire", "in 100")])
def test_a_score_without_a_verdict_says_of_how_much(
    verdict: str, weight: float, shown: str, hidden: str, mine: Client, make: Callable[..., Attempt]
) -> None:
    attempt = make()
    lifecycle.attempt_submit(attempt=attempt, actor=attempt.user, now=timezone.now())
    Attempt.objects.update(status=Status.RELEASED, grading_needed=False)
    attempt.verdicts.all().delete()
    attempt.verdicts.create(rule_version=1, level="senior", verdict=verdict, score=78.2, graded_weight=weight, state="auto")
    page = mine.get(reverse("interviews:start")).content.decode()
    assert "78 %" in page and shown in page and hidden not in page


def test_a_round_whose_time_is_over_is_closed_when_its_owner_looks(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    long_ago = timezone.now() - timedelta(hours=2)
    Attempt.objects.filter(pk=attempt.pk).update(started_at=long_ago, next_check_at=long_ago)
    assert "Resume" not in mine.get(reverse("interviews:start")).content.decode()
    attempt.refresh_from_db()
    assert attempt.status not in (Status.READY, Status.OPEN)
    assert attempt.closed_at == long_ago + timedelta(minutes=45)


# --- room ------------------------------------------------------------------------------------------------------------


def test_the_room_tells_no_fact_before_it_is_asked_for(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make(show="study")
    page = mine.get(url("room", attempt)).content.decode()
    for fact in attempt.content["interviewer"]["facts"]:
        assert fact["answer"].split("{value}")[-1] not in page, fact["id"]
    for dive in attempt.content["interviewer"]["deep_dives"]:
        assert dive["prompt"] not in page
    assert "What a strong candidate does".lower() in page.lower()


def test_real_shows_no_hints_and_no_checks(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make(show="real")
    page = mine.get(url("room", attempt)).content.decode()
    assert "strong candidate" not in page
    assert "Worth asking about" not in page
    row = {"kind": "client", "name": "App", "order": 1}
    attempt.answers.create(field="row/components/a", rev=1, content=json.dumps(row), updated_at=timezone.now())
    assert "Design checks" not in mine.get(url("diagram", attempt)).content.decode()
    Attempt.objects.filter(pk=attempt.pk).update(show="study")
    assert "No connection to or from App" in mine.get(url("diagram", attempt)).content.decode()


def test_asking_answers_and_fixes_the_number_in_lab_and_calculator(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    value = attempt.content["values"]["corpus_size"]
    assert "readonly" not in mine.get(url("calculator", attempt, "shard_count")).content.decode()
    answer = mine.post(url("ask", attempt), {"text": "How many vectors do we store?", "after": 0}, content_type="application/json")
    assert "within two years" in answer.content.decode()
    fixed = mine.get(url("calculator", attempt, "shard_count"), {"n": "5"}).content.decode()
    assert "readonly" in fixed
    assert f'value="{number_text(value)}"' in fixed
    assert "The interviewer:" in mine.get(url("lab", attempt, "index_tradeoffs")).content.decode()


def test_a_question_without_an_answer_offers_an_assumption(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    answer = mine.post(url("ask", attempt), {"text": "what colour is the logo", "after": 0}, content_type="application/json")
    assert "State an assumption" in answer.content.decode()


def test_what_is_written_cannot_become_markup(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    evil = "<img src=x onerror=alert(1)> [run 9] <script>alert(1)</script>"
    shown = mine.post(url("preview", attempt), {"text": evil}).content.decode()
    said = mine.post(url("ask", attempt), {"text": evil, "after": 0}, content_type="application/json").content.decode()
    attempt.answers.create(field="text/clarify", rev=1, content=evil, updated_at=timezone.now())
    room = mine.get(url("room", attempt)).content.decode()
    for page in (shown, said, room):
        assert "<img src=x" not in page
        assert "<script>alert" not in page
    assert "[run 9]" in shown, "a run that is not there stays text"


def test_after_the_end_the_interviewer_is_silent(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    lifecycle.attempt_submit(attempt=attempt, actor=attempt.user, now=timezone.now())
    answer = mine.post(url("ask", attempt), {"text": "How many vectors?", "after": 0}, content_type="application/json")
    assert answer.status_code == 409
    assert answer.json()["code"] == "wrong_state"


def test_pauses_and_granted_breaks_have_buttons_of_their_own(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    for policy, buttons in (
        ({"count": 1, "break_s": 0}, {"pause"}),
        ({"count": 0, "break_s": 600}, {"break"}),
        ({"count": None, "break_s": 600}, {"pause", "break"}),
        ({"count": 0, "break_s": 0}, set()),
    ):
        Attempt.objects.filter(pk=attempt.pk).update(pause_policy=policy)
        room = mine.get(url("room", attempt)).content.decode()
        assert {name for name in ("pause", "break") if f'data-action="{name}"' in room} == buttons
    Attempt.objects.filter(pk=attempt.pk).update(pause_policy={"count": 0, "break_s": 600})
    address = url("pause", attempt)
    assert mine.post(address, {"kind": "pause"}, content_type="application/json").status_code == 409
    taken = mine.post(address, {"kind": "break"}, content_type="application/json")
    assert taken.json()["clock"]["state"] == "paused"
