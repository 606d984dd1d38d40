"""What the interviewer says unasked: at the right time, once, to nobody who pauses, and not about what is settled."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.clock import Clock, Move, PhaseBudget, Stop, phase_at
from mlsd_app.interviews.events import attempt_lock
from mlsd_app.interviews.interviewer import prompts, speaking
from mlsd_app.interviews.interviewer.prompts import Prompt, Said, Scene
from mlsd_app.interviews.interviewer.questions import question_ask
from mlsd_app.interviews.interviewer.speaking import prompts_due
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.interviews.presets import preset_phases
from mlsd_app.interviews.selectors import state_of
from mlsd_app.interviews.upkeep import sweep
from problems.loader import load_problem
from tests.web.interviews.bench import Bench
from tests.web.interviews.conftest import LIMIT_S, NOW, at

INTERVIEWER = load_problem("vector_search").interviewer
PHASES = preset_phases("five_phase")
BUDGETS = tuple(PhaseBudget(phase["key"], phase["title"], phase["budget_s"]) for phase in PHASES)


def scene_at(seconds: float, said: Said = Said(), idle_s: float | None = None, **clock: Any) -> Scene:  # noqa: B008 - frozen
    assert INTERVIEWER
    made = Clock(phases=BUDGETS, started_at=NOW, **{"mode": "soft", **clock})
    return Scene(
        interviewer=INTERVIEWER,
        phases=PHASES,
        mode=made.mode,
        state=phase_at(at(seconds), made),
        ends_s=made.phase_ends_s,
        deep_dive="filters",
        scale=made.multiplier,
        said=said,
        typing_idle_s=idle_s,
    )


def kinds(found: list[Prompt]) -> set[tuple[str, str]]:
    return {(prompt.kind, prompt.key) for prompt in found}


def nudges(seconds: float, **clock: Any) -> set[str]:
    return {prompt.key for prompt in prompts.due(scene_at(seconds, **clock)) if prompt.kind == "nudge"}


# --- nudges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (179, set()),
        (181, {"clarify:soon"}),
        (299, {"clarify:soon"}),
        (301, {"clarify:end"}),
        (449, {"clarify:end"}),
        (451, {"clarify:over"}),
    ],
)
def test_nudges_come_two_minutes_before_the_end_at_it_and_half_as_long_after(seconds: float, expected: set[str]) -> None:
    assert nudges(seconds) == expected


def test_nudges_scale_with_the_persons_time() -> None:
    assert nudges(269, multiplier=1.5) == set() and nudges(271, multiplier=1.5) == {"clarify:soon"}
    assert nudges(449, multiplier=1.5) == {"clarify:soon"} and nudges(451, multiplier=1.5) == {"clarify:end"}


def test_a_short_phase_is_not_over_before_it_began() -> None:
    short = tuple(replace(phase, budget_s=phase.budget_s / 3) for phase in BUDGETS)  # clarify: 100 s
    said = {
        seconds: kinds(prompts.due(replace(scene_at(0), state=phase_at(at(seconds), Clock(phases=short, mode="soft", started_at=NOW)))))
        for seconds in (30, 59, 61)
    }
    assert [("nudge", "clarify:soon") in said[seconds] for seconds in said] == [False, False, True]


def test_strict_says_the_first_only_and_free_says_none() -> None:
    assert nudges(250, mode="strict") == {"clarify:soon"}
    for seconds in range(0, LIMIT_S, 20):
        assert all(key.endswith(":soon") for key in nudges(seconds, mode="strict"))
        assert nudges(seconds, mode="free") == set()


def test_a_stage_that_was_passed_over_is_not_made_up_for() -> None:
    said = Said(frozenset({("nudge", "clarify:over")}))
    assert not {key for kind, key in kinds(prompts.due(scene_at(350, said))) if kind == "nudge"}


def test_a_nudge_names_the_next_phase_and_its_usual_first_question() -> None:
    text = next(prompt.text for prompt in prompts.due(scene_at(200)) if prompt.kind == "nudge")
    assert text.startswith("About 2 minutes are left for Clarify.") and "Capacity" in text and prompts.FIRST_QUESTIONS["capacity"] in text


# --- probes ----------------------------------------------------------------------------------------------------------


def probes(scene: Scene) -> list[str]:
    return [prompt.key for prompt in prompts.due(scene) if prompt.kind == "probe"]


def test_a_probe_waits_for_a_pause_in_the_typing_or_for_twenty_seconds() -> None:
    first = 150  # ask_filter_share: half of the five minutes
    assert probes(scene_at(first + 1, idle_s=1)) == []
    assert probes(scene_at(first + 1, idle_s=3)) == ["ask_filter_share"]
    assert probes(scene_at(first + 1)) == [] and probes(scene_at(first + 21)) == ["ask_filter_share"]
    assert probes(scene_at(first + 21, idle_s=0)) == ["ask_filter_share"]


def test_a_probe_is_not_asked_about_what_is_settled() -> None:
    scene = replace(scene_at(240, idle_s=5), settled=lambda item: item == "clarify.filters")
    assert probes(scene) == ["ask_recall"]
    assert probes(replace(scene, settled=lambda item: True)) == []


@pytest.mark.parametrize(("since", "answered", "expected"), [(59, True, 0), (61, True, 1), (61, False, 0), (121, False, 1)])
def test_one_probe_at_a_time_and_a_minute_apart(since: float, answered: bool, expected: int) -> None:
    said = Said(frozenset({("probe", "ask_filter_share")}), last_probe_s=280 - since, probe_answered=answered)
    assert len(probes(scene_at(280, said, idle_s=5))) == expected


# --- the rest --------------------------------------------------------------------------------------------------------


def test_the_focus_is_announced_when_the_deep_dive_begins() -> None:
    assert ("focus", "filters") not in kinds(prompts.due(scene_at(1500)))
    assert ("focus", "filters") in kinds(prompts.due(scene_at(1500, moves=(Move(at(1499), 3),))))


def test_the_closing_question_comes_at_nine_percent_or_with_the_last_phase() -> None:
    last = (Move(at(2100), 4),)
    assert ("closing", "closing") not in kinds(prompts.due(scene_at(2456, moves=last)))
    assert ("closing", "closing") in kinds(prompts.due(scene_at(2458, moves=last)))
    assert ("closing", "closing") in kinds(prompts.due(scene_at(2458))), "the last phase has begun by plan"
    compact = replace(scene_at(2458), ends_s=(300.0, 600.0, 1200.0, 2520.0, 2700.0))
    assert ("closing", "closing") not in kinds(prompts.due(compact)), "the last phase begins later than 9 % before the end"


def test_nothing_is_said_in_a_pause() -> None:
    paused = scene_at(200, idle_s=60, stops=(Stop(at(190)),))
    assert paused.state.state == "paused" and prompts.due(paused) == []


@settings(max_examples=40, deadline=None)
@given(
    moves=st.lists(st.tuples(st.floats(0, LIMIT_S), st.integers(0, 4)), max_size=6),
    multiplier=st.sampled_from([1.0, 1.5, 2.0]),
    mode=st.sampled_from(["soft", "strict", "free"]),
    step=st.sampled_from([7, 15, 60]),
)
def test_whatever_a_person_does_each_prompt_is_said_once_and_probes_keep_their_distance(
    moves: list[tuple[float, int]], multiplier: float, mode: str, step: int
) -> None:
    said, times = Said(), []
    clock = {"moves": tuple(Move(at(when), phase) for when, phase in sorted(moves)), "multiplier": multiplier, "mode": mode}
    for seconds in range(0, round(LIMIT_S * multiplier), step):
        for prompt in prompts.due(scene_at(seconds, said, idle_s=10, **clock)):
            assert (prompt.kind, prompt.key) not in said.keys
            said = replace(said, keys=said.keys | {(prompt.kind, prompt.key)})
            if prompt.kind == "probe":
                times.append(seconds)
                said = replace(said, last_probe_s=seconds)
    assert all(after - before >= prompts.PROBE_APART_S for before, after in pairwise(times))
    for phase in PHASES:
        stages = [stage for stage in ("soon", "end", "over") if ("nudge", f"{phase['key']}:{stage}") in said.keys]
        assert mode != "strict" or stages in ([], ["soon"])


# --- in an attempt ---------------------------------------------------------------------------------------------------


def look(attempt: Attempt, seconds: float, idle_s: float | None = None) -> list[Event]:
    return prompts_due(attempt=attempt, now=at(seconds), state=state_of(attempt, at(seconds)), typing_idle_s=idle_s)


def test_a_whole_interview_says_everything_once(
    running: Attempt, user: User, bench: Bench, django_capture_on_commit_callbacks: Any
) -> None:
    moves = {300: 1, 610: 2, 1220: 3, 2110: 4}
    with django_capture_on_commit_callbacks(execute=True):
        for seconds in range(0, LIMIT_S, 20):
            look(running, seconds)
            look(running, seconds)
            if phase := next((phase for when, phase in moves.items() if 0 <= seconds - when < 20), None):
                lifecycle.attempt_move(attempt=running, to_phase=phase, actor=user, now=at(seconds))
    said = [
        (event.kind, event.data["key"]) for event in running.events.filter(kind__in=["nudge", "probe", "focus", "closing", "curveball"])
    ]
    assert len(said) == len(set(said))
    heard = {kind for kind, _ in said}
    assert heard == {"nudge", "probe", "focus", "closing", "curveball"}
    assert [kind for kind, _ in said].count("curveball") == 2
    focus = running.events.get(kind="focus")
    assert focus.data["key"] == running.content["deep_dive"] and focus.phase == "deep_dive"
    assert running.events.get(kind="closing").active_ms >= 0.91 * LIMIT_S * 1000


def test_a_probe_for_a_fact_is_left_out_once_it_was_asked_for(running: Attempt) -> None:
    question_ask(attempt=running, text="which filters are there and how selective are those filters?", now=at(20))
    said = {event.data["key"] for seconds in range(150, 300, 5) for event in look(running, seconds, idle_s=5) if event.kind == "probe"}
    assert "ask_filter_share" not in said and "ask_recall" in said


def test_a_question_takes_up_the_open_probe(running: Attempt) -> None:
    first = [event for event in look(running, 151, idle_s=5) if event.kind == "probe"]
    assert [event.data["key"] for event in first] == ["ask_filter_share"]
    assert not look(running, 230, idle_s=5) or all(event.kind != "probe" for event in look(running, 230, idle_s=5))
    question_ask(attempt=running, text="what colour is it", now=at(231))
    assert [event.data["key"] for event in look(running, 232, idle_s=5) if event.kind == "probe"] == ["ask_recall"]


def test_nothing_is_said_before_the_start_in_a_pause_or_after_the_end(ready: Attempt, user: User) -> None:
    assert look(ready, 0) == []
    running = lifecycle.attempt_start(attempt=ready, actor=user, now=NOW)
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(290))
    assert look(running, 300) == []
    lifecycle.attempt_resume(attempt=running, actor=user, now=at(310))
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(311))
    running.refresh_from_db()
    assert look(running, 400) == []


def test_the_sweep_says_it_too_and_marks_that_nobody_was_there(running: Attempt) -> None:
    sweep(now=at(16))
    sweep(now=at(205))
    event = running.events.get(kind="nudge")
    assert (event.data["key"], event.online) == ("clarify:soon", False)


def test_two_who_look_at_once_say_nothing_twice(running: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one gets in between finding what is due and taking the lock: the moment that matters."""
    others: list[Event] = []

    def after_the_other(*, attempt: Attempt) -> Attempt:
        monkeypatch.setattr(speaking, "attempt_lock", attempt_lock)
        others.extend(look(Attempt.objects.get(pk=running.pk), 240, idle_s=5))
        return attempt_lock(attempt=attempt)

    monkeypatch.setattr(speaking, "attempt_lock", after_the_other)
    assert look(running, 240, idle_s=5) == []
    assert {(event.kind, event.data["key"]) for event in others} == {("nudge", "clarify:soon"), ("probe", "ask_filter_share")}
    assert running.events.filter(kind__in=["nudge", "probe"]).count() == 2
