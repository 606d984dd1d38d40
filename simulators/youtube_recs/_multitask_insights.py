"""What the nets show, in one sentence an effect, from their own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from simulators.lab import Insight
from simulators.youtube_recs._multitask_params import GATED, LABELS, Kind
from simulators.youtube_recs._multitask_study import Side, Study
from simulators.youtube_recs._multitask_views import APART, SAME, turning_point

B = 1
SPREAD = {"single": 0.2, "shared_bottom": 0.14, "mmoe": 0.14, "ple": 0.14}  # s.d. of task B's excess over ten seeds, default sizes
MANY_EXPERTS = 16

Verdict = Literal["better", "worse", "unclear"]


def verdict(here: Mapping[Kind, Side], one: Kind, other: Kind) -> Verdict:
    """Whether task B fares better under `one`: by two standard errors of the paired trainings, or the usual spread of one."""
    pairs = zip(here[one].trials, here[other].trials, strict=True)
    apart = np.array([mine.quality[B] - theirs.quality[B] for mine, theirs in pairs])
    usual = np.hypot(SPREAD[one] * here[one].quality[B], SPREAD[other] * here[other].quality[B])
    error = np.std(apart, ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else usual
    if abs(apart.mean()) < 2 * error:
        return "unclear"
    return "better" if apart.mean() < 0 else "worse"


def _unclear(study: Study) -> str:
    count = study.params.repeats
    return f"within noise, from {count} trainings each" if count > 1 else "within noise, as far as one training each can tell"


def _start(kind: Kind) -> str:
    return LABELS[kind][0].upper() + LABELS[kind][1:]


def insights(study: Study) -> list[Insight]:
    parts = (_transfer, _mixtures, _private, _sweep, _overfit, _idle, _weights, _cost, _rare)
    return [insight for part in parts for insight in part(study)]


def _loss(side: Side) -> str:
    return f"{side.quality[B]:.0f}"


def _transfer(study: Study) -> Iterator[Insight]:
    here, rho = study.here, study.params.rho
    if "single" not in here or "shared_bottom" not in here:
        return
    alone, shared = here["single"], here["shared_bottom"]
    found = verdict(here, "shared_bottom", "single")
    costs = f"task B loses {_loss(shared)} under one shared bottom and {_loss(alone)} with a net of its own"
    reason = {
        "better": "what task A learns from all rows is what task B needs, so sharing feeds the rare task",
        "worse": "the shared layers serve task A, which has the labels, so sharing poisons the rare task",
        "unclear": f"a difference {_unclear(study)}",
    }[found]
    yield Insight(f"At similarity {rho:g} {costs}: {reason}.", "deep_dive", f"transfer_{found}")


def _mixtures(study: Study) -> Iterator[Insight]:
    here = study.here
    if "mmoe" not in here or "shared_bottom" not in here:
        return
    mmoe, shared = here["mmoe"], here["shared_bottom"]
    both = f"MMoE loses {_loss(mmoe)} on task B, the shared bottom {_loss(shared)}"
    overlap = f"{mmoe.overlap:.0%} of the two tasks' gate weight lies on the same experts"
    reason = {
        "better": f"the gates let task B take other experts ({overlap})",
        "worse": f"experts and gates have to be learned from few labels where sharing all was right ({overlap})",
        "unclear": f"a difference {_unclear(study)} ({overlap})",
    }[verdict(here, "mmoe", "shared_bottom")]
    yield Insight(f"{both}: {reason}.", "deep_dive", "gates")


def _private(study: Study) -> Iterator[Insight]:
    here = study.here
    if "ple" not in here or "mmoe" not in here:
        return
    found = verdict(here, "ple", "mmoe")
    words = {
        "better": "here an expert of its own pays for the rare task",
        "worse": "an expert of its own has only the rare task's labels to learn from",
        "unclear": f"private experts are no free win, the difference is {_unclear(study)}",
    }[found]
    yield Insight(f"PLE loses {_loss(here['ple'])} on task B, MMoE {_loss(here['mmoe'])}: {words}.", "deep_dive", "private")


def _sweep(study: Study) -> Iterator[Insight]:
    if study.params.sweep == "off":
        return
    ends = {kind: study.swept(kind) for kind in study.here}
    both = {kind: max(swept[APART].quality[B], swept[SAME].quality[B]) for kind, swept in ends.items()}
    best = min(both, key=both.__getitem__)
    said = ", ".join(f"{LABELS[kind]} {_loss(swept[APART])} and {_loss(swept[SAME])}" for kind, swept in ends.items())
    yield Insight(
        f"Task B as strangers and as twins: {said}. Where it is not known how alike the tasks are, {LABELS[best]} risks least "
        f"({both[best]:.0f} at worst).",
        "deep_dive",
        "sweep",
    )


def _overfit(study: Study) -> Iterator[Insight]:
    for kind, side in study.here.items():
        best = turning_point(side.curve)
        if best is not None:
            yield Insight(
                f"{_start(kind)} was best on task B after pass {best} "
                f"({side.curve[best - 1]:.0f}) and ends at {side.curve[-1]:.0f}: from then on it learns the few labels by heart.",
                "evaluation",
                "overfit",
            )


def _idle(study: Study) -> Iterator[Insight]:
    for kind in GATED:
        side = study.here.get(kind)
        if side is None or side.gates.shape[1] < MANY_EXPERTS:
            continue
        experts = side.gates.shape[1]
        yield Insight(
            f"Of {experts} experts of {LABELS[kind]} {side.idle} get less than half an equal share of the weight; the rare task loses "
            f"{_loss(side)} with {side.n_params:,} parameters.",
            "deep_dive",
            "idle_experts",
        )


def _weights(study: Study) -> Iterator[Insight]:
    params = study.params
    if not params.normalise_rare and params.label_rate < 1:
        yield Insight(
            f"Losses are divided by all rows, so task B counts for {params.label_rate:.3g} of task A: shared layers hardly hear it.",
            "deep_dive",
            "unnormalised",
        )


def _cost(study: Study) -> Iterator[Insight]:
    here = study.here
    if len(here) < 2:
        return
    best = min(here, key=lambda kind: here[kind].quality[B])
    equals = [kind for kind in here if kind == best or verdict(here, kind, best) == "unclear"]
    small = min(equals, key=lambda kind: here[kind].n_params)
    text = f"Fewest parameters among the nets that cannot be told from the best on task B: {LABELS[small]}, {here[small].n_params:,}"
    text += "." if small == best else f"; {LABELS[best]} has {here[best].n_params:,}."
    yield Insight(text, "capacity", "cost")


def _rare(study: Study) -> Iterator[Insight]:
    a, b = (_range([float(side.quality[task]) for side in study.here.values()]) for task in (0, B))
    yield Insight(
        f"Task B has {study.positives:,} positives to learn from and an excess log loss of {b}; task A, labelled on every row, of {a}.",
        "evaluation",
        "rare_task",
    )


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"
