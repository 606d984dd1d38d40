"""Grading of a real sitting: what was asked, saved, run and pinned becomes marks; who may see them; what people change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.answers import answer_save
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.interviewer.questions import constraints_confirm, question_ask
from mlsd_app.interviews.models import Attempt, Claim, Event, ItemScore, SelfAssessment, SignalLevel, Status, Verdict
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.runs import attempt_run_start, run_pin
from mlsd_app.interviews.scoring import grade, human_level, human_mark, regrade, scorecard, self_assess
from mlsd_app.interviews.scoring.claim_rows import claim_add, claim_change, claim_delete, claim_dict, unlinked_statements, verdicts_visible
from mlsd_app.interviews.scoring.reading import design_facts, rubric_of, sheet_of
from mlsd_app.interviews.scoring.scorecard import NOT_YET, WITHHELD
from problems.loader import load_problem
from simulators.errors import InvalidInput
from simulators.registry import get_lab
from tests.web.interviews.bench import Bench
from tests.web.interviews.conftest import LIMIT_S, at

TEXT = (
    "A delete only writes a tombstone, so the graph keeps walking over vectors that it may not return. "
    "I would start compaction of a segment once a tenth of it is dead. HNSW at ef 64 gives 95 % recall. The fleet costs $4,200 a day."
)
CARD = {"choose": "HNSW", "over": "IVF-PQ", "because": "recall without a second pass", "cost": "four times the memory"}
PARTS = (("a", "router", "picks the shards"), ("b", "ann_index", "recall within the budget"), ("c", "log", "no write is lost"))
QUOTE = {"kind": "quote", "ref": "text/deep_dive", "text": "the graph keeps walking over vectors"}


def save(attempt: Attempt, field: str, content: Any, seconds: float) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    answer_save(
        attempt=attempt,
        field=field,
        content=text,
        base_rev=0,
        op_id=f"{field}:{seconds}",
        client_id="tab",
        client_label="",
        lease_epoch=None,
        now=at(seconds),
    )


@pytest.fixture
def written(running: Attempt, bench: Bench) -> Attempt:
    """Asked, computed, drawn, run, pinned and written; still open."""
    bench.metrics = lambda params: {"recall@hnsw": 0.951, "memory_share@hnsw": 0.3}
    question_ask(attempt=running, text="what recall do we need?", now=at(60))
    values = running.content["values"]
    raw = {"name": "raw vectors", "value": values["corpus_size"] * values["dimension"] * 4 / 1e12, "unit": "TB"}
    save(running, "row/numbers/n1", raw, 400)
    for key, kind, why in (
        ("a", "router", "picks shards"),
        ("b", "ann_index", "recall within the budget"),
        ("c", "log", "nothing is lost"),
    ):
        save(running, f"row/components/{key}", {"kind": kind, "name": kind, "why": f"{why} always"}, 700)
    save(running, "row/edges/e1", {"from": "a", "to": "b"}, 720)
    save(running, "row/tradeoffs/t1", CARD, 1300)
    save(running, "text/deep_dive", TEXT, 1400)
    question_ask(attempt=running, text="what QPS should we expect?", now=at(1500))
    link = attempt_run_start(attempt=running, lab=get_lab("vector_search", "index_tradeoffs"), values={"ef_search": 64}, now=at(1600))
    run_pin(link=link, pinned=True, label="graph", now=at(1610))
    running.refresh_from_db()
    return running


@pytest.fixture
def closed(written: Attempt, user: User, asked: list[str]) -> Attempt:
    return lifecycle.attempt_submit(attempt=written, actor=user, now=at(2000))


@pytest.fixture
def grader(other: User) -> User:
    return other


def points(attempt: Attempt) -> dict[str, float | None]:
    return {row.item_id: row.points for row in ItemScore.objects.filter(attempt=attempt, superseded_by=None)}


# --- by rule ---------------------------------------------------------------------------------------------------------


def test_a_sitting_becomes_marks_with_evidence_and_times(closed: Attempt) -> None:
    grade(attempt=closed, now=at(2001))
    found = points(closed)
    assert found["clarify.target"] == 2  # asked before the first component
    assert found["clarify.load"] == 1  # asked after it
    assert found["clarify.churn"] == 0
    assert found["capacity.raw"] == 2
    assert found["architecture.paths"] == 1  # router and index; the log is not connected
    assert found["deep_dive.tradeoff"] == 5
    assert found["deep_dive.plateau"] == 4
    assert found["deep_dive.deletes"] == pytest.approx(4 * 2 / 3, abs=0.01)
    assert found["deep_dive.correlation"] is None and found["deep_dive.measured"] is None
    for row in ItemScore.objects.filter(attempt=closed, points__gt=0):
        assert row.evidence and all({"kind", "ref", "text", "active_ms"} <= entry.keys() for entry in row.evidence)
    assert ItemScore.objects.get(attempt=closed, item_id="deep_dive.plateau").evidence[0]["active_ms"] == 1_600_000
    assert ItemScore.objects.get(attempt=closed, item_id="clarify.target").evidence[0]["active_ms"] == 60_000


def test_grading_again_changes_nothing(closed: Attempt) -> None:
    def rows() -> list[tuple[Any, ...]]:
        return list(
            ItemScore.objects.filter(attempt=closed).order_by("item_id").values_list("item_id", "points", "state", "evidence", "comment")
        )

    first = grade(attempt=closed, now=at(2001))
    before, started = rows(), time.perf_counter()
    for _ in range(20):
        again = grade(attempt=closed, now=at(3000))
    assert (time.perf_counter() - started) / 20 <= 2
    assert rows() == before
    assert (again.pk, again.score, again.by_tag) == (first.pk, first.score, first.by_tag)
    assert SignalLevel.objects.filter(attempt=closed).count() == 11


def test_text_and_judgement_wait_for_people_so_there_is_no_verdict(closed: Attempt) -> None:
    verdict = grade(attempt=closed, now=at(2001))
    assert verdict.verdict == "" and verdict.score is not None and verdict.graded_weight < 70
    levels = dict(SignalLevel.objects.filter(attempt=closed).values_list("signal", "level"))
    assert levels["quantitative"] is not None and levels["verified_design"] == 2 and levels["adaptation"] is None
    assert all(levels[key] is None for key in ("structure", "communication", "trade_offs", "clarified_first", "scope"))
    assert "of 3 sentences" in SignalLevel.objects.get(attempt=closed, signal="scope").comment


def test_an_empty_sitting_is_graded_with_nothing(running: Attempt, user: User, asked: list[str]) -> None:
    done = lifecycle.attempt_submit(attempt=running, actor=user, now=at(100))
    verdict = grade(attempt=done, now=at(101))
    assert (verdict.score, verdict.verdict) == (0, "")
    assert not ItemScore.objects.filter(attempt=done).exclude(error="").exists()


def test_a_constraint_read_back_counts_as_asked(running: Attempt, user: User, asked: list[str]) -> None:
    rate = running.content["values"]["query_rate"]
    save(running, "row/constraints/k1", {"name": "query rate", "value": f"{rate:g}", "unit": "queries/s", "source": "assumed"}, 50)
    assumed = {told.fact for told in sheet_of(running).told}
    constraints_confirm(attempt=running, now=at(80))
    told = {entry.fact: entry.how for entry in sheet_of(running).told}
    assert "query_rate" not in assumed and told["query_rate"] == "confirmed"


def test_text_after_the_close_is_not_graded(closed: Attempt) -> None:
    save(closed, "row/more_time/m1", {"what": "late", "why": "this came too late"}, 2600)
    grade(attempt=closed, now=at(2700))
    assert points(closed)["evaluation.close"] == 0


def test_the_latency_check_knows_only_what_was_told(running: Attempt) -> None:
    assert design_facts(running) == {}
    question_ask(attempt=running, text="what is our latency budget?", now=at(30))
    assert design_facts(running) == {"latency_ms": running.content["values"]["p99_budget"]}


# --- by people -------------------------------------------------------------------------------------------------------


@pytest.fixture
def marked(closed: Attempt) -> Attempt:
    attempt_grade(attempt_id=str(closed.pk), now=at(2001))
    closed.refresh_from_db()
    return closed


def give(attempt: Attempt, grader: User, item: str, given: float | None, **more: Any) -> ItemScore:
    evidence = more.pop("evidence", [QUOTE] if given else [])
    return human_mark(attempt=attempt, item_id=item, points=given, evidence=evidence, grader=grader, now=at(3000), **more)


def test_a_person_goes_before_a_rule_and_every_row_stays(marked: Attempt, grader: User) -> None:
    row = give(marked, grader, "deep_dive.tradeoff", 2, comment="The cost is not this design's.")
    by_rule = ItemScore.objects.get(attempt=marked, item_id="deep_dive.tradeoff", state="auto")
    assert by_rule.points == 5 and by_rule.superseded_by == row
    assert points(marked)["deep_dive.tradeoff"] == 2
    grade(attempt=marked, now=at(4000))
    row.refresh_from_db()
    assert points(marked)["deep_dive.tradeoff"] == 2 and row.superseded_by is None
    newer = give(marked, grader, "deep_dive.tradeoff", 3)
    assert points(marked)["deep_dive.tradeoff"] == 3
    assert ItemScore.objects.filter(attempt=marked, item_id="deep_dive.tradeoff").count() == 3
    give(marked, grader, "deep_dive.tradeoff", None)
    newer.refresh_from_db()
    assert points(marked)["deep_dive.tradeoff"] == 5 and newer.superseded_by is not None


@pytest.mark.parametrize(
    ("given", "evidence", "field"),
    [
        (3, [], "evidence"),
        (3, [{**QUOTE, "text": "words that nobody wrote"}], "evidence"),
        (3, [{"kind": "run", "ref": "run/9", "text": ""}], "evidence"),
        (3, [{"kind": "guess", "ref": "x", "text": "y"}], "evidence"),
        (6, [QUOTE], "points"),
        (-1, [], "points"),
    ],
)
def test_marks_without_evidence_or_out_of_range_are_refused(
    marked: Attempt, grader: User, given: float, evidence: list[dict[str, Any]], field: str
) -> None:
    before = ItemScore.objects.filter(attempt=marked).count()
    with pytest.raises(InvalidInput) as refused:
        give(marked, grader, "deep_dive.tradeoff", given, evidence=evidence)
    assert refused.value.field == field
    assert ItemScore.objects.filter(attempt=marked).count() == before


@pytest.mark.parametrize(
    "evidence",
    [
        QUOTE,
        {"kind": "row", "ref": "row/tradeoffs/t1", "text": "the card"},
        {"kind": "quote", "ref": "row/tradeoffs/t1", "text": "four times the memory"},
        {"kind": "run", "ref": "run/1", "text": "the graph"},
        {"kind": "event", "ref": "event/3", "text": "the question"},
    ],
)
def test_evidence_of_each_kind_gets_its_time(marked: Attempt, grader: User, evidence: dict[str, Any]) -> None:
    kept = give(marked, grader, "deep_dive.correlation", 4, evidence=[evidence]).evidence[0]
    assert kept["active_ms"] > 0 and kept["text"] == evidence["text"]


def test_nobody_marks_what_still_runs_or_is_void(running: Attempt, marked: Attempt, grader: User) -> None:
    for status in (Status.OPEN, Status.READY, Status.VOID):
        Attempt.objects.filter(pk=marked.pk).update(status=status)
        with pytest.raises(Refused):
            give(marked, grader, "deep_dive.tradeoff", 0)


def test_with_the_rest_judged_there_is_a_verdict_and_weak_signals_cap_it(marked: Attempt, grader: User) -> None:
    for item in rubric_of(marked).items:
        give(marked, grader, item.id, item.points)
    verdict = Verdict.objects.get(attempt=marked)
    assert verdict.at == at(3000) and set(ItemScore.objects.filter(attempt=marked).values_list("at", flat=True)) == {at(2001), at(3000)}
    assert (verdict.verdict, verdict.score, verdict.state, verdict.graded_weight) == ("hire", 100, "human", pytest.approx(100))
    human_level(attempt=marked, signal="trade_offs", level=1, evidence=[QUOTE], grader=grader, now=at(3100))
    verdict.refresh_from_db()
    assert verdict.verdict == "lean no" and "Trade-offs" in verdict.gates[0]
    with pytest.raises(InvalidInput):
        human_level(attempt=marked, signal="trade_offs", level=3, evidence=[], grader=grader, now=at(3100))
    with pytest.raises(InvalidInput):
        human_level(attempt=marked, signal="charm", level=0, evidence=[], grader=grader, now=at(3100))


def test_a_new_rubric_makes_new_rows_beside_the_old_and_keeps_marks_that_still_fit(marked: Attempt, grader: User) -> None:
    give(marked, grader, "deep_dive.tradeoff", 2)
    give(marked, grader, "deep_dive.correlation", 3)
    rubric = rubric_of(marked)
    heavier = [item.model_copy(update={"points": 8}) if item.id == "deep_dive.correlation" else item for item in rubric.items]
    verdict = regrade(attempt=marked, rubric=rubric.model_copy(update={"version": 2, "items": tuple(heavier)}), now=at(5000))
    marked.refresh_from_db()
    assert verdict.rubric_version == 2 and Verdict.objects.filter(attempt=marked).count() == 2
    card = scorecard(marked, viewer="staff")
    got = {item.id: item.points for item in card.items}
    assert got["deep_dive.tradeoff"] == 2 and got["deep_dive.correlation"] is None
    assert [version.rubric_version for version in card.versions] == [1]
    assert ItemScore.objects.filter(attempt=marked, rubric_version=1, state="auto").exists()


# --- the card --------------------------------------------------------------------------------------------------------


def test_the_owner_sees_nothing_before_the_release(written: Attempt, user: User, asked: list[str]) -> None:
    Attempt.objects.filter(pk=written.pk).update(kind="assigned")
    written.refresh_from_db()
    assert scorecard(written).hidden == NOT_YET
    lifecycle.attempt_submit(attempt=written, actor=user, now=at(2000))
    attempt_grade(attempt_id=str(written.pk), now=at(2001))
    written.refresh_from_db()
    hidden, seen = scorecard(written), scorecard(written, viewer="grader")
    assert hidden.hidden == NOT_YET and (hidden.tags, hidden.signals, hidden.score, hidden.verdict) == ((), (), None, "")
    assert not seen.hidden and seen.tags
    Attempt.objects.filter(pk=written.pk).update(status=Status.RELEASED, show_score=False)
    written.refresh_from_db()
    assert scorecard(written).hidden == WITHHELD


def test_the_card_holds_every_item_once_with_weights_of_a_hundred(marked: Attempt) -> None:
    card = scorecard(marked)
    items = rubric_of(marked).items
    assert not card.hidden and sorted(item.id for item in card.items) == sorted(item.id for item in items)
    assert sum(item.weight for item in card.items) == pytest.approx(100, abs=0.1)
    assert sum(tag.weight for tag in card.tags) == pytest.approx(100, abs=0.1)
    assert {item for signal in card.signals for item in signal.items} == {item.id for item in items}
    assert len(card.signals) == 11 and card.auto_share == 1
    assert {ident for ident, _ in card.ungraded} == {item.id for item in card.items if item.points is None}
    assert all(item.state_words == "not graded" for item in card.items if item.points is None)
    assert all(item.holding for item in card.items) and all(item.text for item in card.items)


def test_graders_get_shares_of_the_limit_and_no_names(marked: Attempt, grader: User) -> None:
    give(marked, grader, "deep_dive.correlation", 4)
    card = scorecard(marked, viewer="grader")
    evidence = [entry for item in card.items for judgement in item.judgements for entry in judgement.evidence]
    assert evidence and all(entry.active_ms is None and 0 <= entry.share <= 1 for entry in evidence)
    asked = next(item for item in card.items if item.id == "clarify.target").judgements[0].evidence[0]
    assert asked.share == pytest.approx(60 / LIMIT_S, abs=1e-3)
    text = json.dumps(card.as_dict())
    assert grader.username not in text and 'active_ms": 6' not in text
    assert grader.username in json.dumps(scorecard(marked, viewer="staff").as_dict())


def test_errors_of_rules_are_for_staff(marked: Attempt) -> None:
    ItemScore.objects.filter(attempt=marked, item_id="capacity.raw").update(points=None, state="ungraded", error="KeyError: boom")
    said = {viewer: "boom" in json.dumps(scorecard(marked, viewer=viewer).as_dict()) for viewer in ("owner", "grader", "staff")}
    assert said == {"owner": False, "grader": False, "staff": True}


def test_ones_own_judgement_makes_a_provisional_verdict_that_is_not_kept(marked: Attempt) -> None:
    levels = {f"item:{item.id}": 4 for item in rubric_of(marked).items if item.grade == "text"}
    assert scorecard(marked).provisional is None
    self_assess(attempt=marked, levels={**levels, "signal:trade_offs": 3}, before_reveal=True, now=at(2100))
    card = scorecard(marked)
    assert card.verdict == "" and card.provisional and card.provisional.label == "self-assessed"
    assert "self-assessed" not in json.dumps(card.as_dict())
    assert scorecard(marked, viewer="grader").provisional is None
    assert Verdict.objects.get(attempt=marked).verdict == ""
    assert next(signal for signal in card.signals if signal.key == "trade_offs").own_level == 3


def test_a_judgement_made_before_the_reveal_stays(marked: Attempt) -> None:
    self_assess(attempt=marked, levels={"signal:scope": 1}, before_reveal=True, now=at(2100))
    self_assess(attempt=marked, levels={"signal:scope": 4, "signal:structure": 2}, before_reveal=False, now=at(2200))
    assert dict(SelfAssessment.objects.values_list("subject", "level")) == {"signal:scope": 1, "signal:structure": 2}
    for levels in ({"signal:charm": 1}, {"signal:scope": 5}, {"item:deep_dive.tradeoff": 3}):
        with pytest.raises(InvalidInput):
            self_assess(attempt=marked, levels=levels, before_reveal=True, now=at(2200))


# --- claims ----------------------------------------------------------------------------------------------------------

SPAN = "HNSW at ef 64 gives 95 % recall"


def claim(attempt: Attempt, now: datetime | None = None, **said: Any) -> Claim:
    said = {"metric": "recall@hnsw", "op": "about", "value": 95, "unit": "%", "run": 1, **said}
    return claim_add(attempt=attempt, field="text/deep_dive", quote=SPAN, start=TEXT.index(SPAN), now=now or at(1700), **said)


@pytest.fixture
def units(bench: Bench, written: Attempt) -> None:
    """The stand-in's metrics have no unit; recall is a share."""
    result = written.runlinks.get().run.result
    assert result
    result.metrics = [{**metric, "unit": "share"} for metric in result.metrics]
    result.save()


@pytest.mark.usefixtures("units")
def test_a_claim_is_judged_by_its_run(written: Attempt) -> None:
    made = claim(written)
    assert (made.verdict, made.conditions["ef_search"]) == ("supported", 64)
    assert claim_change(claim=made, now=at(1710), value=80).verdict == "contradicted"
    assert claim_change(claim=made, now=at(1710), value=95, conditions={"ef_search": 128}).verdict == "wrong_conditions"
    assert claim_change(claim=made, now=at(1720), run=None).verdict == "untested"
    assert Event.objects.filter(attempt=written, kind="claim").count() == 4
    claim_delete(claim=made, now=at(1730))
    assert not Claim.objects.filter(attempt=written).exists()


@pytest.mark.usefixtures("units")
def test_claims_raise_the_verified_design_once_graded(written: Attempt, user: User, asked: list[str]) -> None:
    claim(written)
    grade(attempt=lifecycle.attempt_submit(attempt=written, actor=user, now=at(2000)), now=at(2001))
    assert SignalLevel.objects.get(attempt=written, signal="verified_design").level == 3


def test_sentences_that_no_claim_marks_are_listed(written: Attempt) -> None:
    assert [found.text[:8] for found in unlinked_statements(written)["text/deep_dive"]] == ["HNSW at ", "The flee"]
    claim(written, run=None)
    assert [found.text[:8] for found in unlinked_statements(written)["text/deep_dive"]] == ["The flee"]


def test_real_hides_the_verdict_until_the_release(written: Attempt) -> None:
    made = claim(written)
    assert not verdicts_visible(written)
    assert claim_dict(made, visible=False)["verdict"] == "pending" and claim_dict(made, visible=False)["reason"] == ""
    written.show = "study"
    assert verdicts_visible(written)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"op": "!="}, "op"),
        ({"value": float("nan")}, "value"),
        ({"run": 9}, "run"),
        ({"metric": "m" * 200}, "metric"),
        ({"conditions": {"a": [1]}}, "conditions"),
    ],
)
def test_claims_that_make_no_sense_are_refused(written: Attempt, said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        claim(written, **said)
    assert refused.value.field == field


def test_words_that_are_not_in_the_text_cannot_be_marked(written: Attempt) -> None:
    with pytest.raises(InvalidInput) as refused:
        claim_add(attempt=written, field="text/deep_dive", quote="never written", start=0, now=at(1700))
    assert refused.value.field == "quote"


def test_no_claims_after_the_end(closed: Attempt) -> None:
    with pytest.raises(Refused):
        claim(closed, now=at(2100))


@pytest.fixture
def room(mine: Client, written: Attempt, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Requests at 1,700 s."""
    monkeypatch.setattr("mlsd_app.interviews.views.claims.timezone.now", lambda: at(1700))

    def call(method: str, name: str, body: Any = None, **kwargs: Any) -> Any:
        url = reverse(f"interviews:{name}", args=[written.pk, *kwargs.pop("args", [])])
        return mine.generic(method, url, json.dumps(body) if body is not None else "", content_type="application/json", **kwargs)

    return call


def test_claims_in_the_room(room: Callable[..., Any], written: Attempt) -> None:
    form = room("GET", "claim_form", QUERY_STRING=f"field=text/deep_dive&quote={SPAN.replace('%', '%25')}&start=180&run=")
    assert form.status_code == 200 and 'value="95' in form.content.decode()
    body = {
        "field": "text/deep_dive",
        "quote": SPAN,
        "start": "180",
        "end": "1",
        "metric": "recall@hnsw",
        "op": ">=",
        "value": "90",
        "unit": "%",
        "run": "1",
    }
    added = room("POST", "claim_add", body)
    assert added.status_code == 200 and SPAN in added.content.decode()
    made = Claim.objects.get(attempt=written)
    assert made.verdict not in added.content.decode()  # Real: not before the end
    assert room("PATCH", "claim", {"value": "99"}, args=[made.pk]).status_code == 200
    assert room("POST", "claim_add", {**body, "value": "much"}).status_code == 422
    assert room("DELETE", "claim", args=[made.pk]).status_code == 200
    assert room("DELETE", "claim", args=[made.pk]).status_code == 404


def test_claims_of_others_are_not_there(client: Client, other: User, written: Attempt) -> None:
    made = claim(written)
    client.force_login(other)
    for name, args in (("claim_add", []), ("claim", [made.pk])):
        url = reverse(f"interviews:{name}", args=[written.pk, *args])
        assert client.generic("POST" if name == "claim_add" else "DELETE", url, "{}", content_type="application/json").status_code == 404
    assert Claim.objects.filter(pk=made.pk).exists()


def test_the_problem_of_an_old_attempt_may_have_changed(marked: Attempt) -> None:
    """An item that has left the checklists is still shown."""
    content = marked.content
    content["rubric"]["items"][0]["id"] = "clarify.long_gone"
    Attempt.objects.filter(pk=marked.pk).update(content=content)
    marked.refresh_from_db()
    assert "Long gone" in [item.text for item in scorecard(marked).items]
    assert load_problem(marked.problem).rubric
