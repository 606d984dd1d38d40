"""What a readout has to say, one sentence an effect."""

from __future__ import annotations

import math
from collections.abc import Iterator

from simulators.engines.experiment.stats import Comparison, compare
from simulators.experimentation._readout_analysis import NAIVE, ArmReading, Readout, detectable, false_positive_rate, power_at
from simulators.experimentation._readout_report import POST_PERIOD, effect_text, rounded_count, size_text, width
from simulators.lab import Insight

MOVED_P = 0.001
EXAGGERATED = 2.0
WORTHWHILE = 0.98  # share of variance left above which the history is not worth its pipeline


def insights(readout: Readout, *, acknowledged: bool) -> list[Insight]:
    made = [*_srm(readout)]
    hidden = readout.srm.status == "red" and not acknowledged
    for reading in readout.readings:
        if not hidden:
            made.append(Insight(verdict(readout, reading), "evaluation", "verdict"))
            made.extend(_misled(readout, reading))
        for find in (_undefined, _cuped, _could_save, _several, _moved_covariate, _naive_ratio, _relative, _power):
            made.extend(find(readout, reading))
    return made


def verdict(readout: Readout, reading: ArmReading) -> str:
    head, alternative = reading.headline, readout.question.alternative
    if head.estimate is None or head.ci is None or head.p_value is None:
        return f"{reading.arm}: no verdict. {head.error}"
    found = f"{effect_text(readout, head.estimate)}, p = {head.p_value:.2g}"
    if head.p_value >= readout.question.alpha:
        return f"{reading.arm} against {readout.control}: hold. {found}; this test cannot tell the effect from none."
    direction = "better" if head.estimate > 0 else "worse"
    advice = "ship if more is better" if head.estimate > 0 else "do not ship if more is better"
    side = "" if alternative == "two-sided" else f" (one-sided, {alternative})"
    return f"{reading.arm} is {'higher' if direction == 'better' else 'lower'} than {readout.control}: {found}{side}; {advice}."


def _misled(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    """Errors of sign and size among significant results (Gelman & Carlin 2014, Beyond power calculations)."""
    head, truth = reading.headline, readout.true_effect
    if not truth or reading.chosen == POST_PERIOD or head.estimate is None:
        return
    if head.p_value is None or head.p_value >= readout.question.alpha:
        return
    if head.estimate * truth < 0:
        error = "has the wrong sign"
    elif abs(head.estimate) > EXAGGERATED * abs(truth):
        error = f"is {head.estimate / truth:.1f} times too large"
    else:
        return
    yield Insight(
        f"The true effect is {effect_text(readout, truth)}, so this significant result {error}. Tests with little power win like that: "
        "size the test before you read it.",
        "evaluation",
        "misled",
    )


def _srm(readout: Readout) -> Iterator[Insight]:
    counts = ", ".join(f"{arm} {count:,}" for arm, count in readout.assigned.items())
    odds = f"{counts}: chance gives shares this far from the plan with p = {readout.srm.p_value:.2g}"
    if readout.srm.status == "red":
        yield Insight(
            f"Sample ratio mismatch, red. {odds}. Units are lost or added in one arm: trust no metric until the cause is known.",
            "clarify",
            "srm",
        )
    elif readout.srm.status == "yellow":
        yield Insight(
            f"Sample ratio suspicious, yellow. {odds}. Look at assignment and logging before you believe any metric.", "clarify", "srm"
        )


def _undefined(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    if reading.headline.error:
        yield Insight(reading.headline.error, "evaluation", "undefined")


def _cuped(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    if reading.chosen in (NAIVE, "none", POST_PERIOD) or (left := reading.variance_left(reading.chosen)) is None:
        return
    bound = readout.truth.left.get(reading.chosen) if readout.truth else None
    oracle = f" (the least possible here is {bound:.1%})" if bound is not None else ""
    worth = f"as if the test had {1 / left:.2f} times the users"
    if left > WORTHWHILE:
        yield Insight(
            f"The history explains {1 - left:.1%} of the variance: CUPED is not worth its pipeline for this metric.",
            "deep_dive",
            "cuped_weak",
        )
    else:
        yield Insight(f"CUPED leaves {left:.1%} of the variance{oracle}, {worth}.", "deep_dive", "cuped")


def _could_save(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    """What the history at hand would have been worth, where it was not used."""
    if reading.chosen not in (NAIVE, "none"):
        return
    found = [
        (round(left, 2), key) for key in ("one", "several") if key in reading.routes and (left := reading.variance_left(key)) is not None
    ]
    if found and min(found)[0] < WORTHWHILE:
        left, key = min(found)
        users = readout.arms[readout.control].n + readout.arms[reading.arm].n
        label = readout.plan.routes[key].label
        text = f"{label}: {left:.0%} of the variance would be left, and {rounded_count(left * users)} users would do instead of {users:,}."
        yield Insight(text, "capacity", "could_save")


def _several(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    one, several = (reading.variance_left(key) if key in reading.routes else None for key in ("one", "several"))
    if reading.chosen == "several" and one is not None and several is not None:
        yield Insight(
            f"One covariate removes {1 - one:.1%}, all of them {1 - several:.1%}: what covariates share is removed once.",
            "deep_dive",
            "several",
        )


def _moved_covariate(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    """A covariate that differs between arms was moved by the treatment, or the arms were not comparable to begin with."""
    if reading.chosen in (NAIVE, "none"):
        return
    route, control, treatment = readout.plan.routes[reading.chosen], readout.arms[readout.control], readout.arms[reading.arm]
    for name in route.covariates:
        gap = compare(control, treatment, name, denominator=route.denominator_covariate)
        if gap.p_value is not None and gap.p_value < MOVED_P:
            yield Insight(
                f"The covariate differs between the arms (p = {gap.p_value:.2g}): measured after exposure, or the arms are not alike.",
                "deep_dive",
                "moved_covariate",
            )
            break
    if reading.chosen == POST_PERIOD and reading.headline.estimate is not None and reading.raw.estimate is not None:
        before, after = effect_text(readout, reading.raw.estimate), effect_text(readout, reading.headline.estimate)
        yield Insight(
            f"A covariate measured during the test takes part of the effect with it: {before} becomes {after}, tight but wrong.",
            "deep_dive",
            "post_period",
        )


def _naive_ratio(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    if reading.naive is None or (rate := false_positive_rate(reading.naive, reading.raw, readout.question.alpha)) is None:
        return
    if rate > 1.2 * readout.question.alpha:
        ratio = (reading.raw.se or math.nan) / (reading.naive.se or math.nan)
        yield Insight(
            f"Users are randomised, so views of one user move together: the standard error is {ratio:.2f} times that of views as units, "
            f"which would call {rate:.0%} of A/A tests significant instead of {readout.question.alpha:.0%}.",
            "evaluation",
            "naive_ratio",
        )


def _relative(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    if readout.question.difference != "relative" or reading.chosen == NAIVE:
        return
    full, fixed = width(readout, reading.headline), width(readout, reading.fixed)
    if full and fixed and abs(full / fixed - 1) > 0.02:
        word = "wider" if full > fixed else "narrower"
        yield Insight(
            f"Counting the noise of the control mean makes the interval of the lift {abs(full / fixed - 1):.1%} {word}.",
            "deep_dive",
            "relative",
        )


def _power(readout: Readout, reading: ArmReading) -> Iterator[Insight]:
    truth, mde = readout.true_effect, detectable(readout, reading.headline, reading.arm)
    if not truth or mde is None or reading.chosen == POST_PERIOD:
        return
    chance = power_at(readout, reading.headline, reading.arm, truth)
    if chance is not None and chance < readout.question.power:
        yield Insight(
            f"The test finds {size_text(readout, mde)} or more with {readout.question.power:.0%} power; "
            f"the true {effect_text(readout, truth)} would be found in {chance:.0%} of such tests.",
            "capacity",
            "underpowered",
        )


def capped(readout: Readout, uncapped: Comparison, reading: ArmReading, quantile: str) -> Iterator[Insight]:
    """What winsorising did, in a world where the full effect is known."""
    truth = readout.truth
    if truth is None or not truth.full_lift or not uncapped.se or not reading.raw.se:
        return
    tail = f"Capping at the {quantile} quantile makes the standard error {reading.raw.se / uncapped.se:.2f} times the uncapped one"
    if abs(truth.lift - truth.full_lift) < 0.02 * abs(truth.full_lift):
        yield Insight(
            f"{tail} and keeps the lift of {truth.full_lift:+.2%}: more people buy, and each counts once.", "evaluation", "winsorise"
        )
    else:
        yield Insight(
            f"{tail}, but leaves {truth.lift:+.2%} of a lift of {truth.full_lift:+.2%}: the treatment acts on the amounts that are cut.",
            "evaluation",
            "winsorise_shrinks",
        )
