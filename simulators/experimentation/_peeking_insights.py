"""What a run of `peeking` says: one sentence an effect it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from simulators.engines.experiment import power as fixed_power
from simulators.engines.experiment.sequential.stopping import Design, StoppingRow
from simulators.experimentation._peeking_params import LABELS, PeekingParams
from simulators.lab import Insight

Rows = Mapping[str, StoppingRow]
MILESTONES = (2, 5, 10, 20, 50, 100, 200)
CLEAR = 4.0  # standard errors beyond which a false positive rate is called too high
PLANNED = ("fixed", "haybittle_peto", "obrien_fleming", "power", "pocock")
ANYTIME = ("always_valid", "msprt")


def insights(rows: Rows, params: PeekingParams, design: Design) -> Iterator[Insight]:
    yield from _naive(rows, design)
    if params.effect and len(design.n) == design.planned > 1:
        yield from _spending(rows)
        yield from _pocock(rows)
        yield from _always_valid(rows, params, design)
    if params.effect:
        yield from _exaggeration(rows)
        yield from _cuped(rows, params)
    yield from _overrun(rows, design)
    yield _verdict(rows, params, design)


def _naive(rows: Rows, design: Design) -> Iterator[Insight]:
    if "naive" not in rows or len(design.n) < 2:
        return
    row, made = rows["naive"], len(design.n)
    looks = [k for k in MILESTONES if k < made] + [made]
    rates = np.cumsum(row.stops_null)[np.array(looks) - 1] / row.reps
    listed = ", ".join(f"{rate:.0%}" for rate in rates)
    yield Insight(
        f"Stopping at the first p below {design.alpha:.1%} finds an effect that is not there in {listed} of tests after "
        f"{', '.join(map(str, looks))} looks: each look is another chance to be fooled.",
        "evaluation",
        "naive_peeking",
    )


def _spending(rows: Rows) -> Iterator[Insight]:
    if not {"fixed", "obrien_fleming"} <= rows.keys():
        return
    fixed, spending = rows["fixed"], rows["obrien_fleming"]
    yield Insight(
        f"O'Brien-Fleming finds {spending.power:.0%} of the effects against {fixed.power:.0%} for one look at the end, and needs "
        f"{spending.mean_looks:.1f} looks on average instead of {fixed.mean_looks:.0f}: it spends almost no alpha early.",
        "deep_dive",
        "group_sequential",
    )


def _pocock(rows: Rows) -> Iterator[Insight]:
    if not {"pocock", "obrien_fleming"} <= rows.keys():
        return
    pocock, late = rows["pocock"], rows["obrien_fleming"]
    yield Insight(
        f"Pocock's flat bound stops {late.mean_looks - pocock.mean_looks:.1f} looks earlier than O'Brien-Fleming and gives "
        f"{100 * (late.power - pocock.power):.0f} points of power for it ({pocock.power:.0%} against {late.power:.0%}).",
        "deep_dive",
        "pocock",
    )


def _always_valid(rows: Rows, params: PeekingParams, design: Design) -> Iterator[Insight]:
    group, anytime = (next((kind for kind in kinds if kind in rows), None) for kinds in (("obrien_fleming", "power", "fixed"), ANYTIME))
    if group is None or anytime is None or rows[group].power <= rows[anytime].power:
        return
    free, planned = rows[anytime], rows[group]
    tuned = f", tuned for {params.tuning:,.0f} users," if anytime == "always_valid" else ""
    yield Insight(
        f"{LABELS[anytime]}{tuned} holds at every moment, also at those nobody looks: with {len(design.n)} looks it errs in {free.fpr:.1%} "
        f"instead of {design.alpha:.1%} of tests and finds {free.power:.0%} of the effects, {LABELS[group]} {planned.power:.0%}.",
        "deep_dive",
        "always_valid_cost",
    )


def _exaggeration(rows: Rows) -> Iterator[Insight]:
    found = {kind: row.exaggeration for kind, row in rows.items() if row.exaggeration is not None}
    if not found:
        return
    worst, best = max(found, key=found.__getitem__), min(found, key=found.__getitem__)
    against = f", {LABELS[best]} {found[best]:.2f} times" if worst != best else ""
    yield Insight(
        f"Tests stop on lucky days: {LABELS[worst]} reports {found[worst]:.2f} times the true effect when it stops{against}. "
        "Correct a winner before adding it to a forecast.",
        "evaluation",
        "exaggeration",
    )


def _cuped(rows: Rows, params: PeekingParams) -> Iterator[Insight]:
    if params.variance_ratio >= 1:
        return
    n, kind = params.planned_users, next(kind for kind in (*ANYTIME, *rows) if kind in rows)
    raw, left = (fixed_power.power(params.truth, variance, n, n, params.level) for variance in (1.0, params.variance_ratio))
    yield Insight(
        f"Covariates that leave {params.variance_ratio:.0%} of the variance lift one look at the end from {raw:.0%} to {left:.0%} power, "
        f"and {LABELS[kind]} to {rows[kind].power:.0%} after {rows[kind].mean_looks:.1f} looks on average.",
        "deep_dive",
        "cuped",
    )


def _overrun(rows: Rows, design: Design) -> Iterator[Insight]:
    if len(design.n) == design.planned:
        return
    planned = {kind: rows[kind].fpr for kind in PLANNED if kind in rows}
    anytime = {kind: rows[kind].fpr for kind in ANYTIME if kind in rows}
    said = []
    if planned:
        worst = "obrien_fleming" if "obrien_fleming" in planned else max(planned, key=planned.__getitem__)
        said.append(f"{LABELS[worst]} at its last bound errs in {planned[worst]:.1%}")
    if anytime:
        safest = min(anytime, key=anytime.__getitem__)
        said.append(f"{LABELS[safest]}, which has no plan to exceed, in {anytime[safest]:.1%}")
    if said:
        text = f"{len(design.n)} looks instead of {design.planned}: {' and '.join(said)} of tests without an effect."
        yield Insight(text, "evaluation", "overrun")


def _verdict(rows: Rows, params: PeekingParams, design: Design) -> Insight:
    valid = {kind: row for kind, row in rows.items() if row.fpr <= design.alpha + CLEAR * max(row.fpr_se, 1 / row.reps)}
    if not valid:
        return Insight(f"No rule of this run keeps its false positives at {design.alpha:.1%}.", "evaluation", "verdict")
    if not params.effect:
        names = ", ".join(LABELS[kind] for kind in valid)
        return Insight(
            f"Without an effect every stop is a mistake; alpha of {design.alpha:.1%} is kept by {names}.", "evaluation", "verdict"
        )
    best = max(valid, key=lambda kind: valid[kind].power)
    soonest = min(valid, key=lambda kind: valid[kind].mean_looks)
    then = "stops" if soonest == best else f"{LABELS[soonest]} stops"
    return Insight(
        f"Of the rules that keep alpha, {LABELS[best]} finds most ({valid[best].power:.0%}) and {then} soonest "
        f"({valid[soonest].mean_looks:.1f} of {len(design.n)} looks).",
        "evaluation",
        "verdict",
    )
