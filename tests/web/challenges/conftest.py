from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.challenges.judging import submission_step
from mlsd_app.challenges.models import Submission
from mlsd_app.challenges.services import submission_start
from simulators.lab import Assertion, Challenge, Lab
from tests.web.runs.conftest import Counter, Queue, counter, other, queue, user

__all__ = ["counter", "other", "queue", "user"]

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TASK = Challenge(
    slug="count_far",
    title="Count far",
    brief="Reach a score of **20** for at most 10 USD.",
    world={"trap": ""},
    design=("n", "rate"),
    assertions=(
        Assertion("score", ">=", 20.0, "points", "target", label="Score"),
        Assertion("cost", "<=", 10.0, "USD", "ceiling", label="Cost"),
    ),
    reference={"n": 5, "rate": 5.0},
    alternative={"n": 9, "rate": 3.0},
    naive={"n": 3, "rate": 1.0},
    maxed={"n": 1000, "rate": 100.0},
    debrief="The rate is free.",
)


@pytest.fixture
def lab(counter: type[Lab]) -> Iterator[type[Lab]]:
    Counter.challenges = (TASK,)
    yield counter
    Counter.challenges = ()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def submit(user: User, lab: type[Lab], design: dict[str, Any] | None = None, seconds: float = 0, **options: Any) -> Submission:
    given = TASK.reference if design is None else design
    return submission_start(user=user, lab=lab, challenge=TASK, design=given, now=at(seconds), **options)


def work(queue: Queue, seconds: float = 1, *, steps: int = 100) -> int:
    """Does what was sent to the workers; how many steps that were."""
    done = 0
    while queue.sent and done < steps:
        sent = queue.sent.pop(0)
        assert sent["name"] == "challenges.step"
        submission_step(submission_id=sent["args"][0], now=at(seconds))
        done += 1
    return done
