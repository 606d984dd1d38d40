"""Judging a design by running it: hidden seeds, the runs, and the verdict.

A design is run twice over. Stage 1 uses five seeds that follow from the design, so that the same design always meets the same worlds;
they are told afterwards. Who clearly misses there has failed. Stage 2 uses ten seeds that stay secret and stay the same for a person
(or for everybody in an assignment), and it alone decides: with fresh seeds at every try, somebody who tries often enough gets lucky.

What is measured by the clock depends on the machine. Such a value is therefore judged against the reference design, run beside it on
the same seeds: value x (what the reference read where the target was set / what it reads here).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median, stdev
from typing import Any, Literal

from scipy.special import stdtrit

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.errors import InvalidInput
from simulators.lab import Assertion, Challenge, Context, Lab, Result
from simulators.params import InvalidParams, parse_params

STAGE_1, STAGE_2 = 5, 10  # seeds
CLEAR = 0.90  # one-sided confidence at which stage 1 calls an assertion missed
CONFIDENCE = 0.95  # of the intervals that are shown
ROUNDING = 1e-9  # of the target: 0.05 * 100 is not above 5

Verdict = Literal["pass", "narrow_pass", "fail"]
Drive = Callable[[type[Lab], Mapping[str, Any], int], Result]  # one run of a lab: (lab, values, seed)


@dataclass(frozen=True)
class SeedResult:
    """What one seed gave, by the assertions' metrics. None: undefined for this design, `notes` says why.

    reference   what the reference design read beside it, of metrics that are measured
    """

    seed: int
    values: Mapping[str, float | None]
    reference: Mapping[str, float | None] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """One assertion, judged. Mean, interval and margin in `unit`, over the seeds of the stage that decided.

    margin          how far the mean lies inside the target, negative outside; None where the metric is undefined
    margin_percent  the same in percent of the target; None for a target of 0
    worst_seed      the seed of stage 1 with the smallest margin: never one of stage 2
    as_measured     mean reading of this machine, of a measured metric
    """

    metric: str
    label: str
    op: str
    target: float
    unit: str
    kind: str
    passed: bool
    mean: float | None
    ci: tuple[float, float] | None
    margin: float | None
    margin_unit: str
    margin_percent: float | None
    worst_seed: int
    worst_value: float | None
    worst_margin: float | None
    narrow: bool = False
    as_measured: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Grade:
    """`cost` is the first ceiling's mean, `slack` the smallest margin in percent of its target."""

    verdict: Verdict
    stage: int  # the one that decided
    assertions: tuple[Checked, ...]
    cost: float | None
    cost_unit: str
    slack: float | None

    @property
    def pass_rate(self) -> float:
        return sum(item.passed for item in self.assertions) / len(self.assertions)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "pass_rate": self.pass_rate}


# --- designs and seeds -------------------------------------------------------------------------------------------------


def hidden_seeds(secret: bytes, scope: str, n: int) -> list[int]:
    """`n` seeds from 0 to 2^31 - 1, which is what a lab's page takes; nobody can tell them without the secret."""
    numbers = (hmac.digest(secret, f"{scope}#{number}".encode(), "sha256") for number in range(n))
    return [int.from_bytes(digest[:4], "big") >> 1 for digest in numbers]


def design_checked(lab: type[Lab], challenge: Challenge, given: Mapping[str, Any]) -> dict[str, Any]:
    """The whole design as JSON holds it, fields left out at their defaults.

    Raises InvalidInput for a field the brief has fixed, InvalidParams for a value the lab refuses.
    """
    if locked := sorted(set(given) - set(challenge.design)):
        raise InvalidParams({name: _locked(lab, challenge, name) for name in locked})
    worlds = [dict(challenge.world), *({**challenge.world, **variation} for variation in challenge.variations)]
    params = [parse_params(lab, {**world, **given}) for world in worlds]  # a rule over several fields may hold in one world only
    said = params[0].model_dump(mode="json")
    return {name: said[name] for name in challenge.design}


def _locked(lab: type[Lab], challenge: Challenge, name: str) -> str:
    if name not in lab.Params.model_fields:
        return f"There is no parameter {name[:60]!r}; this challenge leaves {', '.join(challenge.design)} to you."
    return f"{name} is fixed by the brief; this challenge leaves {', '.join(challenge.design)} to you."


def design_hash(lab: type[Lab], challenge: Challenge, design: Mapping[str, Any]) -> str:
    """Names a checked design of this challenge at this version of its lab."""
    inputs = [lab.problem, lab.slug, lab.version, challenge.slug, dict(design)]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def world_of(challenge: Challenge, seed: int) -> dict[str, Any]:
    """What the brief fixes, with the workload that this seed draws."""
    drawn = challenge.variations[seed % len(challenge.variations)] if challenge.variations else {}
    return {**challenge.world, **drawn}


def challenge_of(lab: type[Lab], slug: str) -> Challenge:
    """Raises InvalidInput where the lab has none by that name."""
    for challenge in lab.challenges:
        if challenge.slug == slug:
            return challenge
    known = ", ".join(challenge.slug for challenge in lab.challenges) or "none"
    raise InvalidInput(f"{lab.title} has no challenge {slug[:60]!r}; it has {known}.", field="challenge")


# --- runs --------------------------------------------------------------------------------------------------------------


def alone(lab: type[Lab], values: Mapping[str, Any], seed: int) -> Result:
    """A run without anyone watching and without a cache on disk."""
    return run_lab(lab, values, Context(seed=seed, assets=CachedAssets(None)))


def run_design(
    lab: type[Lab],
    challenge: Challenge,
    design: Mapping[str, Any],
    seeds: Sequence[int],
    on_progress: Callable[[int, int], None] | None = None,
    *,
    drive: Drive = alone,
) -> list[SeedResult]:
    """The design on each seed, in order; `on_progress(done, of)` after each."""
    found = []
    for seed in seeds:
        found.append(run_seed(lab, challenge, design, seed, drive=drive))
        if on_progress:
            on_progress(len(found), len(seeds))
    return found


def run_seed(lab: type[Lab], challenge: Challenge, design: Mapping[str, Any], seed: int, *, drive: Drive = alone) -> SeedResult:
    """One seed: the design, and right after it the reference design where something is measured."""
    world = world_of(challenge, seed)
    values, notes = _readings(drive(lab, {**world, **design}, seed), challenge.assertions)
    measured = [assertion for assertion in challenge.assertions if assertion.reference_value is not None]
    beside = _readings(drive(lab, {**world, **challenge.reference}, seed), measured)[0] if measured else {}
    return SeedResult(seed, values, beside, notes)


def _readings(result: Result, assertions: Sequence[Assertion]) -> tuple[dict[str, float | None], dict[str, str]]:
    values, notes = {}, {}
    for assertion in assertions:
        values[assertion.metric], note = _reading(result, assertion)
        if note:
            notes[assertion.metric] = note
    return values, notes


def _reading(result: Result, assertion: Assertion) -> tuple[float | None, str]:
    """The metric of that very key; where a run compares several designs, the worst of theirs: what is submitted must hold as a whole."""
    exact = [metric for metric in result.metrics if metric.key == assertion.metric]
    found = exact or [metric for metric in result.metrics if metric.key.partition("@")[0] == assertion.metric]
    undefined = next((metric for metric in found if metric.value is None), None)
    if not found or undefined:
        return None, undefined.note if undefined else "The lab gives no such figure for this design."
    values = [float(metric.value) for metric in found if metric.value is not None]
    return (max(values) if assertion.op == "<=" else min(values)), ""


# --- judging -----------------------------------------------------------------------------------------------------------


def clearly_missed(challenge: Challenge, stage1: Sequence[SeedResult]) -> bool:
    """Whether stage 1 decides: a breach on a seed where every seed must hold, an undefined metric, or a mean that is out at 90 %."""
    return any(_is_clear_miss(assertion, _margins(assertion, stage1)) for assertion in challenge.assertions)


def judge(challenge: Challenge, stage1: Sequence[SeedResult], stage2: Sequence[SeedResult] | None) -> Grade:
    """Stage 2 alone decides; without it stage 1 must have (`clearly_missed`), and the design has failed.

    What must hold on every seed must hold on those of both stages. Raises ValueError where a stage is missing or a value is not finite.
    """
    if not stage1 or (stage2 is None and not clearly_missed(challenge, stage1)):
        raise ValueError("stage 1 decides only what it clearly missed; run stage 2")
    checked = tuple(_check(assertion, stage1, stage2) for assertion in challenge.assertions)
    passed = stage2 is not None and all(item.passed for item in checked)
    narrow = any(item.narrow for item in checked)
    verdict: Verdict = "fail" if not passed else "narrow_pass" if narrow else "pass"
    ceiling = next((item for item in checked if item.kind == "ceiling"), None)
    slacks = [item.margin_percent for item in checked if item.margin_percent is not None]
    return Grade(
        verdict=verdict,
        stage=1 if stage2 is None else 2,
        assertions=checked,
        cost=ceiling.mean if ceiling else None,
        cost_unit=ceiling.unit if ceiling else "",
        slack=min(slacks, default=None),
    )


def on_every_seed(assertion: Assertion) -> bool:
    return assertion.kind == "safety" or assertion.over == "all"


def _is_clear_miss(assertion: Assertion, margins: Sequence[float | None]) -> bool:
    defined = [margin for margin in margins if margin is not None]
    if len(defined) < len(margins) or (on_every_seed(assertion) and min(defined) < 0):
        return True
    return fmean(defined) + _half_width(defined, CLEAR) < 0


def _check(assertion: Assertion, stage1: Sequence[SeedResult], stage2: Sequence[SeedResult] | None) -> Checked:
    deciding = stage1 if stage2 is None else stage2
    first, margins = _margins(assertion, stage1), _margins(assertion, deciding)
    worst = min(range(len(first)), key=lambda place: -math.inf if first[place] is None else first[place])  # type: ignore[return-value, arg-type]
    seed = stage1[worst]
    told: dict[str, Any] = {
        **{name: getattr(assertion, name) for name in ("metric", "op", "target", "unit", "kind")},
        "label": assertion.label or assertion.metric,
        "margin_unit": assertion.unit,
        "worst_seed": seed.seed,
        "worst_value": seed.values[assertion.metric],
        "worst_margin": first[worst],
    }
    defined = [margin for margin in margins if margin is not None]
    if len(defined) < len(margins):
        note = next((notes for entry in deciding if (notes := entry.notes.get(assertion.metric))), "It is undefined for this design.")
        return Checked(**told, passed=False, mean=None, ci=None, margin=None, margin_percent=None, note=note)
    return Checked(**told, **_numbers(assertion, defined, first, stage2 is not None), as_measured=_as_measured(assertion, deciding))


def _numbers(assertion: Assertion, margins: Sequence[float], first: Sequence[float | None], decided: bool) -> dict[str, Any]:
    """Mean, interval and verdict of one assertion from its margins."""
    margin, half = fmean(margins), _half_width(margins, (1 + CONFIDENCE) / 2)
    mean = assertion.target - margin if assertion.op == "<=" else assertion.target + margin
    if on_every_seed(assertion):
        both = [*margins, *first]
        passed, narrow = all(entry is not None and entry >= 0 for entry in both), False
    else:
        passed = margin >= 0 if decided else margin + _half_width(margins, CLEAR) >= 0
        narrow = decided and passed and margin < _standard_error(margins)
    return {
        "passed": passed,
        "narrow": narrow,
        "mean": mean,
        "ci": (mean - half, mean + half),
        "margin": margin,
        "margin_percent": 100 * margin / abs(assertion.target) if assertion.target else None,
    }


def _margins(assertion: Assertion, results: Sequence[SeedResult]) -> list[float | None]:
    values = [entry.values[assertion.metric] for entry in results]
    if any(value is not None and not math.isfinite(value) for value in values):
        raise ValueError(f"{assertion.metric} is not finite on some seed; it can be judged only as a number or as undefined")
    factor = _factor(assertion, results)
    sign = 1.0 if assertion.op == ">=" else -1.0
    margins = [None if value is None else sign * (value * factor - assertion.target) for value in values]
    return [0.0 if margin is not None and abs(margin) <= ROUNDING * abs(assertion.target) else margin for margin in margins]


def _factor(assertion: Assertion, results: Sequence[SeedResult]) -> float:
    """What makes a reading of this machine one of the machine the target was set on; 1 for what is computed."""
    if assertion.reference_value is None:
        return 1.0
    beside = [value for entry in results if (value := entry.reference.get(assertion.metric)) is not None]
    middle = median(beside) if beside else 0.0
    if middle <= 0:
        raise ValueError(f"{assertion.metric}: the reference design read {middle:g} here; a measured metric is judged relative to it")
    return assertion.reference_value / middle


def _as_measured(assertion: Assertion, results: Sequence[SeedResult]) -> float | None:
    if assertion.reference_value is None:
        return None
    return fmean(value for entry in results if (value := entry.values[assertion.metric]) is not None)


def _standard_error(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def _half_width(values: Sequence[float], quantile: float) -> float:
    """Student's t at `quantile` times the standard error."""
    return float(stdtrit(len(values) - 1, quantile)) * _standard_error(values) if len(values) > 1 else 0.0
