"""Metrics, figures and insights of the segments part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.engines.experiment import uplift
from simulators.engines.experiment.uplift.segments import Correction, SegmentEffect
from simulators.experimentation._hidden_params import HiddenParams
from simulators.experimentation._hidden_segments import ALPHA, Fishing, Growth, Targeting
from simulators.experimentation._hidden_text import sideways, upright
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Figure, Insight, Metric

DOLLARS, PER_100 = "$ a user", "$ per 100 users"
SHOWN_SEGMENTS = 12
NAMES = {
    "S": "The S-learner",
    "T": "The T-learner",
    "X": "The X-learner",
    "forest": "The causal forest",
    "best_segment": "The best segment",
}


# --- metrics --------------------------------------------------------------------------------------------------------------------------


def targeting_metrics(seen: Targeting) -> list[Metric]:
    over = seen.overstatement
    note = "" if over is not None else "nobody in that fifth gains"
    return [
        Metric("policy_value", "Gain of the policy", 100 * seen.value, PER_100, "up", limit=100 * seen.oracle, limit_label="oracle"),
        Metric("policy_share", "Gain, share of the oracle's", _share_of_oracle(seen), "share", "up", limit=1.0, limit_label="oracle"),
        Metric("treated_share", "Users treated", seen.treated_share, "share", limit=seen.cap, limit_label="cap"),
        Metric("pehe", "Error of the effects (PEHE)", seen.pehe, DOLLARS, "down", limit=0.0, limit_label="truth"),
        Metric(
            "qini", "Qini coefficient", _qini(seen.effect, seen), DOLLARS, "up", limit=_qini(seen.test.tau, seen), limit_label="true order"
        ),
        Metric("top_fifth", "Top fifth, predicted / true", over, "×", limit=1.0, limit_label="honest", note=note),
    ]


def fishing_metrics(fishing: Fishing, correction: Correction) -> list[Metric]:
    named = sum(item.significant for item in fishing.found)
    return [
        Metric("segments_named", "Segments named", float(named), "segments"),
        Metric(
            "segment_fdr", "False among those named, mean", fishing.fdr(correction), "share", "down", limit=ALPHA, limit_label="promised"
        ),
        Metric("any_false", "Chance to name a false segment", fishing.any_false(correction), "share", "down"),
    ]


def _share_of_oracle(seen: Targeting) -> float | None:
    return seen.value / seen.oracle if seen.oracle > 0 else None


def _qini(effect: object, seen: Targeting) -> float:
    return uplift.qini(effect, seen.test.treated, seen.test.y)  # type: ignore[arg-type]


# --- figures --------------------------------------------------------------------------------------------------------------------------


def gates_figure(seen: Targeting) -> Figure:
    """Predicted, observed and true effect of five equal groups, sorted by prediction, on users no model has seen."""
    order = np.array_split(np.argsort(-seen.effect, kind="stable"), 5)
    names = ["top fifth", "second", "third", "fourth", "last fifth"]
    groups = uplift.gates(seen.effect, seen.test.treated, seen.test.y)
    truth = [float(seen.test.tau[rows].mean()) for rows in order]
    seen_ci = [group.observed.ci or (0.0, 0.0) for group in groups]
    observed = Series(
        "Observed, 95 %",
        names,
        [group.observed.estimate for group in groups],
        "markers",
        2,
        low=[low for low, _ in seen_ci],
        high=[high for _, high in seen_ci],
    )
    predicted = Series("Predicted", names, [group.predicted for group in groups], "lines+markers", 1)
    over = seen.overstatement
    title = f"Predictions for the top fifth are {over:.2f} times the truth" if over else "Nobody in the top fifth gains"
    summary = "; ".join(
        f"{name}: predicted {group.predicted:+.3f}, observed {group.observed.estimate or 0.0:+.3f}, true {true:+.3f}"
        for name, group, true in zip(names, groups, truth, strict=True)
    )
    series = [predicted, observed, Series("Truth", names, truth, "lines+markers", truth=True)]
    return line_figure("gates", title, summary, series, Axis("Held-out users by predicted effect"), Axis("Effect", DOLLARS))


def policy_figure(seen: Targeting) -> Figure:
    """True gain against the share treated: the learner's order, the oracle's, and chance."""
    tau = seen.test.tau
    at = np.unique(np.linspace(0, len(tau), 51).astype(int))
    curves = [np.append(0.0, np.cumsum(tau[np.argsort(-score, kind="stable")]))[at] * 100 / len(tau) for score in (seen.effect, tau)]
    shares = (at / len(tau)).tolist()
    chance = Series("At random", [0.0, 1.0], [0.0, 100 * float(tau.mean())], "lines", 1)
    series = [
        Series("This order", shares, curves[0].tolist(), "lines", 0),
        chance,
        Series("Oracle", shares, curves[1].tolist(), "lines", truth=True),
    ]
    share = _share_of_oracle(seen)
    won = f"{share:.0%} of the oracle's gain" if share is not None else "nothing, like the oracle"
    title = f"Treating at most {seen.cap:.0%} wins {won}"
    summary = (
        f"At {seen.cap:.0%}: this policy {100 * seen.value:.2f}, oracle {100 * seen.oracle:.2f}, random {100 * seen.random:.2f} {PER_100}."
    )
    figure = line_figure("policy", title, summary, series, Axis("Users treated", percent=True), Axis("True gain", PER_100))
    return upright(with_line(figure, label="cap", x=seen.cap))


def qini_figure(seen: Targeting) -> Figure:
    """The same curve as it can be had without knowing the truth."""
    share, gain = uplift.qini_curve(seen.effect, seen.test.treated, seen.test.y)
    kept = np.unique(np.linspace(0, len(share) - 1, min(len(share), 81)).astype(int))
    best_share, best = uplift.qini_curve(seen.test.tau, seen.test.treated, seen.test.y)
    some = np.unique(np.linspace(0, len(best) - 1, min(len(best), 81)).astype(int))
    series = [
        Series("This order", share[kept].tolist(), (100 * gain[kept]).tolist(), "lines", 0),
        Series("At random", [0.0, 1.0], [0.0, 100 * float(gain[-1])], "lines", 1),
        Series("True order", best_share[some].tolist(), (100 * best[some]).tolist(), "lines", truth=True),
    ]
    mine, oracle = _qini(seen.effect, seen), _qini(seen.test.tau, seen)
    title = f"Qini {mine:.3f} on held-out users, {oracle:.3f} for the true order"
    return line_figure(
        "qini", title, f"{title}, in {DOLLARS}.", series, Axis("Users targeted", percent=True), Axis("Observed gain", PER_100)
    )


def segments_figure(fishing: Fishing, correction: Correction) -> Figure:
    """The segments that stand out most, with interval and truth; named ones in a colour of their own."""
    order = sorted(range(len(fishing.found)), key=lambda i: fishing.found[i].p_value)[:SHOWN_SEGMENTS]
    rows = [(fishing.found[i], float(fishing.true_effects[i])) for i in order]
    series = [
        segment_series(name, [row for row, _ in rows if row.significant == named], colour)
        for name, named, colour in (("Named", True, 1), ("Not named", False, 0))
        if any(row.significant == named for row, _ in rows)
    ]
    series.append(Series("Truth", [row.name for row, _ in rows], [true for _, true in rows], "markers", truth=True))
    count = sum(item.significant for item in fishing.found)
    false = sum(item.significant and null for item, null in zip(fishing.found, fishing.null, strict=True))
    title = f"{count} of {len(fishing.found)} segments named, {false} of them false"
    summary = "; ".join(f"{row.name}: {row.effect.estimate or 0.0:+.3f}, true {true:+.3f}" for row, true in rows)
    figure = line_figure("segments", title, summary, series, Axis("Segment"), Axis("Effect", DOLLARS))
    return sideways(figure, [row.name for row, _ in rows])


def segment_series(name: str, rows: list[SegmentEffect], colour: int, factor: float = 1.0) -> Series:
    """Effects with their intervals; a segment without variance has none and is left out."""
    kept = [(row.name, row.effect.estimate, row.effect.ci) for row in rows if row.effect.estimate is not None and row.effect.ci]
    low, high = ([factor * ci[i] for *_, ci in kept] for i in (0, 1))
    return Series(name, [item[0] for item in kept], [factor * item[1] for item in kept], "markers", colour, low=low, high=high)


def growth_figure(growth: Growth) -> Figure:
    title = f"After {growth.trees[-1]} trees the error is {growth.pehe[-1]:.3f} {DOLLARS}"
    summary = f"PEHE {growth.pehe[0]:.3f} after {growth.trees[0]} trees, {growth.pehe[-1]:.3f} after {growth.trees[-1]}."
    series = [Series("PEHE", growth.trees, growth.pehe)]
    return line_figure("growth", title, summary, series, Axis("Trees", "trees"), Axis("Error of the effects", DOLLARS))


def targeting_figures(seen: Targeting, growth: Growth) -> list[Figure]:
    return [policy_figure(seen), gates_figure(seen), qini_figure(seen), *([growth_figure(growth)] if growth.trees else [])]


# --- insights -------------------------------------------------------------------------------------------------------------------------


def insights(params: HiddenParams, seen: Targeting, fishing: Fishing) -> Iterator[Insight]:
    yield from _policy(params, seen)
    yield from _invented(params, seen)
    yield from _overstated(params, seen)
    yield from _fishing(params, fishing)


def _policy(params: HiddenParams, seen: Targeting) -> Iterator[Insight]:
    share = _share_of_oracle(seen)
    if share is None or params.truth == "constant":
        return
    gain = f"gains {100 * seen.value:.2f} {PER_100}, {share:.0%} of what the oracle gains"
    chance = f"choosing at random gains {seen.random / seen.oracle:.0%}"
    yield Insight(f"{NAMES[params.learner]} with at most {seen.cap:.0%} treated {gain}; {chance}.", "deep_dive", "policy_value")


def _invented(params: HiddenParams, seen: Targeting) -> Iterator[Insight]:
    if params.truth != "constant" or params.learner == "best_segment":
        return
    learner, spread = NAMES[params.learner].replace("The", "the"), f"{seen.effect.std():.3f} {DOLLARS}"
    yield Insight(
        f"The effect is the same for everybody, yet {learner} spreads its predictions by {spread}: that is noise of its own models. On "
        f"held-out users the Qini coefficient of its order is {_qini(seen.effect, seen):.3f}, which is chance around 0.",
        "deep_dive",
        "invented",
    )


def _overstated(params: HiddenParams, seen: Targeting) -> Iterator[Insight]:
    over = seen.overstatement
    if over is None or over < 1.25 or params.truth == "constant":
        return
    yield Insight(
        f"{NAMES[params.learner]} predicts {over:.2f} times the true effect for its top fifth: the largest estimates are large partly by "
        "luck, so read the gain off held-out users, never off the predictions that chose them.",
        "evaluation",
        "overstated",
    )


def _fishing(params: HiddenParams, fishing: Fishing) -> Iterator[Insight]:
    any_false, fdr = fishing.any_false(params.correction), fishing.fdr(params.correction)
    raw = fishing.any_false("none")
    tested = f"{len(fishing.found)} segments tested at {ALPHA:.0%} each name a false one in {raw:.0%} of tests"
    if params.correction == "none":
        yield Insight(
            f"{tested}; {fdr:.0%} of what such a test names is false on average. Correct for all of them.", "evaluation", "fishing"
        )
    else:
        yield Insight(
            f"{tested}; with the correction it is {any_false:.0%}, and {fdr:.1%} of what is named is false.", "evaluation", "fishing"
        )
