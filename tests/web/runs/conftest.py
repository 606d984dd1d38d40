"""A real Redis, a lab of our own and a queue that only records, so that each step of the pipeline can be taken by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.core import presence
from mlsd_app.runs import channel
from mlsd_app.runs.models import Run
from simulators.errors import InvalidInput
from simulators.figures import Axis, Series, line_figure
from simulators.lab import (
    Context,
    DataInfo,
    DataOption,
    DataSlot,
    DataSpec,
    Frame,
    Insight,
    Lab,
    LabParams,
    Metric,
    Preset,
    Progress,
    Result,
    Steps,
    Table,
    param,
)
from simulators.registry import labs
from tests.redis_server import RedisServer


def check_numbers(files: Any, options: Any) -> DataInfo:
    text = files["numbers"].path.read_text()
    if not all(line.isdigit() for line in text.split()):
        raise InvalidInput(f"{files['numbers'].name}: expected whole numbers.", field="numbers")
    return DataInfo(facts=(("Numbers", str(len(text.split()))),))


class Counter(Lab):
    """How far does it count?

    It counts to `n`, or fails on the way.
    """

    title = "Counter"
    why = "It shows every turn a run can take."
    map_axes = ("cost", "score")
    presets = (Preset("short", "Short", "Counts to three.", {"n": 3}),)
    data = DataSpec(
        "Numbers",
        "One a line.",
        (DataSlot("numbers", "Numbers", "", (".txt",), max_bytes=1000),),
        check_numbers,
        (DataOption("unit", "Unit", ""),),
    )

    class Params(LabParams):
        n: int = param(3, title="Steps", unit="steps", ge=1, le=1000, group="world", help="How many.")
        rate: float = param(1.0, title="Rate", unit="x", ge=0.1, le=100.0, scale="log", group="world", help="Factor.")
        trap: str = param("", title="Trap", help="What goes wrong.", group="world")

    def run(self, params: Any, ctx: Context) -> Steps:
        for i in range(params.n):
            yield Progress(i, params.n, "counting")
            if params.trap == "invalid" and i == 1:
                raise InvalidInput("Line 2 is not a number.")
            if params.trap == "bug" and i == 1:
                raise ZeroDivisionError
            yield Frame(metrics=[Metric("score@a", "Score", float(i), "points", better="up", series="A")])
        figure = line_figure(
            "curve", "It rises", "A rising line.", [Series("a", [0, 1], [0, 1])], Axis("Step", "steps"), Axis("Score", "points")
        )
        metrics = [
            Metric("score@a", "Score", params.n * params.rate, "points", better="up", series="A"),
            Metric("cost@a", "Cost", float(params.n), "USD", better="down", series="A"),
        ]
        return Result(
            metrics, [figure], [Table("t", "=Steps", ("Step", "Score"), ((1, 2.0),))], [Insight("It counted.", "deep_dive")], ["Note."]
        )


@pytest.fixture
def counter() -> Iterator[type[Lab]]:
    Counter.slug, Counter.problem = "counter", "vector_search"
    labs()["vector_search", "counter"] = Counter
    yield Counter
    del labs()["vector_search", "counter"]


@dataclass
class Queue:
    """What was sent to the workers, and a hand to work on it."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    def send_task(self, name: str, args: list[Any], **options: Any) -> None:
        self.sent.append({"name": name, "args": args, **options})

    def work(self) -> None:
        from mlsd_app.runs.tasks import run_lab_task

        while self.sent:
            run_lab_task(*self.sent.pop(0)["args"])


@pytest.fixture
def queue(redis_server: RedisServer, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Queue]:
    """A pipeline with a living Redis and workers that are said to be there."""
    settings.REDIS_URL = redis_server.url
    settings.ASSETS_DIR, settings.UPLOADS_DIR = tmp_path / "assets", tmp_path / "uploads"
    channel._connection.cache_clear()
    client = channel.connection()
    client.flushall()
    for name in presence.QUEUES:
        client.set(presence.presence_key(name), "test")  # without an end, however slow the machine
    recorded = Queue()
    monkeypatch.setattr(app, "send_task", recorded.send_task)
    yield recorded
    client.close()
    channel._connection.cache_clear()


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada", password="correct horse battery")


@pytest.fixture
def other(db: None) -> User:
    return User.objects.create_user("bob", password="correct horse battery")


def events_of(run: Run) -> list[str]:
    """Kinds of the events in the run's stream."""
    return [fields["kind"] for _, fields in channel.connection().xrange(channel.stream_key(run.pk))]
