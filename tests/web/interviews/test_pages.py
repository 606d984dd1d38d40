"""The pages before and during an interview: whose they are, what they show in each state, what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.models import Attempt
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


def test_room_of_a_running_attempt(mine: Client, make: Callable[..., Attempt]) -> None:
    attempt = make()
    answer = mine.get(url("room", attempt))
    assert answer.status_code == 200
