"""What a study shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.ads_ctr._calib_params import FITTED, METHOD_LABELS, PACING_LABELS, design_name
from simulators.ads_ctr._calib_study import CURVE_ROWS, Study
from simulators.engines.ranking import metrics
from simulators.lab import Insight

FEW = 2.0  # times the excess log loss of Platt's sigmoid on the same rows: too few rows for this method
SEEN = 0.05  # a ratio off by less is nothing anybody would act on


def insights(study: Study) -> list[Insight]:
    made = [
        *_auc(study),
        *_curse(study),
        *_segment(study),
        *_slices(study),
        *_floor(study),
        *_sampling(study),
        *_factor(study),
        *_reserve(study),
    ]
    return [*made, *_rows(study), *_pacing(study), *_timid(study)]


def _auc(study: Study) -> Iterator[Insight]:
    clicks, mine = study.setting.clicks, study.chosen
    auc, best = (metrics.auc(clicks, p) for p in (mine.test, study.setting.p))
    off = f"welfare is {-mine.lost:+.1%} and revenue {mine.overcharged:+.1%} off those of the true probabilities"
    if best - auc < 0.003 and mine.lost > 0.005:
        text = (
            f"AUC reads {auc:.3f} where the true probabilities read {best:.3f}, yet {off}: AUC compares ranks of probabilities, an auction "
            "compares values times probabilities."
        )
    else:
        text = (
            f"AUC {auc:.3f} against {best:.3f} for the true probabilities; the wrong ad wins {mine.wrong_winners:.1%} of auctions, {off}."
        )
    yield Insight(text, "evaluation", "auc_blind")


def _curse(study: Study) -> Iterator[Insight]:
    mine = study.chosen
    if mine.winner_ratio is not None and mine.winner_ratio > mine.ratio + SEEN:
        yield Insight(
            f"All ads are predicted at {mine.ratio:.2f} times their true rate, the winners at {mine.winner_ratio:.2f}: the highest bid is "
            "the one whose error was highest. Monitor calibration of what was shown, not of what was scored.",
            "evaluation",
            "winners_curse",
        )


def _segment(study: Study) -> Iterator[Insight]:
    if study.params.calibrator == "none" or study.params.by != "global" or study.params.segment_shift == 0:
        return
    method, biased, other = study.params.calibrator, study.ratio(study.chosen, 1), study.ratio(study.chosen, 0)
    own = study.others[method, "segment"]
    if max(abs(biased - 1), abs(other - 1)) < SEEN:
        return
    gained, error = study.chosen.lost - own.lost, study.lost_se(own, study.chosen)
    worth = f"saves {gained:.1%} of the welfare" if gained > 2 * error else "saves nothing that can be told from noise"
    yield Insight(
        f"One map for everybody brings the total to {study.chosen.ratio:.2f}, leaves the biased segment at {biased:.2f} and the rest at "
        f"{other:.2f}; one map a segment {worth}.",
        "deep_dive",
        "segment_survives",
    )


def _slices(study: Study) -> Iterator[Insight]:
    params, mine = study.params, study.chosen
    if params.calibrator == "none" or params.by != "slice":
        return
    per_slice = params.cal_rows / 200
    if mine.lost > study.raw.lost:
        text = (
            f"{per_slice:.0f} rows for each of 200 slices teach luck, not rates: {mine.lost:.1%} of the welfare is lost, against "
            f"{study.raw.lost:.1%} with no calibrator at all; winners read {_number(mine.winner_ratio)}, all ads {mine.ratio:.2f}."
        )
    else:
        text = (
            f"With {per_slice:.0f} rows a slice the maps by slice lose {mine.lost:.1%}, by segment "
            f"{study.others[params.calibrator, 'segment'].lost:.1%}: finer than the error only adds noise."
        )
    yield Insight(text, "deep_dive", "too_many_slices")
    if study.pooled:
        yield Insight(
            f"{study.pooled} of 200 slices hold no click, or nothing else, in the log; they are pooled, that is, use everybody's map.",
            "deep_dive",
            "pooled",
        )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _floor(study: Study) -> Iterator[Insight]:
    if study.params.noise == 0 or study.params.scale > 1 or not study.others:  # a factor that stops at 1 loses something, too
        return
    best = min((design for design in study.others), key=lambda design: study.others[design].lost)
    found = study.others[best]
    if found.lost < study.raw.lost and found.lost > 0.002:
        yield Insight(
            f"The best calibrator here, {design_name(*best)}, takes the loss from {study.raw.lost:.1%} to {found.lost:.1%}; what is left "
            f"is {study.params.noise:g} log-odds of noise about each ad, which no map of the probability can know.",
            "deep_dive",
            "noise_floor",
        )


def _sampling(study: Study) -> Iterator[Insight]:
    params, raw = study.params, study.raw
    if params.keep_negatives < 1 and params.calibrator == "none":
        why = " More revenue is overcharging here;" if raw.overcharged > 0 else ""
        yield Insight(
            f"Trained on {params.keep_negatives:.0%} of the negatives and not corrected, the model predicts {raw.ratio:.1f} times the "
            f"clicks: revenue {raw.overcharged:+.0%}, welfare {-raw.lost:+.1%}.{why} p / (p + (1 - p) / keep) undoes the sampling.",
            "deep_dive",
            "sampling",
        )


def _factor(study: Study) -> Iterator[Insight]:
    params, mine = study.params, study.chosen
    if params.scale == 1 or params.calibrator != "none":
        return
    alone = params.slope == 1 and params.intercept == params.segment_shift == params.noise == 0 and params.keep_negatives == 1
    if params.reserve == 0 and alone and mine.lost < 1e-4:
        text = (
            f"All probabilities times {params.scale:g} and nothing changes: scores keep their order, and the price per click divides the "
            "factor out again. That holds only without reserve, pacing or a competitor who is scaled otherwise."
        )
    else:
        text = (
            f"A factor of {params.scale:g} beside a reserve of ${params.reserve:g} an impression sells {mine.sold:.0%} of the auctions, "
            f"against {study.truth.sold:.0%} on the true probabilities: welfare {-mine.lost:+.0%}, revenue {mine.overcharged:+.0%}."
        )
    yield Insight(text, "deep_dive", "factor")


def _reserve(study: Study) -> Iterator[Insight]:
    mine, reserve = study.chosen, study.params.reserve
    if reserve and mine.lost < 0:
        yield Insight(
            f"The reserve of ${reserve:g} looks at predictions: at {mine.ratio:.2f} times the truth {mine.sold:.1%} of auctions are sold, "
            f"on the true probabilities {study.truth.sold:.1%}. What wins above a reserve it should not have met adds welfare, at a price "
            "its advertiser would not have agreed to.",
            "deep_dive",
            "reserve",
        )


def _rows(study: Study) -> Iterator[Insight]:
    if not study.curves:
        return
    at = int(np.argmin(np.abs(np.log(CURVE_ROWS) - np.log(study.params.cal_rows))))
    losses = {method: study.curves[method][at] for method in FITTED}
    best = min(losses, key=lambda method: losses[method])
    said = ", ".join(f"{METHOD_LABELS[method]} {loss:.2f}" for method, loss in losses.items())
    text = f"Excess log loss at {CURVE_ROWS[at]:,} rows, in thousandths of a nat: {said}; no calibrator {study.raw.excess:.2f}."
    if losses["isotonic"] > FEW * losses["platt"] and best == "platt":
        text = text[:-1] + ". Two numbers are learned from hundreds of clicks, a whole curve from tens of thousands."
    yield Insight(text, "deep_dive", "rows_needed")


# --- the day ------------------------------------------------------------------------------------------------------------------


def _pacing(study: Study) -> Iterator[Insight]:
    params, day, none = study.params, study.day, study.days["none"]
    gone = ~np.isnan(none.depleted_at)
    if gone.any():
        yield Insight(
            f"Without pacing {int(gone.sum())} of {len(gone)} advertisers are out of money, on average after "
            f"{none.depleted_at[gone].mean():.0%} of the day; spend strays {none.deviation:.0%} from the pace of traffic.",
            "deep_dive",
            "no_pacing",
        )
    if not none.welfare or not gone.any():
        return
    said = [
        f"{PACING_LABELS[pacing]} {study.days[pacing].welfare / none.welfare - 1:+.0%} ({study.days[pacing].deviation:.1%} off the pace)"
        for pacing in ("throttle", "multiplier")
    ]
    yield Insight(
        f"Welfare of the day for {study.days['multiplier'].revenue / none.revenue:.2f} times the money of no pacing: {', '.join(said)}; "
        "throttling skips auctions at random, lower bids skip the dear ones.",
        "deep_dive",
        "pacing",
    )
    true = study.true_day
    if params.pacing != "none" and true and true.welfare and day.welfare < 0.98 * true.welfare:
        yield Insight(
            f"On the true probabilities the same pacing would give {true.welfare / day.welfare - 1:+.0%} more welfare.",
            "deep_dive",
            "paced",
        )


def _timid(study: Study) -> Iterator[Insight]:
    params, day = study.params, study.day
    if params.pacing != "none" and day.deviation > 0.05:
        blame = (
            "too timid to follow the morning" if params.gain < 0.1 else "too jumpy" if params.gain > 1 else "not enough for these budgets"
        )
        yield Insight(f"A gain of {params.gain:g} is {blame}: spend strays {day.deviation:.0%}.", "deep_dive", "gain")
