"""Marks in the database: what rules said, which mark of several holds, and the verdict that follows.

Every row stays. A person's mark goes before a model's, a model's before a rule's; `superseded_by` of the others names the one that holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import transaction
from django.db.models import Q

from mlsd_app.interviews.events import attempt_lock
from mlsd_app.interviews.models import LIVE, Attempt, ItemScore, ScoreState, SignalLevel, Status, Verdict
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring import verdict as rule
from mlsd_app.interviews.scoring.claim_rows import claims_settle
from mlsd_app.interviews.scoring.graders import grade_all
from mlsd_app.interviews.scoring.marks import Mark
from mlsd_app.interviews.scoring.reading import rubric_of, sheet_of
from mlsd_app.interviews.scoring.signals import UNKNOWN, Level, measured_levels, signal_keys
from problems.interview_schema import Rubric, RubricItem
from problems.loader import load_problem
from simulators.errors import InvalidInput

Judged = TypeVar("Judged", ItemScore, SignalLevel)
RANK = {ScoreState.HUMAN: 3, ScoreState.AI: 2, ScoreState.AUTO: 1, ScoreState.UNGRADED: 0}
BY_RULE = (ScoreState.AUTO, ScoreState.UNGRADED)


# --- by rule ---------------------------------------------------------------------------------------------------------


def grade(*, attempt: Attempt, now: datetime) -> Verdict:
    """Marks everything a rule can mark and writes the verdict. Run again, it replaces its own rows of the same rubric version."""
    claims_settle(attempt)
    sheet = sheet_of(attempt)
    marks = grade_all(sheet)
    levels = measured_levels(sheet, marks)
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        ItemScore.objects.filter(_by_rule(row)).delete()
        SignalLevel.objects.filter(_by_rule(row)).delete()
        ItemScore.objects.bulk_create(_item_row(row, item, marks[item.id]) for item in sheet.rubric.items)
        SignalLevel.objects.bulk_create(_signal_row(row, key, levels.get(key, UNKNOWN)) for key in signal_keys(sheet.rubric))
        for judged in (ItemScore, SignalLevel):
            judged.objects.filter(_by_rule(row)).update(at=now)  # the columns take the time of the insert by themselves
        return verdict_write(attempt=row, now=now)


def _by_rule(attempt: Attempt) -> Q:
    return Q(attempt=attempt, rubric_version=attempt.rubric_version, grader=None, state__in=BY_RULE)


def _item_row(attempt: Attempt, item: RubricItem, mark: Mark) -> ItemScore:
    evidence = [dict(entry) for entry in mark.evidence]
    if evidence and mark.ratio is not None:
        evidence[0]["ratio"] = mark.ratio
    return ItemScore(
        attempt=attempt,
        item_id=item.id,
        rubric_version=attempt.rubric_version,
        state=ScoreState.AUTO if mark.graded else ScoreState.UNGRADED,
        points=mark.points,
        max=item.points,
        evidence=evidence,
        comment=mark.comment,
        error=mark.error,
    )


def _signal_row(attempt: Attempt, key: str, level: Level) -> SignalLevel:
    return SignalLevel(
        attempt=attempt,
        signal=key,
        rubric_version=attempt.rubric_version,
        level=level.level,
        state=ScoreState.UNGRADED if level.level is None else ScoreState.AUTO,
        evidence=list(level.evidence),
        comment=level.comment,
    )


def regrade(*, attempt: Attempt, now: datetime, rubric: Rubric | None = None) -> Verdict:
    """Marks the attempt under another rubric, by default the problem's present one; rows and verdict of the old version stay.

    Marks by people go over to items of the same id and points; the others wait for a person again. Raises Refused while it runs.
    """
    new = rubric or load_problem(attempt.problem).rubric
    if new is None:
        raise InvalidInput(f"The problem {attempt.problem!r} has no rubric any more.", field="rubric")
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        refuse_unless_over(row)
        row.content = {**row.content, "rubric": new.model_dump(mode="json")}
        row.rubric_version = new.version
        row.save(update_fields=["content", "rubric_version"])
    attempt.refresh_from_db()
    return grade(attempt=attempt, now=now)


def refuse_unless_over(attempt: Attempt) -> None:
    if attempt.status in LIVE or attempt.status == Status.VOID:
        raise Refused("wrong_state", "Only an interview that is over, and not void, can be marked.", 409)


# --- which of them holds ---------------------------------------------------------------------------------------------


def items_holding(attempt: Attempt, rubric: Rubric, rows: Iterable[ItemScore] | None = None) -> dict[str, ItemScore]:
    """{item id: the mark that holds}. Marks of people count from older versions too where id and points are the same.

    rows  all marks of the attempt, where they have been read already
    """
    points = {item.id: item.points for item in rubric.items}
    found = [row for row in _judged(attempt, attempt.item_scores.all() if rows is None else rows) if row.max == points.get(row.item_id)]
    return {item: _holding(marks) for item, marks in _grouped(found, lambda row: row.item_id).items()}


def levels_holding(attempt: Attempt, rows: Iterable[SignalLevel] | None = None) -> dict[str, SignalLevel]:
    """{signal: the level that holds}; `rows` as for `items_holding`."""
    found = _judged(attempt, attempt.signal_levels.all() if rows is None else rows)
    return {signal: _holding(levels) for signal, levels in _grouped(found, lambda row: row.signal).items()}


def _judged(attempt: Attempt, rows: Iterable[Judged]) -> list[Judged]:
    """What counts under the attempt's rubric: its own version, and what people said under any."""
    version = attempt.rubric_version
    return [row for row in rows if row.rubric_version == version or row.grader_id is not None or row.state == ScoreState.HUMAN]


def _grouped(rows: Iterable[Judged], key: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    groups: dict[str, list[Judged]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _holding(rows: Sequence[Judged]) -> Judged:
    """The newest of the highest rank. Whoever takes a mark back takes all earlier marks of people back."""
    since = max((row.pk for row in rows if row.grader_id is not None and row.state == ScoreState.UNGRADED), default=0)
    valid = [row for row in rows if row.state != ScoreState.HUMAN or row.pk > since]
    return max(valid, key=lambda row: (RANK[ScoreState(row.state)], row.grader_id is None, row.pk))


def _settle(rows: Sequence[Judged], holding: ItemScore | SignalLevel) -> None:
    for row in rows:
        winner = None if row.pk == holding.pk else holding
        if row.superseded_by_id != (winner.pk if winner else None):
            row.superseded_by_id = winner.pk if winner else None
            row.save(update_fields=["superseded_by"])


# --- the verdict -----------------------------------------------------------------------------------------------------


def verdict_write(*, attempt: Attempt, now: datetime) -> Verdict:
    """The verdict from the rows that hold, inside the caller's transaction; one row a rubric version and rule version."""
    rubric = rubric_of(attempt)
    item_rows, level_rows = list(ItemScore.objects.filter(attempt=attempt)), list(SignalLevel.objects.filter(attempt=attempt))
    items, levels = items_holding(attempt, rubric, item_rows), levels_holding(attempt, level_rows)
    for scores in _grouped(_judged(attempt, item_rows), lambda row: row.item_id).values():
        if scores[0].item_id in items:
            _settle(scores, items[scores[0].item_id])
    for rows in _grouped(_judged(attempt, level_rows), lambda row: row.signal).values():
        _settle(rows, levels[rows[0].signal])
    outcome = outcome_for(attempt, rubric, items, levels)
    states = {row.state for row in items.values()} | {row.state for row in levels.values()}
    found, _ = Verdict.objects.update_or_create(
        attempt=attempt,
        rubric_version=attempt.rubric_version,
        rule_version=rule.RULE_VERSION,
        defaults={
            "level": outcome.level,
            "verdict": outcome.verdict,
            "score": None if outcome.score is None else round(outcome.score, 4),
            "graded_weight": round(outcome.graded_weight, 4),
            "state": ScoreState.HUMAN if ScoreState.HUMAN in states else ScoreState.AUTO,
            "gates": list(outcome.gates),
            "by_tag": outcome.tag_dicts,
        },
    )
    Verdict.objects.filter(pk=found.pk).update(at=now)
    found.at = now
    return found


def outcome_for(attempt: Attempt, rubric: Rubric, items: Mapping[str, ItemScore], levels: Mapping[str, SignalLevel]) -> rule.Outcome:
    scored = [scored_of(item, items.get(item.id)) for item in rubric.items]
    return rule.outcome_of(rubric, scored, level=attempt.level, signals={key: row.level for key, row in levels.items()})


def scored_of(item: RubricItem, row: ItemScore | None) -> rule.Scored:
    if row is None:
        return rule.Scored(item, None, "ungraded")
    ratios = [entry["ratio"] for entry in row.evidence if "ratio" in entry]
    return rule.Scored(item, row.points, row.state, ratios[0] if ratios else None)
