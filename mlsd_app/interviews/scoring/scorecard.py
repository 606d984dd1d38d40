"""The scorecard as debrief, export, API and the grading page show it, without what the viewer may not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mlsd_app.interviews.models import Attempt, ItemScore, ScoreState, SignalLevel, Status
from mlsd_app.interviews.scoring import verdict as rule
from mlsd_app.interviews.scoring.judgements import STATE_WORDS, Judgement, Judgements
from mlsd_app.interviews.scoring.reading import rubric_of
from mlsd_app.interviews.scoring.rows import items_holding, levels_holding, outcome_for, scored_of
from mlsd_app.interviews.scoring.signals import Anchors, anchors
from mlsd_app.interviews.selectors import score_visible
from problems.interview_schema import Rubric, RubricItem
from problems.loader import load_problem

Viewer = Literal["owner", "grader", "staff"]
TAG_TITLES = {
    "clarify": "Clarify",
    "capacity": "Capacity",
    "architecture": "Architecture",
    "deep_dive": "Deep dive",
    "infra": "Training and serving",
    "eval": "Evaluation",
    "monitoring": "Monitoring",
    "gotchas": "Gotchas",
    "more_time": "With more time",
}
NOT_YET = "Not graded yet."
WITHHELD = "Whoever set this interview keeps the marks."
MAX_LEVEL = 4


@dataclass(frozen=True)
class ItemCard:
    """`points` None: not graded, `judgements` has every row, the one that holds first."""

    id: str
    text: str
    tag: str
    signal: str
    grade: str
    points: float | None
    max: int
    weight: float
    judgements: tuple[Judgement, ...]

    @property
    def holding(self) -> Judgement | None:
        return next((entry for entry in self.judgements if entry.holds), None)

    @property
    def state(self) -> str:
        return self.holding.state if self.holding else ScoreState.UNGRADED

    @property
    def state_words(self) -> str:
        return STATE_WORDS[ScoreState(self.state)]


@dataclass(frozen=True)
class TagCard:
    """Weights are of 100."""

    tag: str
    title: str
    points: float
    max: float
    weight: float
    graded_weight: float
    earned_weight: float
    items: tuple[ItemCard, ...]

    @property
    def open_items(self) -> int:
        """Items that nobody graded."""
        return sum(item.points is None for item in self.items)

    @property
    def shares(self) -> tuple[float, float]:
        """Of the topic's weight, in percent: earned, and graded without being earned."""
        return 100 * self.earned_weight / self.weight, 100 * (self.graded_weight - self.earned_weight) / self.weight


@dataclass(frozen=True)
class SignalCard:
    """`level` None: not judged; 0: not shown. `sentence` is the anchor of the level, `sentences` those of all five."""

    key: str
    title: str
    group: str
    areas: tuple[str, ...]
    level: int | None
    sentence: str
    sentences: tuple[str, ...]
    counts: tuple[str, ...]  # what counts as evidence
    items: tuple[str, ...]  # ids of the items behind it
    judgements: tuple[Judgement, ...]
    own_level: int | None = None  # the candidate's

    @property
    def state(self) -> str:
        return next((entry.state for entry in self.judgements if entry.holds), ScoreState.UNGRADED)

    @property
    def gap(self) -> int | None:
        """The candidate's own level less the grader's."""
        return None if self.level is None or self.own_level is None else self.own_level - self.level


@dataclass(frozen=True)
class Provisional:
    """What the verdict would be with the candidate's own judgement of what nobody graded. Never stored, never exported.

    `verdict` "": too little is judged even so, `judged_weight` of 100; then `score` is of that.
    """

    verdict: str
    score: float
    judged_weight: float
    gates: tuple[str, ...]
    label: str = "self-assessed"


@dataclass(frozen=True)
class Version:
    """A verdict under another version of the rubric."""

    rubric_version: int
    verdict: str
    score: float | None
    graded_weight: float


@dataclass(frozen=True)
class Scorecard:
    """`hidden` is why there is nothing to see, and all else is then empty. Weights are of 100, `score` is in percent of what was graded.

    auto_share  part of the graded weight that a rule graded
    ungraded    items that nobody graded: (id, text)
    """

    attempt: str
    problem: str
    level: str
    hidden: str = ""
    rubric_version: int = 0
    rule_version: int = rule.RULE_VERSION
    state: str = ScoreState.UNGRADED
    verdict: str = ""
    verdict_words: str = ""
    score: float | None = None
    graded_weight: float = 0.0
    auto_share: float = 0.0
    gates: tuple[str, ...] = ()
    tags: tuple[TagCard, ...] = ()
    signals: tuple[SignalCard, ...] = ()
    ungraded: tuple[tuple[str, str], ...] = ()
    versions: tuple[Version, ...] = ()
    provisional: Provisional | None = None
    needed: tuple[tuple[str, float], ...] = ()  # where there is no verdict: see `verdict.shares_needed`

    @property
    def items(self) -> tuple[ItemCard, ...]:
        return tuple(item for tag in self.tags for item in tag.items)

    def as_dict(self) -> dict[str, Any]:
        """For exports and the API: without the candidate's self-assessment."""
        return asdict(replace(self, provisional=None))


def scorecard(attempt: Attempt, *, viewer: Viewer = "owner") -> Scorecard:
    """What `viewer` may see. The owner: nothing before the release, nor where the marks are withheld. A grader: no names, no seconds."""
    empty = Scorecard(str(attempt.pk), attempt.problem, attempt.level)
    if hidden := _hidden(attempt, viewer):
        return replace(empty, hidden=hidden)
    rubric = rubric_of(attempt)
    rows = Judgements(attempt, viewer)
    items, levels = items_holding(attempt, rubric, rows.items), levels_holding(attempt, rows.levels)
    outcome = outcome_for(attempt, rubric, items, levels)
    tags = tuple(_tags(attempt, rubric, outcome, items, rows))
    return replace(
        empty,
        rubric_version=attempt.rubric_version,
        state=ScoreState.HUMAN if ScoreState.HUMAN in {row.state for row in items.values()} else ScoreState.AUTO,
        verdict=outcome.verdict,
        verdict_words=outcome.verdict.capitalize()
        or f"Not enough graded: {outcome.graded_weight:.0f} of 100, {rule.MIN_GRADED:.0f} are needed",
        score=outcome.score,
        graded_weight=outcome.graded_weight,
        auto_share=_auto_share(rubric, items),
        gates=outcome.gates,
        tags=tags,
        signals=tuple(_signals(attempt, rubric, levels, rows)),
        ungraded=tuple((item.id, item.text) for tag in tags for item in tag.items if item.points is None),
        versions=tuple(_versions(attempt)),
        provisional=_provisional(attempt, rubric, items, levels) if viewer == "owner" and not outcome.verdict else None,
        needed=() if outcome.verdict else rule.shares_needed(outcome),
    )


def _hidden(attempt: Attempt, viewer: Viewer) -> str:
    if "rubric" not in attempt.content or not attempt.verdicts.all():
        return NOT_YET
    if viewer != "owner" or score_visible(attempt):
        return ""
    return WITHHELD if attempt.status == Status.RELEASED else NOT_YET


# --- parts -----------------------------------------------------------------------------------------------------------


def _tags(attempt: Attempt, rubric: Rubric, outcome: rule.Outcome, items: Mapping[str, ItemScore], rows: Judgements) -> Iterator[TagCard]:
    weight, texts = rule.weights(rubric), {**item_texts(attempt.problem), **attempt.content.get("item_texts", {})}
    for entry in sorted(outcome.by_tag, key=lambda entry: list(TAG_TITLES).index(entry.tag)):
        cards = tuple(_item(item, texts, weight, items.get(item.id), rows) for item in rubric.items if item.tag == entry.tag)
        yield TagCard(items=cards, title=TAG_TITLES[entry.tag], tag=entry.tag, **entry.as_dict())


def item_texts(problem: str) -> dict[str, str]:
    """{item id: the point as the checklists say it}; an item that has left the checklists is called by its id."""
    return {item.id: item.text for phase in load_problem(problem).phases for item in phase.checklist}


def _item(item: RubricItem, texts: Mapping[str, str], weight: Mapping[str, float], holding: ItemScore | None, rows: Judgements) -> ItemCard:
    return ItemCard(
        id=item.id,
        text=texts.get(item.id, item.id.partition(".")[2].replace("_", " ").capitalize()),
        tag=item.tag,
        signal=item.signal,
        grade=item.grade,
        points=holding.points if holding else None,
        max=item.points,
        weight=round(weight[item.id], 3),
        judgements=rows.of_item(item.id, holding),
    )


def _signals(attempt: Attempt, rubric: Rubric, levels: Mapping[str, SignalLevel], rows: Judgements) -> Iterator[SignalCard]:
    own = _own_levels(attempt, "signal:") if rows.viewer == "owner" else {}
    for entry in anchors(rubric):
        row = levels.get(entry.key)
        level = row.level if row else None
        yield SignalCard(
            key=entry.key,
            title=entry.title,
            group=entry.group,
            areas=entry.areas,
            level=level,
            sentence=_sentence(entry, level),
            sentences=entry.sentences,
            counts=entry.evidence,
            items=tuple(item.id for item in rubric.items if item.signal == entry.key),
            judgements=rows.of_signal(entry.key, row),
            own_level=own.get(entry.key),
        )


def _sentence(entry: Anchors, level: int | None) -> str:
    return "Not judged." if level is None else entry.sentences[level]


def _own_levels(attempt: Attempt, kind: str) -> dict[str, int]:
    found = attempt.self_assessments.all()
    return {row.subject.removeprefix(kind): row.level for row in found if row.subject.startswith(kind)}


def _auto_share(rubric: Rubric, items: Mapping[str, ItemScore]) -> float:
    weight = rule.weights(rubric)
    graded = {item.id: items[item.id].state for item in rubric.items if item.id in items and items[item.id].points is not None}
    total = sum(weight[item] for item in graded)
    return sum(weight[item] for item, state in graded.items() if state == ScoreState.AUTO) / total if total else 0.0


def _versions(attempt: Attempt) -> Iterator[Version]:
    for row in attempt.verdicts.all():
        if row.rubric_version != attempt.rubric_version:
            yield Version(row.rubric_version, row.verdict, row.score, row.graded_weight)


def _provisional(attempt: Attempt, rubric: Rubric, items: Mapping[str, ItemScore], levels: Mapping[str, SignalLevel]) -> Provisional | None:
    """With the candidate's levels, a quarter of the points each, where nobody graded; None where they judged none of it."""
    own = _own_levels(attempt, "item:")
    if not own:
        return None
    scored = [_with_own(scored_of(item, items.get(item.id)), own) for item in rubric.items]
    signals = {**_own_levels(attempt, "signal:"), **{key: row.level for key, row in levels.items() if row.level is not None}}
    outcome = rule.outcome_of(rubric, scored, level=attempt.level, signals=signals)
    return Provisional(outcome.verdict, outcome.score or 0.0, outcome.graded_weight, outcome.gates)


def _with_own(entry: rule.Scored, own: Mapping[str, int]) -> rule.Scored:
    if entry.points is not None or entry.item.id not in own:
        return entry
    return replace(entry, points=entry.item.points * own[entry.item.id] / MAX_LEVEL, state="self")
