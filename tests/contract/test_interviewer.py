"""The interviewer of every problem: hears what is asked, tells nothing else, and what it points at is there.

That curveballs break a lab and can be recovered from, and that needs and feeds resolve, is checked in `test_problem_practice`.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from mlsd_app.interviews.clock import Clock, PhaseBudget
from mlsd_app.interviews.interviewer import curveballs, facts
from mlsd_app.interviews.interviewer.matcher import MAX_FACTS, match
from mlsd_app.interviews.presets import PRESETS, preset_phases
from problems.interview_schema import Interviewer
from problems.schema import Problem
from simulators.lab import Lab
from simulators.registry import get_lab
from tests.contract.problem_checks import COMPLETE, slug_of

every_complete = pytest.mark.parametrize("problem", COMPLETE, ids=slug_of)
SEEDS = range(60)


def interviewer_of(problem: Problem) -> Interviewer:
    assert problem.interviewer
    return problem.interviewer


# --- what is heard ---------------------------------------------------------------------------------------------------


@every_complete
def test_there_is_enough_to_ask(problem: Problem) -> None:
    known = interviewer_of(problem).facts
    assert len({fact.id for fact in known}) == len(known) >= 8
    assert sum(fact.needed for fact in known) >= 5


@every_complete
def test_a_question_for_a_fact_gets_it_and_no_other(problem: Problem) -> None:
    known = interviewer_of(problem).facts
    asked = [(fact.id, question, match(question, known).facts) for fact in known for question in fact.phrasings]
    missed = [(fact, question) for fact, question, told in asked if fact not in told]
    wrong = [(question, told) for fact, question, told in asked if set(told) - {fact}]
    assert len(missed) <= 0.1 * len(asked), missed
    assert len(wrong) <= 0.02 * len(asked), wrong


@every_complete
def test_a_question_off_the_topic_gets_nothing(problem: Problem) -> None:
    known, off_topic = interviewer_of(problem).facts, interviewer_of(problem).off_topic
    assert len(set(off_topic)) >= 10
    told = {question: match(question, known).facts for question in off_topic}
    assert not {question: heard for question, heard in told.items() if heard}


# Said in other words than the files have: what strangers would type.
OTHER_WORDS = {
    "latency": [
        "What's the latency requirement?",
        "what is the acceptable p99 latency",
        "Which latency should we hold at the 99th percentile?",
        "how many milliseconds of latency do we have",
    ],
    "load": [
        "How many requests per second at peak?",
        "what's the expected QPS",
        "how much traffic do we get",
        "what load should I design for",
    ],
    "corpus": ["how big is the corpus?", "Corpus size?", "what's the size of the corpus"],
    "freshness": ["what are the freshness requirements?", "does it have to be fresh"],
    "languages": ["do we need to support multiple languages?", "English only, or multilingual?"],
    "labels": ["where do labels come from", "how many labels are there?"],
    "existing": ["Is there an existing system in place?", "what do we have today?"],
    "privacy": ["are there any privacy constraints?"],
    "uploads": ["how much do people upload?"],
    "exploration": ["is there any exploration today, or may we explore"],
}


@pytest.mark.parametrize("fact", OTHER_WORDS)
def test_other_words_for_the_same_question_are_understood(fact: str) -> None:
    asked = [
        (problem.slug, question, match(question, interviewer_of(problem).facts).facts)
        for problem in COMPLETE
        if fact in {known.id for known in interviewer_of(problem).facts}
        for question in OTHER_WORDS[fact]
    ]
    missed = [(slug, question, told) for slug, question, told in asked if fact not in told]
    assert asked
    assert len(missed) <= 0.1 * len(asked), missed


@every_complete
def test_everything_at_once_is_too_many(problem: Problem) -> None:
    known = interviewer_of(problem).facts
    heard = match(". ".join(fact.phrasings[0] for fact in known[: MAX_FACTS + 3]), known)
    assert (heard.kind, heard.facts) == ("too_many", ())


# --- what is told ----------------------------------------------------------------------------------------------------


@every_complete
def test_every_choice_is_drawn_and_the_seed_decides(problem: Problem) -> None:
    interviewer = interviewer_of(problem)
    drawn = [facts.draw(interviewer, seed) for seed in SEEDS]
    assert drawn == [facts.draw(interviewer, seed) for seed in SEEDS]
    for fact in interviewer.facts:
        if fact.choices:
            assert {found["values"][fact.id] for found in drawn} == set(fact.choices), fact.id
    assert {found["deep_dive"] for found in drawn} == {dive.key for dive in interviewer.deep_dives}


@every_complete
def test_a_fact_more_moves_no_other_draw(problem: Problem) -> None:
    interviewer = interviewer_of(problem)
    fewer = interviewer.model_copy(update={"facts": interviewer.facts[1:]})
    assert all(facts.draw(fewer, seed)["values"].items() <= facts.draw(interviewer, seed)["values"].items() for seed in SEEDS)


@every_complete
def test_answers_are_said_as_a_person_says_them(problem: Problem) -> None:
    for fact in interviewer_of(problem).facts:
        for value in fact.choices or (None,):
            said = facts.answer_text(fact, value)
            assert not re.search(r"[{}]|\d[eE][+-]?\d|\d{5,}|\b1 (hours|points|weeks|days)\b", said), said


# --- what is thrown in -----------------------------------------------------------------------------------------------


def clock_of(preset: str, multiplier: float) -> Clock:
    phases = tuple(PhaseBudget(phase["key"], phase["title"], phase["budget_s"]) for phase in preset_phases(preset))
    return Clock(phases=phases, mode="soft", multiplier=multiplier)


@pytest.mark.parametrize("preset", PRESETS)
@every_complete
def test_two_events_are_planned_where_they_belong_and_not_in_the_end(problem: Problem, preset: str) -> None:
    interviewer, phases = interviewer_of(problem), preset_phases(preset)
    dive = next(number for number, phase in enumerate(phases) if "deep_dive" in phase["tags"])
    tags = {ball.key: ball.tag for ball in interviewer.curveballs}
    for multiplier in (1.0, 1.5):
        clock = clock_of(preset, multiplier)
        for seed in SEEDS:
            planned = curveballs.plan(interviewer, phases, clock, seed)
            assert [ball.phase == dive for ball in planned] == [True, False]
            assert all(tags[ball.key] in phases[ball.phase]["tags"] for ball in planned)
            assert all(ball.at_s <= curveballs.PLAN_UNTIL * clock.limit_s + 1e-6 for ball in planned)
            assert planned == curveballs.plan(interviewer, phases, clock, seed)


@every_complete
def test_every_lab_event_of_the_deep_dive_comes_up_under_some_seed(problem: Problem) -> None:
    interviewer, phases, clock = interviewer_of(problem), preset_phases("five_phase"), clock_of("five_phase", 1.0)
    played = {ball.key for ball in interviewer.curveballs if ball.tag in ("deep_dive", "infra") and ball.change}
    thrown = {ball.key for seed in range(400) for ball in curveballs.plan(interviewer, phases, clock, seed)}
    assert played <= thrown


@every_complete
def test_what_an_event_holds_fast_its_way_back_leaves_alone(problem: Problem) -> None:
    """As the application computes it: locked values are those the lab keeps, so that a later run can be told to honour them."""
    for ball in interviewer_of(problem).curveballs:
        if ball.change:
            lab: type[Lab] = get_lab(problem.slug, ball.change.lab)
            params = kept(lab, curveballs.patched(ball.change, dict(ball.change.start), lab.Params()))
            locked = curveballs.locked_by(ball.change, params)
            back = kept(lab, {**params, **ball.change.way_back})
            assert curveballs.honours(params, locked) and curveballs.honours(back, locked), ball.key
            if locked:
                assert not curveballs.honours(kept(lab, dict(ball.change.start)), locked), (
                    f"{ball.key}: the start is under the event already"
                )


def kept(lab: type[Lab], values: dict[str, Any]) -> dict[str, Any]:
    return lab.Params.model_validate(values).model_dump(mode="json")
