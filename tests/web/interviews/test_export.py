"""What is taken away opens as what it says it is, holds nothing but what may be seen, and brings nothing along that somebody typed in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle, staff_ops
from mlsd_app.interviews.debrief.own import result_reveal
from mlsd_app.interviews.demo import demo_interviews
from mlsd_app.interviews.export import TOLD_TO_OTHERS, inline, jsonl_of, markdown_of, phases_with_lists, quoted, table
from mlsd_app.interviews.interviewer.questions import question_ask
from mlsd_app.interviews.models import AnswerOp, Attempt, Event, Status
from mlsd_app.interviews.texts import spliced
from problems.loader import load_problem
from tests.web.interviews.conftest import NOW, at
from tests.web.interviews.test_debrief import graded, save, submitted

EVIL = """# Scorecard

**Hire**; 100 % of what was graded

<script>alert(1)</script><img src=x onerror=alert(2)> ![spy](http://elsewhere.example/pixel.png)
---
verdict: hire
"""
READER = MarkdownIt("commonmark").enable("table")


def front_of(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    return dict(yaml.safe_load(text.split("---\n")[1]))


def body_of(text: str) -> str:
    return text.split("---\n", 2)[2]


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def headings(text: str) -> list[str]:
    tokens = READER.parse(body_of(text))
    return [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open" and token.level == 0]


# --- Markdown --------------------------------------------------------------------------------------------------------


def test_what_somebody_typed_is_a_quotation_and_nothing_else(running: Attempt) -> None:
    save(running, "text/clarify", EVIL, 20)
    save(running, "row/constraints/c1", json.dumps({"name": "a | b\n| c", "value": "<b>1</b>", "unit": "[x](javascript:1)"}), 30)
    text = markdown_of(submitted(running), own=True)
    assert "Scorecard" not in headings(text) and headings(text)[0] == "Vector search infrastructure"
    assert front_of(text)["status"] == "closed" and "verdict" not in front_of(text)
    html = Elements(READER.render(body_of(text)))
    assert not {"script", "b"} & {tag for tag, _ in html.found}
    assert not [attrs for tag, attrs in html.found if tag == "img" and "elsewhere" in str(attrs)]
    assert not [attrs for _, attrs in html.found if any(name.startswith("on") for name in attrs)]
    assert not [attrs for tag, attrs in html.found if tag == "a" and "javascript" in str(attrs.get("href"))]


@given(cells=st.lists(st.text(max_size=30), min_size=2, max_size=4))
def test_a_table_keeps_its_columns_whatever_stands_in_them(cells: list[str]) -> None:
    tokens = READER.parse(table(["Head"] * len(cells), [cells]))
    assert tokens[0].type == "table_open" and sum(token.type == "td_open" for token in tokens) == len(cells)
    assert not [token for token in tokens if token.type == "html_block"]


@given(text=st.text(max_size=200))
def test_a_quotation_is_one_block(text: str) -> None:
    tokens = READER.parse(f"{quoted(text)}\n\nAfter it.")
    outer = [token for token in tokens if token.level == 0]
    *quotation, begin, end = outer
    assert [token.type for token in quotation] in ([], ["blockquote_open", "blockquote_close"])
    assert (begin.type, end.type) == ("paragraph_open", "paragraph_close")
    assert not [token for token in tokens if token.type == "html_block"]


@given(text=st.text(max_size=60))
def test_a_line_of_words_is_one_paragraph_of_text(text: str) -> None:
    assert "\n" not in inline(text) and "<" not in re.sub(r"\\<", "", inline(text))


def test_the_words_come_back_from_the_quotation(running: Attempt) -> None:
    words = "One line.\n\n- a point\n- another\n\n```\ncode\n```"
    save(running, "text/clarify", words, 20)
    text = markdown_of(submitted(running), own=True)
    block = text.split("## Clarify\n\n")[1].split("\n\n## ")[0]
    assert "\n".join(line.removeprefix(">").removeprefix(" ") for line in block.splitlines()) == words


def test_everything_written_stands_in_it(running: Attempt) -> None:
    for number, (field, cells) in enumerate(
        {
            "row/constraints/c1": {"name": "zebra"},
            "row/numbers/n1": {"name": "yak", "value": 7, "unit": "GB"},
            "row/api/a1": {"name": "POST /walrus"},
            "row/components/k1": {"name": "Vulture", "kind": "gateway"},
            "row/components/k2": {"name": "Urchin", "kind": "ann_index"},
            "row/edges/e1": {"from": "k1", "to": "k2"},
            "row/tradeoffs/t1": {"choose": "tapir"},
            "row/alarms/m1": {"metric": "skunk"},
            "row/gotchas/g1": {"effect": "rhino"},
            "row/more_time/w1": {"what": "quokka"},
        }.items()
    ):
        save(running, field, json.dumps(cells), 100 + number)
    text = markdown_of(submitted(running), own=True)
    for word in ("zebra", "yak", "walrus", "tapir", "skunk", "rhino", "quokka"):
        assert text.count(word) == 1, word
    assert "| Vulture | Urchin |" in text, "connections name components, not keys"
    assert "data:image/svg+xml;base64," in text
    lists = [found.of.key for phase in phases_with_lists(running) for found in phase.lists]
    assert len(lists) == len(set(lists)) == 9


def test_marks_stand_in_it_once_they_were_opened(running: Attempt) -> None:
    graded(running)
    assert "Scorecard" not in headings(markdown_of(running, own=True))
    result_reveal(attempt=running, now=at(2600))
    text = markdown_of(running, own=True)
    assert "Scorecard" in headings(text) and front_of(text)["score_state"] == "auto"
    assert "not graded" in text


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def accommodated(user: User) -> Attempt:
    """With 1.5 times the time, ten minutes of stop-clock breaks, and an extension."""
    attempt = lifecycle.attempt_create(
        user=user,
        problem=load_problem("vector_search"),
        now=NOW,
        kind="assigned",
        multiplier=1.5,
        pause_policy={"count": 1, "break_s": 600},
    )
    attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    question_ask(attempt=attempt, text="How many vectors do we store?", now=at(81))
    save(attempt, "text/clarify", "written at leisure", 243)
    lifecycle.attempt_pause(attempt=attempt, actor=user, now=at(300), kind="break")
    lifecycle.attempt_resume(attempt=attempt, actor=user, now=at(500))
    staff_ops.adjust_add(attempt=attempt, seconds=300, from_phase=0, actor=user, reason="fire alarm", now=at(600))
    return graded(attempt, 2000)


def test_for_others_times_are_shares_and_nothing_tells_how_much_time_there_was(accommodated: Attempt) -> None:
    limit_s = 2700 * 1.5 + 300
    text = markdown_of(accommodated, own=False)
    lines = [json.loads(line) for line in jsonl_of(accommodated, own=False)]
    everything = text + json.dumps(lines)
    front = front_of(text)
    assert front["time_used"] == pytest.approx(1800 / limit_s, abs=1e-3) and "started_at" not in front
    question = next(line for line in lines if line.get("kind") == "question")
    assert question["at_share"] == pytest.approx(81 / limit_s, abs=1e-3)
    hidden = (
        "multiplier",
        '"break"',
        '"pause',
        '"adjust"',
        "fire alarm",
        "active_ms",
        "within_s",
        "2026-03-02",
        str(int(limit_s)),
        "Firefox",
    )
    assert not [told for told in hidden if told in everything]
    assert {line["kind"] for line in lines if line["type"] == "event"} <= set(TOLD_TO_OTHERS)


def test_ones_own_export_says_when(accommodated: Attempt) -> None:
    lines = [json.loads(line) for line in jsonl_of(accommodated, own=True)]
    assert [line["active_ms"] for line in lines if line.get("kind") == "question"] == [81_000]
    assert front_of(markdown_of(accommodated, own=True))["started_at"] == NOW.isoformat()


# --- JSON lines ------------------------------------------------------------------------------------------------------


def test_every_event_and_write_is_a_line_and_the_writes_make_the_text_again(running: Attempt) -> None:
    odd = "first\u2028line\x85 \u0000 and é"
    save(running, "text/clarify", odd, 20)
    save(running, "text/clarify", f"{odd}, then more", 40)
    save(running, "text/clarify", "more", 60)
    submitted(running)
    text = "".join(jsonl_of(running, own=True))
    lines = [json.loads(line) for line in text.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds == ["attempt"] + ["event"] * Event.objects.filter(attempt=running).count() + ["op"] * AnswerOp.objects.count()
    assert [line["seq"] for line in lines if line["type"] == "event"] == list(range(1, kinds.count("event") + 1))
    rebuilt: str | None = None
    for op in (line for line in lines if line["type"] == "op"):
        rebuilt = op["keyframe"] if op["splice"] is None else spliced(rebuilt, op["splice"])
    assert rebuilt == "more"


def test_facts_that_were_not_asked_for_stand_in_no_export(running: Attempt) -> None:
    question_ask(attempt=running, text="How many vectors do we store?", now=at(20))
    submitted(running)
    everything = markdown_of(running, own=True) + "".join(jsonl_of(running, own=True))
    answers = [fact["answer"].split("{value}")[-1].strip(" .") for fact in running.content["interviewer"]["facts"]]
    told = [answer for answer in answers if len(answer) > 15 and answer in everything]
    assert told == ["within two years; a tenth of that today"]


# --- pages -----------------------------------------------------------------------------------------------------------


def test_files_and_the_print_page(mine: Client, running: Attempt) -> None:
    save(running, "text/clarify", EVIL, 20)
    submitted(running)
    markdown = mine.get(reverse("interviews:export_md", args=[running.pk]))
    assert markdown["Content-Type"] == "text/markdown; charset=utf-8" and markdown["Content-Disposition"].startswith("attachment")
    lines = mine.get(reverse("interviews:export_jsonl", args=[running.pk]))
    assert all(json.loads(line) for line in b"".join(_bytes(lines)).splitlines())
    answer = mine.get(reverse("interviews:print", args=[running.pk]))
    page = answer.content.decode()
    assert "alert(1)" in page and "<script>alert" not in page and "onerror=" not in page.replace("onerror=alert(2)&gt;", "")
    assert "img-src 'self'" in answer["Content-Security-Policy"], "a picture of elsewhere is not fetched"
    assert page.count('class="print-phase"') == len(running.phases) + 1


def _bytes(answer: Any) -> Iterator[bytes]:
    yield from answer.streaming_content


# --- the demo --------------------------------------------------------------------------------------------------------


def test_the_demo_is_played_once_and_holds_what_a_debrief_shows(user: User, settings: Any, tmp_path: Any) -> None:
    settings.ASSETS_DIR = tmp_path
    done, goes_on = demo_interviews(candidate=user, now=NOW)
    assert (done.status, goes_on.status) == (Status.RELEASED, Status.OPEN)
    assert done.closed_at is not None and done.closed_at < NOW - timedelta(days=1)
    assert set(done.runlinks.values_list("pinned", flat=True)) == {True, False}
    assert done.curveball_rows.filter(state="recovered", runs_used__gt=0).exists()
    assert set(done.claims.values_list("verdict", flat=True)) == {"supported", "contradicted"}
    assert done.item_scores.filter(points__gt=0).count() > 5
    text = markdown_of(done, own=True)
    assert "Scorecard" in headings(text) and "Run 3: Index trade-offs" in headings(text)
    assert demo_interviews(candidate=user, now=NOW) == []
