"""What a study shows, in words: one sentence an effect, from the run's own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.lab import Insight
from simulators.youtube_recs._position_params import LABELS, MEAN, Kind
from simulators.youtube_recs._position_readers import READERS, Read
from simulators.youtube_recs._position_study import Scored, Study

CLEAR = 1.5  # points of regret between a model and the best that are worth a sentence
LATE_TOWER = 0.2  # error of the tower's curve that says it has not learned
FEW_SHUFFLED = 200


def insights(study: Study, read: Read | None) -> list[Insight]:
    if study.params.user == "pbm" and study.params.eta == 0:
        found = [*_no_decay(study), *_cost(study)]
    else:
        found = [*_naive(study), *_feature(study), *_tower(study), *_weights(study), *_shuffled_alone(study), *_cost(study)]
    found += [*_scale(study), *_readers(study, read)]
    return found or [Insight(f"The old policy loses {100 * study.world.old_regret:.1f} % of the clicks of the best order.", "clarify")]


def _regret(study: Study, kind: Kind) -> float:
    return max(study.regret(study.scored[kind]), 0.0)


def _corrected(study: Study) -> Scored | None:
    """The best of the models that correct for position."""
    found = [item for kind, item in study.scored.items() if kind in ("feature", "pal", "ips")]
    return min(found, key=study.regret) if found else None


def _no_decay(study: Study) -> Iterator[Insight]:
    yield Insight(
        "Every position is looked at, so the order cannot cost a click and there is no bias to correct: the models lose "
        f"{max(_regret(study, kind) for kind in study.scored):.1f} %." if study.scored else
        "Every position is looked at, so the order cannot cost a click and there is no bias to correct.",
        "deep_dive",
        "no_decay",
    )  # fmt: skip


def _naive(study: Study) -> Iterator[Insight]:
    best = _corrected(study)
    if "naive" not in study.scored or best is None:
        return
    mine, other = _regret(study, "naive"), max(study.regret(best), 0.0)
    if mine - other >= CLEAR:
        yield Insight(
            f"Clicks as they are lose {mine:.1f} % of the best order's clicks, {LABELS[best.kind]} {other:.1f} %: items that the old "
            "policy put on top were looked at more, and the model takes the looks for relevance.",
            "deep_dive",
            "naive",
        )
    elif study.params.rho >= 0.7:
        yield Insight(
            f"The old policy already agreed with relevance (correlation {study.params.rho:g}), so clicks as they are lose only {mine:.1f} "
            f"%, {LABELS[best.kind]} {other:.1f} %: the bias is there, points the right way, and shows with a policy that disagrees.",
            "evaluation",
            "hidden_bias",
        )
    else:
        yield Insight(
            f"Clicks as they are lose {mine:.1f} %, {LABELS[best.kind]} {other:.1f} %: the old order was nearly random or attention falls "
            "slowly, so position says little about the item.",
            "deep_dive",
            "weak_bias",
        )


def _feature(study: Study) -> Iterator[Insight]:
    if "feature" not in study.scored:
        return
    at = "at the mean over positions" if study.params.serve_position == MEAN else f"at position {study.params.serve_position}"
    yield Insight(
        f"Position as a feature, served {at}, loses {_regret(study, 'feature'):.1f} %: the net may mix position and item, and at one fixed "
        "position it is asked about items that never stood there.",
        "deep_dive",
        "feature",
    )


def _tower(study: Study) -> Iterator[Insight]:
    found = study.scored.get("pal")
    if found is None or found.curve is None:
        return
    error, p = study.curve_error(found.curve), study.params
    start = "N(0, 1) draws" if p.position_init == "normal" else "zeros"
    if error > LATE_TOWER:
        yield Insight(
            f"The position tower has not learned (its curve is off by {error:.2f}) and relevance swallowed the bias: "
            f"{_regret(study, 'pal'):.1f} % lost. It began with {start} and learned at a rate of {p.position_lr:g}; zeros and 0.05 "
            "mend it.",
            "deep_dive",
            "slow_tower",
        )
    elif p.user == "cascade":
        yield from _no_curve(study, found)
    else:
        yield Insight(
            f"The position tower loses {_regret(study, 'pal'):.1f} % and reads attention within {error:.2f} off the whole log: other "
            "company and the old policy's jitter showed like items at unlike positions, which is randomisation for free.",
            "deep_dive",
            "pal",
        )


def _no_curve(study: Study, found: Scored) -> Iterator[Insight]:
    """Whoever reads from the top looks further down a page that satisfies less."""
    assert found.curve is not None
    gap = np.abs(found.looked - found.curve)
    worst = int(gap.argmax())
    yield Insight(
        f"Cascade users have no curve of their own: the tower fits the log ({found.curve[worst]:.2f} at position {worst + 1}), and on "
        f"pages it ranks itself {found.looked[worst]:.2f} get there, for better items stop more readers. The order survives, with "
        f"{_regret(study, 'pal'):.1f} % lost; the curve is off by {gap[worst]:.2f}.",
        "deep_dive",
        "cascade",
    )


def _weights(study: Study) -> Iterator[Insight]:
    found = study.scored.get("ips")
    if found is None or found.curve is None:
        return
    slates, smallest = int(study.world.randomised.sum()), float(found.curve[found.curve > 0].min())
    yield Insight(
        f"Weighting clicks by 1 / examination loses {_regret(study, 'ips'):.1f} %; the {slates:,} shuffled slates it takes the curve from "
        f"leave an error of {study.curve_error(found.curve):.2f}, and a click far down counts up to {1 / smallest:.0f} times.",
        "deep_dive",
        "ips",
    )


def _shuffled_alone(study: Study) -> Iterator[Insight]:
    best = _corrected(study)
    if "random_only" not in study.scored or best is None:
        return
    slates = int(study.world.randomised.sum())
    mine = _regret(study, "random_only")
    if mine - study.regret(best) >= CLEAR:
        yield Insight(
            f"Learning from the {slates:,} shuffled slates alone is unbiased and loses {mine:.1f} %: {slates / len(study.world.X):.0%} of "
            f"the log is too little, where {LABELS[best.kind]} uses all of it.",
            "deep_dive",
            "random_only",
        )
    else:
        yield Insight(
            f"With {slates:,} shuffled slates nothing needs correcting: learning from them alone loses {mine:.1f} %, and the log paid "
            f"{100 * study.world.logging_cost:.1f} % of its clicks for them.",
            "deep_dive",
            "all_shuffled",
        )


def _cost(study: Study) -> Iterator[Insight]:
    share = float(study.world.randomised.mean())
    if not share:
        yield Insight(
            "No slate is shuffled and no click given up; attention is told from relevance because like items stood at unlike positions.",
            "architecture",
            "no_randomisation",
        )
        return
    error = "" if study.estimate is None else f" and buys propensities within {study.curve_error(study.estimate):.2f}"
    yield Insight(
        f"Shuffling {share:.0%} of the slates costs {100 * study.world.logging_cost:.2f} % of the clicks{error}; a good old policy makes "
        "each shuffled slate dearer.",
        "architecture",
        "logging_cost",
    )


def _scale(study: Study) -> Iterator[Insight]:
    naive, best = study.scored.get("naive"), _corrected(study)
    if naive is None or best is None or naive.xll < 2 * best.xll:
        return
    yield Insight(
        f"As probabilities clicks as they are lie far off (excess log loss {naive.xll:.0f}, {LABELS[best.kind]} {best.xll:.0f}): they mix "
        "relevance with the mean attention of the log, so a blend or an auction cannot use them.",
        "evaluation",
        "scale",
    )


def _readers(study: Study, read: Read | None) -> Iterator[Insight]:
    if read is None:
        return
    best, position = READERS[read.best][0], read.perplexity["pbm"]
    if read.best == "pbm":
        text = f"New clicks are explained best by position-based readers (perplexity {position:.3f}), which is what the corrections assume."
    else:
        text = (
            f"New clicks are explained better by a {best} (perplexity {read.perplexity[read.best]:.3f}) than by position alone "
            f"({position:.3f}): these users read from the top, and attention depends on the items above."
        )
    yield Insight(text, "evaluation", "readers")
