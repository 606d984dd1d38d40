"""What an interview is looked back at with: nothing before its time, nothing graded that was not shown, the numbers add up."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle, staff_ops
from mlsd_app.interviews.answers import answer_save, answers_of
from mlsd_app.interviews.debrief import Debrief, debrief_of, drawings
from mlsd_app.interviews.debrief.evidence import BallLine, Predicted, predicted
from mlsd_app.interviews.debrief.own import GapRow, gaps_until, own_levels_set, result_reveal, result_revealed
from mlsd_app.interviews.debrief.pacing import absolutes, words_by_phase
from mlsd_app.interviews.debrief.told import worked
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.interviewer.questions import constraints_confirm, question_ask
from mlsd_app.interviews.interviewer.throwing import curveball_send
from mlsd_app.interviews.models import Attempt, Curveball, Event, Status
from mlsd_app.interviews.runs import attempt_run_start, run_pin
from mlsd_app.interviews.scoring import human_level
from mlsd_app.interviews.scoring.claim_rows import claim_add
from problems.calculators import evaluate
from problems.expressions import evaluate_expression
from problems.loader import all_problems, load_problem
from simulators.errors import InvalidInput
from simulators.registry import get_lab
from tests.web.interviews.bench import Bench
from tests.web.interviews.conftest import NOW, at


def save(attempt: Attempt, field: str, content: str | None, seconds: float) -> None:
    standing = answers_of(attempt).get(field)
    reply = answer_save(
        attempt=attempt,
        field=field,
        content=content,
        base_rev=standing.rev if standing else 0,
        op_id=f"{field}-{seconds}",
        client_id="tab",
        client_label="Firefox",
        lease_epoch=None,
        now=at(seconds),
    )
    assert reply.status == 200, reply.body


def submitted(attempt: Attempt, seconds: float = 2400) -> Attempt:
    lifecycle.attempt_submit(attempt=attempt, actor=attempt.user, now=at(seconds))
    attempt.refresh_from_db()
    return attempt


def graded(attempt: Attempt, seconds: float = 2400) -> Attempt:
    assert attempt_grade(attempt_id=str(submitted(attempt, seconds).pk), now=at(seconds + 1))
    attempt.refresh_from_db()
    return attempt


# --- time and words --------------------------------------------------------------------------------------------------


def test_the_bars_add_up_to_the_time_and_the_words(running: Attempt, user: User) -> None:
    save(running, "text/clarify", "one two three", 20)
    lifecycle.attempt_move(attempt=running, to_phase=3, actor=user, now=at(400))
    save(running, "text/deep_dive", "four five six seven eight nine ten", 500)
    save(running, "row/tradeoffs/t1", '{"choose":"eleven","over":"twelve"}', 600)
    pacing = debrief_of(submitted(running, 1600)).pacing
    assert sum(bar.actual_s for bar in pacing.bars) == pytest.approx(1600)
    assert {bar.key: (bar.actual_s, bar.words) for bar in pacing.bars if bar.actual_s} == {"clarify": (400, 3), "deep_dive": (1200, 9)}
    assert sum(bar.word_share for bar in pacing.bars) == pytest.approx(1)
    assert [rule.kept for rule in pacing.advice] == [False, True], "a quarter of the words in clarify, most in the deep dive"
    assert pacing.debt_s == pytest.approx(1600 - 300 - 900)


def test_a_pause_takes_no_time_and_an_extension_lengthens_the_plan(running: Attempt, user: User) -> None:
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(100))
    lifecycle.attempt_resume(attempt=running, actor=user, now=at(200))
    staff_ops.adjust_add(attempt=running, seconds=300, from_phase=0, actor=user, reason="fire alarm", now=at(250))
    pacing = debrief_of(submitted(running, 700)).pacing
    assert pacing.active_s == pytest.approx(600) and pacing.limit_s == 3000
    assert sum(bar.planned_s for bar in pacing.bars) == pytest.approx(3000)


def test_firsts_stand_at_the_time_they_happened(running: Attempt, bench: Bench, django_capture_on_commit_callbacks: Any) -> None:
    question_ask(attempt=running, text="How many vectors do we store?", now=at(30))
    save(running, "row/components/k1", '{"name":"Gateway","kind":"gateway"}', 800)
    with django_capture_on_commit_callbacks(execute=True):
        curveball_send(attempt=running, key="corpus_grows", now=at(900))  # its runs are nobody's first run
    attempt_run_start(attempt=running, lab=get_lab("vector_search", "index_tradeoffs"), values={"n": 3000}, now=at(1000))
    firsts = {first.title: first.ms for first in debrief_of(submitted(running)).pacing.firsts}
    assert firsts == {
        "Clarifying question": 30_000,
        "Number": None,
        "Component": 800_000,
        "Metric named": None,
        "Failure mode": None,
        "Run of a lab": 1_000_000,
        "Run pinned": None,
        "Closing answer": None,
    }


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("A cache always solves the latency of this service.", True),
        ("We never lose a write in this design.", True),
        ("A cache always helps, but it costs memory.", False),
        ("A graph never fits unless we compress it.", False),
        ("We measure the recall every day.", False),
    ],
)
def test_absolutes_are_sentences_without_a_price(running: Attempt, sentence: str, found: bool) -> None:
    assert bool(list(absolutes(running, {"text/clarify": sentence}))) is found


@given(words=st.dictionaries(st.sampled_from(["text/clarify", "text/deep_dive", "row/alarms/a"]), st.integers(0, 30)))
def test_every_word_is_counted_in_one_phase(words: dict[str, int]) -> None:
    attempt = Attempt(phases=[{"key": "clarify", "tags": ["clarify"]}, {"key": "deep_dive", "tags": ["deep_dive", "eval", "monitoring"]}])
    row = '{{"metric":"{}"}}'
    kept = {name: row.format("w " * count) if name.startswith("row") else "w " * count for name, count in words.items()}
    assert sum(words_by_phase(attempt, kept).values()) == sum(words.values())


# --- facts and numbers -----------------------------------------------------------------------------------------------


def test_each_fact_says_how_it_came_to_light(running: Attempt) -> None:
    values = running.content["values"]
    question_ask(attempt=running, text="How many vectors do we store?", now=at(20))
    save(running, "row/constraints/c1", '{"name":"recall target","value":"0.123"}', 30)
    constraints_confirm(attempt=running, now=at(40))
    save(running, "row/constraints/c2", f'{{"name":"p99 latency","value":"{values["p99_budget"]:g}","unit":"ms"}}', 50)
    save(running, "row/constraints/c3", '{"name":"dimension","value":"7","unit":"dims"}', 60)
    found = debrief_of(graded(running))
    how = {line.id: line.how for line in found.facts}
    assert how["corpus_size"] == "asked" and how["recall_target"] == "corrected"
    assert how["p99_budget"] == "assumed" and how["dimension"] == "assumed_wrong" and how["churn"] == "missed"
    assert sum(number for _, number in found.fact_counts) == len(found.facts) == len(how)
    for line in found.facts:
        assert bool(line.answer) != bool(line.would_ask), "what was not told is not told now: another round may ask for it"


def test_what_would_have_got_a_missed_fact_gets_it(running: Attempt) -> None:
    missed = debrief_of(graded(running)).facts
    again = lifecycle.attempt_create(user=running.user, problem=load_problem("vector_search"), now=at(5000))
    lifecycle.attempt_start(attempt=again, actor=again.user, now=at(5000))
    for number, line in enumerate(missed):
        answered = question_ask(attempt=again, text=line.would_ask, now=at(5010 + 10 * number))
        assert line.id in [said.fact for said in answered.said], line.would_ask


def test_numbers_are_held_against_what_this_interview_fixed(running: Attempt) -> None:
    values = running.content["values"]
    raw_tb = values["corpus_size"] * values["dimension"] * 4 / 1e12
    save(running, "row/numbers/n1", f'{{"name":"raw vectors","value":{3 * raw_tb},"unit":"TB"}}', 400)
    lines = {line.title: line for line in debrief_of(graded(running)).numbers}
    raw = lines.pop("Raw vectors")
    assert raw.expected == pytest.approx(raw_tb) and raw.ratio == pytest.approx(3)
    assert lines and all(line.given is None and line.ratio is None for line in lines.values())


def test_a_worked_formula_has_the_value_of_its_output() -> None:
    for calculator in load_problem("vector_search").calculators:
        result = evaluate(calculator)
        for output in calculator.outputs:
            value = evaluate_expression(worked(calculator, output, {}), {})
            assert value == pytest.approx(result.value(output.key), rel=5e-3, abs=1), (calculator.key, output.key)


# --- evidence --------------------------------------------------------------------------------------------------------


def test_an_event_with_before_under_and_after(running: Attempt, bench: Bench, django_capture_on_commit_callbacks: Any) -> None:
    bench.metrics = lambda params: {
        "recall@x": 0.95,
        "target_bytes@x": params["target_n"] * (400 if "hnsw" in params["kind"] else 90),
    }
    lab = get_lab("vector_search", "index_tradeoffs")
    first = attempt_run_start(attempt=running, lab=lab, values={"kind": ["hnsw"]}, now=at(900))
    run_pin(link=first, pinned=True, label="graph", now=at(950))
    with django_capture_on_commit_callbacks(execute=True):
        curveball_send(attempt=running, key="corpus_grows", now=at(1000))
    attempt_run_start(attempt=running, lab=lab, values={"kind": ["hnsw"], "n": 3000}, now=at(1040))
    attempt_run_start(attempt=running, lab=lab, values={"kind": ["ivf_sq8"]}, now=at(1080))
    found = debrief_of(graded(running))
    (line,) = found.events
    assert line.outcome == ("Recovered in time", "is-good") and (line.first_run_s, line.took_s) == (40, 80)
    figures = {metric.label: (metric.before, metric.broken, metric.after) for metric in line.metrics}
    assert figures == {"recall@x": (0.95, 0.95, 0.95), "target_bytes@x": (4e11, 1.6e12, 3.6e11)}
    assert line.goal == "recall@x at least 0.900 and target_bytes@x at most 410\N{NO-BREAK SPACE}G"
    assert [run.by_interviewer for run in found.runs] == [False, True, False, False]
    assert [left.number for left in found.labs] == [4] and "kind=ivf_sq8" in found.labs[0].url


def test_an_event_that_was_not_recovered_from(running: Attempt, bench: Bench, django_capture_on_commit_callbacks: Any) -> None:
    bench.metrics = lambda params: {"recall": 0.5, "target_bytes": 1e12}
    with django_capture_on_commit_callbacks(execute=True):
        curveball_send(attempt=running, key="corpus_grows", now=at(1000))
    (line,) = debrief_of(graded(running)).events
    assert line.outcome == ("Not recovered", "is-bad") and line.first_run_s is line.took_s is None
    assert all(metric.after is None for metric in line.metrics)


@given(lower=st.floats(0.01, 1e6), width=st.floats(1, 100), value=st.floats(0.001, 1e7))
def test_a_prediction_is_a_hit_exactly_when_the_value_lies_in_its_range(lower: float, width: float, value: float) -> None:
    upper = lower * width
    said = predicted({"metric": "m", "lower": lower, "upper": upper}, [{"key": "m", "label": "M", "value": value, "unit": "ms"}])
    assert said is not None and said.hit is (lower <= value <= upper)
    expected = "Inside" if said.hit else "Above" if value > upper else "Below"
    assert said.words.startswith(expected)


def test_a_prediction_of_a_figure_that_never_came_is_open() -> None:
    said = predicted({"metric": "gone", "lower": 0, "upper": 1}, [])
    assert isinstance(said, Predicted) and said.hit is None and said.width is None


def test_claims_are_shown_without_their_verdict_until_the_release(mine: Client, running: Attempt) -> None:
    save(running, "text/deep_dive", "Recall is 0.99 here.", 1300)
    claim_add(attempt=running, field="text/deep_dive", quote="Recall is 0.99", start=0, metric="recall", value=0.99, now=at(1500))
    address = reverse("interviews:debrief", args=[running.pk])
    submitted(running)
    waiting = mine.get(address, {"look": 1}).content.decode()
    assert "not yet" in waiting and "Untested" not in waiting
    attempt_grade(attempt_id=str(running.pk), now=at(2500))
    assert "Untested" in mine.get(address, {"look": 1}).content.decode()


# --- the scorecard and one's own judgement ---------------------------------------------------------------------------


def page(client: Client, attempt: Attempt, **query: Any) -> str:
    answer = client.get(reverse("interviews:debrief", args=[attempt.pk]), query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_ones_own_judgement_comes_before_any_mark(mine: Client, running: Attempt) -> None:
    graded(running)
    first = page(mine, running)
    assert "how do you think it went" in first and "Score, of what was graded" not in first
    assert not result_revealed(running)
    mine.post(reverse("interviews:assess", args=[running.pk]), {"signal:scope": "3", "signal:structure": "", "junk": "7"})
    after = page(mine, running)
    assert "Score, of what was graded" in after and "you said: solid" in after and result_revealed(running)
    assert running.self_assessments.get().before_reveal is True
    mine.post(reverse("interviews:assess", args=[running.pk]), {"signal:scope": "0", "signal:structure": "1"})
    kept = dict(running.self_assessments.values_list("subject", "before_reveal"))
    assert kept == {"signal:scope": True, "signal:structure": False}
    assert running.self_assessments.get(subject="signal:scope").level == 3


def test_skipping_opens_the_scorecard_once(mine: Client, running: Attempt) -> None:
    graded(running)
    for _ in range(2):
        answer = mine.post(reverse("interviews:reveal", args=[running.pk]), follow=True)
    assert "Score, of what was graded" in answer.content.decode()
    assert Event.objects.filter(attempt=running, kind="revealed").count() == 1


def test_bad_levels_are_refused_in_words(mine: Client, running: Attempt) -> None:
    graded(running)
    for bad in ({"signal:scope": "9"}, {"signal:scope": "x"}, {"signal:nowhere": "1"}, {"item:clarify.scale": "1"}):
        answer = mine.post(reverse("interviews:assess", args=[running.pk]), bad, follow=True)
        assert "notice is-error" in answer.content.decode() or "notice is-bad" in answer.content.decode()
    assert not running.self_assessments.exists()


def test_nothing_can_be_revealed_before_there_is_a_mark(running: Attempt) -> None:
    submitted(running)
    result_reveal(attempt=running, now=at(2500))
    assert not result_revealed(running)


def test_gaps_are_own_minus_grader_where_both_judged(running: Attempt, other: User) -> None:
    graded(running)
    own_levels_set(attempt=running, levels={"signal:scope": 4, "signal:structure": 2, "signal:verified_design": 1}, now=at(2600))
    save_evidence = [{"kind": "event", "ref": "event/1", "text": "created"}]
    human_level(attempt=running, signal="scope", level=2, evidence=save_evidence, grader=other, now=at(2700))
    result_reveal(attempt=running, now=at(2800))
    (row,) = gaps_until(running)
    assert dict(row.gaps) == {"scope": 2, "verified_design": 1}, "no lab was run: the rule says 0"
    assert row.mean == 1.5


def test_after_the_marks_nobody_had_a_picture_of_his_own(running: Attempt) -> None:
    graded(running)
    result_reveal(attempt=running, now=at(2600))
    own_levels_set(attempt=running, levels={"signal:verified_design": 4}, now=at(2700))
    assert gaps_until(running) == []


def test_not_graded_stands_wherever_nothing_was(mine: Client, running: Attempt) -> None:
    graded(running)
    result_reveal(attempt=running, now=at(2600))
    found = Debrief(running)
    text = page(mine, running)
    assert "No verdict" in text and "Of that rest you would need" in text
    assert text.count("not graded") >= len(found.card.ungraded) + sum(signal.level is None for signal in found.card.signals)


def test_who_judges_nothing_gets_to_the_scorecard_all_the_same(mine: Client, running: Attempt) -> None:
    graded(running)
    answer = mine.post(reverse("interviews:assess", args=[running.pk]), follow=True)
    assert "Score, of what was graded" in answer.content.decode() and not answer.context["own"]


def test_a_provisional_verdict_is_labelled_and_stands_in_no_export(mine: Client, running: Attempt) -> None:
    graded(running)
    mine.post(reverse("interviews:reveal", args=[running.pk]))
    items = [item.id for item in Debrief(running).card.items if item.grade == "text"]
    mine.post(reverse("interviews:assess", args=[running.pk]), {f"item:{items[0]}": "3"})
    assert "of 100 are judged" in page(mine, running), "one mark of one's own is not enough for a verdict, and says how far it goes"
    mine.post(reverse("interviews:assess", args=[running.pk]), {f"item:{item}": "3" for item in items})
    assert "With your own marks for what nobody graded" in page(mine, running)
    exported = mine.get(reverse("interviews:export_md", args=[running.pk])).content.decode()
    assert "self-assessed" not in exported and "verdict: null" in exported


# --- who sees what when ----------------------------------------------------------------------------------------------


@pytest.fixture
def assigned(user: User) -> Attempt:
    attempt = lifecycle.attempt_create(user=user, problem=load_problem("vector_search"), now=NOW, seed=7, kind="assigned")
    lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    return attempt


def test_an_assigned_round_shows_its_marks_when_they_are_released(mine: Client, assigned: Attempt) -> None:
    graded(assigned)
    assert assigned.status == Status.GRADED
    text = page(mine, assigned, look=1)
    assert "releases the marks" in text and "What QPS should we expect" not in text and "Where most points" not in text
    Attempt.objects.filter(pk=assigned.pk).update(status=Status.RELEASED, show_score=False)
    withheld = page(mine, assigned, look=1)
    assert "Marks are kept back" in withheld and "What QPS should we expect" in withheld and "Score, of what" not in withheld
    Attempt.objects.filter(pk=assigned.pk).update(show_questions=False)
    closed = page(mine, assigned, look=1)
    assert "Not open yet" in closed and "QPS" not in closed
    for name in ("print", "export_md", "export_jsonl", "replay"):
        assert mine.get(reverse(f"interviews:{name}", args=[assigned.pk])).status_code == 404


def test_while_it_runs_the_debrief_leads_to_the_room(mine: Client, user: User, running: Attempt) -> None:
    Attempt.objects.filter(pk=running.pk).update(mode="free")
    for name in ("debrief",):
        assert mine.get(reverse(f"interviews:{name}", args=[running.pk]))["Location"] == reverse("interviews:room", args=[running.pk])
    for name in ("print", "export_md", "export_jsonl"):
        assert mine.get(reverse(f"interviews:{name}", args=[running.pk])).status_code == 404


def test_nobody_elses(client: Client, other: User, running: Attempt) -> None:
    graded(running)
    client.force_login(other)
    for name in ("debrief", "graded", "print", "export_md", "export_jsonl"):
        assert client.get(reverse(f"interviews:{name}", args=[running.pk])).status_code == 404
    for name in ("assess", "reveal", "again"):
        assert client.post(reverse(f"interviews:{name}", args=[running.pk])).status_code == 404


def test_a_void_round_and_one_that_never_began(mine: Client, running: Attempt, user: User) -> None:
    staff_ops.attempt_void(attempt=running, actor=user, reason="wrong room", now=at(100))
    assert "taken out of everything" in page(mine, running)
    never = lifecycle.attempt_create(user=user, problem=load_problem("rag"), now=NOW)
    Attempt.objects.filter(pk=never.pk).update(status=Status.CLOSED, reason="window")
    assert "It never began" in page(mine, never)


def test_a_page_that_waits_is_told_when_the_marks_are_there(mine: Client, running: Attempt) -> None:
    submitted(running)
    address = reverse("interviews:graded", args=[running.pk])
    assert "HX-Refresh" not in mine.get(address)
    attempt_grade(attempt_id=str(running.pk), now=at(2500))
    answer = mine.get(address)
    assert answer.status_code == 204 and answer["HX-Refresh"] == "true"


# --- another round ---------------------------------------------------------------------------------------------------


def test_the_same_problem_with_other_facts(mine: Client, running: Attempt) -> None:
    graded(running)
    address = reverse("interviews:again", args=[running.pk])
    answer = mine.post(address)
    made = Attempt.objects.exclude(pk=running.pk).get()
    assert answer["Location"] == reverse("interviews:lobby", args=[made.pk])
    assert made.reattempt_of == running and made.seed != running.seed
    assert (made.problem, made.preset, made.mode, made.level) == (running.problem, running.preset, running.mode, running.level)
    assert mine.post(address)["Location"] == reverse("interviews:lobby", args=[made.pk]), "there is one that is not over"


# --- drawings --------------------------------------------------------------------------------------------------------


@given(times=st.lists(st.integers(0, 2_700_000), min_size=0, max_size=8))
def test_marks_of_the_line_stay_apart_and_in_order(times: list[int]) -> None:
    firsts = tuple(drawings.First(str(number), ms) for number, ms in enumerate(times))
    pacing = drawings.Pacing(bars=(), firsts=firsts, advice=(), absolutes=(), active_s=2700, limit_s=2700, debt_s=0)
    marks = drawings.firsts_line(pacing, ()).marks
    assert [mark.first.ms for mark in marks] == sorted(times)
    assert all(0 < mark.x < 100 for mark in marks)
    for one in marks:
        for two in marks:
            if one.number < two.number and one.y == two.y:
                assert two.first.ms - one.first.ms >= drawings.APART / 100 * 2_700_000 - 1  # type: ignore[operator]


def test_the_chart_of_gaps_is_symmetric_around_zero() -> None:
    rows = [GapRow(Attempt(), {"a": 4, "b": -4, "c": 0}), GapRow(Attempt(), {"a": 1})]
    chart = drawings.gap_chart(rows)
    assert [dot.y for dot in chart.dots[:3]] == [chart.height - drawings.GAP_TOP_PX, chart.height / 2, drawings.GAP_TOP_PX]
    assert chart.means[0].y == chart.height / 2 > chart.means[1].y


def test_levels_of_unknown_subjects_keep_nothing(running: Attempt) -> None:
    graded(running)
    with pytest.raises(InvalidInput):
        own_levels_set(attempt=running, levels={"signal:scope": 1, "signal:x": 1}, now=at(2600))
    assert not running.self_assessments.exists()


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_what_it_asks_the_database_does_not_grow(
    mine: Client, user: User, bench: Bench, django_capture_on_commit_callbacks: Any, django_assert_max_num_queries: Any
) -> None:
    """Three interviews judged and opened before it, and in this one many rows, runs, claims and two events."""
    problem, lab = load_problem("vector_search"), get_lab("vector_search", "index_tradeoffs")
    for _ in range(4):
        made = lifecycle.attempt_create(user=user, problem=problem, now=NOW, seed=7)
        running = lifecycle.attempt_start(attempt=made, actor=user, now=NOW)
        if Attempt.objects.count() == 4:
            for number in range(5):
                question_ask(attempt=running, text="How many vectors do we store?", now=at(30 + number))
                save(running, f"row/components/k{number}", '{"name":"Gateway","kind":"gateway"}', 800 + number)
                link = attempt_run_start(attempt=running, lab=lab, values={"n": 3000 + number}, now=at(850 + number))
                run_pin(link=link, pinned=True, label="kept", now=at(880 + number))
            save(running, "text/deep_dive", "HNSW gives 95 % recall at 3 ms. IVF gives 80 % at 1 ms.", 900)
            for ball in problem.interviewer.curveballs[:2]:  # type: ignore[union-attr]
                with django_capture_on_commit_callbacks(execute=True):
                    curveball_send(attempt=running, key=ball.key, now=at(1000))
            attempt_run_start(attempt=running, lab=lab, values={"n": 4000}, now=at(1100))
        own_levels_set(attempt=graded(running), levels={"signal:quantitative": 2}, now=at(2500))
        result_reveal(attempt=running, now=at(2510))
    page = reverse("interviews:debrief", args=[running.pk])
    assert mine.get(page).status_code == 200
    with django_assert_max_num_queries(24):
        shown = mine.get(page)
    assert len(shown.context["debrief"].gaps) == 4 and len(shown.context["debrief"].events) == 2


def test_every_goal_of_an_event_is_told_in_words() -> None:
    changes = [ball.change for problem in all_problems() if problem.interviewer for ball in problem.interviewer.curveballs if ball.change]
    goals = [BallLine(Curveball(), change.recover, (), (), None, None, "").goal for change in changes]
    assert len(goals) > 20 and not [goal for goal in goals if re.search(r"[<>=]", goal)]
