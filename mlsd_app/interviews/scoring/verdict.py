"""From marks to a score and a verdict: rule version 1. Pure.

Half of the signal lies in the deep dive, thirty percent in evaluation, monitoring and gotchas; within a group points decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from problems.interview_schema import Rubric, RubricItem, Tag

RULE_VERSION = 1
MIN_GRADED = 70.0  # of 100 weighted points: below, there is no verdict
GROUPS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("clarify",), 7.0),
    (("capacity",), 6.0),
    (("architecture",), 7.0),
    (("deep_dive", "infra"), 50.0),
    (("eval",), 10.0),
    (("monitoring",), 10.0),
    (("gotchas", "more_time"), 10.0),
)
VERDICTS = ("no hire", "lean no", "lean hire", "hire")  # from the bottom
CUTS: Mapping[str, tuple[float, float, float]] = {"mid": (35, 48, 60), "senior": (45, 58, 70), "staff": (55, 68, 80)}
TITLES = {"eval": "evaluation", "monitoring": "monitoring", "gotchas": "gotchas"}


@dataclass(frozen=True)
class Scored:
    """Points of one item as they stand; None: ungraded. `ratio`: of a number item, given / expected."""

    item: RubricItem
    points: float | None
    state: str = "auto"
    ratio: float | None = None


@dataclass(frozen=True)
class TagScore:
    """Weights are of 100. `points` and `max` count what was graded; `graded_weight` is its part of `weight`."""

    tag: str
    points: float
    max: float
    weight: float
    graded_weight: float
    earned_weight: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 3) for name in ("points", "max", "weight", "graded_weight", "earned_weight")}


@dataclass(frozen=True)
class Outcome:
    """`verdict` "": not enough graded. `score` in percent of what was graded; `earned` in weighted points of 100."""

    level: str
    verdict: str
    score: float | None
    graded_weight: float
    earned: float
    gates: tuple[str, ...]
    by_tag: tuple[TagScore, ...]

    @property
    def tag_dicts(self) -> dict[str, dict[str, float]]:
        return {entry.tag: entry.as_dict() for entry in self.by_tag}


def shares_needed(outcome: Outcome) -> tuple[tuple[str, float], ...]:
    """(verdict, part of what nobody graded that would have to be earned for it), from the bottom; caps left out.

    At most 0: it is reached without it. Above 1: it is out of reach.
    """
    open_weight = 100 - outcome.graded_weight
    if open_weight < 1e-9:
        return ()
    return tuple((verdict, (cut - outcome.earned) / open_weight) for cut, verdict in zip(CUTS[outcome.level], VERDICTS[1:], strict=True))


def weights(rubric: Rubric) -> dict[str, float]:
    """{item id: its part of 100}. The weight of a group without items is spread over the others."""
    groups = [(weights_of(rubric)[tags[0]], [item for item in rubric.items if item.tag in tags]) for tags, _ in GROUPS]
    present = sum(weight for weight, items in groups if items)
    if present == 0:
        return dict.fromkeys((item.id for item in rubric.items), 0.0)
    return {
        item.id: 100 * weight / present * item.points / sum(entry.points for entry in items) for weight, items in groups for item in items
    }


def weights_of(rubric: Rubric) -> dict[str, float]:
    """{first tag of a group: its weight}, the rubric's own before the rule's."""
    return {tags[0]: rubric.weights.get(cast(Tag, tags[0]), weight) for tags, weight in GROUPS}


def outcome_of(rubric: Rubric, scored: Sequence[Scored], *, level: str, signals: Mapping[str, int | None]) -> Outcome:
    """The score over what was graded, and the verdict with the caps that bit. Levels of `signals` that are None cap nothing."""
    weight = weights(rubric)
    graded = [entry for entry in scored if entry.points is not None]
    total = sum(weight[entry.item.id] for entry in graded)
    earned = sum(weight[entry.item.id] * (entry.points or 0.0) / entry.item.points for entry in graded)
    score = 100 * earned / total if total else None
    verdict, gates = "", tuple[str, ...]()
    if score is not None and total >= MIN_GRADED - 1e-9:
        verdict, gates = verdict_of(score, level, caps_of(scored, level=level, signals=signals))
    return Outcome(level, verdict, score, total, earned, gates, tuple(_by_tag(scored, weight)))


def verdict_of(score: float, level: str, caps: Iterable[tuple[str, str]]) -> tuple[str, tuple[str, ...]]:
    """(verdict, what held it down): each cap that lowered the verdict the score alone would give."""
    reached = sum(score >= cut - 1e-9 for cut in CUTS[level])
    biting = [(VERDICTS.index(cap), reason) for cap, reason in caps if VERDICTS.index(cap) < reached]
    return VERDICTS[min([reached, *(rank for rank, _ in biting)])], tuple(f"{reason}: at most {VERDICTS[rank]}." for rank, reason in biting)


def caps_of(scored: Sequence[Scored], *, level: str, signals: Mapping[str, int | None]) -> list[tuple[str, str]]:
    """[(verdict at most, why)] for this level of seniority, whatever the score."""
    caps: list[tuple[str, str]] = []
    if level in ("senior", "staff"):
        caps += [("lean no", reason) for key, reason in _WEAK.items() if _weak(signals.get(key))]
        caps += [("lean hire" if level == "senior" else "lean no", f"No points in {TITLES[tag]}") for tag in TITLES if _empty(scored, tag)]
    if level == "staff" and _weak(signals.get("second_order")):
        caps.append(("lean no", "Second-order effects are weak or not shown"))
    if _no_number(scored):
        caps.append(("lean hire", "No number within a factor of ten"))
    return caps


_WEAK = {"clarified_first": "Clarifying first is weak or not shown", "trade_offs": "Trade-offs are weak or not shown"}


def _weak(level: int | None) -> bool:
    return level is not None and level <= 1


def _empty(scored: Sequence[Scored], tag: str) -> bool:
    """Everything under the tag was judged and earned nothing; what waits for a person is not held against anybody."""
    entries = [entry for entry in scored if entry.item.tag == tag]
    return bool(entries) and all(entry.points is not None and entry.points <= 0 for entry in entries)


def _no_number(scored: Sequence[Scored]) -> bool:
    entries = [entry for entry in scored if entry.item.grade == "number" and entry.points is not None]
    return bool(entries) and not any(_near(entry) for entry in entries)


def _near(entry: Scored) -> bool:
    return bool(entry.points) or entry.ratio is not None and 0.1 <= entry.ratio <= 10


def _by_tag(scored: Sequence[Scored], weight: Mapping[str, float]) -> Iterable[TagScore]:
    for tag in dict.fromkeys(entry.item.tag for entry in scored):
        entries = [entry for entry in scored if entry.item.tag == tag]
        graded = [entry for entry in entries if entry.points is not None]
        yield TagScore(
            tag=tag,
            points=sum(entry.points or 0.0 for entry in graded),
            max=sum(entry.item.points for entry in graded),
            weight=sum(weight[entry.item.id] for entry in entries),
            graded_weight=sum(weight[entry.item.id] for entry in graded),
            earned_weight=sum(weight[entry.item.id] * (entry.points or 0.0) / entry.item.points for entry in graded),
        )
