"""The start form and the lobby's plan: what the browser sends as the services want it, and back with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.presets import MAX_PHASES, PRESETS, TAGS, checked_phases, preset_get, preset_phases
from problems.loader import all_problems
from problems.schema import Problem
from simulators.errors import InvalidInput

CUSTOM = "custom"
COMPACT = "compact"
MAX_SEED = 2**31 - 1
TITLE_CHARACTERS = 60


class Choice(NamedTuple):
    key: str
    title: str
    words: str


MODES = (
    Choice("soft", "Soft", "Move between phases as you like. A phase that overruns takes its time from the next ones, and says so."),
    Choice("strict", "Strict", "Each phase ends by itself and cannot be written in again. Moving on early saves time for the next one."),
    Choice("free", "Free", "No time limit; the clock counts up. For study, and for whoever must not be timed."),
)
SHOWS = (
    Choice("real", "Real", "As in a real round: hints, design checks and what runs mean come afterwards."),
    Choice("study", "Study", "Hints, design checks and explanations of runs are shown at once."),
)
LEVELS = (
    Choice("mid", "Mid", "A working design, sized, with one part in depth."),
    Choice("senior", "Senior", "Trade-offs named with their cost, and what breaks."),
    Choice("staff", "Staff", "Second-order effects and the whole life of the system."),
)
TAG_TITLES = {
    "clarify": "Clarifying questions",
    "capacity": "Estimates",
    "architecture": "API and architecture",
    "deep_dive": "Deep dive",
    "infra": "Training and serving",
    "eval": "Evaluation",
    "monitoring": "Monitoring",
    "gotchas": "What goes wrong",
    "more_time": "With more time",
}


class PlanRow(NamedTuple):
    """One line of the custom plan as typed."""

    number: int
    title: str
    minutes: str

    @property
    def used(self) -> bool:
        return bool(self.title or self.minutes)


@dataclass(frozen=True)
class StartForm:
    """What the start form shows: defaults, or what was typed with what is wrong with it."""

    problem: str = ""
    preset: str = "five_phase"
    compact_minutes: str = ""
    mode: str = "soft"
    show: str = "real"
    level: str = "senior"
    seed: str = ""
    rows: tuple[PlanRow, ...] = ()
    tags: Mapping[str, int] = field(default_factory=dict)  # tag: number of its row
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def presets(self) -> Sequence[Any]:
        return tuple(PRESETS.values())

    @property
    def problems(self) -> list[Problem]:
        return interview_problems()

    @property
    def modes(self) -> Sequence[Choice]:
        return MODES

    @property
    def shows(self) -> Sequence[Choice]:
        return SHOWS

    @property
    def levels(self) -> Sequence[Choice]:
        return LEVELS

    @property
    def compact_range(self) -> tuple[int, int]:
        low, high = preset_get(COMPACT).range_s
        return low // 60, high // 60

    @property
    def tag_choices(self) -> list[tuple[str, str, int]]:
        return [(tag, TAG_TITLES[tag], self.tags.get(tag, 1)) for tag in TAGS]


def interview_problems() -> list[Problem]:
    """Problems with an interviewer and a rubric, by title."""
    found = [problem for problem in all_problems() if problem.interviewer is not None and problem.rubric is not None]
    return sorted(found, key=lambda problem: problem.title.lower())


def start_form(*, problem: str = "") -> StartForm:
    """The empty form; the custom plan begins as the usual five phases."""
    phases = preset_get("five_phase").phases
    rows = [PlanRow(number, phase.title, str(phase.budget_s // 60)) for number, phase in enumerate(phases, 1)]
    tags = {tag: number for number, phase in enumerate(phases, 1) for tag in phase.tags}
    return StartForm(problem=problem, compact_minutes=str(preset_get(COMPACT).total_s // 60), rows=_filled(rows), tags=tags)


def _filled(rows: Sequence[PlanRow]) -> tuple[PlanRow, ...]:
    return (*rows, *(PlanRow(number, "", "") for number in range(len(rows) + 1, MAX_PHASES + 1)))


def posted_form(post: Mapping[str, str], errors: Mapping[str, str] | None = None) -> StartForm:
    """The form as it was sent, to be shown again."""
    empty = start_form()
    rows = tuple(_posted_row(post, number) for number in range(1, MAX_PHASES + 1))
    return StartForm(
        problem=post.get("problem", ""),
        preset=post.get("preset", empty.preset),
        compact_minutes=post.get("compact_minutes", empty.compact_minutes)[:6],
        mode=post.get("mode", empty.mode),
        show=post.get("show", empty.show),
        level=post.get("level", empty.level),
        seed=post.get("seed", "").strip()[:12],
        rows=rows if any(row.used for row in rows) else empty.rows,
        tags={tag: _row_number(post.get(f"tag-{tag}", "1")) for tag in TAGS},
        errors=errors or {},
    )


def _posted_row(post: Mapping[str, str], number: int) -> PlanRow:
    title, minutes = (post.get(f"phase-{part}-{number}", "").strip() for part in ("title", "minutes"))
    return PlanRow(number, title[:TITLE_CHARACTERS], minutes[:6])


def _row_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PHASES else 1


def attempt_inputs(form: StartForm) -> dict[str, Any]:
    """Arguments of `lifecycle.attempt_create` for the form. Raises InvalidInput with the field that is wrong."""
    for name, choices in (("mode", MODES), ("show", SHOWS), ("level", LEVELS)):
        _known(name, getattr(form, name), [choice.key for choice in choices])
    return {
        "mode": form.mode,
        "show": form.show,
        "level": form.level,
        "seed": _seed(form.seed),
        **_plan_inputs(form),
    }


def _known(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InvalidInput(f"{value[:40]!r} was given; choose {', '.join(known)}.", field=name)


def _seed(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_SEED):
        raise InvalidInput(f"{text!r} was given; expected a whole number from 0 to {MAX_SEED}, or nothing for a random one.", field="seed")
    return int(text)


def _plan_inputs(form: StartForm) -> dict[str, Any]:
    if form.preset == CUSTOM:
        return {"preset": CUSTOM, "phases": custom_phases(form)}
    if form.preset == COMPACT:
        total_s = round(_minutes(form.compact_minutes, "compact_minutes") * 60)
        preset_phases(COMPACT, total_s)
        return {"preset": COMPACT, "total_s": total_s}
    return {"preset": preset_get(form.preset).key}


def _minutes(text: str, name: str, what: str = "") -> float:
    try:
        minutes = float(text)
    except ValueError as error:
        raise InvalidInput(f"{what}{text!r} was given as minutes; expected a number such as 5 or 7.5.", field=name) from error
    if not 0 < minutes < 1000:
        raise InvalidInput(f"{what}{text!r} minutes were given; expected more than 0.", field=name)
    return minutes


def custom_phases(form: StartForm) -> list[dict[str, Any]]:
    """The typed rows as a plan; every topic goes to the row it names."""
    phases = [
        {
            "key": f"phase_{row.number}",
            "title": row.title,
            "budget_s": round(_minutes(row.minutes, "phases", f"Phase {row.number}: ") * 60),
            "tags": [tag for tag in TAGS if form.tags.get(tag) == row.number],
        }
        for row in form.rows
        if row.used
    ]
    return checked_phases(phases)


# --- the lobby -------------------------------------------------------------------------------------------------------


def plan_budgets(attempt: Attempt, post: Mapping[str, str]) -> list[dict[str, Any]]:
    """The attempt's phases with the seconds that were sent for them ("budget-<key>"). Raises InvalidInput."""
    return [{**phase, "budget_s": _seconds(phase, post.get(f"budget-{phase['key']}", ""))} for phase in attempt.phases]


def _seconds(phase: Mapping[str, Any], text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidInput(f"{phase['title']}: {text[:40]!r} was given; expected whole seconds.", field="phases")
    return int(text)
