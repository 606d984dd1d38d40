from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.runs import channel, selectors, tasks, upkeep
from mlsd_app.runs.models import Run, RunState, StoredResult
from mlsd_app.runs.services import RunRefused, baseline_pin, run_cancel, run_start
from simulators.lab import Lab
from simulators.params import InvalidParams
from tests.web.runs.conftest import Queue, RedisServer, events_of

pytestmark = pytest.mark.django_db


def start(user: User, lab: type[Lab], **options: Any) -> Run:
    return run_start(user=user, lab=lab, values=options.pop("values", {}), **options)


def test_a_run_goes_from_queued_to_done_and_its_result_is_a_row(queue: Queue, user: User, counter: type[Lab]) -> None:
    run = start(user, counter, values={"n": 5})
    assert run.state == RunState.QUEUED
    assert queue.sent[0]["queue"] == "interactive"
    queue.work()
    run.refresh_from_db()
    assert run.state == RunState.DONE and run.result is not None
    assert run.result.metrics[0]["value"] == 5
    assert run.started_at and run.finished_at and run.started_at <= run.finished_at
    kinds = events_of(run)
    assert kinds[0] == "started" and kinds[-1] == "done" and kinds.count("frame") == 5


def test_the_same_inputs_are_answered_from_the_first_result(queue: Queue, user: User, other: User, counter: type[Lab]) -> None:
    first = start(user, counter)
    queue.work()
    again, others = start(user, counter), start(other, counter)
    assert again.pk == first.pk, "the owner gets the run back, not a copy"
    assert others.state == RunState.DONE and others.pk != first.pk
    assert StoredResult.objects.count() == 1 and not queue.sent
    assert start(user, counter, seed=1).state == RunState.QUEUED
    assert start(user, counter, values={"n": 4}).state == RunState.QUEUED


def test_fresh_measures_again(queue: Queue, user: User, counter: type[Lab]) -> None:
    start(user, counter)
    queue.work()
    assert start(user, counter, fresh=True).state == RunState.QUEUED
    queue.work()
    assert StoredResult.objects.count() == 2


def test_bad_parameters_are_refused_and_nothing_is_stored(queue: Queue, user: User, counter: type[Lab]) -> None:
    with pytest.raises(InvalidParams) as caught:
        start(user, counter, values={"n": 0, "rate": "much", "m": 3})
    assert set(caught.value.errors) == {"n", "rate", "m"}
    assert "Steps: 0 was given" in caught.value.errors["n"] and "steps" in caught.value.errors["n"]
    assert not Run.objects.exists() and not queue.sent


def test_newest_tweak_of_a_tab_wins(queue: Queue, user: User, counter: type[Lab]) -> None:
    old = start(user, counter, values={"n": 10}, slot="tab")
    new = start(user, counter, values={"n": 11}, slot="tab")
    elsewhere = start(user, counter, values={"n": 12}, slot="other tab")
    queue.work()
    states = {run.pk: Run.objects.get(pk=run.pk).state for run in (old, new, elsewhere)}
    assert states == {old.pk: RunState.CANCELLED, new.pk: RunState.DONE, elsewhere.pk: RunState.DONE}


def test_a_known_answer_also_replaces_what_the_tab_had_under_way(queue: Queue, user: User, counter: type[Lab]) -> None:
    start(user, counter)
    queue.work()
    running = start(user, counter, values={"n": 900}, slot="tab")
    start(user, counter, slot="tab")
    queue.work()
    running.refresh_from_db()
    assert running.state == RunState.CANCELLED


def test_cancel_stops_between_two_yields(queue: Queue, user: User, counter: type[Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(user, counter, values={"n": 1000})
    from mlsd_app.runs.tasks import Line

    steps = []
    original = Line.step

    def cancel_at_the_third(self: Line, step: Any) -> None:
        original(self, step)
        steps.append(step)
        if len(steps) == 3:
            run_cancel(run=run)

    monkeypatch.setattr(Line, "step", cancel_at_the_third)
    queue.work()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED and len(steps) == 3 and events_of(run)[-1] == "cancelled"


def test_a_run_nobody_watches_stops_only_if_it_is_for_watching(
    queue: Queue, user: User, counter: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "UNWATCHED_S", -1.0)
    watched, unattended = start(user, counter, values={"n": 7}, attended=True), start(user, counter, values={"n": 8})
    channel.connection().delete(channel.watched_key(watched.pk))
    queue.work()
    watched.refresh_from_db()
    unattended.refresh_from_db()
    assert (watched.state, unattended.state) == (RunState.CANCELLED, RunState.DONE)


def test_bad_data_and_bugs_of_a_lab_end_in_a_sentence(
    queue: Queue, user: User, counter: type[Lab], caplog: pytest.LogCaptureFixture
) -> None:
    invalid, bug = start(user, counter, values={"trap": "invalid"}), start(user, counter, values={"trap": "bug"})
    queue.work()
    invalid.refresh_from_db()
    bug.refresh_from_db()
    assert (invalid.state, invalid.error) == (RunState.FAILED, "Line 2 is not a number.")
    assert bug.state == RunState.FAILED and "ZeroDivision" not in bug.error and "ZeroDivisionError" in caplog.text
    assert events_of(bug)[-1] == "failed"


@pytest.mark.parametrize(("missing", "kind"), [("worker", "no_worker"), ("redis", "no_redis"), ("room", "busy"), ("patience", "limit")])
def test_refusals_say_why_and_store_nothing(
    missing: str, kind: str, queue: Queue, user: User, counter: type[Lab], redis_server: RedisServer, settings: Any
) -> None:
    if missing == "worker":
        channel.connection().delete("loop45:worker:interactive")
    if missing == "redis":
        redis_server.stop()
    if missing == "room":
        channel.connection().rpush("interactive", *["x"] * settings.RUN_LIMITS["queue_length"])
    if missing == "patience":
        settings.RUN_LIMITS = {**settings.RUN_LIMITS, "starts_per_minute": 0}
    with pytest.raises(RunRefused) as caught:
        start(user, counter)
    assert caught.value.kind == kind and caught.value.message.endswith(".")
    assert not Run.objects.exists() and not queue.sent


def test_a_user_has_a_bounded_number_of_runs_at_once(queue: Queue, user: User, counter: type[Lab], settings: Any) -> None:
    most = settings.RUN_LIMITS["active_per_user"]
    for n in range(1, most + 1):
        start(user, counter, values={"n": n}, slot=f"tab {n}")
    with pytest.raises(RunRefused, match="the most allowed at once"):
        start(user, counter, values={"n": 99}, slot="one more")
    assert start(user, counter, values={"n": 99}, slot="tab 1").state == RunState.QUEUED, "a tweak replaces its own tab's run"


def test_redis_going_away_during_a_run_does_not_lose_the_result(
    queue: Queue, user: User, counter: type[Lab], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(user, counter, values={"n": 4})
    from mlsd_app.runs.tasks import Line

    original = Line.step

    def kill_redis(self: Line, step: Any) -> None:
        redis_server.stop()
        original(self, step)

    monkeypatch.setattr(Line, "step", kill_redis)
    queue.work()
    run.refresh_from_db()
    assert run.state == RunState.DONE and run.result is not None


def test_runs_without_worker_or_queue_place_are_ended_honestly(queue: Queue, user: User, counter: type[Lab]) -> None:
    expired, lost, alive, young = (start(user, counter, values={"n": n}, slot=str(n)) for n in range(1, 5))
    long_ago = timezone.now() - timedelta(minutes=1)
    Run.objects.filter(pk=expired.pk).update(expires_at=long_ago)
    Run.objects.filter(pk__in=[lost.pk, alive.pk]).update(state=RunState.RUNNING, started_at=long_ago)
    channel.connection().set(channel.alive_key(alive.pk), "1")
    assert upkeep.runs_reap() == 2
    states = [Run.objects.get(pk=run.pk).state for run in (expired, lost, alive, young)]
    assert states == [RunState.EXPIRED, RunState.LOST, RunState.RUNNING, RunState.QUEUED]


def test_an_ended_run_stays_ended(queue: Queue, user: User, counter: type[Lab]) -> None:
    """A worker that was thought lost and finishes after all changes nothing that the user was told."""
    run = start(user, counter)
    Run.objects.filter(pk=run.pk).update(state=RunState.LOST)
    queue.work()
    run.refresh_from_db()
    assert run.state == RunState.LOST


def test_baseline_is_one_a_lab_and_belongs_to_its_user(queue: Queue, user: User, other: User, counter: type[Lab]) -> None:
    first, second = start(user, counter, values={"n": 1}), start(user, counter, values={"n": 2})
    for run in (first, second):
        baseline_pin(user=user, lab=counter, run=run)
    assert selectors.baseline_of(user=user, lab=counter) == second
    assert selectors.baseline_of(user=other, lab=counter) is None
    baseline_pin(user=user, lab=counter, run=None)
    assert selectors.baseline_of(user=user, lab=counter) is None


def test_permission_as_boolean_and_as_filter_agree(queue: Queue, user: User, other: User, counter: type[Lab]) -> None:
    runs = [start(user, counter), start(other, counter)]
    for who in (user, other):
        assert [run for run in runs if selectors.run_visible(user=who, run=run)] == list(selectors.runs_of(user=who))


def test_prune_keeps_history_and_drops_what_has_no_result(queue: Queue, user: User, counter: type[Lab]) -> None:
    done = start(user, counter)
    queue.work()
    gone = start(user, counter, values={"n": 50})
    Run.objects.filter(pk=gone.pk).update(state=RunState.CANCELLED, finished_at=timezone.now() - timedelta(hours=2))
    upkeep.runs_prune()
    assert list(Run.objects.all()) == [done] and StoredResult.objects.count() == 1


def test_one_process_compiles_and_the_others_then_read_together(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    """A lock of a file is held by whoever opened it, so threads meet it as processes do."""
    settings.VAR_DIR = tmp_path
    first_is_in, first_may_leave, seen = threading.Event(), threading.Event(), list[str]()
    together = threading.Barrier(3, timeout=30)

    class Compiles:
        @staticmethod
        def warm_up() -> None:
            if not first_is_in.is_set():
                first_is_in.set()
                assert first_may_leave.wait(30)
                seen.append("compiled")
            else:
                together.wait()
                seen.append("read")

    monkeypatch.setattr(tasks, "labs", lambda: {("a", "b"): Compiles})
    monkeypatch.setattr(tasks, "pool_process_up", lambda: seen.append("up"))
    processes = [threading.Thread(target=tasks.warm_up) for _ in range(4)]
    processes[0].start()
    assert first_is_in.wait(30)
    for process in processes[1:]:
        process.start()
    assert not seen
    first_may_leave.set()
    for process in processes:
        process.join(30)
    assert seen.index("compiled") < seen.index("read") and sorted(seen) == ["compiled", *["read"] * 3, *["up"] * 4]
