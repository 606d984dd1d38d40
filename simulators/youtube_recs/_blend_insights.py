"""What a study shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.lab import Insight
from simulators.youtube_recs._blend_params import DIVERSITY_LABELS, HEAD_LABELS, HEADS
from simulators.youtube_recs._blend_study import Difference, Study, paired
from simulators.youtube_recs._blend_views import furthest_off

CLICKBAIT = 2.0  # times the dislikes of the ranking by minutes: this blend buys clicks
OFF = 1.25  # a head beyond this factor is worth a sentence


def insights(study: Study) -> list[Insight]:
    parts = (_blend, _single_heads, _diversity, _scale_of_lambda, _calibration, _covington, _dislikes, _exploration, _truth)
    return [said for part in parts for said in part(study)]


def _blend(study: Study) -> Iterator[Insight]:
    mine, share = study.mine, study.share("mine")
    of_ceiling = f", {share:.0%} of what these weights could earn with true heads and satiation known" if share is not None else ""
    yield Insight(
        f"This design brings {mine.mean('minutes'):.1f} min and {mine.mean('click'):.1f} clicks a slate at {mine.dislikes:.0f} dislikes "
        f"per 1,000 clicks{of_ceiling}.",
        "evaluation",
        "blend",
    )


def _single_heads(study: Study) -> Iterator[Insight]:
    clicks, minutes = study.served["clicks"], study.served["minutes"]
    if clicks.dislikes > CLICKBAIT * minutes.dislikes:
        yield Insight(
            f"Ranked by clicks alone the slate gets {clicks.mean('click'):.1f} clicks, {clicks.mean('minutes'):.1f} min and "
            f"{clicks.dislikes:.0f} dislikes per 1,000 clicks; ranked by minutes alone {minutes.mean('click'):.1f}, "
            f"{minutes.mean('minutes'):.1f} and {minutes.dislikes:.0f}: bait wins clicks and loses the rest.",
            "deep_dive",
            "clickbait",
        )
    cheaper, cost = minutes.dislikes - study.mine.dislikes, minutes.mean("minutes") - study.mine.mean("minutes")
    if cheaper > 0.2 * minutes.dislikes and cost > 0:
        yield Insight(
            f"Against minutes alone this blend gives up {cost / minutes.mean('minutes'):.0%} of the minutes and loses "
            f"{cheaper / minutes.dislikes:.0%} of the dislikes per click: rage holds viewers who resent it.",
            "deep_dive",
            "rage",
        )


def _diversity(study: Study) -> Iterator[Insight]:
    p, mine, plain = study.params, study.mine, study.served["plain"]
    ceiling = study.value("ceiling")
    if p.diversity == "none" or p.explore_slots or ceiling <= 0:
        return
    change = paired(mine.values(study.weights), plain.values(study.weights))
    topics = float(mine.topics.mean() - plain.topics.mean())
    verdict = f"changes the worth of a page by {100 * change.mean / ceiling:+.1f} points of the ceiling{_noise(change)}"
    moved = f"and its topics by {topics:+.1f}"
    if p.gamma == 0:
        why = "nobody tires of likeness here (satiation 0), so diversity can only cost"
    elif change.clear and change.mean > 0:
        why = "likeness costs more here than the lower scores do"
    elif abs(topics) < 0.3:
        why = "the candidates of one topic come from several creators" if p.diversity == "cap" else "scores decide almost alone"
    else:
        why = "satiation gives back less than the lower scores cost; whether variety is worth that is policy, not ranking"
    yield Insight(f"{DIVERSITY_LABELS[p.diversity]} {verdict} {moved}: {why}.", "deep_dive", f"diversity_{p.diversity}")


def _noise(change: Difference) -> str:
    return "" if change.clear else " (within noise)"


def _scale_of_lambda(study: Study) -> Iterator[Insight]:
    """Scores are scaled by their spread on each slate."""
    lam = study.params.lam
    if study.params.diversity != "mmr" or not 0 < lam < 1:
        return
    spread = study.scores.max(axis=1) - study.scores.min(axis=1)
    low, high = (float(value) * (1 - lam) / lam for value in np.quantile(spread, (0.1, 0.9)))
    if high > 1.5 * low:
        yield Insight(
            f"Scores are min-max scaled a slate, so the same lambda of {lam:g} prices a cosine of 1 at {low:.2f} points on a slate of "
            f"close scores and at {high:.2f} on one of wide scores.",
            "deep_dive",
            "min_max",
        )


def _calibration(study: Study) -> Iterator[Insight]:
    head, factor = furthest_off(study)
    weight, ratio = study.weights[HEADS.index(head)], study.ratios[head][0]
    if factor > OFF:
        yield Insight(
            f"The {HEAD_LABELS[head]} head predicts {ratio:.2f} times what happens, which is the same as a weight of {weight * ratio:+.3g} "
            f"instead of {weight:+.3g} on a calibrated head: calibrate before weights are tuned.",
            "deep_dive",
            "miscalibration",
        )


def _covington(study: Study) -> Iterator[Insight]:
    if study.params.heads != "learned" or study.params.watch_loss != "covington":
        return
    column, minutes = HEADS.index("minutes"), study.served["minutes"]
    ratio = float(study.heads.predicted[..., column].mean() / study.audience.truth[..., column].mean())
    clicks = float(study.audience.truth[..., HEADS.index("click")].mean())
    yield Insight(
        f"Covington's loss takes clicked rows out of the noes; with {clicks:.0%} of impressions clicked it predicts {ratio:.2f} times the "
        f"minutes, most where clicks are likely, and ranking by it alone brings {minutes.dislikes:.0f} dislikes per 1,000 clicks.",
        "deep_dive",
        "covington",
    )


def _dislikes(study: Study) -> Iterator[Insight]:
    weight, column = study.params.w_dislike, HEADS.index("dislike")
    if not weight:
        return
    chance = float(study.audience.truth[..., column].mean())
    yield Insight(
        f"The penalty of {weight:g} multiplies a chance, on average {chance:.1%}: it takes {weight * chance:.2f} points from a candidate "
        f"and makes {study.spread['dislike']:.0%} of the spread of all terms.",
        "deep_dive",
        "dislike_probability",
    )


def _exploration(study: Study) -> Iterator[Insight]:
    slots = study.params.explore_slots
    if not slots:
        return
    cost = paired(study.mine.values(study.weights), study.served["plain"].values(study.weights))
    lost = 1 - study.mine.mean("minutes") / study.served["plain"].mean("minutes")
    yield Insight(
        f"{slots} of 10 places by chance, beside whatever diversity costs, change a page by {cost.mean:+.2f} points and take {lost:.0%} of "
        "the minutes of the ranking by score alone; they buy data about candidates that would never be seen.",
        "architecture",
        "exploration",
    )


def _truth(study: Study) -> Iterator[Insight]:
    if study.params.heads == "oracle":
        return
    mine, truth = study.mine, study.served["truth"]
    gap = paired(truth.values(study.weights), mine.values(study.weights))
    yield Insight(
        f"With true heads the same weights and slate would bring {truth.mean('minutes'):.1f} min at {truth.dislikes:.0f} dislikes per "
        f"1,000 clicks: {gap.mean:+.2f} points a page{_noise(gap)} is all that better heads can add.",
        "evaluation",
        "true_heads",
    )
