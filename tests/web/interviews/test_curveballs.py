"""Events: when they come, which design they hit, what they hold fast, and what counts as coming through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle, staff_ops
from mlsd_app.interviews.interviewer import curveballs
from mlsd_app.interviews.interviewer.questions import question_ask
from mlsd_app.interviews.interviewer.record import interviewer_of, locked_values
from mlsd_app.interviews.interviewer.speaking import prompts_due
from mlsd_app.interviews.interviewer.throwing import MAX_TRIES, catch_up, curveball_send, runs_awaited
from mlsd_app.interviews.models import Attempt, Curveball, Event, RunLink
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.runs import attempt_run_start, run_finished, run_pin
from mlsd_app.interviews.selectors import clock_of, state_of
from mlsd_app.runs.models import Run, RunState
from simulators.errors import InvalidInput
from simulators.registry import get_lab
from tests.web.interviews.bench import Bench
from tests.web.interviews.conftest import LIMIT_S, at

INDEX = get_lab("vector_search", "index_tradeoffs")
Committed = Callable[[], AbstractContextManager[Any]]


def refused(code: str, status: int) -> Any:
    return pytest.raises(Refused, check=lambda error: (error.code, error.status) == (code, status))


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Committed:
    """What follows a commit happens."""

    @contextmanager
    def after() -> Iterator[None]:
        with django_capture_on_commit_callbacks(execute=True):
            yield

    return after


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """Queries of the event `strange_clients` lose recall unless the search is widened."""

    def metrics(params: dict[str, Any]) -> dict[str, float]:
        widened = params["ef_search"] >= 400
        return {"recall": 0.97 if params.get("query_shift", 0.0) < 0.5 or widened else 0.6, "p99_ms": 4.0 if widened else 1.0}

    bench.metrics = metrics
    return bench


def send(attempt: Attempt, staff: User, key: str = "strange_clients", seconds: float = 1300) -> Curveball:
    curveball_send(attempt=attempt, key=key, actor=staff, now=at(seconds))
    return Curveball.objects.get(attempt=attempt, key=key)


def run(attempt: Attempt, seconds: float, **values: Any) -> RunLink:
    return attempt_run_start(attempt=attempt, lab=INDEX, values=values, now=at(seconds))


# --- when ------------------------------------------------------------------------------------------------------------


def thrown_by_plan(attempt: Attempt, step: int = 20) -> list[Curveball]:
    for seconds in range(1200, LIMIT_S, step):
        prompts_due(attempt=attempt, now=at(seconds), state=state_of(attempt, at(seconds)))
    return list(attempt.curveball_rows.all())


def test_two_come_at_their_planned_moments_and_never_in_the_last_nine_percent(running: Attempt, user: User, bench: Bench) -> None:
    for phase, seconds in ((1, 300), (2, 600), (3, 1200), (4, 2100)):
        lifecycle.attempt_move(attempt=running, to_phase=phase, actor=user, now=at(seconds))
    planned = curveballs.plan(interviewer_of(running), running.phases, clock_of(running), running.seed)
    thrown = thrown_by_plan(running)
    assert [ball.key for ball in thrown] == [ball.key for ball in planned]
    for ball, plan in zip(thrown, planned, strict=True):
        assert plan.at_s <= ball.active_ms / 1000 <= plan.at_s + 20
        assert ball.phase == running.phases[plan.phase]["key"]
        assert ball.active_ms < 0.91 * LIMIT_S * 1000
        assert ball.within_s == pytest.approx(0.35 * running.phases[plan.phase]["budget_s"])


def test_where_staff_send_them_none_comes_by_itself(running: Attempt, user: User, bench: Bench) -> None:
    Attempt.objects.filter(pk=running.pk).update(curveballs="staff")
    running.refresh_from_db()
    lifecycle.attempt_move(attempt=running, to_phase=3, actor=user, now=at(1200))
    assert thrown_by_plan(running) == []


def test_somebody_who_leaves_the_deep_dive_early_meets_the_event_all_the_same(running: Attempt, user: User, bench: Bench) -> None:
    lifecycle.attempt_move(attempt=running, to_phase=3, actor=user, now=at(1200))
    lifecycle.attempt_move(attempt=running, to_phase=4, actor=user, now=at(1260))
    first, *_ = thrown_by_plan(running)
    assert first.phase == running.phases[4]["key"]


def test_a_pause_puts_an_event_off(running: Attempt, user: User, bench: Bench) -> None:
    lifecycle.attempt_move(attempt=running, to_phase=3, actor=user, now=at(1200))
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(1210))
    state = state_of(running, at(1370))
    assert state.state == "paused" and prompts_due(attempt=running, now=at(1370), state=state) == []
    lifecycle.attempt_resume(attempt=running, actor=user, now=at(1380))
    first, *_ = thrown_by_plan(running)
    assert first.shown_at == at(first.active_ms / 1000 + 170) > at(1380)


# --- which design it hits --------------------------------------------------------------------------------------------


def test_it_hits_the_newest_pinned_run_and_what_follows_is_an_ordinary_run(
    running: Attempt, other: User, bench: Bench, committed: Committed
) -> None:
    early, newest = run(running, 1210, ef_search=64), run(running, 1220, ef_search=128)
    run(running, 1230, ef_search=256)  # newer, not pinned
    for link in (newest, early):
        run_pin(link=link, pinned=True, label="", now=at(1240))
    with committed():
        ball = send(running, other)
    ball.refresh_from_db()
    assert ball.base == newest and ball.broken
    assert ball.broken.number == 4 and ball.broken.curveball == ball
    assert ball.broken.run.params == {**newest.run.params, "query_shift": 0.75}
    assert ball.broken.run.user == running.user
    assert (ball.locked, ball.sent_by, ball.state) == ({"query_shift": 0.75}, other, "active")
    event = running.events.get(kind="curveball")
    assert (event.actor, event.data["base"], event.data["locked"]) == (other, 2, {"query_shift": 0.75})
    assert "strong" not in str(event.data), "what a strong answer does stays with the graders"


def test_without_a_pinned_run_it_hits_the_declared_start_which_is_run_as_well(
    running: Attempt, other: User, bench: Bench, committed: Committed
) -> None:
    run(running, 1210, ef_search=64)
    with committed():
        ball = send(running, other, key="corpus_grows")
    ball.refresh_from_db()
    assert ball.base and ball.broken
    assert ball.base.run.params["kind"] == ["hnsw"] and ball.broken.run.params["target_n"] == 4_000_000_000
    assert {link.number for link in (ball.base, ball.broken)} == {2, 3}


def test_without_a_worker_it_waits_and_the_next_look_runs_it(running: Attempt, other: User, bench: Bench, committed: Committed) -> None:
    bench.refuse = True
    with committed():
        ball = send(running, other)
    ball.refresh_from_db()
    assert ball.broken is None and running.events.filter(kind="curveball").exists()
    bench.refuse = False
    catch_up(attempt=running, now=at(1400))
    catch_up(attempt=running, now=at(1400))
    ball.refresh_from_db()
    assert ball.broken and running.runlinks.count() == 2


def test_a_run_that_no_worker_took_up_is_begun_again_under_its_number(
    running: Attempt, other: User, bench: Bench, committed: Committed
) -> None:
    bench.hold = True
    with committed():
        ball = send(running, other)
    ball.refresh_from_db()
    assert ball.broken
    first = give_up(ball.broken)
    bench.hold = False
    catch_up(attempt=running, now=at(1400))
    ball.refresh_from_db()
    assert ball.broken.run != first and ball.broken.run.state == RunState.DONE
    assert running.runlinks.count() == running.events.filter(kind="run").count() == 2


def test_what_no_worker_ever_takes_up_is_not_tried_for_ever(running: Attempt, other: User, bench: Bench, committed: Committed) -> None:
    bench.hold = True
    with committed():
        ball = send(running, other)
    for number in range(12):
        for link in running.runlinks.filter(run__state=RunState.QUEUED):
            give_up(link)
        catch_up(attempt=running, now=at(1400 + 10 * number))
    assert len(bench.asked) == 2 * MAX_TRIES
    assert running.runlinks.count() == 2
    ball.refresh_from_db()
    assert not runs_awaited(ball)
    own = run(running, 1600, ef_search=512)
    bench.finish(own.run)
    catch_up(attempt=running, now=at(1620))
    ball.refresh_from_db()
    assert ball.recovery == own, "the candidate can still come through it"


def give_up(link: RunLink) -> Run:
    """The run as it is when nobody took it up in time."""
    link.run.state = RunState.EXPIRED
    link.run.save()
    return link.run


# --- what it holds fast ----------------------------------------------------------------------------------------------


def test_locked_parameters_cannot_be_turned_back(running: Attempt, other: User, bench: Bench, committed: Committed) -> None:
    with committed():
        send(running, other)
    link = run(running, 1310, query_shift=0.0, ef_search=100)
    assert link.run.params["query_shift"] == 0.75 and link.run.params["ef_search"] == 100
    assert link.curveball and link.curveball.key == "strange_clients"


def test_in_a_lab_under_an_event_only_the_event_holds(running: Attempt, other: User, bench: Bench, committed: Committed) -> None:
    question_ask(attempt=running, text="how many vectors do we store", now=at(10))
    assert set(locked_values(running)["labs"]["index_tradeoffs"]) == {"target_n"}
    with committed():
        send(running, other)
    assert locked_values(running)["labs"]["index_tradeoffs"] == {"query_shift": 0.75}, "so that the way back stays open"
    assert "shard_count" in locked_values(running)["calculators"]


# --- coming through --------------------------------------------------------------------------------------------------


def test_the_first_run_that_meets_the_condition_is_the_recovery(running: Attempt, other: User, bench: Bench, committed: Committed) -> None:
    before = run(running, 1200, ef_search=512)
    with committed():
        ball = send(running, other)
    assert before.curveball is None
    run(running, 1320, ef_search=128)
    ball.refresh_from_db()
    assert (ball.state, ball.runs_used) == ("active", 1)
    saved = run(running, 1380, ef_search=512)
    run(running, 1400, ef_search=600)
    ball.refresh_from_db()
    assert (ball.state, ball.recovery, ball.runs_used) == ("recovered", saved, 2)
    assert (ball.recovered_at, ball.recovered_ms) == (at(1380), 1_380_000)
    event = running.events.get(kind="recovered")
    assert event.data["run"] == saved.number and event.data["runs_used"] == 2
    run_finished(link=saved)
    assert running.events.filter(kind="recovered").count() == 1


def test_a_design_that_stands_the_event_needs_no_run(running: Attempt, other: User, bench: Bench, committed: Committed) -> None:
    run_pin(link=run(running, 1200, ef_search=512), pinned=True, label="wide", now=at(1210))
    with committed():
        ball = send(running, other)
    catch_up(attempt=running, now=at(1310))
    catch_up(attempt=running, now=at(1320))
    ball.refresh_from_db()
    assert (ball.state, ball.runs_used, ball.recovery, ball.recovered_at) == ("recovered", 0, ball.broken, at(1300))
    assert running.events.filter(kind="recovered").count() == 1


def test_a_known_result_asked_for_again_counts_as_a_run_of_its_own(
    running: Attempt, other: User, bench: Bench, committed: Committed
) -> None:
    known = run(running, 1200, ef_search=512, query_shift=0.75)
    with committed():
        ball = send(running, other)
    assert not known.curveball and ball.state == "active"
    again = run(running, 1310, ef_search=512)
    ball.refresh_from_db()
    assert again.run_id != known.run_id and again.run.result_id == known.run.result_id
    assert (ball.state, ball.recovery) == ("recovered", again)


def test_a_run_that_ends_late_is_found_by_the_sweep(running: Attempt, other: User, bench: Bench, committed: Committed) -> None:
    with committed():
        ball = send(running, other)
    bench.hold = True
    link = run(running, 1320, ef_search=512)
    catch_up(attempt=running, now=at(1400))
    ball.refresh_from_db()
    assert (ball.state, ball.runs_used) == ("active", 0)
    bench.finished_at = at(1390)
    bench.finish(link.run)
    catch_up(attempt=running, now=at(1400))
    ball.refresh_from_db()
    assert (ball.state, ball.recovery, ball.recovered_at, ball.recovered_ms) == ("recovered", link, at(1390), 1_390_000)


def test_what_was_not_recovered_is_missed_at_the_close_and_open_again_when_reopened(
    running: Attempt, user: User, other: User, bench: Bench, committed: Committed
) -> None:
    with committed():
        ball = send(running, other)
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(1500))
    ball.refresh_from_db()
    assert ball.state == "missed"
    staff_ops.attempt_reopen(attempt=running, actor=other, reason="fire drill", now=at(1600))
    running.refresh_from_db()
    run(running, 1620, ef_search=512)
    ball.refresh_from_db()
    assert ball.state == "recovered"


def test_a_run_that_ends_after_the_close_changes_nothing(
    running: Attempt, user: User, other: User, bench: Bench, committed: Committed
) -> None:
    with committed():
        ball = send(running, other)
    bench.hold = True
    link = run(running, 1320, ef_search=512)
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(1321))
    bench.finish(link.run)
    run_finished(link=link)
    ball.refresh_from_db()
    assert ball.state == "missed"


# --- sent by staff ---------------------------------------------------------------------------------------------------


def test_staff_may_send_any_event_once_and_words_at_any_time(running: Attempt, other: User, bench: Bench) -> None:
    send(running, other)
    with refused("thrown_before", 409):
        send(running, other, seconds=1400)
    with pytest.raises(InvalidInput, match="There is no event 'asteroid'"):
        curveball_send(attempt=running, key="asteroid", actor=other, now=at(1400))
    event = curveball_send(attempt=running, text="  Speak up, please. ", actor=other, now=at(1400))
    assert isinstance(event, Event) and (event.kind, event.data, event.actor) == ("message", {"text": "Speak up, please."}, other)
    for text in (None, "  ", "x" * 1001):
        with pytest.raises(InvalidInput, match="1 to 1000 characters"):
            curveball_send(attempt=running, text=text, actor=other, now=at(1400))


def test_staff_send_nothing_to_a_clock_that_stands(running: Attempt, user: User, other: User, bench: Bench) -> None:
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(100))
    with refused("paused", 423):
        send(running, other, seconds=110)
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(120))
    with refused("wrong_state", 409):
        send(running, other, seconds=130)


def test_where_events_come_by_themselves_staff_send_words_only(running: Attempt, other: User, bench: Bench) -> None:
    Attempt.objects.filter(pk=running.pk).update(curveballs="auto")
    with refused("curveballs_auto", 409):
        send(running, other)
    curveball_send(attempt=running, text="Go on.", actor=other, now=at(1400))
