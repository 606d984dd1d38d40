"""Asking: what is told, what is not, what is then held fast, and that nothing is told before it is asked for."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.interviewer.facts import spoken_name
from mlsd_app.interviews.interviewer.questions import MISS, QUESTIONS_A_MINUTE, TOO_MANY, assumption_note, constraints_confirm, question_ask
from mlsd_app.interviews.interviewer.record import categories, interviewer_of, locked_values, locks, told_facts, values_of
from mlsd_app.interviews.lists import canonical, row_parse
from mlsd_app.interviews.models import Answer, Attempt
from mlsd_app.interviews.refusals import Refused
from problems.loader import all_problems, load_problem
from problems.schema import Problem
from simulators.errors import InvalidInput
from tests.web.interviews.conftest import LIMIT_S, NOW, at

ASK = {"corpus_size": "How many vectors do we store?", "p99_budget": "What is the p99 latency?", "filter_kinds": "which filters are there?"}


def refused(code: str, status: int) -> Any:
    return pytest.raises(Refused, check=lambda error: (error.code, error.status) == (code, status))


def row_put(attempt: Attempt, row_list: str, key: str, **cells: Any) -> None:
    cells = {cell: str(value) for cell, value in cells.items()}
    content = canonical(row_parse(row_list, cells))
    Answer.objects.create(attempt=attempt, field=f"row/{row_list}/{key}", rev=1, content=content, updated_at=at(1))


# --- what is told ----------------------------------------------------------------------------------------------------


def test_a_question_gets_its_fact_with_the_drawn_value_and_a_row_to_keep_it_in(running: Attempt) -> None:
    value = values_of(running)["p99_budget"]
    told = question_ask(attempt=running, text=ASK["p99_budget"], now=at(10))
    assert (told.kind, [said.fact for said in told.said]) == ("answered", ["p99_budget"])
    assert f"{value:g} ms at p99" in told.text
    assert told.said[0].row == {"name": "p99 budget", "value": f"{value:g}", "unit": "ms", "source": "asked", "fact": "p99_budget"}
    assert told.event.data["facts"] == ["p99_budget"] and told.event.data["answer"] == told.text
    assert told.event.active_ms == 10_000
    assert all(row_parse("constraints", said.row) for said in told.said)


def test_what_nobody_decided_is_the_candidates(running: Attempt) -> None:
    missed = question_ask(attempt=running, text="what colour is the logo", now=at(10))
    assert (missed.kind, missed.text, missed.said) == ("miss", MISS, ())
    crowd = question_ask(
        attempt=running, text="how many vectors, what dimension, which recall, which p99, what qps, which filters?", now=at(11)
    )
    assert (crowd.kind, crowd.text, crowd.said) == ("too_many", TOO_MANY, ())
    assert told_facts(running) == {}


@pytest.mark.parametrize("text", ["", "   ", "x" * 501])
def test_a_question_has_a_length(running: Attempt, text: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 500 characters"):
        question_ask(attempt=running, text=text, now=at(10))


def test_twenty_questions_a_minute_and_no_more(running: Attempt) -> None:
    for second in range(QUESTIONS_A_MINUTE):
        question_ask(attempt=running, text="which colour", now=at(second))
    with refused("too_many_questions", 429):
        question_ask(attempt=running, text="which colour", now=at(30))
    with refused("too_many_questions", 429):
        constraints_confirm(attempt=running, now=at(30))
    assert question_ask(attempt=running, text=ASK["p99_budget"], now=at(61)).kind == "answered"


def test_he_answers_only_while_the_clock_runs(ready: Attempt, user: User) -> None:
    with refused("wrong_state", 409):
        question_ask(attempt=ready, text=ASK["p99_budget"], now=NOW)
    running = lifecycle.attempt_start(attempt=ready, actor=user, now=NOW)
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(60))
    with refused("paused", 423):
        question_ask(attempt=running, text=ASK["p99_budget"], now=at(61))
    lifecycle.attempt_resume(attempt=running, actor=user, now=at(70))
    question_ask(attempt=running, text=ASK["p99_budget"], now=at(71))
    with refused("closed", 423):
        question_ask(attempt=running, text=ASK["p99_budget"], now=at(LIMIT_S + 15))  # paused for 10 s, in the net grace
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(LIMIT_S + 16))
    with refused("wrong_state", 409):
        question_ask(attempt=running, text=ASK["p99_budget"], now=at(LIMIT_S + 17))


def test_an_assumption_is_noted_under_the_same_rules(running: Attempt, user: User) -> None:
    event = assumption_note(attempt=running, row={"name": "Regions", "value": "2", "unit": ""}, now=at(10))
    assert (event.kind, event.data["name"]) == ("assumption", "Regions") and told_facts(running) == {}
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(20))
    with refused("paused", 423):
        assumption_note(attempt=running, row={"name": "Regions", "value": "3", "unit": ""}, now=at(21))


# --- what is then held fast ------------------------------------------------------------------------------------------


def test_a_number_is_held_fast_once_it_was_told_and_not_before(running: Attempt) -> None:
    assert locked_values(running) == {"labs": {}, "calculators": {}}
    question_ask(attempt=running, text=ASK["filter_kinds"], now=at(5))
    assert locked_values(running) == {"labs": {}, "calculators": {}}
    question_ask(attempt=running, text=ASK["corpus_size"], now=at(10))
    value = values_of(running)["corpus_size"]
    held = locked_values(running)
    assert held["labs"] == {"index_tradeoffs": {"target_n": value}}
    assert held["calculators"]["shard_count"] == {"n": value}
    assert held["calculators"]["raw_vectors"] == {"n": value}, "the same input of another calculator"
    assert "flat_scan" not in held["calculators"]
    lock = locks(running)["calculators"]["shard_count"]["n"]
    assert lock["from"] == "fact" and "within two years" in lock["why"]


def test_another_seed_tells_another_number(user: User, problem: Problem) -> None:
    seen = set()
    for seed in range(12):
        attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, seed=seed)
        attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
        seen.add(question_ask(attempt=attempt, text=ASK["corpus_size"], now=at(1)).text)
        lifecycle.attempt_submit(attempt=attempt, actor=user, now=at(2))
    assert len(seen) == 3


def test_strict_holds_the_candidates_own_numbers_once_their_phase_is_over(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, mode="strict", seed=7)
    attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    row_put(attempt, "numbers", "a", name="Vectors", value="3e8", unit="vectors", calculator="shard_count.n")
    row_put(attempt, "numbers", "b", name="Nodes", value=12, unit="nodes", calculator="shard_count.nodes")
    assert locked_values(attempt)["calculators"] == {}
    question_ask(attempt=attempt, text="what colour", now=at(700))  # 600 s: architecture has begun
    assert locked_values(attempt)["calculators"]["shard_count"] == {"n": 3e8}, "an input, not what was computed from it"
    question_ask(attempt=attempt, text=ASK["corpus_size"], now=at(710))
    assert locked_values(attempt)["calculators"]["shard_count"] == {"n": values_of(attempt)["corpus_size"]}, "what was told counts more"


# --- reading back ----------------------------------------------------------------------------------------------------


def test_constraints_are_read_back_and_what_is_missing_is_not_named(running: Attempt) -> None:
    values = values_of(running)
    row_put(running, "constraints", "right", name="Corpus size", value=f"{values['corpus_size'] / 1e9:g} billion", unit="vectors")
    row_put(running, "constraints", "wrong", name="p99 latency", value=values["p99_budget"] * 2, unit="ms")
    row_put(running, "constraints", "other", name="On-call team", value="4", unit="people")
    told = constraints_confirm(attempt=running, now=at(100))
    assert {back.row: (back.how, back.fact) for back in told.rows} == {
        "right": ("confirmed", "corpus_size"),
        "wrong": ("corrected", "p99_budget"),
        "other": ("open", ""),
    }
    assert told.event.data["confirmed"] == [{"row": "right", "fact": "corpus_size"}]
    assert told.event.data["corrected"] == [{"row": "wrong", "fact": "p99_budget"}]
    assert told.event.data["open"] == ["other"]
    assert f"{values['p99_budget']:g} ms at p99" in told.text and "recall" not in told.text.lower()
    assert told_facts(running) == {"corpus_size": "confirmed", "p99_budget": "corrected"}
    assert locked_values(running)["calculators"]["shard_count"] == {"n": values["corpus_size"]}


@pytest.mark.parametrize(
    ("value", "unit", "how"),
    [
        ("{seconds}", "s", "confirmed"),
        ("{ms}", "ms", "confirmed"),
        ("{ms}", "", "confirmed"),
        ("1", "h", "corrected"),
        ("fast", "", "open"),
    ],
)
def test_units_are_compared_and_words_are_not(running: Attempt, value: str, unit: str, how: str) -> None:
    ms = values_of(running)["p99_budget"]
    row_put(running, "constraints", "a", name="latency budget", value=value.format(ms=f"{ms:g}", seconds=f"{ms / 1000:g}"), unit=unit)
    assert [back.how for back in constraints_confirm(attempt=running, now=at(5)).rows] == [how]


def test_nothing_written_nothing_read(running: Attempt) -> None:
    row_put(running, "constraints", "a", name="latency", value="")
    told = constraints_confirm(attempt=running, now=at(5))
    assert told.rows == () and "nothing in your constraints" in told.text


# --- study -----------------------------------------------------------------------------------------------------------


def test_categories_count_every_fact_once(problem: Problem) -> None:
    assert problem.interviewer
    counted = categories(problem.interviewer.facts)
    assert sum(counted.values()) == len(problem.interviewer.facts)
    assert counted["Latency"] == 1 and len(counted) >= 4


# --- nothing before it is asked for ----------------------------------------------------------------------------------


def told_pieces(attempt: Attempt) -> dict[str, str]:
    """{fact: a piece of its answer that stands nowhere else}."""
    pieces = {fact.id: max(re.split(r"\{value\}|[.,;:]", fact.answer), key=len).strip() for fact in interviewer_of(attempt).facts}
    assert all(len(piece) >= 12 for piece in pieces.values()), pieces
    return pieces


def replies(browser: Client, attempt: Attempt) -> dict[str, str]:
    """Everything that can be read about a running attempt, by its address."""
    own = reverse("interviews:room", args=[attempt.pk])
    parts = ["", "clock", "feed", "answers/", "lease", "diagram", "claims", "runs", "labs", "calculators", "lobby/", "debrief/", "replay/"]
    parts += ["print/", "export.md", "export.jsonl", *(f"labs/{link.lab}" for link in load_problem(attempt.problem).labs)]
    parts += [f"calculators/{calculator.key}" for calculator in load_problem(attempt.problem).calculators]
    api = f"/api/v1/attempts/{attempt.pk}"
    addresses = [reverse("interviews:start"), *(own + part for part in parts)]
    addresses += [
        api,
        "/api/v1/attempts",
        *(f"{api}/{part}" for part in ("clock", "events", "scorecard", "debrief", "replay", "export.md")),
    ]
    found = {}
    for address in addresses:
        reply = browser.get(address)
        if not reply.streaming:
            found[address] = f"{reply.status_code} {reply.content.decode()}"
    assert found[own].startswith("200"), "the room itself must be among what is read"
    return found


@pytest.mark.parametrize("show", ["real", "study"])
def test_no_reply_holds_a_fact_before_it_was_asked_for(mine: Client, user: User, problem: Problem, show: str) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, seed=7, show=show)
    now = timezone.now()
    attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=now)
    pieces = told_pieces(attempt)
    read = replies(mine, attempt)
    leaks = {(fact, address) for fact, piece in pieces.items() for address, text in read.items() if piece in text}
    assert not leaks
    told = question_ask(attempt=attempt, text=ASK["filter_kinds"], now=now)
    assert told.kind == "answered"
    after = replies(mine, attempt)
    leaks = {fact for fact, piece in pieces.items() for text in after.values() if piece in text}
    assert leaks == {"filter_kinds"}, "what was asked for stands in the conversation, and nothing else does"


def test_another_persons_interviewer_does_not_answer(client: Client, running: Attempt, other: User) -> None:
    client.force_login(other)
    for name in ("ask", "confirm", "assume"):
        reply = client.post(reverse(f"interviews:{name}", args=[running.pk]), json.dumps({"text": "p99?"}), content_type="application/json")
        assert reply.status_code == 404
    assert not running.events.filter(kind="question").exists()


def test_rows_of_the_constraints_write_abbreviations_as_people_do() -> None:
    names = {fact.id: spoken_name(fact) for problem in all_problems() if problem.interviewer for fact in problem.interviewer.facts}
    assert (names["ttft"], names["corpus_size"], names["fp_cost"]) == ("TTFT", "corpus size", "FP cost")
