"""Files to take away: cells no spreadsheet executes, rows as their schema has them, nothing that is not the reader's to know."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.cohorts.exports.kinds import KINDS, OWN_KINDS
from mlsd_app.cohorts.exports.scope import Scope, without_accommodations
from mlsd_app.cohorts.exports.shapes import schema_of
from mlsd_app.cohorts.exports.work_rows import interval_score
from mlsd_app.cohorts.exports.writing import RISKY, cell, csv_pieces, jsonl_pieces
from mlsd_app.cohorts.models import Assignment, Audit, Export, Result
from mlsd_app.cohorts.services import accommodations, exports
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.services.exports import export_create, export_own, export_write, file_pieces
from mlsd_app.interviews.models import Claim, Curveball, Event, ItemScore, RunLink, Verdict
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput
from simulators.registry import get_lab
from tests.web.cohorts.conftest import NOW, House, client_of, mock_fields, quiz_fields
from tests.web.cohorts.group import foretold, handed_in, learners, metric, mock_taken, quiz_taken, run_made

LAB = get_lab("vector_search", "index_tradeoffs")
GUESSED = get_lab("ads_ctr", "ctr_models")
CLOSED, SIZE = GUESSED.challenges[0].assertions[0].metric, GUESSED.challenges[0].assertions[2].metric


def prediction_fields() -> AssignmentFields:
    settings = {"lab": GUESSED.slug, "preset": "", "metrics": [CLOSED, SIZE]}
    return AssignmentFields.model_validate({"title": "Guess", "kind": "prediction", "problem": GUESSED.problem, "settings": settings})


# --- cells -----------------------------------------------------------------------------------------------------------


FORMULAS = ["=1+1", "+cmd", "-a", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x")', "-", "+", "=", "-1+cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("number", ["-5", "+3.5", "-1e9", "-.5", "+12."])
def test_numbers_stay_numbers(number: str) -> None:
    assert cell(number) == number and cell(float(number)) == str(float(number))


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=8))
def test_any_text_comes_back_from_the_file(rows: list[list[str]]) -> None:
    """Quotes, line ends, commas, emoji, NUL apart, which the module's reader does not take."""
    wanted = [[text.replace("\0", "") for text in row] for row in rows]
    pieces = csv_pieces(["a", "b", "c"], [dict(zip("abc", row, strict=True)) for row in wanted])
    read = list(csv.reader(io.StringIO(b"".join(pieces).decode(), newline="")))
    assert read == [["a", "b", "c"], *([cell(text) for text in row] for row in wanted)]
    assert not [text for row in read[1:] for text in row if text.startswith(RISKY) and not re.match(r"[+-][\d.]", text)]


def test_values_as_they_are_written() -> None:
    at = datetime(2026, 3, 2, 12, 0, 1, tzinfo=UTC)
    row = {"at": at, "none": None, "yes": True, "list": ["é", 1], "words": 'say "hi",\r\nthen 🐦'}
    [head, line] = csv_pieces([*row], [row], bom=True)
    assert head.startswith(b"\xef\xbb\xbfat,none") and head.endswith(b"\r\n")
    assert line.decode() == '2026-03-02T12:00:01Z,,true,"[""é"", 1]","say ""hi"",\r\nthen 🐦"\r\n'
    [said] = jsonl_pieces([row])
    assert json.loads(said) == {"at": "2026-03-02T12:00:01Z", "none": None, "yes": True, "list": ["é", 1], "words": row["words"]}


def test_a_row_with_a_column_too_many_is_a_fault() -> None:
    with pytest.raises(KeyError, match="b"):
        list(csv_pieces(["a"], [{"a": 1, "b": 2}]))


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(house: House) -> House:
    """A cohort with a bit of everything: two graded mocks, a quiz, a log; one learner has more time."""
    accommodations.accommodation_set(by=house.by, cohort=house.cohort, user=house.learner, fields={"multiplier": 1.375}, now=NOW)
    mock, quiz = house.assignment(mock_fields()), house.assignment(quiz_fields())
    for place, user in enumerate([house.learner, house.other_learner]):
        row = mock_taken(mock, user, multiplier=1.375 if place == 0 else 1.0)
        attempt = row.attempt
        assert attempt is not None
        run = run_made(user, LAB, [metric("recall", 0.9), metric("p99_ms", 4.0, better="down")])
        link = RunLink.objects.create(
            attempt=attempt, run=run, number=1, phase="capacity", at=NOW, prediction={"metric": "recall", "lower": 0.5, "upper": 0.8}
        )
        ball = {"phase": "deep_dive", "text": "t", "shown_at": NOW, "lab": LAB.slug, "within_s": 60}
        Curveball.objects.create(attempt=attempt, key="outage", base=link, recovered_ms=5000, state="recovered", **ball)
        Claim.objects.create(attempt=attempt, field="text/capacity", quote="q", start=0, end=1, verdict="supported", at=NOW)
        by_tag = {"capacity": {"points": 3.0, "max": 4.0}}
        Verdict.objects.create(attempt=attempt, rule_version=1, level="senior", verdict="hire", score=71.5, by_tag=by_tag, state="auto")
        ItemScore.objects.create(
            attempt=attempt, item_id="capacity.raw", rubric_version=1, state="human", points=2, max=2, grader=house.people["grader"]
        )
        Event.objects.create(attempt=attempt, seq=1, at=NOW, kind="created", data={"multiplier": 1.375, "facts": ["load"]})
        Result.objects.create(
            assignment=mock, user=user, counted=row, state="graded", score=71.5, verdict="hire", released_at=NOW if place == 0 else None
        )
    quiz_taken(quiz, [house.learner, house.other_learner], [[1.0, 0.0], [0.5, None]], ["made.up.1", "made.up.2"])
    guess = handed_in(house.assignment(prediction_fields()), house.other_learner)
    foretold(guess, CLOSED, 80.0, 90.0, 85.0, score=10.0)
    foretold(guess, SIZE, 1.0, 10.0, None, scale="log", seen_before=True)
    foretold(guess, "still_running", 1.0, 2.0, None, resolved_at=None)
    return house


def lines(house: House, kind: str, **scope: Any) -> list[dict[str, Any]]:
    made = Scope(house.owner, house.cohort, **scope)
    return [json.loads(piece) for piece in KINDS[kind].pieces(made, "jsonl")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_as_its_schema_says_and_in_the_csv_too(full: House, kind: str) -> None:
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    found = lines(full, kind)
    assert found
    for row in found:
        jsonschema.validate(row, schema, format_checker=jsonschema.FormatChecker())
    if "csv" in KINDS[kind].formats:
        text = b"".join(KINDS[kind].pieces(Scope(full.owner, full.cohort), "csv")).decode()
        read = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(read) == len(found)
        assert all(row[name] == cell(value) for row, said in zip(read, found, strict=True) for name, value in said.items())


def test_the_schema_is_published(full: House) -> None:
    for kind in KINDS:
        assert client_of(full.learner).get(f"/api/v1/exports/schemas/{kind}").json() == schema_of(kind)
    assert client_of(full.learner).get("/api/v1/exports/schemas/nothing").status_code == 404


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [False, True])
def test_nobody_is_named_whose_score_is_not_out_and_no_accommodation_leaves(full: House, kind: str, names: bool) -> None:
    text = json.dumps(lines(full, kind, names=names))
    assert "1.375" not in text and "multiplier" not in text and "accommodation" not in text
    if kind != "gradebook" or not names:
        assert "Other-Learner" not in text and "other-learner" not in text
    assert "Grader" not in text or full.people["grader"].first_name not in re.sub(r"Grader [0-9a-f]{6}", "", text)


def test_a_gradebook_with_names_has_no_score_that_is_not_out(full: House) -> None:
    named = {row["person"]: row for row in lines(full, "gradebook", names=True)}
    mock = Assignment.objects.get(kind="mock").pk
    assert named["Learner"][f"{mock}.score"] == 71.5
    assert named["Other-Learner"][f"{mock}.state"] == "not released" and f"{mock}.score" not in named["Other-Learner"]
    coded = lines(full, "gradebook")
    assert [row[f"{mock}.score"] for row in coded] == [71.5, 71.5] and not {row["person"] for row in coded} & named.keys()


def test_code_names_are_those_of_the_grading(full: House) -> None:
    from mlsd_app.cohorts.grading.anonymous import code_name

    mock = Assignment.objects.get(kind="mock")
    assert {row["person"] for row in lines(full, "attempts")} == {code_name(mock, user.pk) for user in (full.learner, full.other_learner)}
    assert {row["person"] for row in lines(full, "attempts", names=True)} == {"Learner", code_name(mock, full.other_learner.pk)}


def test_figures_of_an_attempt(full: House) -> None:
    for row in lines(full, "attempts"):
        assert (row["score"], row["score.capacity"], row["claims.supported"], row["runs"], row["recovered"]) == (71.5, 75.0, 1, 1, 1)
        assert row["fraction.clarify"] == pytest.approx(4.5, abs=0.01)  # half of 45 minutes, all of it in a phase of five


def test_a_missed_range_costs_ten_times_its_miss(full: House) -> None:
    row = lines(full, "predictions")[0]
    assert (row["truth"], row["hit"], row["run"], row["scale"]) == (0.9, False, 1, None)
    assert row["score"] == pytest.approx((0.3 + 10 * 0.1) / 0.9)


def test_ranges_of_prediction_assignments_follow_once_they_are_scored(full: House) -> None:
    """In the file of the cohort, of the assignment, and in the person's own."""
    guess = Assignment.objects.get(kind="prediction")
    [held, unknown] = lines(full, "predictions", assignment=guess)
    assert [row for row in lines(full, "predictions") if row["attempt"] is None] == [held, unknown]
    assert (held["assignment"], held["lab"], held["metric"], held["hit"]) == (guess.pk, GUESSED.slug, CLOSED, True)
    assert held["score"] == pytest.approx(10 / 85) and (held["scale"], held["scale_score"]) == ("linear", 10.0)
    assert (unknown["truth"], unknown["hit"], unknown["score"], unknown["seen_before"]) == (None, None, None, True)
    own = [list(KINDS["predictions"].rows(Scope(user))) for user in (full.learner, full.other_learner)]
    assert [[row["metric"] for row in rows] for rows in own] == [["recall"], ["recall", CLOSED, SIZE]]


def test_one_assignment_alone(full: House) -> None:
    quiz = Assignment.objects.get(kind="quiz")
    assert lines(full, "attempts", assignment=quiz) == [] and len(lines(full, "responses", assignment=quiz)) == 3


def test_nothing_is_a_header_alone(house: House) -> None:
    for kind in KINDS.values():
        if "csv" in kind.formats and kind.key not in ("audit", "gradebook"):
            assert b"".join(kind.pieces(Scope(house.owner, house.elsewhere), "csv")).count(b"\r\n") == 1


def test_accommodations_go_at_any_depth() -> None:
    given = {"a": [{"multiplier": 2, "b": {"extra_s": 3, "c": 1}}], "break_s": 1}
    assert without_accommodations(given) == {"a": [{"b": {"c": 1}}]}


# --- files -----------------------------------------------------------------------------------------------------------


def written(export: Export) -> Export:
    Export.objects.filter(pk=export.pk).update(status="queued", error="")
    return export_write(export=export)


def made(house: House, **options: Any) -> Export:
    return written(export_create(by=house.by, cohort=house.cohort, **{"kind": "responses", "format": "csv", "now": NOW, **options}))


def test_a_file_is_asked_for_written_fetched_and_gone(full: House, client: Client) -> None:
    export = made(full)
    assert (export.status, export.rows) == ("done", 3) and export.expires_at == NOW + timedelta(days=7)
    assert Audit.objects.filter(action="export.create", object_id=str(export.pk)).count() == 1
    Export.objects.filter(pk=export.pk).update(expires_at=datetime.now(UTC) + timedelta(days=7))
    answer = client_of(full.owner).get(f"/cohorts/exports/{export.pk}/file")
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert body.count(b"\r\n") == 4 and "attachment" in answer["Content-Disposition"]
    assert client_of(full.people["instructor"]).get(f"/cohorts/exports/{export.pk}/file").status_code == 404
    assert exports.exports_prune(now=datetime.now(UTC) + timedelta(days=8)) >= 1
    assert client_of(full.owner).get(f"/cohorts/exports/{export.pk}/file").status_code == 404


def test_whoever_loses_the_role_loses_the_file(full: House) -> None:
    export = made(full)
    Export.objects.filter(pk=export.pk).update(expires_at=None)
    assert client_of(full.owner).get(f"/cohorts/exports/{export.pk}/file").status_code == 200
    member = full.member(full.owner)
    member.role = "observer"
    member.save()
    assert client_of(full.owner).get(f"/cohorts/exports/{export.pk}/file").status_code == 404


def test_what_cannot_be_asked_for(full: House) -> None:
    for options in (
        {"kind": "secrets"},
        {"kind": "events"},
        {"format": "xlsx"},
        {"kind": "audit", "assignment": Assignment.objects.first()},
    ):
        with pytest.raises(InvalidInput):
            export_create(by=full.by, cohort=full.cohort, **{"kind": "responses", "format": "csv", "now": NOW, **options})
    Export.objects.bulk_create(Export(user=full.owner, kind="runs", format="csv") for _ in range(5))
    with pytest.raises(Refused):
        made(full)


def test_a_fault_while_writing_leaves_no_half_file(full: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*args: Any, **options: Any) -> int:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(exports, "_write_one", breaks)
    export = made(full)
    assert export.status == "failed" and not export.file and "disk" not in export.error


def test_a_worker_that_vanished_is_said(full: House) -> None:
    export = Export.objects.create(user=full.owner, cohort=full.cohort, kind="runs", format="csv", status="running")
    Export.objects.filter(pk=export.pk).update(created_at=NOW - timedelta(hours=2))
    exports.exports_prune(now=NOW)
    export.refresh_from_db()
    assert export.status == "failed" and export.error


def test_ones_own_work_in_one_zip(full: House) -> None:
    """Own rows alone, marks only when they are out, no staff notes."""
    attempt = full.other_learner.attempts.get()
    Event.objects.create(attempt=attempt, seq=2, at=NOW, kind="note", data={"text": "weak on capacity"})
    export = written(export_own(by=type(full.by)(full.other_learner), now=NOW))
    with zipfile.ZipFile(io.BytesIO(b"".join(file_pieces(export)))) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {name.partition(".")[0] for name in texts} == set(OWN_KINDS)
    whole = "".join(texts.values())
    assert str(attempt.pk) in whole and str(full.learner.attempts.get().pk) not in whole
    assert "71.5" not in whole and "weak on capacity" not in whole and "1.375" not in whole
    assert texts["item_scores.csv"].count("\r\n") == 1


@pytest.mark.slow
def test_fifty_thousand_rows(house: House) -> None:
    """Within twenty seconds of one core, and without holding them; tracing, which slows it threefold, has a round of its own."""
    quiz, people = house.assignment(quiz_fields()), learners(house, 500)
    quiz_taken(quiz, people, [[1.0] * 100] * 500, [f"made.up.{n}" for n in range(100)])
    begun = time.process_time()
    export = made(house)
    assert export.rows == 50_000 and time.process_time() - begun <= 20
    tracemalloc.start()
    made(house)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 150 * 2**20


def test_the_score_of_a_range_without_a_truth() -> None:
    class Said:
        truth, lower, upper = None, 0.0, 1.0

    assert interval_score(Said()) is None  # type: ignore[arg-type]
