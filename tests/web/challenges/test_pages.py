"""Pages of challenges: brief, form, progress, verdict; what is never told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.challenges.models import Submission
from mlsd_app.challenges.selectors import all_challenges
from mlsd_app.challenges.services import seeds_of
from simulators.lab import Lab
from tests.web.challenges.conftest import TASK, submit, work
from tests.web.runs.conftest import Queue

pytestmark = pytest.mark.django_db
URL = "/challenges/vector_search/counter/count_far/"


@pytest.fixture
def ada(user: User, client: Client) -> Client:
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_every_challenge_has_a_page_that_tells_no_design(client: Client) -> None:
    """A reference that stood on the page would end the challenge."""
    listed = client.get("/challenges/").content.decode()
    for lab, task in all_challenges():
        url = f"/challenges/{lab.problem}/{lab.slug}/{task.slug}/"
        assert url in listed
        page = client.get(url)
        body = page.content.decode()
        assert page.status_code == 200
        assert task.debrief[:60] not in body
        for name in task.design:
            assert f'name="{name}"' in body, (lab.slug, name)


def test_the_form_sends_what_is_open_and_comes_back_with_the_verdict(ada: Client, queue: Queue, lab: type[Lab]) -> None:
    answer = ada.post(f"{URL}submissions", {"n": "5", "rate": "5"})
    assert answer.status_code == 302
    page = ada.get(answer.url)
    assert "Waiting for a worker" in page.content.decode() and ada.get(f"{answer.url}progress").status_code == 200
    work(queue)
    assert ada.get(f"{answer.url}progress").headers["HX-Refresh"] == "true"
    body = ada.get(answer.url).content.decode()
    assert "Passed" in body and "The rate is free." in body and "Run seed" in body
    row = Submission.objects.get()
    told = [str(seed) for seed in seeds_of(row, 1)]
    assert all(seed in body for seed in told)
    assert "Passed" in ada.get(URL).content.decode()


def test_secret_seeds_and_reference_stand_nowhere(ada: Client, queue: Queue, lab: type[Lab], user: User) -> None:
    row = submit(user, lab, dict(TASK.alternative))
    work(queue)
    pages = [URL, f"/challenges/submissions/{row.pk}/", "/challenges/", "/account/export/"]
    body = "".join(ada.get(url).content.decode() for url in pages if ada.get(url).status_code == 200 and not ada.get(url).streaming)
    stored = json.dumps([entry.values for entry in row.seeds.all()]) + json.dumps(row.grade)
    for seed in seeds_of(row, 2):
        assert str(seed) not in body and str(seed) not in stored


def test_a_bad_value_comes_back_beside_its_field(ada: Client, queue: Queue, lab: type[Lab]) -> None:
    answer = ada.post(f"{URL}submissions", {"n": "0", "rate": "5"})
    body = answer.content.decode()
    assert answer.status_code == 422 and "Steps: 0 was given" in body and not Submission.objects.exists()


def test_a_refusal_keeps_the_design(ada: Client, queue: Queue, lab: type[Lab]) -> None:
    ada.post(f"{URL}submissions", {"n": "5", "rate": "5"})
    answer = ada.post(f"{URL}submissions", {"n": "77", "rate": "5"})
    assert answer.status_code == 429 and 'value="77"' in answer.content.decode()


def test_without_redis_the_page_says_so(ada: Client, lab: type[Lab]) -> None:
    answer = ada.post(f"{URL}submissions", {"n": "5", "rate": "5"})
    assert answer.status_code == 503 and "cannot be reached" in answer.content.decode()
    assert not Submission.objects.exists()


def test_a_visitor_becomes_a_guest_with_a_first_submission(client: Client, queue: Queue, lab: type[Lab]) -> None:
    answer = client.post(f"{URL}submissions", {"n": "5", "rate": "5"})
    assert answer.status_code == 302 and client.get(answer.url).status_code == 200
    assert Submission.objects.get().user.is_guest


def test_somebody_elses_submission_does_not_exist(ada: Client, queue: Queue, lab: type[Lab], other: User) -> None:
    row = submit(other, lab)
    for url in ("", "progress"):
        assert ada.get(f"/challenges/submissions/{row.pk}/{url}").status_code == 404
    assert ada.post(f"/challenges/submissions/{row.pk}/cancel").status_code == 404


def test_what_is_not_there_is_404(client: Client, lab: type[Lab]) -> None:
    for url in ("vector_search/counter/nothing/", "vector_search/nothing/count_far/", "nothing/counter/count_far/"):
        assert client.get(f"/challenges/{url}").status_code == 404


def test_the_challenge_is_found_from_lab_and_problem(client: Client, lab: type[Lab]) -> None:
    for url in ("/labs/vector_search/counter/", "/problems/vector_search/"):
        assert URL in client.get(url).content.decode()


def test_cancelling(ada: Client, queue: Queue, lab: type[Lab], user: User) -> None:
    row: Any = submit(user, lab)
    assert ada.post(f"/challenges/submissions/{row.pk}/cancel").status_code == 302
    assert "Cancelled" in ada.get(f"/challenges/submissions/{row.pk}/").content.decode()
