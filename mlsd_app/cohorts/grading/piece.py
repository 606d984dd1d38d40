"""One piece as its grader sees it: no names, no times but fractions of the person's own limit, nothing about how much time was given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.utils.safestring import SafeString

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading.anonymous import Mask, code_name
from mlsd_app.cohorts.grading.marks import ANSWER_SUBJECT, EvidenceGiven, MarkGiven, comments_for, draft_of, level_of
from mlsd_app.cohorts.grading.rubrics import content_at
from mlsd_app.cohorts.grading.sections import ANSWER, BY_KEY, Section, is_answer, section_title, subjects_of
from mlsd_app.cohorts.grading.tasks_made import free_answers
from mlsd_app.cohorts.models import Task
from mlsd_app.interviews.answers import rows_of, texts_of
from mlsd_app.interviews.kinds import COMPONENT_KINDS
from mlsd_app.interviews.lists import LISTS, Column
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.interviews.runs import links_of
from mlsd_app.interviews.scoring import scorecard
from mlsd_app.interviews.scoring.diagram import diagram_svg
from mlsd_app.interviews.scoring.judgements import Judgement, limit_ms
from mlsd_app.interviews.scoring.people import MAX_QUOTE
from mlsd_app.interviews.scoring.reading import rubric_of
from mlsd_app.interviews.scoring.scorecard import ItemCard, Scorecard, SignalCard
from mlsd_app.quiz.questions.base import Question
from mlsd_app.quiz.served import served

PASSAGES = re.compile(r"\n\s*\n")
TALK = ("question", "assumption", "confirm", "probe", "closing", "focus")  # messages of staff may speak of time
LEVEL_WORDS = ("Not shown", "Weak", "Mixed", "Solid", "Strong")


# --- the left side: what was handed in -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """Something that can be cited. `share`: when it came about, of the person's own limit."""

    kind: Literal["quote", "row", "run", "event"]
    ref: str
    text: str
    share: float | None = None


@dataclass(frozen=True)
class PhaseText:
    title: str
    words: int
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class TableShown:
    """`rows`: (what cites the row, its cells)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Passage, tuple[str, ...]], ...]


@dataclass(frozen=True)
class RunShown:
    cite: Passage
    number: int
    lab: str
    label: str
    metrics: tuple[Mapping[str, Any], ...]
    params: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class ClaimShown:
    quote: str
    run: int | None
    verdict: str
    reason: str


@dataclass(frozen=True)
class BallShown:
    """A curveball: when it came and when the design had recovered, as shares of the limit."""

    text: str
    state: str
    share: float
    recovered: float | None
    runs_used: int


@dataclass(frozen=True)
class Handed:
    phases: tuple[PhaseText, ...] = ()
    tables: tuple[TableShown, ...] = ()
    diagram: SafeString | str = ""
    runs: tuple[RunShown, ...] = ()
    claims: tuple[ClaimShown, ...] = ()
    balls: tuple[BallShown, ...] = ()
    talk: tuple[tuple[Passage, str], ...] = ()  # what the candidate said, and what was answered
    question: str = ""  # of a quiz


# --- the right side: what is judged ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A point or a signal. `mark` is what the page begins with: the grader's draft, or what a person said last."""

    key: str
    title: str
    points: int | None
    auto: bool  # a rule has said something
    required: bool
    guidance: str
    anchors: tuple[str, ...]  # of levels 0 to 4
    by_rule: Judgement | None
    by_people: tuple[Judgement, ...]
    comments: tuple[str, ...]
    mark: MarkGiven
    changed: bool = False  # since a person judged it


@dataclass(frozen=True)
class Piece:
    task: Task
    title: str
    code_name: str
    rubric_version: int | None
    handed: Handed
    subjects: tuple[Subject, ...]
    points: float  # that rules and people have given so far
    most: int

    @property
    def floor(self) -> int:
        """No point of a rubric takes anything away."""
        return 0


def piece_of(*, task: Task, user: User, marks: Mapping[str, MarkGiven] | None = None) -> Piece:
    """`marks` are those just sent, where they were refused; without them the draft."""
    mine = marks if marks is not None else draft_of(user=user, task=task)
    name = code_name(task.assigned.assignment, task.assigned.user_id)
    mask = Mask.of(task.assigned.assignment.cohort, task.assigned.assignment.problem)
    found = _answer_piece(task, name, mask) if is_answer(task) else _mock_piece(task, name, mask)
    subjects = tuple(replace(subject, mark=mine.get(subject.key, subject.mark)) for subject in found.subjects)
    return replace(found, subjects=subjects)


# --- interviews ------------------------------------------------------------------------------------------------------


def _mock_piece(task: Task, name: str, mask: Mask) -> Piece:
    attempt, section = task.assigned.attempt, BY_KEY[task.section]
    assert attempt is not None
    card = scorecard(attempt, viewer="grader")
    subjects = tuple(_subjects(task, attempt, section, card, mask))
    items = [item for item in card.items if item.tag in section.tags]
    return Piece(
        task=task,
        title=section.title,
        code_name=name,
        rubric_version=attempt.rubric_version,
        handed=_handed(attempt, section, mask),
        subjects=subjects,
        points=sum(item.points or 0.0 for item in items),
        most=sum(item.max for item in items),
    )


def _subjects(task: Task, attempt: Attempt, section: Section, card: Scorecard, mask: Mask) -> Iterator[Subject]:
    assignment = task.assigned.assignment
    guidance = {item.id: item.guidance for item in content_at(assignment, attempt.rubric_version).items}
    wanted = subjects_of(section, rubric_of(attempt))
    comments = comments_for(assignment)
    signals = {entry.key: entry for entry in card.signals}
    cards: list[ItemCard | SignalCard] = [item for item in card.items if item.tag in section.tags]
    cards += [signals[entry.key] for entry in wanted.signals]
    for entry in cards:
        key = f"item:{entry.id}" if isinstance(entry, ItemCard) else f"signal:{entry.key}"
        anchors = signals[entry.signal].sentences if isinstance(entry, ItemCard) else entry.sentences
        people = tuple(_masked(row, mask) for row in entry.judgements if row.state == "human")
        rule = next((_masked(row, mask) for row in entry.judgements if row.state == "auto" and row.version == attempt.rubric_version), None)
        yield Subject(
            key=key,
            title=entry.text if isinstance(entry, ItemCard) else entry.title,
            points=entry.max if isinstance(entry, ItemCard) else None,
            auto=rule is not None,
            required=key in wanted.required,
            guidance=guidance.get(entry.id, "") if isinstance(entry, ItemCard) else "; ".join(entry.counts),
            anchors=anchors,
            by_rule=rule,
            by_people=people,
            comments=tuple(comments.get(key, ())),
            mark=_begun_with(people),
            changed=bool(people) and people[0].version != attempt.rubric_version,
        )


def _begun_with(people: Sequence[Judgement]) -> MarkGiven:
    """What a person said last, so that looking again begins there."""
    if not people:
        return MarkGiven()
    last = people[0]
    level: Any = level_of(last.points, last.max)
    evidence = [EvidenceGiven(kind=row.kind, ref=row.ref, text=row.text) for row in last.evidence]
    return MarkGiven(level=level, evidence=evidence, comment=last.comment)


def _masked(row: Judgement, mask: Mask) -> Judgement:
    return replace(
        row, comment=mask.text(row.comment), evidence=tuple(replace(entry, text=mask.text(entry.text)) for entry in row.evidence)
    )


def _handed(attempt: Attempt, section: Section, mask: Mask) -> Handed:
    """All of the interview where the whole is judged, else the phases that hold the section's topics."""
    whole = not section.tags
    phases = [phase for phase in attempt.phases if whole or set(phase["tags"]) & set(section.tags)]
    keys = [str(phase["key"]) for phase in phases]
    lists = [found for found in LISTS.values() if whole or set(found.tags) & set(section.tags)]
    scale = limit_ms(attempt)
    return Handed(
        phases=tuple(_phase_texts(attempt, phases, mask)),
        tables=tuple(table for found in lists if (table := _table(attempt, found.key, mask))),
        diagram=_diagram(attempt, mask) if whole or "architecture" in section.tags else "",
        runs=tuple(_runs(attempt, mask, scale)),
        claims=tuple(_claims(attempt, keys, mask)),
        balls=tuple(_balls(attempt, keys, mask, scale)),
        talk=tuple(_talk(attempt, keys, mask, scale)),
    )


def _phase_texts(attempt: Attempt, phases: Sequence[Mapping[str, Any]], mask: Mask) -> Iterator[PhaseText]:
    texts = texts_of(attempt)
    for phase in phases:
        text, ref = texts.get(phase["key"], ""), f"text/{phase['key']}"
        passages = [Passage("quote", ref, mask.text(part.strip())) for part in PASSAGES.split(text) if part.strip()]
        yield PhaseText(phase["title"], len(text.split()), tuple(passages))


def _table(attempt: Attempt, name: str, mask: Mask) -> TableShown | None:
    rows = rows_of(attempt, name)
    if not rows:
        return None
    columns = [column for column in LISTS[name].columns if not column.hidden]
    named = {row["key"]: row.get("name") or row["key"] for row in rows_of(attempt, "components")} if name == "edges" else {}
    shown = []
    for row in rows:
        cells = tuple(mask.text(_cell(row.get(column.name), column, named)) for column in columns)
        said = " · ".join(cell for cell in cells if cell)[:MAX_QUOTE]
        shown.append((Passage("row", f"row/{name}/{row['key']}", said), cells))
    return TableShown(LISTS[name].title, tuple(column.title for column in columns), tuple(shown))


def _cell(value: Any, column: Column, named: Mapping[str, str]) -> str:
    if value in (None, "", False):
        return ""
    if value is True:
        return "yes"
    if column.kind in ("kind", "row"):
        return str({"kind": COMPONENT_KINDS, "row": named}[column.kind].get(value, value))
    return f"{value:g} {column.unit}".strip() if isinstance(value, float) else f"{value} {column.unit}".strip()


def _diagram(attempt: Attempt, mask: Mask) -> SafeString | str:
    components = [_row_masked(row, mask) for row in rows_of(attempt, "components")]
    edges = [_row_masked(row, mask) for row in rows_of(attempt, "edges")]
    return diagram_svg(components, edges) if components else ""


def _row_masked(row: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    return {
        name: mask.text(value) if name in ("name", "why", "carries") and isinstance(value, str) else value for name, value in row.items()
    }


def _runs(attempt: Attempt, mask: Mask, scale: float) -> Iterator[RunShown]:
    for link in links_of(attempt).filter(pinned=True).order_by("number"):
        label = mask.text(link.label)
        cite = Passage("run", f"run/{link.number}", label or f"run {link.number} of {link.run.lab}", link.active_ms / scale)
        metrics = tuple(link.run.result.metrics) if link.run.result else ()
        yield RunShown(cite, link.number, link.run.lab, label, metrics, tuple(sorted(link.run.params.items())))


def _claims(attempt: Attempt, phases: Sequence[str], mask: Mask) -> Iterator[ClaimShown]:
    fields = [f"text/{key}" for key in phases]
    for row in attempt.claims.filter(by="user", field__in=fields).select_related("run"):
        yield ClaimShown(mask.text(row.quote), row.run.number if row.run else None, row.verdict.replace("_", " "), mask.text(row.reason))


def _balls(attempt: Attempt, phases: Sequence[str], mask: Mask, scale: float) -> Iterator[BallShown]:
    for ball in attempt.curveball_rows.filter(phase__in=phases):
        recovered = None if ball.recovered_ms is None else ball.recovered_ms / scale
        yield BallShown(mask.text(ball.text), ball.get_state_display(), ball.active_ms / scale, recovered, ball.runs_used)


def _talk(attempt: Attempt, phases: Sequence[str], mask: Mask, scale: float) -> Iterator[tuple[Passage, str]]:
    for event in Event.objects.filter(attempt=attempt, kind__in=TALK, phase__in=phases).order_by("seq"):
        said, answer = str(event.data.get("text") or ""), str(event.data.get("answer") or "")
        if event.kind in ("question", "assumption", "confirm"):
            yield (
                Passage("event", f"event/{event.seq}", mask.text(said or answer)[:MAX_QUOTE], event.active_ms / scale),
                mask.text(answer if said else ""),
            )
        elif said:
            yield Passage("event", f"event/{event.seq}", mask.text(said)[:MAX_QUOTE], event.active_ms / scale), ""


# --- free answers of quizzes -----------------------------------------------------------------------------------------


def _answer_piece(task: Task, name: str, mask: Mask) -> Piece:
    sitting = task.assigned.sitting
    assert sitting is not None
    key = task.section.removeprefix(ANSWER)
    place = next(number for number, row in enumerate(sitting.items) if f"{row['problem']}/{row['item']}" == key)
    asked = served(sitting, place)
    solution = asked.solution
    text = free_answers(sitting).get(key, "")
    passages = tuple(Passage("quote", key, mask.text(part.strip())) for part in PASSAGES.split(text) if part.strip())
    level: Any = level_of(task.mark, 1)
    subject = Subject(
        key=ANSWER_SUBJECT,
        title="The answer",
        points=None,
        auto=False,
        required=True,
        guidance="; ".join(str(point) for point in solution.get("points", [])),
        anchors=("None of the points.", "A quarter of the points.", "Half of them.", "Three quarters of them.", "All of them."),
        by_rule=None,
        by_people=(),
        comments=tuple(comments_for(task.assigned.assignment).get(task.section, ())),
        mark=MarkGiven(level=level if task.graded_at else None, comment=task.comment),
    )
    handed = Handed(phases=(PhaseText("Answer", len(text.split()), passages),), question=_stem(asked.question))
    return Piece(task, section_title(task.section), name, None, handed, (subject,), task.mark or 0.0, 1)


def _stem(question: Question) -> str:
    public: Any = question.public()
    return str(public.get("stem", ""))
