"""How the minutes of a round are split. Rubric items, probes and curveballs hang on tags, so that every split can be graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from problems.interview_schema import Tag
from simulators.errors import InvalidInput

TAGS: tuple[str, ...] = get_args(Tag)
MIN_PHASES, MAX_PHASES = 2, 8
MIN_PHASE_S, MAX_PHASE_S = 60, 3600
MIN_TOTAL_S, MAX_TOTAL_S = 600, 7200


@dataclass(frozen=True)
class PlannedPhase:
    key: str
    title: str
    budget_s: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Preset:
    """`range_s`: the totals its slider may take; phases keep their proportions."""

    key: str
    title: str
    note: str
    phases: tuple[PlannedPhase, ...]
    range_s: tuple[int, int]

    @property
    def total_s(self) -> int:
        return sum(phase.budget_s for phase in self.phases)


def _phases(*rows: tuple[str, str, float, str]) -> tuple[PlannedPhase, ...]:
    return tuple(PlannedPhase(key, title, round(minutes * 60), tuple(tags.split())) for key, title, minutes, tags in rows)


PRESETS: dict[str, Preset] = {
    preset.key: preset
    for preset in (
        Preset(
            "five_phase",
            "Five phases",
            "The usual 45-minute round; half of the signal lies in the deep dive.",
            _phases(
                ("clarify", "Clarify", 5, "clarify"),
                ("capacity", "Capacity", 5, "capacity"),
                ("architecture", "API and architecture", 10, "architecture"),
                ("deep_dive", "Deep dive", 15, "deep_dive infra"),
                ("evaluation", "Evaluation, monitoring, gotchas", 10, "eval monitoring gotchas more_time"),
            ),
            (2700, 2700),
        ),
        Preset(
            "tactic_sheet",
            "Architecture first",
            "Estimates have no slot of their own: they are made while the architecture is drawn.",
            _phases(
                ("clarify", "Clarify", 5, "clarify"),
                ("architecture", "High-level architecture", 5, "capacity architecture"),
                ("deep_dive", "Deep dive", 15, "deep_dive"),
                ("infra", "Training, serving, evaluation", 10, "infra eval"),
                ("gotchas", "Gotchas, monitoring, more time", 10, "monitoring gotchas more_time"),
            ),
            (2700, 2700),
        ),
        Preset(
            "compact",
            "Compact",
            "A round that leaves room for introductions and questions.",
            _phases(
                ("clarify", "Clarify", 3, "clarify"),
                ("architecture", "High level, with estimates", 7, "capacity architecture"),
                ("deep_dive", "Deep dive", 20, "deep_dive infra"),
                ("evaluation", "Evaluation, monitoring, gotchas", 5, "eval monitoring gotchas"),
                ("iteration", "With more time", 3, "more_time"),
            ),
            (1620, 2700),
        ),
    )
}


def preset_get(key: str) -> Preset:
    """InvalidInput names the presets there are."""
    if key not in PRESETS:
        raise InvalidInput(f"There is no pacing {key!r}; choose {', '.join(PRESETS)} or custom.", field="preset")
    return PRESETS[key]


def preset_phases(key: str, total_s: int | None = None) -> list[dict[str, Any]]:
    """The phases of a preset as an attempt keeps them, stretched or shrunk to `total_s` in whole seconds."""
    preset = preset_get(key)
    total = preset.total_s if total_s is None else total_s
    low, high = preset.range_s
    if not low <= total <= high:
        raise InvalidInput(f"{preset.title} takes {low // 60} to {high // 60} minutes; {total / 60:g} were given.", field="total")
    ends = [round(total * end / preset.total_s) for end in _cumulative(preset.phases)]
    budgets = [after - before for before, after in zip([0, *ends], ends, strict=False)]
    return [{**asdict(phase), "tags": list(phase.tags), "budget_s": budget} for phase, budget in zip(preset.phases, budgets, strict=True)]


def _cumulative(phases: Sequence[PlannedPhase]) -> list[int]:
    return [sum(phase.budget_s for phase in phases[: number + 1]) for number in range(len(phases))]


def checked_phases(phases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A custom plan: 2 to 8 phases of 1 to 60 minutes, 10 to 120 in all, each tag in exactly one phase. Raises InvalidInput."""
    if not MIN_PHASES <= len(phases) <= MAX_PHASES:
        raise InvalidInput(f"A plan has {MIN_PHASES} to {MAX_PHASES} phases; this one has {len(phases)}.", field="phases")
    checked = [_checked_phase(number, phase) for number, phase in enumerate(phases, 1)]
    total = sum(phase["budget_s"] for phase in checked)
    if not MIN_TOTAL_S <= total <= MAX_TOTAL_S:
        raise InvalidInput(f"A plan takes 10 to 120 minutes; this one takes {total / 60:g}.", field="phases")
    if len({phase["key"] for phase in checked}) != len(checked):
        raise InvalidInput("Two phases have the same key; each needs its own.", field="phases")
    _check_tags([tag for phase in checked for tag in phase["tags"]])
    return checked


def _checked_phase(number: int, phase: dict[str, Any]) -> dict[str, Any]:
    budget = phase.get("budget_s")
    title = str(phase.get("title", "")).strip()
    if not title or len(title) > 60:
        raise InvalidInput(f"Phase {number} needs a title of 1 to 60 characters.", field="phases")
    if isinstance(budget, bool) or not isinstance(budget, int) or not MIN_PHASE_S <= budget <= MAX_PHASE_S:
        raise InvalidInput(f"Phase {number}, {title}: {budget!r} s were given; expected 60 to 3600.", field="phases")
    key = str(phase.get("key") or f"phase_{number}")
    if not key.replace("_", "a").isalnum() or not key.isascii() or len(key) > 32:
        raise InvalidInput(f"Phase {number}: the key {key!r} may have letters, digits and underscores, at most 32.", field="phases")
    return {"key": key, "title": title, "budget_s": budget, "tags": [str(tag) for tag in phase.get("tags", ())]}


def _check_tags(tags: Sequence[str]) -> None:
    if unknown := [tag for tag in tags if tag not in TAGS]:
        raise InvalidInput(f"{unknown[0]!r} is not a topic; topics are {', '.join(TAGS)}.", field="phases")
    wrong = [tag for tag in TAGS if tags.count(tag) != 1]
    if wrong:
        raise InvalidInput(f"{wrong[0]!r} stands in {tags.count(wrong[0])} phases; each topic belongs to exactly one.", field="phases")
