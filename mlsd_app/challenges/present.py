"""What pages show of a challenge and of a submission. Reads, never writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from mlsd_app.challenges.models import State, Submission, Verdict
from mlsd_app.challenges.selectors import best_of, submissions_of
from mlsd_app.core.content import problem_title
from mlsd_app.runs.forms import Control, Field, Group, LabForm, fields_of, query_of
from problems.loader import load_problem
from simulators.challenge import STAGE_1, STAGE_2, challenge_of, on_every_seed, world_of
from simulators.errors import InvalidInput
from simulators.lab import Assertion, Challenge, Lab
from simulators.registry import get_lab

KINDS = {"target": "Target", "ceiling": "Ceiling", "safety": "On every seed"}
HISTORY = 50


@dataclass(frozen=True)
class Card:
    lab: type[Lab]
    challenge: Challenge
    url: str
    best: Submission | None


def challenge_url(lab: type[Lab], challenge: Challenge) -> str:
    return reverse("challenges:challenge", args=[lab.problem, lab.slug, challenge.slug])


# --- the brief and the form --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    assertion: Assertion

    @property
    def kind(self) -> str:
        return "On every seed" if on_every_seed(self.assertion) else KINDS[self.assertion.kind]

    @property
    def sign(self) -> str:
        return "at most" if self.assertion.op == "<=" else "at least"

    @property
    def relative(self) -> bool:
        """Measured by the clock, and judged against a run of the reference design beside it."""
        return self.assertion.reference_value is not None


class DesignForm:
    """The lab's form with what the brief has fixed shown as values, not as controls.

    values   of the design; the others stand at their defaults, the fixed ones at the brief's
    """

    def __init__(
        self, lab: type[Lab], challenge: Challenge, values: Mapping[str, Any] | None = None, errors: Mapping[str, str] | None = None
    ) -> None:
        given = {name: value for name, value in (values or {}).items() if name in challenge.design}
        self.form = LabForm(lab, {**challenge.world, **given}, errors)
        self._open = set(challenge.design)

    @property
    def groups(self) -> list[Group]:
        groups = (Group(group.title, [control for control in group.controls if control.name in self._open]) for group in self.form.groups)
        return [group for group in groups if group.controls]

    @property
    def compares(self) -> bool:
        """Whether a run may hold several designs side by side."""
        return any(control.kind == "chips" for group in self.groups for control in group.controls)

    @property
    def fixed(self) -> list[Control]:
        """In the order of declaration; those that mean nothing beside the others left out."""
        return [control for control in self.form.controls if control.name not in self._open]

    @property
    def fixed_shown(self) -> list[tuple[str, str, str]]:
        """(title, value, unit)"""
        return _shown_controls(self.fixed)

    @property
    def general_errors(self) -> list[str]:
        open_fields = {control.name for group in self.groups for control in group.controls}
        return [sentence for name, sentence in self.form.errors.items() if name not in open_fields]


def _shown_controls(controls: Sequence[Control]) -> list[tuple[str, str, str]]:
    return [(control.title, shown(control.field, control.value), control.unit) for control in controls if not control.hidden]


def params_shown(lab: type[Lab], values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(title, value, unit) of what a run with these parameters has, fields that mean nothing there left out."""
    return _shown_controls(LabForm(lab, values).controls)


def shown(field: Field, value: Any) -> str:
    """A value in the words of its control."""
    if field.kind == "switch":
        return "on" if value else "off"
    if field.kind == "chips":
        return ", ".join(field.label(item) for item in value) or "none"
    if field.choices:
        return field.label(value)
    return field.texts(value)[0] or "none"


def page_context(*, lab: type[Lab], challenge: Challenge, form: DesignForm, history: Sequence[Submission]) -> dict[str, Any]:
    """Of `challenges/_task.html`: the same in practice and in an assignment."""
    return {
        "lab": lab,
        "challenge": challenge,
        "problem_title": problem_title(lab.problem),
        "targets": [Target(assertion) for assertion in challenge.assertions],
        "form": form,
        "history": list(history)[:HISTORY],
        "best": best_of(history),
        "lab_url": _lab_url(lab, {**challenge.world}),
        "stages": (STAGE_1, STAGE_2),
    }


def _lab_url(lab: type[Lab], values: Mapping[str, Any], seed: int | None = None) -> str:
    query = query_of(lab, values)
    parts = [part for part in (query, "" if seed is None else f"seed={seed}") if part]
    return f"{reverse('runs:lab', args=[lab.problem, lab.slug])}?{'&'.join(parts)}"


# --- a submission ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """Where mean and interval lie in a strip of 200: the target in the middle, inside it to the right."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One assertion of a verdict, as its table shows it."""

    checked: Mapping[str, Any]
    every: bool
    bar: Bar | None
    rerun_url: str

    @property
    def words(self) -> str:
        if not self.checked["passed"]:
            return "Missed"
        return "Held, narrowly" if self.checked["narrow"] else "Held"

    @property
    def sign(self) -> str:
        return "at most" if self.checked["op"] == "<=" else "at least"

    @property
    def kind(self) -> str:
        return "On every seed" if self.every else KINDS[self.checked["kind"]]

    @property
    def short_by(self) -> float | None:
        """How far it missed; None where it held or is undefined."""
        margin = self.checked["margin"]
        return -margin if margin is not None and margin < 0 else None


@dataclass(frozen=True)
class Shown:
    """A submission for its page. Lab and challenge are None once they are gone."""

    row: Submission
    lab: type[Lab] | None
    challenge: Challenge | None
    assertions: list[Row]
    design: list[tuple[str, str, str, bool]]  # title, value, unit, changed since the submission before
    seeds: list[tuple[int, str]]  # of stage 1: the seed, the address that runs it in the lab
    stage: int
    done: int
    of: int

    @property
    def passed(self) -> bool:
        return self.row.verdict in (Verdict.PASS, Verdict.NARROW_PASS)

    @property
    def held(self) -> int:
        return sum(row.checked["passed"] for row in self.assertions)

    @property
    def phase_url(self) -> str:
        """The part of the walkthrough that treats the lab; "" while it is not written."""
        if self.lab is None or not any(phase.key == self.lab.phase for phase in load_problem(self.lab.problem).phases):
            return ""
        return reverse("catalog:phase", args=[self.lab.problem, self.lab.phase])

    @property
    def percent(self) -> int:
        """Of all seeds that may be needed."""
        return round(100 * (self.done + (STAGE_1 if self.stage == 2 else 0)) / (STAGE_1 + STAGE_2))


def submission_shown(row: Submission, seeds: Sequence[int]) -> Shown:
    """`seeds` are those of stage 1, told once it is judged."""
    lab, challenge = _task_of(row)
    judged = row.state == State.DONE
    rerun = {seed: rerun_url(lab, challenge, row.design, seed) for seed in seeds} if judged and lab and challenge else {}
    found = {assertion.metric: assertion for assertion in challenge.assertions} if challenge else {}
    rows = [
        _row(checked, found.get(checked["metric"]), rerun.get(checked["worst_seed"], "")) for checked in row.grade.get("assertions", [])
    ]
    stage, done = _progress(row)
    return Shown(
        row=row,
        lab=lab,
        challenge=challenge,
        assertions=rows,
        design=_design(row, lab) if lab else [],
        seeds=list(rerun.items()),
        stage=stage,
        done=done,
        of=STAGE_1 if stage == 1 else STAGE_2,
    )


def _task_of(row: Submission) -> tuple[type[Lab] | None, Challenge | None]:
    try:
        lab = get_lab(row.problem, row.lab)
        return lab, challenge_of(lab, row.challenge)
    except InvalidInput:
        return None, None


def rerun_url(lab: type[Lab], challenge: Challenge, design: Mapping[str, Any], seed: int) -> str:
    """The lab with this design in the world this seed draws."""
    known = {name: value for name, value in design.items() if name in lab.Params.model_fields}
    return _lab_url(lab, {**world_of(challenge, seed), **known}, seed)


def _row(checked: Mapping[str, Any], assertion: Assertion | None, url: str) -> Row:
    return Row(checked, assertion is not None and on_every_seed(assertion), _bar(checked), url)


def _bar(checked: Mapping[str, Any]) -> Bar | None:
    if checked["margin"] is None or checked["ci"] is None:
        return None
    half = (checked["ci"][1] - checked["ci"][0]) / 2
    ends = (checked["margin"] - half, checked["margin"] + half)
    reach = max(abs(ends[0]), abs(ends[1])) or 1.0
    mean, low, high = (round(100 + 92 * value / reach, 1) for value in (checked["margin"], *ends))
    return Bar(mean, low, high)


def _design(row: Submission, lab: type[Lab]) -> list[tuple[str, str, str, bool]]:
    before = (
        submissions_of(row.user)
        .filter(problem=row.problem, lab=row.lab, challenge=row.challenge, scope=row.scope, queued_at__lt=row.queued_at)
        .first()
    )
    form = LabForm(lab, row.design)
    fields = {field.name: field for field in fields_of(lab)}
    hidden = {control.name for control in form.controls if control.hidden}
    return [
        (
            fields[name].info.title or name,
            shown(fields[name], value),
            str(fields[name].extra.get("unit", "")),
            before is not None and before.design.get(name) != value,
        )
        for name, value in row.design.items()
        if name in fields and name not in hidden
    ]


def _progress(row: Submission) -> tuple[int, int]:
    """(stage, seeds of it that are there)"""
    stages = list(row.seeds.values_list("stage", flat=True))
    stage = 2 if 2 in stages or stages.count(1) >= STAGE_1 else 1
    return stage, stages.count(stage)
