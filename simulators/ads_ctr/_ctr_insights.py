"""What a comparison of click models shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.ads_ctr._ctr_params import KINDS, Design, short
from simulators.ads_ctr._ctr_study import Study
from simulators.ads_ctr._ctr_views import score
from simulators.engines.ranking.arguments import Floats
from simulators.lab import Insight

FAR = 0.08  # of predicted over true from 1


def insights(study: Study) -> list[Insight]:
    return [
        *_ceiling(study),
        *_winner(study),
        *_history(study),
        *_trees(study),
        *_calibration(study),
        *_sampling(study),
        *_passes(study),
        *_new_ads(study),
        *_hashing(study),
        *_leak(study),
    ]


def losses(study: Study, design: Design) -> Floats:
    """Of each test row: cross entropy with the truth, or with what happened."""
    p, target = np.clip(study.judged[design].p, 1e-12, 1 - 1e-12), study.case.target
    return -(target * np.log(p) + (1 - target) * np.log1p(-p))


def _ceiling(study: Study) -> Iterator[Insight]:
    ranked = sorted(study.judged, key=lambda design: score(study, study.judged[design]))
    best, oracle = study.judged[ranked[-1]], study.case.oracle_auc
    if oracle is None or best.quality.closed is None:
        yield Insight(
            f"{short(ranked[-1])} lowers the log loss of the constant by {score(study, best):.1f} % at an AUC of {best.quality.auc:.3f}; "
            f"how much "
            "more could be known, a log cannot say.",
            "evaluation",
            "own",
        )
        return
    yield Insight(
        f"The truth ranks with an AUC of {oracle:.3f}; {short(ranked[-1])} reaches {best.quality.auc:.3f} and closes "
        f"{best.quality.closed:.0%} "
        f"of the gap in log loss between the constant and the truth.",
        "evaluation",
        "ceiling",
    )


def _winner(study: Study) -> Iterator[Insight]:
    """The first two, with the noise of their paired difference over the test rows."""
    ranked = sorted(study.judged, key=lambda design: -score(study, study.judged[design]))
    if len(ranked) < 2:
        return
    difference = losses(study, ranked[1]) - losses(study, ranked[0])
    error = float(difference.std() / np.sqrt(len(difference)))
    badge = "; that is within noise" if difference.mean() < 2 * error else ""
    yield Insight(
        f"{short(ranked[0])} is ahead of {short(ranked[1])} by {1000 * difference.mean():.1f} thousandths of a nat (two standard errors: "
        f"{2000 * error:.1f}){badge}.",
        "evaluation",
        "winner",
    )


def _history(study: Study) -> Iterator[Insight]:
    if study.history is None:
        return
    pairs = [
        (plain, design)
        for design in study.judged
        for plain in study.judged
        if KINDS[design].kind == KINDS[plain].kind and KINDS[design].history and not KINDS[plain].history
    ]
    for plain, design in pairs:
        gain = score(study, study.judged[design]) - score(study, study.judged[plain])
        yield Insight(
            f"The last eight categories move {short(plain)} by {gain:+.0f} points of the gap; "
            + ("attention weighs each entry by the ad at hand." if study.history == "din" else "their mean says what, not how strongly."),
            "deep_dive",
            "history",
        )


def _trees(study: Study) -> Iterator[Insight]:
    nets = [design for design in study.judged if KINDS[design].kind not in ("lightgbm", "lr")]
    if "lightgbm" not in study.judged or not nets:
        return
    best = max(nets, key=lambda design: score(study, study.judged[design]))
    trees, net = (score(study, study.judged[design]) for design in ("lightgbm", best))
    better = "behind" if trees < net else "ahead of"
    yield Insight(
        f"Trees over rates of ids stand at {trees:.0f} %, {better} {short(best)} at {net:.0f} %: they see what an ad does on average, "
        f"not whom it "
        "suits, unless somebody writes the feature.",
        "deep_dive",
        "trees",
    )


def _calibration(study: Study) -> Iterator[Insight]:
    mine = study.mine
    if mine is None:
        return
    ratio = mine.quality.ratio
    if study.params.recalibrate:
        yield Insight(
            f"After Platt's sigmoid on the latest tenth of the rows, {short(study.params.model)} predicts {ratio:.2f} clicks for each "
            f"true one.",
            "deep_dive",
            "recalibrated",
        )
    elif abs(ratio - 1) > FAR:
        yield Insight(
            f"{short(study.params.model)} predicts {ratio:.2f} clicks for each true one at an AUC of {mine.quality.auc:.3f}: ranking "
            f"does not "
            "notice, a bid does. Recalibrate on held-out rows.",
            "deep_dive",
            "calibration",
        )


def _sampling(study: Study) -> Iterator[Insight]:
    params, mine = study.params, study.mine
    if mine is None or params.keep_negatives == 1:
        return
    how = "corrected" if params.correct_sampling else "not corrected"
    cost = (
        "the formula repairs the level, not what the dropped rows would have taught"
        if params.correct_sampling
        else "bids would be too high by that factor"
    )
    yield Insight(
        f"With {params.keep_negatives:.1%} of the negatives kept and the probability {how}, {mine.quality.ratio:.2f} clicks are "
        f"predicted for each "
        f"true one, from {mine.rows_seen:,} rows; {cost}.",
        "deep_dive",
        "sampling",
    )


def _passes(study: Study) -> Iterator[Insight]:
    mine, params = study.mine, study.params
    curve = study.curves.get(params.model)
    if mine is None or mine.quality.excess is None or params.epochs == 1 or not curve or not study.excess_known:
        return
    first = [value for rows, value in curve if rows <= mine.rows_seen / params.epochs]
    once = float(np.mean(first[-3:])) if first else float("inf")
    if mine.quality.excess > 1.15 * once:
        yield Insight(
            f"At the end of its first pass {short(params.model)} was {once:.0f} thousandths of a nat from the truth on rows it had not "
            f"seen; after "
            f"{params.epochs} passes it is {mine.quality.excess:.0f} away: from the second pass on it learns ids by heart.",
            "deep_dive",
            "one_pass",
        )


def _new_ads(study: Study) -> Iterator[Insight]:
    mine = study.mine
    if mine is None or not mine.by_age or mine.by_age[0] is None or mine.by_age[-1] is None:
        return
    content = "with category and advertiser beside the id" if study.params.ad_content else "by the ad's id alone"
    yield Insight(
        f"On ads with fewer than 20 training impressions {short(study.params.model)} closes {mine.by_age[0]:.0%} of the gap {content}, "
        f"on ads with "
        f"500 or more {mine.by_age[-1]:.0%}.",
        "deep_dive",
        "new_ads",
    )


def _hashing(study: Study) -> Iterator[Insight]:
    mine = study.mine
    if mine is not None and study.case.collisions > 1:
        yield Insight(
            f"{study.params.buckets:,} buckets a field put {study.case.collisions:.1f} ids of the largest field on one row of the table, "
            f"which then "
            f"holds {mine.table_params:,} numbers.",
            "capacity",
            "hashing",
        )


def _leak(study: Study) -> Iterator[Insight]:
    oracle = study.case.oracle_auc
    for design, item in study.judged.items():
        if oracle is not None and item.quality.auc > oracle:
            yield Insight(
                f"Leak: {short(design)} ranks above the truth, at {item.quality.auc:.4f} against {oracle:.4f}.", "evaluation", "leak"
            )
