from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client
from django.urls import reverse

from mlsd_app.accounts.models import User
from mlsd_app.runs import channel
from mlsd_app.runs.models import Baseline, Dataset, Run, RunState, Sweep
from mlsd_app.runs.services import run_start
from simulators.lab import Lab
from tests.web.runs.conftest import Queue, RedisServer

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/labs/vector_search/counter/"


@pytest.fixture(autouse=True)
def ready(queue: Queue, counter: type[Lab]) -> None:
    """Every test here has the pipeline and the lab."""


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((lines["event"], json.loads(lines["data"])))
    return found


def post_run(user: User | None, data: dict[str, Any], queue: Queue | None = None) -> tuple[int, Any]:
    """Status and events (or the JSON of a refusal) of a POST; the queue is worked off once it has been answered."""

    async def ask() -> tuple[int, Any]:
        client = AsyncClient()
        if user:
            await client.aforce_login(user)
        response = await client.post(f"{PAGE}runs", data)
        if response.status_code != 200:
            return response.status_code, json.loads(response.content)
        if queue:
            from asgiref.sync import sync_to_async

            await sync_to_async(queue.work)()
        parts = [part async for part in response.streaming_content]  # type: ignore[union-attr]
        return 200, events(b"".join(parts).decode())

    return async_to_sync(ask)()


def finished(user: User, counter: type[Lab], queue: Queue, **values: Any) -> Run:
    run = run_start(user=user, lab=counter, values=values)
    queue.work()
    run.refresh_from_db()
    return run


def test_post_is_answered_by_the_events_of_the_run(user: User, queue: Queue) -> None:
    status, got = post_run(user, {"n": "4", "slot": "tab"}, queue)
    kinds = [kind for kind, _ in got]
    assert status == 200 and kinds[:2] == ["queued", "started"] and kinds[-1] == "done"
    queued, frame, done = got[0][1], dict(got)["frame"], got[-1][1]
    assert queued["cancel_url"] == reverse("runs:cancel", args=[queued["run"]])
    assert "Score" in frame["html"] and "figures" in frame
    assert done["figures"][0]["key"] == "curve" and "It counted." in done["html"] and not done["cached"]


def test_a_known_result_is_answered_at_once(user: User, queue: Queue, counter: type[Lab]) -> None:
    run = finished(user, counter, queue, n=4)
    _, got = post_run(user, {"n": "4"})
    assert [kind for kind, _ in got] == ["done"] and got[0][1]["cached"] and got[0][1]["run"] == str(run.pk)


def test_a_visitor_becomes_a_guest_only_when_there_is_work_to_keep(user: User, queue: Queue, counter: type[Lab]) -> None:
    finished(user, counter, queue)
    _, got = post_run(None, {})
    assert got[-1][0] == "done" and User.objects.count() == 1
    _, got = post_run(None, {"n": "9"}, queue)
    assert got[-1][0] == "done" and User.objects.filter(is_guest=True).count() == 1


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"n": "0"}, "n"),
        ({"n": "many"}, "n"),
        ({"rate": "nan"}, "rate"),
        ({"seed": "-1"}, "seed"),
        ({"dataset": "x"}, "dataset"),
        ({"n": "9" * 400}, "n"),
    ],
)
def test_bad_values_come_back_beside_their_field(user: User, data: dict[str, str], field: str) -> None:
    status, got = post_run(user, data)
    assert status == 422 and list(got["errors"]) == [field] and not Run.objects.exists()


def test_refusals_are_json_with_a_sentence(user: User, redis_server: RedisServer) -> None:
    channel.connection().delete("loop45:worker:interactive")
    assert post_run(user, {})[1]["kind"] == "no_worker"
    redis_server.stop()
    status, got = post_run(user, {})
    assert status == 503 and got["kind"] == "no_redis" and "finished runs still work" in got["detail"]


def test_without_redis_pages_read_and_known_results_are_answered(
    client: Client, user: User, queue: Queue, counter: type[Lab], redis_server: RedisServer
) -> None:
    run = finished(user, counter, queue)
    redis_server.stop()
    client.force_login(user)
    for url in (PAGE, reverse("runs:history"), reverse("runs:run", args=[run.pk]), reverse("runs:labs")):
        assert client.get(url).status_code == 200
    assert post_run(user, {"slot": "tab"})[1][0][0] == "done"


def test_events_can_be_followed_again(user: User, queue: Queue, counter: type[Lab]) -> None:
    run = run_start(user=user, lab=counter, values={"n": 3})
    queue.work()
    entries = channel.connection().xrange(channel.stream_key(run.pk))
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING)

    async def ask(last_id: str) -> list[str]:
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(reverse("runs:events", args=[run.pk]), headers={"last-event-id": last_id})
        text = b"".join([part async for part in response.streaming_content]).decode()  # type: ignore[union-attr]
        return [kind for kind, _ in events(text)][1:]

    assert async_to_sync(ask)(entries[-2][0]) == ["done"]
    assert len(async_to_sync(ask)("rubbish")) == len(entries)


def test_nobody_reaches_another_users_things(client: Client, user: User, other: User, queue: Queue, counter: type[Lab]) -> None:
    run = finished(user, counter, queue)
    sweep = Sweep.objects.create(user=user, problem="vector_search", lab="counter", params={}, field="n", values=[])
    data = Dataset.objects.create(user=user, problem="vector_search", lab="counter", name="n", digest="d")
    reads = [reverse(f"runs:{name}", args=[run.pk]) for name in ("run", "result_json", "result_csv")] + [
        reverse("runs:sweep", args=[sweep.pk])
    ]
    writes = [
        reverse("runs:cancel", args=[run.pk]),
        reverse("runs:sweep_cancel", args=[sweep.pk]),
        reverse("runs:data_delete", args=[data.pk]),
    ]
    client.force_login(other)
    assert [client.get(url).status_code for url in reads] == [404] * len(reads)
    assert [client.post(url).status_code for url in writes] == [404] * len(writes)
    assert client.post(f"{PAGE}baseline", {"run": run.pk}).status_code == 404
    assert post_run(other, {"dataset": str(data.pk)})[0] == 422
    assert Dataset.objects.exists()
    client.force_login(user)
    assert [client.get(url).status_code for url in reads] == [200] * len(reads)


def test_lab_page_shows_a_bad_link_beside_the_field_and_still_opens(client: Client) -> None:
    response = client.get(f"{PAGE}?n=0&colour=red")
    assert response.status_code == 422
    text = response.content.decode()
    assert "Steps: 0 was given" in text and "colour" in text
    assert client.get("/labs/vector_search/nothing/").status_code == 404
    assert client.get("/labs/nowhere/counter/").status_code == 404


def test_downloads(client: Client, user: User, queue: Queue, counter: type[Lab]) -> None:
    run = finished(user, counter, queue, n=2)
    client.force_login(user)
    document = client.get(reverse("runs:result_json", args=[run.pk])).json()
    assert document["params"]["n"] == 2 and document["result"]["metrics"][0]["value"] == 2
    rows = client.get(reverse("runs:result_csv", args=[run.pk])).content.decode().splitlines()
    assert rows[1] == "Score,A,2.0,points,,,False," and "'=Steps" in rows, "no cell is taken for a formula"


def test_pinning_shows_deltas_and_unpinning_takes_them_away(client: Client, user: User, queue: Queue, counter: type[Lab]) -> None:
    low, high = finished(user, counter, queue, n=2), finished(user, counter, queue, n=5)
    client.force_login(user)
    assert client.post(f"{PAGE}baseline", {"run": low.pk, "shown": high.pk}).status_code == 200
    done = post_run(user, {"n": "5"})[1][-1][1]["html"]
    assert "+3" in done.replace("&thinsp;", "").replace("\u2009", "")
    client.post(f"{PAGE}baseline", {"run": "", "shown": high.pk})
    assert not Baseline.objects.exists()
    assert client.post(f"{PAGE}baseline", {"run": "x"}).status_code == 204


def test_map_and_history_list_the_users_runs(client: Client, user: User, other: User, queue: Queue, counter: type[Lab]) -> None:
    for n in (2, 5):
        finished(user, counter, queue, n=n)
    finished(other, counter, queue, n=7)
    client.force_login(user)
    response = client.get(f"{PAGE}map?x=cost&y=score")
    assert {point.x for point in response.context["points"]} == {2, 5}
    assert client.get(f"{PAGE}map?x=nothing").status_code == 200
    assert Client().get(f"{PAGE}map").status_code == 200
    assert len(client.get(reverse("runs:history")).context["rows"]) == 2
    assert len(client.get(f"{reverse('runs:history')}?state=failed").context["rows"]) == 0
    assert client.get(f"{reverse('runs:history')}?lab=vector_search/counter&page=99").status_code == 200


def test_sweep_fragment_follows_the_sweep(client: Client, user: User, queue: Queue) -> None:
    client.force_login(user)
    asked = {"sweep-field": "n", "sweep-low": "1", "sweep-high": "5", "sweep-points": "3", "sweep-scale": "linear", "rate": "2"}
    response = client.post(f"{PAGE}sweeps", asked)
    assert response.status_code == 200 and response.context["progress"].active == 3
    queue.work()
    response = client.get(response.context["poll_url"])
    assert response.context["progress"].done == 3 and response.context["figure"].plot["data"][0]["y"] == [2, 6, 10]
    for bad in ({"sweep-low": "x"}, {"sweep-points": "1e9"}, {"sweep-field": "trap"}, {"sweep-low": "inf"}, {"sweep-points": "nan"}):
        response = client.post(f"{PAGE}sweeps", {**asked, **bad})
        assert response.status_code == 422 and response.context["error"].endswith(".")


def test_upload_and_delete(client: Client, user: User) -> None:
    client.force_login(user)
    good = client.post(f"{PAGE}data", {"numbers": SimpleUploadedFile("n.txt", b"1\n2\n"), "option-unit": "ms"})
    assert good.status_code == 200 and good.context["dataset"].facts == [["Numbers", "2"]]
    bad = client.post(f"{PAGE}data", {"numbers": SimpleUploadedFile("n.txt", b"one\n")})
    assert bad.status_code == 422 and "expected whole numbers" in bad.content.decode()
    assert 'data-slot="datasets"' in good.content.decode() and 'data-slot="datasets"' not in bad.content.decode(), "the choice stays"
    assert client.post(f"{PAGE}data/columns", {"numbers": SimpleUploadedFile("n.txt", b"1\n")}).status_code == 422
    assert client.post(reverse("runs:data_delete", args=[good.context["dataset"].pk])).status_code == 200
    assert not Dataset.objects.exists()
