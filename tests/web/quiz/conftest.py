from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.quiz import sittings
from mlsd_app.quiz.bank import Key, bank
from mlsd_app.quiz.models import Card, Instance, Plan, Response, Sitting, SittingKind
from mlsd_app.quiz.responses import Given, answer_reveal, response_give
from mlsd_app.quiz.served import served

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
SLUG = "vector_search"
CHOICE: Key = (SLUG, "ann.filters.narrow")
NUMBER: Key = (SLUG, "ann.raw.bytes")
FLASHCARD: Key = (SLUG, "ann.hnsw.bytes")
ORDER: Key = (SLUG, "ann.order.bytes")
FREE: Key = (SLUG, "ann.hnsw_or_ivfpq")
SLIP: Key = (SLUG, "ann.slip.fifty_nodes")
LAB: Key = (SLUG, "ann.pq.recall_direction")
EVERY_TYPE = (CHOICE, NUMBER, FLASHCARD, ORDER, FREE, SLIP, LAB)


@pytest.fixture(autouse=True)
def no_fuzz(settings: Any) -> None:
    settings.QUIZ_FUZZ = False


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def other(db: None) -> User:
    return User.objects.create_user("grace")


@pytest.fixture
def mine(client: Client, user: User) -> Client:
    """The browser of `user`."""
    client.force_login(user)
    return client


@pytest.fixture
def plan(user: User) -> Plan:
    return Plan.objects.create(user=user)


@pytest.fixture
def instance(db: None) -> Iterator[Instance]:
    """Numbers for the lab question."""
    yield instance_of(LAB)


def instance_of(key: Key, number: int = 1) -> Instance:
    item: Any = bank()[key].item
    from simulators.registry import get_lab

    return Instance.objects.create(
        key=f"{key[1]}-{number}",
        problem_slug=key[0],
        item_id=item.id,
        rev=item.rev,
        lab=item.lab,
        lab_version=get_lab(key[0], item.lab).version,
        params={"clusters": 100 * number, "kind": ["ivf_pq"]},
        seeds=[0, 1, 2],
        options=[{"label": "16", "params": {"nprobe": 16}}, {"label": "64", "params": {"nprobe": 64}}],
        truth={
            **{"answer": "same", "label": "Recall at 10", "unit": "share"},
            **{"before": 0.551, "after": 0.552, "difference": 0.001, "se": 0.0002},
        },
        usable=True,
    )


def begin(user: User, *keys: Key, now: datetime = NOW, **options: Any) -> Sitting:
    return sittings.sitting_create(user=user, kind=options.pop("kind", SittingKind.PROBLEM), keys=keys, now=now, **options)


def right(sitting: Sitting, place: int) -> dict[str, Any]:
    return served(sitting, place).question.right()


def wrong(sitting: Sitting, place: int) -> dict[str, Any]:
    """An answer that earns nothing."""
    asked = served(sitting, place)
    best = asked.question.right()
    match asked.question.form:
        case "choice":
            options = range(len(asked.question.public()["options"]))
            return {"picked": [next(option for option in options if option not in best["picked"])]}
        case "order":
            return {"order": best["order"][::-1]}
        case "number":
            return {"text": f"1 {best['text'].split()[-1]}"}
    return {"points": []}


def give(user: User, sitting: Sitting, place: int, answer: dict[str, Any] | None = None, now: datetime = NOW, **given: Any) -> Response:
    """One answer, the right one unless another is given."""
    sitting.refresh_from_db()
    asked = served(sitting, place)
    if asked.question.form in ("reveal", "free"):
        answer_reveal(user=user, sitting=sitting, place=place, text=given.pop("reveal", "what I know"), now=now)
        given.setdefault("rating", 3)
    sent = Given(answer=right(sitting, place) if answer is None else answer, op_id=given.pop("op_id", uuid.uuid4().hex), **given)
    return response_give(user=user, sitting=sitting, place=place, given=sent, now=now)


def card_of(user: User, key: Key) -> Card:
    return Card.objects.get(user=user, problem_slug=key[0], item_id=key[1])
