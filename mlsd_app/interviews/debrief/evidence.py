"""What was measured: runs and what was expected of them, claims and what became of them, events and how the design came through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from mlsd_app.interviews.interviewer.record import interviewer_of
from mlsd_app.interviews.models import Attempt, Claim, Curveball, RunLink
from mlsd_app.interviews.runs import links_of
from mlsd_app.interviews.scoring.claim_rows import OP_WORDS, claims_of, unlinked_statements
from mlsd_app.interviews.selectors import events_of
from mlsd_app.runs.forms import query_of
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.templatetags.quantities import quantity
from problems.conditions import holds
from problems.expressions import names_in
from problems.interview_schema import Curveball as Declared
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.registry import get_lab

Metric = Mapping[str, Any]
VERDICT_WORDS = {
    "supported": ("Borne out", "is-good"),
    "contradicted": ("Contradicted", "is-bad"),
    "wrong_conditions": ("Other conditions", "is-warning"),
    "unclear": ("Unclear", "is-warning"),
    "untested": ("Untested", ""),
}
_BOUND = re.compile(r"(\w+) ([<>]=) (-?[\d.]+(?:e-?\d+)?)")
SHARP, GOOD, FAIR = 1.4, 2.0, 4.0  # width of a range as a factor


@dataclass(frozen=True)
class Predicted:
    """A range said before the run against what came. `width` is upper / lower, None where that says nothing."""

    metric: str
    unit: str
    lower: float
    upper: float
    value: float | None
    width: float | None

    @property
    def hit(self) -> bool | None:
        return None if self.value is None else self.lower <= self.value <= self.upper

    @property
    def words(self) -> str:
        if self.value is None:
            return "The run did not give this figure."
        if self.hit:
            return f"Inside your range{_width_words(self.width)}."
        side, bound = ("Above", self.upper) if self.value > self.upper else ("Below", self.lower)
        off = f" by a factor of {max(self.value / bound, bound / self.value):.3g}" if self.value * bound > 0 else ""
        return f"{side} your range{off}."


@dataclass(frozen=True)
class RunLine:
    """A finished or unfinished run; `by_interviewer`: made to show what an event does. `url` opens the lab there, "" if it is gone."""

    link: RunLink
    title: str
    metrics: tuple[Metric, ...]
    by_interviewer: bool
    url: str
    predicted: Predicted | None

    @property
    def seconds(self) -> float:
        return self.link.active_ms / 1000


@dataclass(frozen=True)
class ClaimLine:
    claim: Claim
    says: str
    verdict_words: str
    tone: str


@dataclass(frozen=True)
class BallMetric:
    """A figure of the condition: before the event, under it, and in the run that recovered; None where there is none."""

    name: str
    label: str
    unit: str
    before: float | None
    broken: float | None
    after: float | None


@dataclass(frozen=True)
class BallLine:
    """One event. Times in seconds of active time; `took_s` from the event to the recovery.

    runs  numbers of the runs before, under it, and of the recovery; None where there is none
    """

    ball: Curveball
    condition: str
    runs: tuple[int | None, ...]
    metrics: tuple[BallMetric, ...]
    first_run_s: float | None
    took_s: float | None
    strong: str

    @property
    def goal(self) -> str:
        """The condition in words: "Recall@10 at least 0.950 and Memory at most 4.00 GB"."""
        named = {metric.name: metric for metric in self.metrics}

        def words(bound: re.Match[str]) -> str:
            name, op, value = bound.groups()
            label, unit = (named[name].label, named[name].unit) if name in named else (name, "")
            return f"{label} {OP_WORDS[op]} {quantity(float(value), unit)}"

        return _BOUND.sub(words, self.condition)

    @property
    def seconds(self) -> float:
        return self.ball.active_ms / 1000

    @property
    def outcome(self) -> tuple[str, str]:
        """In words, and the tone of the chip."""
        if not self.ball.lab:
            return "Argued, not run", ""
        if self.ball.state != "recovered":
            return "Not recovered", "is-bad"
        if self.ball.runs_used == 0:
            return "Stood it as it was", "is-good"
        in_time = self.took_s is not None and self.took_s <= self.ball.within_s
        return ("Recovered in time", "is-good") if in_time else ("Recovered late", "is-warning")


@dataclass(frozen=True)
class LabLeft:
    """A lab at the parameters of the candidate's last run."""

    title: str
    url: str
    number: int


# --- runs ------------------------------------------------------------------------------------------------------------


def run_lines(attempt: Attempt) -> tuple[RunLine, ...]:
    shown = _made_by_interviewer(attempt)
    return tuple(_run_line(link, link.number in shown) for link in links_of(attempt))


def _made_by_interviewer(attempt: Attempt) -> set[int]:
    return {event.data["number"] for event in events_of(attempt, "run") if event.data.get("by") == "interviewer"}


def _run_line(link: RunLink, by_interviewer: bool) -> RunLine:
    metrics = tuple(link.run.result.metrics) if link.run.result else ()
    lab = lab_of(link.run)
    title = lab.title if lab else link.run.lab
    return RunLine(link, title, metrics, by_interviewer, run_url(link.run, lab), predicted(link.prediction, metrics))


def lab_of(run: Run) -> type[Lab] | None:
    try:
        return get_lab(run.problem, run.lab)
    except InvalidInput:
        return None


def run_url(run: Run, lab: type[Lab] | None) -> str:
    """The lab at the run's parameters and seed, as far as the lab still knows them."""
    if lab is None:
        return ""
    known = {name: value for name, value in run.params.items() if name in lab.Params.model_fields}
    return f"{reverse('runs:lab', args=[lab.problem, lab.slug])}?{query_of(lab, known)}&seed={run.seed}"


def predicted(prediction: Mapping[str, Any] | None, metrics: Sequence[Metric]) -> Predicted | None:
    if prediction is None:
        return None
    metric = next((metric for metric in metrics if metric["key"] == prediction["metric"]), None)
    lower, upper = float(prediction["lower"]), float(prediction["upper"])
    return Predicted(
        metric=named(metric) if metric else str(prediction["metric"]),
        unit=str(metric["unit"]) if metric else "",
        lower=lower,
        upper=upper,
        value=metric["value"] if metric else None,
        width=upper / lower if lower > 0 else None,
    )


def _width_words(width: float | None) -> str:
    if width is None:
        return ""
    sharp = "sharp" if width <= SHARP else "good" if width <= GOOD else "fair" if width <= FAIR else "wide"
    return f", which spans a factor of {width:.2g}: {sharp}"


def named(metric: Metric) -> str:
    series = f" ({metric['series']})" if metric.get("series") else ""
    return f"{metric['label']}{series}"


def labs_left(lines: Sequence[RunLine]) -> tuple[LabLeft, ...]:
    """Each lab once, where its last run of the candidate's own stood."""
    last = {line.link.run.lab: line for line in lines if not line.by_interviewer and line.url}
    return tuple(LabLeft(line.title, line.url, line.link.number) for line in last.values())


# --- claims ----------------------------------------------------------------------------------------------------------


def claim_lines(attempt: Attempt) -> tuple[ClaimLine, ...]:
    return tuple(_claim_line(claim) for claim in claims_of(attempt))


def _claim_line(claim: Claim) -> ClaimLine:
    value = "" if claim.value is None else f"{claim.value:g}"
    unit = "" if claim.unit == "share" else claim.unit
    says = " ".join(part for part in (claim.metric, OP_WORDS.get(claim.op, ""), value, unit) if part)
    words, tone = VERDICT_WORDS.get(claim.verdict, (claim.verdict, ""))
    return ClaimLine(claim, says, words, tone)


def untested(attempt: Attempt) -> tuple[str, ...]:
    """Sentences with a number and a unit that no claim marks; they lower nothing."""
    return tuple(found.text for statements in unlinked_statements(attempt).values() for found in statements)


# --- events ----------------------------------------------------------------------------------------------------------


def ball_lines(attempt: Attempt, lines: Sequence[RunLine]) -> tuple[BallLine, ...]:
    declared = {ball.key: ball for ball in interviewer_of(attempt).curveballs}
    return tuple(_ball_line(ball, declared.get(ball.key), lines) for ball in attempt.curveball_rows.all())


def _ball_line(ball: Curveball, declared: Declared | None, lines: Sequence[RunLine]) -> BallLine:
    change = declared.change if declared else None
    since = (line.link for line in lines if line.link.run.lab == ball.lab and line.link.at >= ball.shown_at and not line.by_interviewer)
    tried = next((link for link in since if link.run.state == RunState.DONE), None) if ball.lab else None
    links = {line.link.pk: line.link for line in lines}
    ran = [links.get(pk) if pk else None for pk in (ball.base_id, ball.broken_id, ball.recovery_id)]
    recovered = ball.recovered_ms is not None
    return BallLine(
        ball=ball,
        condition=change.recover if change else "",
        runs=tuple(link.number if link else None for link in ran),
        metrics=tuple(_ball_metrics(ran, change.recover)) if change else (),
        first_run_s=(tried.active_ms - ball.active_ms) / 1000 if tried else None,
        took_s=((ball.recovered_ms or 0) - ball.active_ms) / 1000 if recovered else None,
        strong=declared.strong if declared else "",
    )


def _ball_metrics(ran: Sequence[RunLink | None], condition: str) -> Iterator[BallMetric]:
    before, broken, after = (_design(link, condition) for link in ran)
    for name in sorted(names_in(condition), key=condition.find):
        metric = next((design[name] for design in (after, broken, before) if name in design), None)
        if metric:
            values = [design[name]["value"] if name in design else None for design in (before, broken, after)]
            yield BallMetric(name, str(metric["label"]), str(metric["unit"]), *values)


def _design(link: RunLink | None, condition: str) -> dict[str, Metric]:
    """{metric: its entry} of the design in a run that the condition was held against: one that meets it, else the first."""
    metrics = link.run.result.metrics if link and link.run.result else []
    series = dict.fromkeys(str(metric["key"]).partition("@")[2] for metric in metrics)
    designs = [_of_series(metrics, name) for name in series]
    whole = [design for design in designs if names_in(condition) <= design.keys()]
    meets = [design for design in whole if holds(condition, {name: metric["value"] for name, metric in design.items()})]
    return next(iter([*meets, *whole]), {})


def _of_series(metrics: Sequence[Metric], series: str) -> dict[str, Metric]:
    """Of one series and of none, by name."""
    return {str(metric["key"]).partition("@")[0]: metric for metric in metrics if str(metric["key"]).partition("@")[2] in ("", series)}
