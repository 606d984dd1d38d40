"""Challenges over the API: the services of the pages, and nothing that would end a challenge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlsd_app.challenges.models import Submission
from mlsd_app.challenges.services import seeds_of
from simulators.lab import Lab
from tests.api.conftest import Api, assert_refused
from tests.web.challenges.conftest import TASK, work
from tests.web.runs.conftest import Queue

TASK_PATH = "/challenges/vector_search/counter/count_far"
DESIGN = {"design": {"n": 5, "rate": 5.0}}


@pytest.fixture
def lab(counter: type[Lab], monkeypatch: pytest.MonkeyPatch) -> type[Lab]:
    monkeypatch.setattr(counter, "challenges", (replace(TASK, reference={"n": 6, "rate": 4.321}, alternative={"n": 9, "rate": 3.987}),))
    return counter


def test_from_brief_to_verdict(api: Api, queue: Queue, lab: type[Lab]) -> None:
    task = api.get(TASK_PATH).json()
    assert [row["name"] for row in task["design"]] == ["n", "rate"] and task["fixed"] == {"trap": ""}
    assert task["targets"][0]["label"] == "Score" and task["best"] is None
    made = api.post(f"{TASK_PATH}/submissions", DESIGN)
    assert (made.status_code, made.json()["state"], made.json()["seeds"]) == (202, "queued", [])
    work(queue)
    row = api.get(f"/submissions/{made.json()['id']}").json()
    assert (row["verdict"], row["grade"]["stage"], len(row["seeds"])) == ("pass", 2, 5)
    assert row["grade"]["assertions"][0]["mean"] == 25.0
    again = api.post(f"{TASK_PATH}/submissions", DESIGN)
    assert again.status_code == 200 and again.json()["id"] == row["id"] and not queue.sent
    assert api.get("/submissions").json()["count"] == 1 and api.get("/submissions", problem="ads_ctr").json()["count"] == 0
    assert api.get(TASK_PATH).json()["best"] == "pass"


def test_nothing_tells_the_reference_or_a_secret_seed(api: Api, queue: Queue, lab: type[Lab]) -> None:
    made = api.post(f"{TASK_PATH}/submissions", DESIGN).json()
    work(queue)
    bodies = [api.get(path).content.decode() for path in (TASK_PATH, "/challenges", f"/submissions/{made['id']}", "/submissions")]
    secret = [*map(str, seeds_of(Submission.objects.get(), 2)), "4.321", "3.987", "reference", TASK.debrief]
    assert not [(word, body) for word in secret for body in bodies if word in body]


def test_refusals(api: Api, their_api: Api, visitor: Api, queue: Queue, lab: type[Lab]) -> None:
    assert_refused(api.post(f"{TASK_PATH}/submissions", {"design": {"trap": "bug"}}), 422, field="trap")
    assert_refused(api.post(f"{TASK_PATH}/submissions", {"design": {"n": 0}}), 422, field="n")
    assert_refused(api.get("/challenges/vector_search/counter/nothing"), 404)
    assert visitor.post(f"{TASK_PATH}/submissions", DESIGN).status_code == 401 and visitor.get(TASK_PATH).status_code == 200
    made = api.post(f"{TASK_PATH}/submissions", DESIGN).json()
    assert_refused(api.post(f"{TASK_PATH}/submissions", {"design": {"n": 9}}), 429)
    assert_refused(their_api.get(f"/submissions/{made['id']}"), 404)
    assert_refused(their_api.post(f"/submissions/{made['id']}/cancel"), 404)
    assert api.post(f"/submissions/{made['id']}/cancel").json()["state"] == "cancelled"
